"""Where a URI is (RFC 3263): which names are asked for, and what follows from them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple

from ..sip.destination import Destination
from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from .eager import Ended, run

SIP_PORT = 5060

CACHED = 10_000
"""Answers that are kept; the oldest goes when there are more."""

FAILED = 5.0
"""Seconds for which a question is not asked again that has got no answer."""

LONGEST, SHORTEST = 86_400.0, 1.0
"""Bounds of a TTL in seconds: a day, and a second that makes a TTL of 0 bearable."""

SERVICES = {"SIP+D2U": "UDP", "SIP+D2T": "TCP"}
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
    """

    def __init__(
        self,
        ask: Ask,
        *,
        hosts: Mapping[str, Sequence[str]],
        transports: Sequence[str],
        families: Collection[socket.AddressFamily],
        now: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._ask = ask
        self._hosts = hosts
        self._transports = transports
        self._types = [
            kind
            for kind, family in (("A", socket.AF_INET), ("AAAA", socket.AF_INET6))
            if family in families
        ]
        self._now = now
        self._chance = chance
        self._known: dict[
            tuple[str, str], tuple[Answer | RemoteProtocolError, float]
        ] = {}
        self._asking: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[Ended]] = set()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, uri: Uri, found: Found) -> None:
        """
        Call ``found`` with the places of ``uri``, preferred first, or with the error.

        At once, if no name server has to be asked.
        """

        def ended(end: Ended) -> None:
            if end.error is None:
                found(end.result)
            elif isinstance(end.error, RemoteProtocolError):
                found(end.error)
            elif not isinstance(end.error, asyncio.CancelledError):
                raise end.error

        run(self.locate, uri, ended, self._tasks)

    async def locate(self, uri: Uri) -> list[Destination]:
        """
        The places of ``uri``, in the order in which they are to be tried (§4.3).

        Raises:
            RemoteProtocolError: there is none (404), or nobody knows (503).
        """
        if uri.scheme != "sip":
            raise RemoteProtocolError(f"{uri.scheme}: URIs are not routed", status=416)
        places = await self._places(uri)
        if not places:
            raise RemoteProtocolError(f"{uri.host}: no such host", status=404)
        return places

    def stop(self) -> None:
        """Wait for nobody any more."""
        for task in list(self._tasks):
            task.cancel()

    async def _places(self, uri: Uri) -> list[Destination]:
        host = (uri.param("maddr") or uri.host).strip("[]").lower().rstrip(".")
        transport = (uri.param("transport") or "").upper()
        if transport and transport not in self._transports:
            raise RemoteProtocolError(f"we have no {transport}", status=503)
        usual = transport or self._transports[0]
        if _is_numeric(host):
            return [Destination(usual, (host, uri.port or SIP_PORT))]
        if host in self._hosts:
            return [
                Destination(usual, (address, uri.port or SIP_PORT))
                for address in self._hosts[host]
            ]
        if uri.port is not None:
            return await self._at(host, uri.port, usual)
        if transport:
            places = await self._served(f"_sip._{transport.lower()}.{host}", transport)
        else:
            places = await self._by_service(host)
        return places if places is not None else await self._at(host, SIP_PORT, usual)

    async def _by_service(self, host: str) -> list[Destination] | None:
        """By NAPTR, or by SRV if there is none; None if there is neither (§4.1)."""
        naptrs = [
            naptr
            for naptr in (await self._answer(host, "NAPTR")).records
            if naptr.flags.lower() == "s"
            and SERVICES.get(naptr.service.upper()) in self._transports
        ]
        found: list[Destination] | None = None
        for naptr in sorted(naptrs):
            transport = SERVICES[naptr.service.upper()]
            places = await self._served(naptr.replacement, transport)
            found = (found or []) + (places or [])
        if naptrs:
            return found
        for transport in self._transports:
            name = f"_sip._{transport.lower()}.{host}"
            places = await self._served(name, transport)
            if places is not None:
                found = (found or []) + places
        return found

    async def _served(self, name: str, transport: str) -> list[Destination] | None:
        """By the SRV records of ``name``; None if there is none (§4.2)."""
        records: Sequence[Srv] = (await self._answer(name, "SRV")).records
        if not records:
            return None
        places = []
        for record in in_order(records, self._chance):
            # "." says that the service is decidedly not there (RFC 2782).
            if record.target:
                places += await self._at(record.target, record.port, transport)
        return places

    async def _at(self, host: str, port: int, transport: str) -> list[Destination]:
        if _is_numeric(host):
            addresses: Sequence[str] = [host]
        elif host in self._hosts:
            addresses = self._hosts[host]
        else:
            addresses = [
                address
                for kind in self._types
                for address in (await self._answer(host, kind)).records
            ]
        return [Destination(transport, (address, port)) for address in addresses]

    async def _answer(self, name: str, kind: str) -> Answer:
        """What is known, or what the name servers say; all who ask at once ask once."""
        question = (name, kind)
        while True:
            known = self._known.get(question)
            if known is not None and self._now() < known[1]:
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
            seconds = min(max(answer.ttl, SHORTEST), LONGEST)
        except RemoteProtocolError as exc:
            answer, seconds = exc, FAILED
        finally:
            del self._asking[question]
            done.set_result(None)
        self._known.pop(question, None)
        self._known[question] = (answer, self._now() + seconds)
        if len(self._known) > CACHED:
            del self._known[next(iter(self._known))]
        if isinstance(answer, RemoteProtocolError):
            raise answer
        return answer


def in_order(records: Sequence[Srv], chance: Callable[[], float]) -> list[Srv]:
    """
    SRV records in the order in which they are to be tried (RFC 2782).

    Lowest priority first; of one priority, each in proportion to its weight.
    """
    ordered = []
    for priority in sorted({record.priority for record in records}):
        # Those of weight 0 first, so that they have a small chance, too (ibid.).
        left = sorted(
            (record for record in records if record.priority == priority),
            key=lambda record: record.weight > 0,
        )
        while left:
            at = chance() * sum(record.weight for record in left)
            for record in left:
                at -= record.weight
                if at <= 0:
                    break
            left.remove(record)
            ordered.append(record)
    return ordered


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
