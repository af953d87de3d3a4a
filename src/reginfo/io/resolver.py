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
from ..sip.transport import Transport, asked_for
from ..sip.uri import Uri
from .eager import HandlerResult, Handlers

logger = logging.getLogger("reginfo.dns")


CACHED = 10_000
"""The maximum number of cached answers; the oldest is dropped."""

FAILED = 5.0
"""Seconds until a query that got no answer is repeated."""

LONGEST, SHORTEST = 86_400.0, 1.0
"""Limits of a TTL in seconds: one day, and one second instead of a TTL of 0."""

ABSENT = 15.0
"""
Seconds after which a host without an address is asked for again, whatever its zone
says: an operator who sets up a peer waits for its address.
"""

NOTHING = 10_800.0
"""The maximum TTL of a negative answer: three hours (RFC 2308 §5)."""

MOST = 16
"""
The maximum number of records used from one answer, and of destinations for one URI: a
caller gives up before that many have failed.
"""

PATIENCE = 8.0
"""Seconds after which no further query is made for the same URI."""

SERVICES = {transport.service: transport for transport in Transport}
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
    """The answer to one query; it may have no records."""

    records: Sequence[Any]
    "Values of type :class:`Naptr` or :class:`Srv`, or addresses."

    ttl: float
    "The time to live, in seconds."


Ask = Callable[[str, str], Awaitable[Answer]]
"""Queries a name and a type; raises `RemoteProtocolError` if there is no answer."""

Found = Callable[[list[Destination] | RemoteProtocolError], None]


