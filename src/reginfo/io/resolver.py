"""Resolves URIs to destinations (RFC 3263): NAPTR, SRV and address records."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..ledger.journal import Attempt, Journal
from ..sip.destination import Destination
from ..sip.errors import RemoteProtocolError
from ..sip.flow import is_numeric
from ..sip.transport import SIP_PORT, TCP, UDP, Transport, asked_for
from ..sip.uri import Uri
from .eager import HandlerResult, Handlers

logger = logging.getLogger("reginfo.dns")


CACHED = 10_000
"""Answers that are kept; the oldest goes when there are more."""

FAILED = 5.0
"""Seconds for which a question is not asked again that has got no answer."""

LONGEST, SHORTEST = 86_400.0, 1.0
"""Bounds of a TTL in seconds: a day, and a second that makes a TTL of 0 bearable."""

NOTHING = 10_800.0
"""Bound of the TTL where there are no records: three hours (RFC 2308 §5)."""

MOST = 16
"""
Records of one answer, and destinations of one URI, that are used: a caller gives up
long before as many have not answered.
"""

PATIENCE = 8.0
"""Seconds after which no other question is asked for the same URI."""

SERVICES = {"SIP+D2U": UDP, "SIP+D2T": TCP}
"""Transports by their service in NAPTR (§4.1)."""


class Naptr(NamedTuple):
    """One NAPTR record (RFC 3403)."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    """One SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


class Answer(NamedTuple):
    """What name servers say to one question; no records if there are none."""

    records: Sequence[Any]
    "Of type :class:`Naptr`, :class:`Srv`, or addresses."

    ttl: float
    "Seconds for which it holds."


Ask = Callable[[str, str], Awaitable[Answer]]
"""Asks for a name and a type; raises `RemoteProtocolError` if nobody answers."""

Found = Callable[[list[Destination] | RemoteProtocolError], None]


