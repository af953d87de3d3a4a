"""A watch gives one change after the other, and survives a caller that times out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from reginfo.agent.agent import Agent
from reginfo.agent.errors import NoAnswer, WatchEnded
from reginfo.agent.target import aor_uri
from reginfo.agent.watching import Notification, Trouble, Unreadable, WatchEvent
from reginfo.events.headers import SubscriptionState
from reginfo.library.watch import RegistrationWatch, watch
from reginfo.reg.document import Contact, ContactEvent
from reginfo.reg.table import News
from reginfo.sip.errors import RemoteProtocolError

ALICE = "sip:alice@example.com"


class FakeAgent(Agent):
    """An agent whose server is the test."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[WatchEvent | Exception | None] = asyncio.Queue()
        self.is_open = False
        self.has_unsubscribed = False

    async def __aenter__(self) -> FakeAgent:
        self.is_open = True
        return self

    async def __aexit__(self, *error: object) -> None:
        self.is_open = False

    async def watch(
        self, uri: Any, *, expires: int, from_: str | None = None
    ) -> AsyncGenerator[WatchEvent, None]:
        try:
            while (event := await self.events.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.has_unsubscribed = True


def contact(event: str = "registered", uri: str = "sip:alice@192.0.2.5") -> Contact:
    return Contact(id="1", uri=uri, event=ContactEvent(event))


def notify(*contacts: Contact, omitted: bool = False) -> Notification:
    return Notification(
        cseq=1,
        state=SubscriptionState("active", 600),
        document=None,
        news=tuple(News(ALICE, contact, omitted) for contact in contacts),
    )


def watching(agent: FakeAgent) -> RegistrationWatch:
    return RegistrationWatch(aor_uri(ALICE), agent, expires=600, from_=None)


def test_what_is_registered_comes_first_then_what_changes() -> None:
    async def scenario() -> None:
        agent = FakeAgent()
        agent.events.put_nowait(notify(contact()))
        async with watching(agent) as changes:
            assert agent.is_open
            assert list(changes.contacts) == [contact()]
            assert repr(changes) == "<watch of sip:alice@example.com: 1 contacts>"
            first = await anext(changes)
            assert (first.aor, first.contact, first.omitted) == (
                ALICE,
                contact(),
                False,
            )
            agent.events.put_nowait(notify(contact("unregistered")))
            second = await anext(changes)
            assert second.contact.event is ContactEvent.UNREGISTERED
            assert not changes.contacts
        assert agent.has_unsubscribed and not agent.is_open

    asyncio.run(scenario())


def test_a_contact_that_a_full_document_leaves_out_is_a_change() -> None:
    async def scenario() -> None:
        agent = FakeAgent()
        agent.events.put_nowait(notify(contact()))
        agent.events.put_nowait(notify(contact("expired"), omitted=True))
        async with watching(agent) as changes:
            await anext(changes)
            assert (await anext(changes)).omitted
            assert not changes.contacts

    asyncio.run(scenario())


def test_a_caller_that_times_out_loses_no_change() -> None:
    async def scenario() -> None:
        agent = FakeAgent()
        agent.events.put_nowait(notify())
        async with watching(agent) as changes:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await anext(changes)
            assert not agent.has_unsubscribed
            agent.events.put_nowait(notify(contact()))
            assert (await anext(changes)).contact == contact()

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [NoAnswer("no answer"), WatchEnded("rejected")])
def test_without_a_subscription_the_context_is_not_entered(error: Exception) -> None:
    async def scenario() -> None:
        agent = FakeAgent()
        agent.events.put_nowait(error)
        with pytest.raises(type(error)) as raised:
            async with watching(agent):
                raise AssertionError("entered")
        assert raised.value is error
        assert not agent.is_open

    asyncio.run(scenario())


def test_a_watch_that_the_server_ends_for_good_raises_after_the_last_change() -> None:
    async def scenario() -> None:
        agent = FakeAgent()
        agent.events.put_nowait(notify(contact()))
        agent.events.put_nowait(WatchEnded("noresource"))
        async with watching(agent) as changes:
            assert (await anext(changes)).contact == contact()
            with pytest.raises(WatchEnded):
                await anext(changes)
            with pytest.raises(StopAsyncIteration):
                await anext(changes)

    asyncio.run(scenario())


def test_trouble_is_logged_and_the_iteration_continues(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> list[str]:
        agent = FakeAgent()
        agent.events.put_nowait(notify())
        agent.events.put_nowait(Trouble(NoAnswer("SUBSCRIBE got no answer"), 30.0))
        agent.events.put_nowait(Unreadable(RemoteProtocolError("no reginfo")))
        agent.events.put_nowait(notify(contact()))
        agent.events.put_nowait(None)
        async with watching(agent) as changes:
            return [change.contact.uri async for change in changes]

    assert asyncio.run(scenario()) == ["sip:alice@192.0.2.5"]
    assert [record.getMessage() for record in caplog.records] == [
        "! sip:alice@example.com: SUBSCRIBE got no answer; retrying",
        "! sip:alice@example.com: NOTIFY refused: no reginfo",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {"aor": "alice", "server": ""},
        {"aor": "", "server": "192.0.2.1"},
        {"aor": "alice@example.com", "server": "192.0.2.1:http"},
        {"aor": "alice@example.com", "server": "192.0.2.1", "expires": 0},
        {"aor": "alice@example.com", "server": "192.0.2.1", "from_": "http://x"},
        {"aor": "alice@example.com", "server": "sip:192.0.2.1;transport=ws"},
        {"aor": "alice@example.com", "server": "192.0.2.1", "transport": "sctp"},
    ],
)
def test_a_wrong_argument_is_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        watch(arguments.pop("aor"), **arguments)