class Resolver:
    """
    Resolves URIs to destinations, with a cache.

    Args:
        ask: queries the name servers.
        hosts: addresses of names that need no query.
        transports: our transports, in order of preference.
        families: our address families.
        now: returns the seconds on a clock.
        chance: returns a random number from 0 to below 1.
        at_most: the number of queries that may wait for an answer; 0 for any number.
        wake: called after a callback that had to wait for a name server.
        attempt: begins a turn; each callback runs in one, and is undone if it fails. By
            default there is nothing to undo.
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
        at_most: int = 0,
    ) -> None:
        self._attempt = attempt or Journal().attempt
        self._ask = ask
        self._at_most = at_most
        self.refused = 0
        "The number of queries that were not made, because too many were waiting."

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

        It is called at once if no query is necessary.
        """

        later = False

        def ended(end: HandlerResult) -> None:
            error = end.error
            if isinstance(error, asyncio.CancelledError):
                return  # nobody waits
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
                # A bug; the caller must get an answer nevertheless.
                logger.error("! %s", uri.text, exc_info=error)
                found(RemoteProtocolError(f"{uri.host}: {error!r}", status=500))

        later = not self._handlers.run(self.locate, uri, ended)

    async def locate(self, uri: Uri) -> list[Destination]:
        """
        Return the destinations of ``uri``, in the order to try them (§4.3).

        Raises:
            RemoteProtocolError: there are none (404), or there was no answer (503).
        """
        if uri.scheme not in ("sip", "sips"):
            raise RemoteProtocolError(f"{uri.scheme}: URIs are not routed", status=416)
        if uri.scheme == "sips" and not any(t.is_secure for t in self.transports):
            raise RemoteProtocolError("sips: URIs need TLS", status=416)
        search = Search(self, until=self.now() + PATIENCE)
        destinations = await search.destinations(uri)
        if not destinations:
            if search.error is not None:
                raise search.error
            raise RemoteProtocolError(f"{uri.host}: no such host", status=404)
        return destinations[:MOST]

    def stop(self) -> None:
        """Cancel all queries."""
        self._handlers.stop()

    async def answer(self, name: str, kind: str) -> Answer:
        """
        Return the cached answer, or query; simultaneous equal queries are made once.

        Raises:
            RemoteProtocolError: there was no answer.
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
                if len(self._asking) >= self._at_most > 0:
                    # Each takes a socket. This is no answer, and is not kept as one.
                    self.refused += 1
                    why = f"{name}: too many names are being looked up"
                    raise RemoteProtocolError(why, status=503)
                return await self._asked(question)
            await asyncio.shield(asking)

    async def _asked(self, question: tuple[str, str]) -> Answer:
        done = self._asking[question] = asyncio.get_running_loop().create_future()
        answer: Answer | RemoteProtocolError
        try:
            answer = await self._ask(*question)
            longest = LONGEST
            if not answer.records:
                longest = ABSENT if question[1] in ("A", "AAAA") else NOTHING
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
    Resolves one URI, from name to name, within a time limit.

    Args:
        until: the time after which no further query is made.
    """

    def __init__(self, names: Resolver, *, until: float) -> None:
        self._names = names
        self._until = until
        self._name = ""
        "The SIP domain in the URI, for certificates (RFC 5922 §7.3)."

        self.error: RemoteProtocolError | None = None
        "The error of one query, if another one was answered."

    async def destinations(self, uri: Uri) -> list[Destination]:
        """
        Return the destinations, best first; none if the names do not exist.

        Raises:
            RemoteProtocolError: the transport is not supported, or there was no answer.
        """
        names = self._names
        host = (uri.param("maddr") or uri.host).strip("[]").lower().rstrip(".")
        self._name = host
        transport = asked_for(uri, names.transports)
        usual = transport or names.transports[0]
        if uri.scheme == "sips" and not uri.param("transport"):
            transport = None  # NAPTR may say more than that it is secure
        if is_numeric(host) or host in names.hosts or uri.port is not None:
            return await self._at(host, uri.port or usual.default_port, usual)
        if transport:
            destinations = await self._served(f"{transport.srv}.{host}", transport)
        else:
            destinations = await self._by_service(host, uri.scheme == "sips")
        return (
            destinations
            if destinations is not None
            else await self._at(host, usual.default_port, usual)
        )

    async def _by_service(self, host: str, is_secure: bool) -> list[Destination] | None:
        """
        Resolve by NAPTR, or else by SRV; None if there is neither (§4.1).

        Args:
            is_secure: whether the URI is `sips:`, whose transport must be secure. A
                `sip:` URI may lead to TLS, too, but only by NAPTR: without it, SRV is
                asked for under `_sip` only.
        """
        ours = self._names.transports
        transports = [one for one in ours if one.is_secure or not is_secure]
        records: Sequence[Naptr] = ()
        try:
            records = await self._records(host, "NAPTR")
        except RemoteProtocolError as exc:
            # Some name servers answer rare queries with an error, or not at all.
            self.error = exc
        services = [
            (SERVICES[naptr.service.upper()], naptr.replacement)
            for naptr in sorted(records)
            if naptr.flags.lower() == "s"
            and SERVICES.get(naptr.service.upper()) in transports
        ]
        if not services:
            guessed = [one for one in transports if one.is_secure == is_secure]
            services = [(t, f"{t.srv}.{host}") for t in guessed]
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
        """Resolve by the SRV records of ``name``; None if there are none (§4.2)."""
        records: Sequence[Srv] = await self._records(name, "SRV")
        if not records:
            return None
        destinations: list[Destination] = []
        for record in in_order(records, self._names.chance):
            # "." means that the service is not available (RFC 2782).
            if record.target and len(destinations) < MOST:
                destinations += await self._at(record.target, record.port, transport)
        return destinations

    async def _at(
        self, host: str, port: int, transport: Transport
    ) -> list[Destination]:
        """Resolve by address records; empty if there are none, or no answer."""
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
                    self.error = exc  # another query may succeed
        name = self._name if transport.is_secure else ""
        return [Destination(transport, (one, port), name) for one in addresses]

    async def _records(self, name: str, kind: str) -> Sequence[Any]:
        if self._names.now() >= self._until:
            raise RemoteProtocolError(f"{name}: resolution takes too long", status=503)
        return (await self._names.answer(name, kind)).records


def in_order(records: Sequence[Srv], chance: Callable[[], float]) -> list[Srv]:
    """
    Sort SRV records in the order in which to try them (RFC 2782).

    The lowest priority comes first; within a priority, the order is random by weight.
    The number of records is limited.
    """
    ordered: list[Srv] = []
    for priority in sorted({record.priority for record in records}):
        # Weight 0 first, so that these have a small chance as well (ibid.).
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
