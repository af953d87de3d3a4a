"""A user agent on sockets, which registers, publishes and watches at one server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import AsyncGenerator, Awaitable
from types import TracebackType
from typing import Self, TypeVar

from ..config.address import ListenAddress
from ..events.subscribe import Wanted
from ..io.clock import Clock
from ..io.ids import Ids
from ..io.network import Network, StartError
from ..io.rim import Rim
from ..io.udp import Trace
from ..ledger.journal import Journal
from ..ledger.turn import Turns
from ..reg import xml
from ..sip.errors import ReginfoError
from ..sip.flow import Address, Flow, Local, family_of, uri_host
from ..sip.message import Draft, Response
from ..sip.transaction import TIMER_F
from ..sip.uri import Uri
from .errors import NoAnswer, RequestRefused
from .publish import PublishResult, publish_draft, published
from .register import Exchange, RegisteredContact, register_draft, registered
from .target import ServerAddress, own_host
from .user_agent import UserAgent
from .watching import PACKAGE, Notification, Trouble, WatchEvent, Watching

T = TypeVar("T")

GOODBYE = 2.0
"""Seconds to wait for the last NOTIFY after an unsubscription."""

ATTEMPTS = 10
"""Ports to try until one is free for both UDP and TCP."""

PROBE_AFTER = 0.5
"""Seconds without an answer by UDP until the port of the server is probed."""


class Agent:
    """
    A client of one server, by UDP or TCP; an asynchronous context manager.

    Args:
        trace: is called with each message, as :class:`reginfo.io.trace.TraceFile`.
        timeout: seconds to wait for an answer.

    Raises:
        NoAnswer: on entering; the name of the server has no address, or there is no
            route to it.
    """

    def __init__(
        self,
        target: ServerAddress,
        *,
        trace: Trace | None = None,
        timeout: float = TIMER_F,
    ) -> None:
        self._target = target
        self._trace = trace
        self._timeout = timeout
        self._clock = Clock()
        self._ids = Ids()

    async def __aenter__(self) -> Self:
        server = await self._target.find()
        for attempt in range(ATTEMPTS):
            self._user_agent = UserAgent(self._ids)
            endpoint = self._user_agent.endpoint
            turns = Turns(endpoint, Journal(endpoint), self._clock)
            self._rim = Rim(turns, self._user_agent, self._clock.now, writer=None)
            try:
                self._flow = Flow(self._bound(own_host(server), server), server)
            except StartError as exc:
                await self._rim.stop()
                if attempt == ATTEMPTS - 1:
                    raise NoAnswer(f"no local port: {exc}") from exc
            else:
                break
        self._rim.start()
        self._server = server
        self._probe: asyncio.Task[str] | None = None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._probe is not None:
            self._probe.cancel()
        await self._rim.stop()

    async def register(
        self, aor: Uri, contact: str | None, expires: int | None
    ) -> list[RegisteredContact]:
        """
        Register ``contact`` (of :func:`~reginfo.agent.register.contact_value`).

        Args:
            contact: None to ask what is registered.
            expires: in seconds, 0 to unregister; None leaves it to the registrar.

        Returns:
            All contacts that are registered now.

        Raises:
            NoAnswer, RequestRefused: the request failed.
            RemoteProtocolError: the answer cannot be read.
        """
        draft = register_draft(
            aor, contact, expires, registrar=self._place(), exchange=self._exchange()
        )
        return registered(await self._ask(draft))

    async def publish(
        self, uri: Uri, *, body: bytes, expires: int, etag: str | None = None
    ) -> PublishResult:
        """
        Publish ``body`` as the state of ``uri``; without one, refresh ``etag``.

        Args:
            expires: in seconds; 0, without a body, removes ``etag``.

        Raises:
            ValueError: there is no such PUBLISH.
            NoAnswer, RequestRefused: the request failed.
            RemoteProtocolError: the answer cannot be read.
        """
        draft = publish_draft(
            uri, body=body, expires=expires, etag=etag, exchange=self._exchange()
        )
        return published(await self._ask(draft), expires)

    async def watch(
        self, uri: Uri, *, expires: int, from_: str | None = None
    ) -> AsyncGenerator[WatchEvent, None]:
        """
        Subscribe to the registrations of ``uri``, and yield what happens.

        The iteration ends with the subscription. Closing the iterator, as
        :func:`contextlib.aclosing` does, ends the subscription.

        Args:
            expires: in seconds; 0 asks for the state once.
            from_: the SIP URI of the watcher; by default our own address.

        Raises:
            NoAnswer, RequestRefused, WatchEnded: there is no subscription, or none any
                more.
        """
        contact = f"sip:reginfo@{self._flow.local.sent_by}"
        wanted = Wanted(
            uri=uri.text,
            local=from_ or contact,
            contact=f"{contact};transport=tcp"
            if self._flow.local.is_reliable
            else contact,
            event=PACKAGE,
            accept=xml.MEDIA_TYPE,
            expires=expires,
        )
        watching = Watching(wanted, self._flow, new_id=self._ids, jitter=random.random)
        events: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._user_agent.watch(watching, events.put_nowait, self._clock.now())
        self._rim.settle()
        timeout: float | None = self._timeout
        silent = False
        try:
            while not (watching.is_over and events.empty()):
                try:
                    if timeout is None:
                        event = await events.get()
                    else:
                        event = await self._within(timeout, "SUBSCRIBE", events.get())
                except NoAnswer:
                    silent = True
                    raise
                if isinstance(event, Trouble) and event.again_in is None:
                    raise await self._named(event.error)
                if isinstance(event, Notification):
                    timeout = None
                yield event
        finally:
            if not silent and not watching.is_over:
                await self._leave(watching, events)

    async def _leave(
        self, watching: Watching, events: asyncio.Queue[WatchEvent]
    ) -> None:
        """End a subscription, and wait some time for its last NOTIFY."""
        self._user_agent.stop_watching(self._clock.now())
        self._rim.settle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                while not watching.is_over:
                    await events.get()

    async def _ask(self, draft: Draft) -> Response:
        answer: asyncio.Future[Response | NoAnswer]
        answer = asyncio.get_running_loop().create_future()

        def done(result: Response | NoAnswer) -> None:
            if not answer.done():
                answer.set_result(result)

        self._user_agent.ask(draft, self._flow, done)
        self._rim.settle()
        response = await self._within(self._timeout, draft.method, answer)
        if isinstance(response, NoAnswer):
            raise await self._named(response)
        if response.status >= 300:
            raise RequestRefused(response)
        return response

    async def _within(self, seconds: float, method: str, answer: Awaitable[T]) -> T:
        """
        Wait for an answer, unless the system reports that there is no server.

        Raises:
            NoAnswer: none came in time, or there is no server.
        """
        if self._probe is None and not self._flow.local.is_reliable:
            self._probe = asyncio.create_task(self._refusal())
        waiting = asyncio.ensure_future(answer)
        tasks = {waiting} if self._probe is None else {waiting, self._probe}
        try:
            await asyncio.wait(
                tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if waiting.done():
                return waiting.result()
        finally:
            waiting.cancel()
        if self._probe is not None and self._probe.done():
            raise NoAnswer(f"{self._target}: {self._probe.result()}")
        raise NoAnswer(f"{self._target}: {method} got no answer within {seconds:g} s")

    async def _refusal(self) -> str:
        """
        Return why the server cannot be reached, once the system reports it.

        By UDP only a connected socket is told of an ICMP error; an empty datagram is
        no SIP, and ignored by any server.
        """
        await asyncio.sleep(PROBE_AFTER)
        loop = asyncio.get_running_loop()
        with socket.socket(family_of(self._server[0]), socket.SOCK_DGRAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(self._server)
                probe.send(b"")
                while True:
                    await loop.sock_recv(probe, 1)
            except OSError as exc:
                return (exc.strerror or str(exc)).lower()

    async def _named(self, error: ReginfoError) -> ReginfoError:
        """Name the server in an error, and say why it cannot be connected to."""
        if type(error) is not NoAnswer:
            return error
        if self._flow.local.is_reliable:
            try:
                async with asyncio.timeout(PROBE_AFTER):
                    _, writer = await asyncio.open_connection(*self._server)
            except TimeoutError:
                pass
            except OSError as exc:
                reason = os.strerror(exc.errno) if exc.errno else str(exc)
                return NoAnswer(f"{self._target}: {reason.lower()}")
            else:
                writer.close()
        return NoAnswer(f"{self._target}: {error}")

    def _exchange(self) -> Exchange:
        return Exchange(tag=self._ids(), call_id=self._ids())

    def _place(self) -> str:
        host, port = self._flow.remote
        return f"{uri_host(host)}:{port}"

    def _bound(self, host: str, server: Address) -> Local:
        """
        Bind one port for UDP and TCP: a long NOTIFY may come by TCP (§18.1.1).

        Raises:
            StartError: there is none.
        """
        network = Network(self._rim, self._user_agent.endpoint, self._trace)
        network.listen([ListenAddress(host, 0, "tcp")])
        port = self._rim.locals[0].port
        network.listen([ListenAddress(host, port, "udp")])
        return next(
            local
            for local in self._rim.locals
            if local.transport.lower() == self._target.transport
        )