class Resolver:
    """
    Finds where URIs are, and remembers for as long as the answers hold.

    Args:
        ask: asks the name servers.
        hosts: addresses of names that are known without asking.
        transports: those that we have, preferred first.
        families: kinds of address that we have.
        now: seconds on a clock.
        chance: a random number from 0 up to 1.
        wake: called after a callback that had to wait for a name server.
        attempt: begins a turn; what an answer leads to happens in one, and is taken
            back if it fails. Left out, there is nothing to take back.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        hosts: Mapping[str, Sequence[str]],
        transports: Sequence[Transport],
        families: Collection[socket.AddressFamily],
        now: Callable[[], float],
        chance: Callable[[], float],
        wake: Callable[[], None],
        attempt: Callable[[], Attempt] | None = None,
    ) -> None:
        self._attempt = attempt or Journal().attempt
        self._ask = ask
        self.hosts = hosts
        self.transports = transports
        self.types = [
            kind
            for kind, family in (("A", socket.AF_INET), ("AAAA", socket.AF_INET6))
            if family in families
        ]
        self.now = now
        self.chance = chance
        self._wake = wake
        self._known: dict[
            tuple[str, str], tuple[Answer | RemoteProtocolError, float]
        ] = {}
        self._asking: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._handlers = Handlers(self._attempt, lambda handler, took: None)

    def __len__(self) -> int:
        return len(self._known)

    def find(self, uri: Uri, found: Found) -> None:
        """
        Call ``found`` with the destinations of ``uri``, best first, or with the error.

        At once, if no name server has to be asked.
        """

        later = False

        def ended(end: HandlerResult) -> None:
            error = end.error
            if isinstance(error, asyncio.CancelledError):
                return  # nobody waits any more
            if not later:
                tell(end)
                return
            try:
                with self._attempt():
                    tell(end)
            except Exception:
                logger.exception("! the answer for %s", uri.text)
            self._wake()

        def tell(end: HandlerResult) -> None:
            error = end.error
            if error is None:
                found(end.result)
            elif isinstance(error, RemoteProtocolError):
                found(error)
            else:
                # A bug of ours: whoever waits for an answer must have one.
                logger.error("! %s", uri.text, exc_info=error)
                found(RemoteProtocolError(f"{uri.host}: {error!r}", status=500))

        later = not self._handlers.run(self.locate, uri, ended)

    async def locate(self, uri: Uri) -> list[Destination]:
        """
        Return the destinations of ``uri``, in the order to try them (§4.3).

        Raises:
            RemoteProtocolError: there is none (404), or nobody knows (503).
        """
        if uri.scheme != "sip":
            raise RemoteProtocolError(f"{uri.scheme}: URIs are not routed", status=416)
        search = Search(self, until=self.now() + PATIENCE)
        destinations = await search.destinations(uri)
        if not destinations:
            if search.error is not None:
                raise search.error
            raise RemoteProtocolError(f"{uri.host}: no such host", status=404)
        return destinations[:MOST]

    def stop(self) -> None:
        """Wait for nobody any more."""
        self._handlers.stop()

    async def answer(self, name: str, kind: str) -> Answer:
        """
        Return the answer that is cached, or ask; simultaneous questions are asked once.

        Raises:
            RemoteProtocolError: nobody has answered.
        """
        question = (name, kind)
        while True:
            known = self._known.get(question)
            if known is not None and self.now() < known[1]:
                answer = known[0]
                if isinstance(answer, RemoteProtocolError):
                    raise RemoteProtocolError(str(answer), status=answer.status)
                return answer
            asking = self._asking.get(question)
            if asking is None:
                return await self._asked(question)
            await asyncio.shield(asking)

    async def _asked(self, question: tuple[str, str]) -> Answer:
        done = self._asking[question] = asyncio.get_running_loop().create_future()
        answer: Answer | RemoteProtocolError
        try:
            answer = await self._ask(*question)
            longest = LONGEST if answer.records else NOTHING
            seconds = min(max(answer.ttl, SHORTEST), longest)
        except RemoteProtocolError as exc:
            answer, seconds = exc, FAILED
        finally:
            del self._asking[question]
            done.set_result(None)
        self._known.pop(question, None)
        self._known[question] = (answer, self.now() + seconds)
        if len(self._known) > CACHED:
            del self._known[next(iter(self._known))]
        if isinstance(answer, RemoteProtocolError):
            raise answer
        return answer


class Search:
    """
    Resolves one URI, from name to name, within a limit of time.

    Args:
        until: when no further question is asked.
    """

    def __init__(self, names: Resolver, *, until: float) -> None:
        self._names = names
        self._until = until
        self.error: RemoteProtocolError | None = None
        "The error of a question, if another one had an answer."

    async def destinations(self, uri: Uri) -> list[Destination]:
        """
        Return the destinations, best first; none if the names lead nowhere.

        Raises:
            RemoteProtocolError: we have no such transport, or nobody knows.
        """
        names = self._names
        host = (uri.param("maddr") or uri.host).strip("[]").lower().rstrip(".")
        transport = asked_for(uri, names.transports)
        usual = transport or names.transports[0]
        if is_numeric(host) or host in names.hosts or uri.port is not None:
            return await self._at(host, uri.port or SIP_PORT, usual)
        if transport:
            destinations = await self._served(
                f"_sip._{transport.token}.{host}", transport
            )
        else:
            destinations = await self._by_service(host)
        return (
            destinations
            if destinations is not None
            else await self._at(host, SIP_PORT, usual)
        )

    async def _by_service(self, host: str) -> list[Destination] | None:
        """By NAPTR, or by SRV if there is none; None if there is neither (§4.1)."""
        transports = self._names.transports
        records: Sequence[Naptr] = ()
        try:
            records = await self._records(host, "NAPTR")
        except RemoteProtocolError as exc:
            # Some name servers answer what is rarely asked for by an error, or never.
            self.error = exc
        services = [
            (SERVICES[naptr.service.upper()], naptr.replacement)
            for naptr in sorted(records)
            if naptr.flags.lower() == "s"
            and SERVICES.get(naptr.service.upper()) in transports
        ]
        if not services:
            services = [(t, f"_sip._{t.token}.{host}") for t in transports]
        found: list[Destination] | None = None
        for transport, name in services[:MOST]:
            try:
                destinations = await self._served(name, transport)
            except RemoteProtocolError as exc:
                if not found:
                    raise
                self.error = exc
            else:
                if destinations is not None:
                    found = (found or []) + destinations
            if found and len(found) >= MOST:
                break
        return found

    async def _served(
        self, name: str, transport: Transport
    ) -> list[Destination] | None:
        """By the SRV records of ``name``; None if there is none (§4.2)."""
        records: Sequence[Srv] = await self._records(name, "SRV")
        if not records:
            return None
        destinations: list[Destination] = []
        for record in in_order(records, self._names.chance):
            # "." says that the service is decidedly not there (RFC 2782).
            if record.target and len(destinations) < MOST:
                destinations += await self._at(record.target, record.port, transport)
        return destinations

    async def _at(
        self, host: str, port: int, transport: Transport
    ) -> list[Destination]:
        """By address; none if there is none, or if it cannot be learned."""
        addresses: list[str] = []
        if is_numeric(host):
            addresses = [host]
        elif host in self._names.hosts:
            addresses += self._names.hosts[host]
        else:
            for kind in self._names.types:
                try:
                    addresses += (await self._records(host, kind))[:MOST]
                except RemoteProtocolError as exc:
                    self.error = exc  # others may be known
        return [Destination(transport, (address, port)) for address in addresses]

    async def _records(self, name: str, kind: str) -> Sequence[Any]:
        if self._names.now() >= self._until:
            raise RemoteProtocolError(f"{name}: it takes too long", status=503)
        return (await self._names.answer(name, kind)).records


def in_order(records: Sequence[Srv], chance: Callable[[], float]) -> list[Srv]:
    """
    SRV records in the order in which they are to be tried (RFC 2782).

    Lowest priority first; of one priority, each in proportion to its weight. No more
    of them than may be tried.
    """
    ordered: list[Srv] = []
    for priority in sorted({record.priority for record in records}):
        # Those of weight 0 first, so that they have a small chance, too (ibid.).
        left = sorted(
            (record for record in records if record.priority == priority),
            key=lambda record: record.weight > 0,
        )
        while left and len(ordered) < MOST:
            at = chance() * sum(record.weight for record in left)
            for record in left:
                at -= record.weight
                if at <= 0:
                    break
            left.remove(record)
            ordered.append(record)
    return ordered
