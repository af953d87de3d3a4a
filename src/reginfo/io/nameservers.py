"""DNS queries (RFC 1035), and the hosts file."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver
from dns.nameserver import Do53Nameserver, Nameserver

from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address
from .resolver import Answer, Naptr, Srv

logger = logging.getLogger("reginfo.dns")

HOSTS = Path("/etc/hosts")

NEGATIVE = 60.0
"""
Seconds for which a negative answer without a TTL is cached. Some name servers omit the
TTL; RFC 2308 §5 says not to cache such answers.
"""


class NameServers:
    """
    Queries name servers, one after the other until one answers.

    Args:
        servers: the servers to query; if empty, those of the system.
        timeout: seconds for one query in total.
    """

    def __init__(self, servers: Sequence[Nameserver], timeout: float) -> None:
        self._timeout = timeout
        self._resolver: dns.asyncresolver.Resolver | None
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration as exc:
            logger.warning("! no name servers: %s", exc)
            self._resolver = None
            return
        self._resolver.cache = None  # Resolver has a bounded cache, with a clock
        if servers:
            self._resolver.nameservers = list(servers)

    async def ask(self, name: str, kind: str) -> Answer:
        """
        Query the records of a name.

        Raises:
            RemoteProtocolError: no server gave a valid answer.
        """
        if self._resolver is None:
            return Answer((), NEGATIVE)  # only the hosts file is used
        try:
            asked = dns.name.from_text(f"{name}.")
        except dns.exception.DNSException:
            asked = dns.name.root
        if asked == dns.name.root:
            return Answer((), NEGATIVE)  # not a valid host name
        try:
            answer = await self._resolver.resolve(
                asked, kind, lifetime=self._timeout, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN as exc:
            response = exc.response(asked)  # type: ignore[no-untyped-call]
            return Answer((), _negative(response))
        except (dns.exception.DNSException, OSError, ValueError) as exc:
            raise RemoteProtocolError(f"{name}: {_in_short(exc)}", status=503) from exc
        if answer.rrset is None:
            return Answer((), _negative(answer.response))
        records = [record for rd in answer.rrset if (record := _record(rd)) is not None]
        return Answer(records, float(answer.chaining_result.minimum_ttl))


def at(address: Address) -> Nameserver:
    """Return the name server at an address; truncated answers are repeated by TCP."""
    host, port = address
    return Do53Nameserver(host.strip("[]"), port)


def hosts(path: Path = HOSTS) -> dict[str, list[str]]:
    """Read the addresses in a hosts file, by name; `localhost` is always included."""
    names: dict[str, list[str]] = {}
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        address, *aliases = line.partition("#")[0].split() or [""]
        try:
            ip_address(address)
        except ValueError:
            continue
        for alias in aliases:
            known = names.setdefault(alias.lower().rstrip("."), [])
            if address not in known:
                known.append(address)
    names.setdefault("localhost", ["127.0.0.1", "::1"])
    return names


def _record(rdata: Any) -> Naptr | Srv | str | None:
    kind = rdata.rdtype
    if kind == dns.rdatatype.NAPTR:
        return Naptr(
            rdata.order,
            rdata.preference,
            rdata.flags.decode("ascii", "replace"),
            rdata.service.decode("ascii", "replace"),
            _name(rdata.replacement),
        )
    if kind == dns.rdatatype.SRV:
        return Srv(rdata.priority, rdata.weight, rdata.port, _name(rdata.target))
    if kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
        return str(rdata.address)
    return None


def _name(name: Any) -> str:
    """Return a name without its final dot, as in a URI."""
    return str(name.to_text(omit_final_dot=True)).lower().rstrip(".")


def _negative(response: dns.message.Message) -> float:
    """Return the TTL of a negative answer (RFC 2308 §5)."""
    ttls = [
        min(rrset.ttl, rrset[0].minimum)
        for rrset in response.authority
        if rrset.rdtype == dns.rdatatype.SOA
    ]
    return float(min(ttls, default=NEGATIVE))


def _in_short(error: Exception) -> str:
    if isinstance(error, dns.exception.Timeout):
        return "no name server answers"
    return str(error) or type(error).__name__
