"""A user agent on sockets: it registers, publishes and watches, at one server."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Self

from ..auth.login import Login, Tried, sent_again
from ..config.address import ListenAddress
from ..config.secure_sections import TlsSection
from ..events.subscribe import Wanted
from ..io.certificates import Certificates
from ..io.clock import Clock
from ..io.ids import Ids
from ..io.network import Network, StartError
from ..io.rim import Rim
from ..io.udp import Trace
from ..ledger.journal import Journal
from ..ledger.turn import Turns
from ..reg import xml
from ..sip.errors import ReginfoError
from ..sip.flow import Address, Flow, Local, uri_host
from ..sip.message import Draft, Response
from ..sip.transaction import TIMER_F
from ..sip.transport import TCP, TLS, UDP
from ..sip.uri import Uri
from .errors import NoAnswer, RequestRefused, Unreachable
from .options import options_draft
from .publish import PublishResult, publish_draft, published
from .register import Exchange, RegisteredContact, register_draft, registered
from .target import ServerAddress, own_host
from .user_agent import UserAgent
from .watching import Notification, Trouble, WatchEvent, Watching

GOODBYE = 2.0
"""Seconds that the last NOTIFY is waited for, after somebody has seen enough."""

ATTEMPTS = 10
"""Ports tried until one is free for UDP and for TCP, too."""


class Agent:
    """
    Talks to one server, by UDP, TCP or TLS. Use it as an asynchronous context manager.

    Args:
        ca: the authorities that the certificate of the server is checked against, a
            file in PEM; by default those of the system.
        trace: is called with each datagram, as :class:`reginfo.io.trace.TraceFile`.
        timeout: seconds that an answer is waited for.
        user: the name to answer challenges with; the user part alone.
        password: its password.

    Raises:
        NoAnswer: on entry, if there is no such server, or no way there.
        CertificateError: on entry, if ``ca`` cannot be used.
    """

    def __init__(
        self,
        target: ServerAddress,
        *,
        ca: Path | None = None,
        trace: Trace | None = None,
        timeout: float = TIMER_F,
        user: str | None = None,
        password: str = "",
    ) -> None:
        self._target = target
        self._ca = ca
        self._certificates: Certificates | None = None
        self._trace = trace
        self._timeout = timeout
        self._clock = Clock()
        self._ids = Ids()
        self._login = None if user is None else Login(user, password, self._ids)

    @classmethod
    def to(
        cls,
        server: str,
        transport: str | None = None,
        ca: str | Path | None = None,
        *,
        user: str | None = None,
        password: str = "",
    ) -> Self:
        """
        Make an agent for a server, as :meth:`.ServerAddress.parse` reads it.

        Raises:
            ValueError: it is not the address of a server.
        """
        target = ServerAddress.parse(server, transport)
        path = None if ca is None else Path(ca)
        return cls(target, ca=path, user=user, password=password)

    async def __aenter__(self) -> Self:
        if self._target.transport is TLS:
            self._certificates = Certificates(TlsSection(ca=self._ca))
        server = await self._target.find()
        for attempt in range(ATTEMPTS):
            self._user_agent = UserAgent(self._ids)
            endpoint = self._user_agent.endpoint
            # The user has named it: no probe is needed before the first request.
            endpoint.validation.configure([server])
            turns = Turns(endpoint, Journal(endpoint), self._clock)
            self._rim = Rim(turns, self._user_agent, self._clock.now, writer=None)
            try:
                local = self._bound(own_host(server), server)
                self._flow = Flow(local, server, self._target.certified_name)
            except StartError as exc:
                await self._rim.stop()
                if attempt == ATTEMPTS - 1:
                    raise NoAnswer(f"no local port: {exc}") from exc
            else:
                break
        self._rim.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._rim.stop()

    async def register(
        self, aor: Uri, contact: str | None, expires: int | None
    ) -> list[RegisteredContact]:
        """
        Register ``contact`` (of :func:`~reginfo.agent.register.contact_value`).

        Args:
            contact: None to ask what is registered.
            expires: in seconds, 0 to unregister; None leaves that to the registrar.

        Returns:
            What is registered now.

        Raises:
            NoAnswer, RequestRefused: it has not worked.
            RemoteProtocolError: the answer cannot be read.
        """
        draft = register_draft(
            aor, contact, expires, registrar=self._place(), exchange=self._exchange()
        )
        return registered(await self._ask(draft))

    async def options(self) -> int:
        """
        Ask the server for its options, and return the status of its response.

        Raises:
            NoAnswer: there is no response.
        """
        contact = f"sip:reginfo@{self._flow.local.sent_by}"
        draft = options_draft(self._place(), contact, self._exchange())
        try:
            return (await self._ask(draft)).status
        except RequestRefused as exc:
            return exc.status

    async def publish(
        self, uri: Uri, *, body: bytes, expires: int, etag: str | None = None
    ) -> PublishResult:
        """
        Publish ``body`` as the state of ``uri``; without one, refresh ``etag``.

        Args:
            expires: in seconds; 0, without a body, removes ``etag``.

        Raises:
            ValueError: there is no such PUBLISH.
            NoAnswer, RequestRefused: it has not worked.
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

        It ends when the subscription does. Who closes it before, as with
        :func:`contextlib.aclosing`, ends the subscription.

        Args:
            expires: in seconds; 0 asks for the state once.
            from_: who we say that we are, a SIP URI; if left out, our user in the
                domain of ``uri``, or our own address.

        Raises:
            NoAnswer, RequestRefused, Ended: there is no subscription, or none any more.
        """
        contact = f"sip:reginfo@{self._flow.local.sent_by}"
        wanted = Wanted(
            uri=uri.text,
            local=from_ or self._identity(uri) or contact,
            contact=f"{contact}{self._contact_params()}",
            event=xml.PACKAGE,
            accept=xml.MEDIA_TYPE,
            expires=expires,
        )
        watching = Watching(
            wanted,
            self._flow,
            new_id=self._ids,
            jitter=random.random,
            login=self._login,
        )
        events: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._user_agent.watch(watching, events.put_nowait, self._clock.now())
        self._rim.settle()
        timeout: float | None = self._timeout
        silent = False
        try:
            while not (watching.is_over and events.empty()):
                try:
                    async with asyncio.timeout(timeout):
                        event = await events.get()
                except TimeoutError as exc:
                    silent = True
                    raise self._silent("SUBSCRIBE") from exc
                if isinstance(event, Trouble) and event.again_in is None:
                    raise self._named(event.error)
                if isinstance(event, Notification):
                    timeout = None
                yield event
        finally:
            if not silent and not watching.is_over:
                await self._leave(watching, events)

    async def _leave(
        self, watching: Watching, events: asyncio.Queue[WatchEvent]
    ) -> None:
        """End a subscription politely, but do not wait for ever."""
        self._user_agent.stop_watching(self._clock.now())
        self._rim.settle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                while not watching.is_over:
                    await events.get()

    async def _ask(self, draft: Draft) -> Response:
        login, tried = self._login, Tried()
        while True:
            sent = draft if login is None else login.signed(draft)
            response = await self._answer_to(sent)
            if login is None or not login.receive(response, tried):
                break
            draft = sent_again(draft)
        if response.status >= 300:
            raise RequestRefused(response)
        return response

    async def _answer_to(self, draft: Draft) -> Response:
        """
        Send a request, and return its final response.

        Raises:
            NoAnswer: there is none.
        """
        answer: asyncio.Future[Response | NoAnswer]
        answer = asyncio.get_running_loop().create_future()

        def done(result: Response | NoAnswer) -> None:
            if not answer.done():
                answer.set_result(result)

        self._user_agent.ask(draft, self._flow, done)
        self._rim.settle()
        try:
            async with asyncio.timeout(self._timeout):
                response = await answer
        except TimeoutError as exc:
            raise self._silent(draft.method) from exc
        if isinstance(response, NoAnswer):
            raise self._named(response)
        return response

    def _silent(self, method: str) -> NoAnswer:
        within = f"{method} got no answer within {self._timeout:g} s"
        return NoAnswer(f"{self._target}: {within}")

    def _named(self, error: ReginfoError) -> ReginfoError:
        """An error that names the server, if it is one of not finding that."""
        if isinstance(error, Unreachable):
            return Unreachable(f"{self._place()}: {error}")
        return (
            NoAnswer(f"{self._target}: {error}") if type(error) is NoAnswer else error
        )

    def _contact_params(self) -> str:
        """The parameters of our Contact: nobody can connect to us by TLS."""
        transport = self._flow.local.transport
        # RFC 5626 §4.3: requests of the dialog come on the flow of the first one.
        return transport.uri_param + (";ob" if transport.is_secure else "")

    def _identity(self, uri: Uri) -> str:
        """Return the URI of our user in the domain of ``uri``; empty without a user."""
        return "" if self._login is None else f"sip:{self._login.username}@{uri.host}"

    def _exchange(self) -> Exchange:
        return Exchange(tag=self._ids(), call_id=self._ids())

    def _place(self) -> str:
        host, port = self._flow.remote
        return f"{uri_host(host)}:{port}"

    def _bound(self, host: str, server: Address) -> Local:
        """
        Bind one port for UDP and TCP: what is long may come by TCP (§18.1.1).

        Raises:
            StartError: it is not to be had.
        """
        transport = self._target.transport
        network = Network(
            self._rim,
            self._user_agent.endpoint,
            self._trace,
            certificates=self._certificates,
        )
        network.listen([ListenAddress(host, 0, TCP)])
        port = self._rim.locals[0].port
        network.listen([ListenAddress(host, port, UDP)])
        if transport is TLS:
            return network.connect_only(Local(TLS, host, port))
        return next(local for local in self._rim.locals if local.transport is transport)
