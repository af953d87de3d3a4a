"""
A phone that watches itself, and learns when and why an administrator removes it.

    python phone.py 127.0.0.1:5060 sip:alice@example.com sip:alice@127.0.0.1:5090

It follows RFC 3680 §4.7.1: after `deactivated` it registers again at once, after
`probation` when `retry-after` is over, and after `rejected` not at all.
"""

import asyncio
import sys
from contextlib import aclosing

from reginfo.agent.agent import Agent
from reginfo.agent.register import contact_value
from reginfo.agent.target import ServerAddress
from reginfo.agent.watching import Notification
from reginfo.reg.document import Contact
from reginfo.sip.uri import Uri


async def run(agent: Agent, aor: Uri, contact: str) -> None:
    await agent.register(aor, contact_value(contact), 3600)
    print("registered", flush=True)
    async with aclosing(agent.watch(aor, expires=3600, from_=aor.text)) as events:
        async for event in events:
            mine = of_mine(event, contact) if isinstance(event, Notification) else None
            if mine is None or mine.state == "active":
                continue
            print(f"removed: {mine.event}", flush=True)
            if mine.event == "rejected":
                return
            if mine.event in ("deactivated", "probation"):
                await asyncio.sleep(mine.retry_after or 0)
                await agent.register(aor, contact_value(contact), 3600)
                print("registered again", flush=True)


def of_mine(notification: Notification, contact: str) -> Contact | None:
    """Find this phone's contact in a NOTIFY; None if it is not listed."""
    if notification.document is None:
        return None
    return next(
        (
            one
            for registration in notification.document.registrations
            for one in registration.contacts
            if one.uri == contact
        ),
        None,
    )


async def main(server: str, aor: str, contact: str) -> None:
    async with Agent(ServerAddress.parse(server)) as agent:
        await run(agent, Uri.parse(aor), contact)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
