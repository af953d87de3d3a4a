"""Watches the registrations of a user from a program (RFC 3680)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from ..agent.agent import Agent
from ..agent.target import aor_uri
from ..agent.watching import Notification, Trouble, WatchEvent
from ..reg.contact import Contact, ContactState
from ..sip.errors import ReginfoError
from ..sip.uri import Uri

logger = logging.getLogger("reginfo.watch")


class RegistrationChange(Struct, frozen=True):
    """A contact of an address-of-record that was added, changed or removed."""

    aor: str

    contact: Contact
    """
    The contact as the server reports it: ``contact.event`` is its latest event,
    ``contact.state`` says whether it is bound.
    """

    omitted: bool = False
    """
    Whether the server no longer lists the contact, without having reported its end;
    then ``contact.event`` is ``expired``.
    """


class RegistrationWatch:
    """
    A subscription to registrations: an asynchronous context manager and iterator.

    Entering it subscribes, and waits for the first NOTIFY. Iterating yields one
    :class:`RegistrationChange` after the other, beginning with the contacts that are
    already registered. The subscription is refreshed, and renewed if the server loses
    it. Leaving the context ends the subscription and the iteration.

    Raises:
        NoAnswer, RequestRefused: on entering; there is no subscription.
        WatchEnded: on iterating; the server ended it, and accepts no other.
    """

    def __init__(
        self, aor: Uri, agent: Agent, *, expires: int, from_: str | None
    ) -> None:
        self._aor = aor
        self._agent = agent
        self._expires = expires
        self._from = from_
        # None ends the iteration.
        self._queue: asyncio.Queue[RegistrationChange | ReginfoError | None]
        self._known: dict[tuple[str, str, str], Contact] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def contacts(self) -> tuple[Contact, ...]:
        """The contacts that are currently registered, as last reported."""
        return tuple(self._known.values())

    def __repr__(self) -> str:
        return f"<watch of {self._aor.text}: {len(self._known)} contacts>"

    async def __aenter__(self) -> Self:
        self._queue = asyncio.Queue()
        await self._agent.__aenter__()
        subscribed = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._receive(subscribed))
        try:
            await subscribed
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RegistrationChange:
        item = await self._queue.get()
        if isinstance(item, RegistrationChange):
            return item
        self._queue.put_nowait(None)  # for further calls
        if item is None:
            raise StopAsyncIteration
        raise item

    async def _receive(self, subscribed: asyncio.Future[None]) -> None:
        """Run the subscription, in a task of its own so that a caller may time out."""
        events = self._agent.watch(self._aor, expires=self._expires, from_=self._from)
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    self._take(event)
                    if isinstance(event, Notification) and not subscribed.done():
                        subscribed.set_result(None)
        except ReginfoError as exc:
            if not subscribed.done():
                subscribed.set_exception(exc)
            else:
                self._queue.put_nowait(exc)
        finally:
            subscribed.cancel()
            self._queue.put_nowait(None)

    def _take(self, event: WatchEvent) -> None:
        if isinstance(event, Notification):
            for news in event.news:
                key = (news.aor, news.contact.id, news.contact.uri)
                if news.contact.state is ContactState.ACTIVE:
                    self._known[key] = news.contact
                else:
                    self._known.pop(key, None)
                change = RegistrationChange(news.aor, news.contact, news.omitted)
                self._queue.put_nowait(change)
        elif isinstance(event, Trouble):
            logger.warning("! %s: %s; retrying", self._aor.text, event.error)
        else:
            logger.warning("! %s: NOTIFY refused: %s", self._aor.text, event.error)

    async def _leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            await self._agent.__aexit__(None, None, None)


def watch(
    aor: str,
    *,
    server: str,
    expires: int = 3600,
    from_: str | None = None,
    transport: str | None = None,
    ca: str | Path | None = None,
    user: str | None = None,
    password: str = "",
) -> RegistrationWatch:
    """
    Watch the registrations of an address-of-record, at any server::

        async with reginfo.watch("alice@example.com", server="192.0.2.1") as changes:
            async for change in changes:
                print(change.contact.uri, change.contact.event)

    Args:
        aor: the address-of-record, such as ``alice@example.com``.
        server: ``HOST:PORT``, ``tls:HOST:PORT`` or a SIP URI.
        expires: the interval to request for the subscription, in seconds.
        from_: the SIP URI of the watcher; by default our own address.
        transport: ``udp``, ``tcp`` or ``tls``; by default that of the URI, or UDP.
        ca: for TLS, the authorities that are trusted, a file in PEM; by default those
            of the system.
        user, password: to answer the challenges of the server with; the user part
            alone, such as ``alice``.

    Raises:
        ValueError: an argument is wrong.
    """
    if expires < 1:
        raise ValueError("expires: at least one second")
    return RegistrationWatch(
        aor_uri(aor),
        Agent.to(server, transport, ca, user=user, password=password),
        expires=expires,
        from_=None if from_ is None else aor_uri(from_).text,
    )
