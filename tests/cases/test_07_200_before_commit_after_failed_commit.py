"""No 200 leaves before the commit that makes its registration durable."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from reginfo.script.load import NAME

from ..io.at_rim import LOCAL, Disk, Places, Server
from ..simulation import given

SCRIPT = """
from reginfo import Route

route = Route()
gate = None

@route.request("REGISTER")
async def register(msg):
    if msg.call_id == "slow":
        await gate.wait()
    msg.save("location")
"""


def request(user: str, call_id: str) -> bytes:
    return (
        f"REGISTER sip:example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{call_id}\r\n"
        f"From: <sip:{user}@example.com>;tag={call_id}\r\n"
        f"To: <sip:{user}@example.com>\r\nCall-ID: {call_id}\r\nCSeq: 1 REGISTER\r\n"
        f"Contact: <sip:{user}@192.0.2.1>\r\nExpires: 600\r\n\r\n"
    ).encode()


def test_a_handler_that_goes_on_while_a_commit_fails_sends_no_200(
    tmp_path: Path,
) -> None:
    """
    A handler that has waited saves its registration in the turn of the event loop in
    which the commit before it fails.
    """
    path = tmp_path / "routes.py"
    path.write_text(SCRIPT)

    async def run() -> list[bytes]:
        disk = Disk()
        server = Server(disk, path)
        server.app.load_script()
        server.app.begin([LOCAL], Places())
        server.rim.start()
        gate = sys.modules[NAME].__dict__["gate"] = asyncio.Event()
        server.receive(request("bob", "slow"))
        server.receive(request("alice", "fast"))
        server.wire.sent.clear()
        _, done = disk.waiting.pop(0)
        # The handler's step comes first, and the end of the commit in the same turn.
        gate.set()
        asyncio.get_running_loop().call_soon(done, OSError("disk I/O error"))
        for _ in range(10):
            await asyncio.sleep(0)
        given(server.app.turns.commits == 0)
        return server.wire.sent

    sent = asyncio.run(run())
    given(sent, "nothing was answered at all")
    assert [data for data in sent if data.startswith(b"SIP/2.0 200 ")] == []
