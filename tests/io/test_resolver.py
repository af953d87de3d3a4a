"""Where a URI is, by what name servers say (RFC 3263)."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from reginfo.io import resolver
from reginfo.io.resolver import (
    ABSENT,
    CACHED,
    FAILED,
    LONGEST,
    MOST,
    NOTHING,
    PATIENCE,
    SHORTEST,
    Answer,
    Naptr,
    Resolver,
    Srv,
    in_order,
)
from reginfo.sip.destination import Destination
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

INET, INET6 = socket.AF_INET, socket.AF_INET6

Said = Answer | Exception


def naptr(service: str, replacement: str, order: int = 1, preference: int = 1) -> Naptr:
    return Naptr(order, preference, "s", service, replacement)


def answer(*records: object, ttl: float = 60.0) -> Answer:
    return Answer(records, ttl)


class NameServers:
    """What they say, and what they were asked."""

    def __init__(self, said: dict[tuple[str, str], Said]) -> None:
        self.said = said
        self.asked: list[tuple[str, str]] = []
        self.wait: Callable[[], Awaitable[None]] | None = None

    async def ask(self, name: str, kind: str) -> Answer:
        self.asked.append((name, kind))
        if self.wait is not None:
            await self.wait()
        said = self.said.get((name, kind), Answer((), 60.0))
        if isinstance(said, Exception):
            raise said
        return said


class Names:
    """A resolver between name servers, a clock and chance, all of them the test's."""

    def __init__(
        self,
        said: dict[tuple[str, str], Said] | None = None,
        *,
        hosts: dict[str, list[str]] | None = None,
        transports: tuple[Transport, ...] = (Transport.UDP, Transport.TCP),
        families: tuple[socket.AddressFamily, ...] = (INET,),
    ) -> None:
        self.now = 0.0
        self.servers = NameServers({} if said is None else said)
        self.woken = 0
        self.resolver = Resolver(
            self.servers.ask,
            hosts={} if hosts is None else hosts,
            transports=transports,
            families=families,
            now=lambda: self.now,
            chance=lambda: 0.0,
            wake=self._wake,
        )

    @property
    def asked(self) -> list[tuple[str, str]]:
        return self.servers.asked

    def places(self, uri: str) -> list[str]:
        """Where it is: `UDP 192.0.2.1:5060`."""
        return places(self.found(uri))

    def found(self, uri: str) -> list[Destination]:
        return asyncio.run(self.resolver.locate(Uri.parse(uri)))

    def error(self, uri: str) -> int:
        """The status of what is wrong."""
        with pytest.raises(RemoteProtocolError) as caught:
            self.places(uri)
        return caught.value.status

    def _wake(self) -> None:
        self.woken += 1


def places(found: list[Destination]) -> list[str]:
    return [f"{t} {address}:{port}" for t, (address, port), _ in found]


NOBODY = RemoteProtocolError("no name server answers", status=503)

EXAMPLE: dict[tuple[str, str], Said] = {
    ("example.com", "NAPTR"): answer(
        naptr("SIP+D2U", "_sip._udp.example.com", 20),
        naptr("SIP+D2T", "_sip._tcp.example.com", 10),
    ),
    ("_sip._udp.example.com", "SRV"): answer(Srv(1, 1, 5062, "a.example.com")),
    ("_sip._tcp.example.com", "SRV"): answer(Srv(1, 1, 5063, "b.example.com")),
    ("a.example.com", "A"): answer("192.0.2.1"),
    ("b.example.com", "A"): answer("192.0.2.2"),
    ("example.com", "A"): answer("192.0.2.9"),
}


# What needs no name server.


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("sip:bob@192.0.2.5", "UDP 192.0.2.5:5060"),
        ("sip:bob@192.0.2.5:5070", "UDP 192.0.2.5:5070"),
        ("sip:bob@192.0.2.5;transport=tcp", "TCP 192.0.2.5:5060"),
        ("sip:bob@192.0.2.5:5070;transport=TCP", "TCP 192.0.2.5:5070"),
        ("sip:bob@[2001:db8::5]:5070", "UDP 2001:db8::5:5070"),
    ],
)
def test_a_numeric_address_is_where_it_is(uri: str, place: str) -> None:
    """3263-01"""
    names = Names()
    assert names.places(uri) == [place]
    assert names.asked == []


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("sip:bob@example.com;maddr=192.0.2.7", "UDP 192.0.2.7:5060"),
        ("sip:bob@example.com:5070;maddr=192.0.2.7", "UDP 192.0.2.7:5070"),
        ("sip:bob@192.0.2.9;maddr=pc.example", "UDP 192.0.2.8:5060"),
    ],
)
def test_maddr_stands_for_the_host(uri: str, place: str) -> None:
    """3263-05"""
    names = Names({("pc.example", "A"): answer("192.0.2.8")})
    assert names.places(uri) == [place]
    assert ("example.com", "A") not in names.asked


def test_a_transport_in_the_uri_is_taken_without_asking_for_naptr() -> None:
    """3263-05"""
    names = Names(EXAMPLE)
    assert names.places("sip:example.com;transport=tcp") == ["TCP 192.0.2.2:5063"]
    assert names.asked == [("_sip._tcp.example.com", "SRV"), ("b.example.com", "A")]


def test_a_transport_that_we_do_not_have_is_503() -> None:
    """3263-05"""
    names = Names(EXAMPLE, transports=(Transport.UDP,))
    assert names.error("sip:example.com;transport=tcp") == 503
    assert names.error("sip:192.0.2.1;transport=sctp") == 503
    assert names.asked == []


def test_a_uri_of_another_scheme_is_416() -> None:
    assert Names().error("tel:+15551234") == 416


# sips:, and TLS.

SECURE = (Transport.UDP, Transport.TCP, Transport.TLS)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("sips:bob@192.0.2.5", "TLS 192.0.2.5:5061"),
        ("sips:bob@192.0.2.5:5070", "TLS 192.0.2.5:5070"),
        ("sips:bob@192.0.2.5;transport=tcp", "TLS 192.0.2.5:5061"),
        ("sips:bob@192.0.2.5;transport=TLS", "TLS 192.0.2.5:5061"),
        ("sip:bob@192.0.2.5;transport=tls", "TLS 192.0.2.5:5061"),
        ("sips:bob@a.example.com:5070", "TLS 192.0.2.1:5070"),
    ],
)
def test_a_secure_uri_leads_to_tls(uri: str, place: str) -> None:
    """3263-01, 3263-02, 5630-01"""
    assert Names(EXAMPLE, transports=SECURE).places(uri) == [place]


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("sips:bob@192.0.2.5", 416),
        ("sips:bob@192.0.2.5;transport=tcp", 416),
        ("sips:example.com", 416),
        ("sip:bob@192.0.2.5;transport=tls", 503),
    ],
)
def test_without_tls_there_is_no_way_to_a_secure_uri(uri: str, status: int) -> None:
    """5630-01: nothing else is tried in its place."""
    assert Names(EXAMPLE).error(uri) == status


@pytest.mark.parametrize("name", ["udp", "sctp", "ws"])
def test_a_secure_uri_with_an_insecure_transport_is_503(name: str) -> None:
    """5630-01"""
    uri = f"sips:bob@192.0.2.5;transport={name}"
    assert Names(EXAMPLE, transports=SECURE).error(uri) == 503


def test_for_a_secure_uri_only_secure_services_count() -> None:
    """3263-03, 3261-160"""
    said = dict(EXAMPLE)
    said["example.com", "NAPTR"] = answer(
        naptr("SIP+D2U", "_sip._udp.example.com", 1),
        naptr("SIPS+D2T", "_sips._tcp.example.com", 2),
    )
    said["_sips._tcp.example.com", "SRV"] = answer(Srv(1, 1, 5071, "b.example.com"))
    names = Names(said, transports=SECURE)
    assert names.places("sips:example.com") == ["TLS 192.0.2.2:5071"]
    # A URI that asks for less may lead there, too.
    assert names.places("sip:example.com") == [
        "UDP 192.0.2.1:5062", "TLS 192.0.2.2:5071"
    ]  # fmt: skip


def test_without_naptr_only_the_secure_name_is_asked_for() -> None:
    """3263-03, 3261-160: `_sips` for sips:, `_sip` for sip:."""
    said = dict(EXAMPLE)
    del said["example.com", "NAPTR"]
    said["_sips._tcp.example.com", "SRV"] = answer(Srv(1, 1, 5071, "b.example.com"))
    names = Names(said, transports=SECURE)
    assert names.places("sips:example.com") == ["TLS 192.0.2.2:5071"]
    assert ("_sip._udp.example.com", "SRV") not in names.asked
    names = Names(said, transports=SECURE)
    assert names.places("sip:example.com") == [
        "UDP 192.0.2.1:5062", "TCP 192.0.2.2:5063"
    ]  # fmt: skip
    assert ("_sips._tcp.example.com", "SRV") not in names.asked


def test_without_any_record_a_secure_domain_is_at_its_address() -> None:
    """3263-03"""
    said: dict[tuple[str, str], Said] = {("example.com", "A"): answer("192.0.2.9")}
    names = Names(said, transports=SECURE)
    assert names.places("sips:example.com") == ["TLS 192.0.2.9:5061"]


def test_the_certificate_must_be_for_the_domain_and_not_for_the_srv_target() -> None:
    """5922-04"""
    said = dict(EXAMPLE)
    said["_sips._tcp.example.com", "SRV"] = answer(Srv(1, 1, 5071, "b.example.com"))
    names = Names(said, transports=SECURE)
    (found,) = names.found("sips:bob@Example.com;transport=tcp")
    assert found == Destination(Transport.TLS, ("192.0.2.2", 5071), "example.com")
    (plain,) = names.found("sip:bob@example.com:5060")
    assert plain.name == ""


# A and AAAA.


def test_with_a_port_only_addresses_are_asked_for() -> None:
    """3263-02"""
    names = Names(EXAMPLE)
    assert names.places("sip:example.com:5070") == ["UDP 192.0.2.9:5070"]
    assert names.places("sip:example.com:5070;transport=tcp") == ["TCP 192.0.2.9:5070"]
    assert names.asked == [("example.com", "A")]


def test_addresses_of_both_kinds_are_tried_if_we_have_both() -> None:
    """3263-02"""
    said: dict[tuple[str, str], Said] = {
        ("example.com", "A"): answer("192.0.2.9", "192.0.2.10"),
        ("example.com", "AAAA"): answer("2001:db8::9"),
    }
    both = Names(said, families=(INET6, INET))
    assert both.places("sip:example.com:5070") == [
        "UDP 192.0.2.9:5070", "UDP 192.0.2.10:5070", "UDP 2001:db8::9:5070"
    ]  # fmt: skip
    assert Names(said, families=(INET6,)).places("sip:example.com:5070") == [
        "UDP 2001:db8::9:5070"
    ]


def test_a_name_is_the_same_however_it_is_written() -> None:
    names = Names(EXAMPLE)
    assert names.places("sip:EXAMPLE.com.:5070") == ["UDP 192.0.2.9:5070"]


# NAPTR and SRV.


def test_naptr_says_which_transport_is_preferred() -> None:
    """3263-03"""
    names = Names(EXAMPLE)
    assert names.places("sip:bob@example.com") == [
        "TCP 192.0.2.2:5063", "UDP 192.0.2.1:5062"
    ]  # fmt: skip
    assert names.asked[0] == ("example.com", "NAPTR")


def test_services_that_we_do_not_have_are_skipped() -> None:
    """3263-03"""
    said = dict(EXAMPLE)
    said["example.com", "NAPTR"] = answer(
        naptr("SIPS+D2T", "_sips._tcp.example.com", 1),
        naptr("E2U+sip", "_sip._udp.other.example", 2),
        naptr("sip+d2u", "_sip._udp.example.com", 3),
        Naptr(1, 1, "u", "SIP+D2U", "_sip._udp.other.example"),
    )
    names = Names(said)
    assert names.places("sip:example.com") == ["UDP 192.0.2.1:5062"]
    assert all("other" not in name and "sips" not in name for name, _ in names.asked)
    # We have no TCP: what comes first is of no use.
    udp = Names(EXAMPLE, transports=(Transport.UDP,))
    assert udp.places("sip:example.com") == ["UDP 192.0.2.1:5062"]


def test_of_one_order_the_preference_decides() -> None:
    """3263-03"""
    said = dict(EXAMPLE)
    said["example.com", "NAPTR"] = answer(
        naptr("SIP+D2U", "_sip._udp.example.com", 1, 9),
        naptr("SIP+D2T", "_sip._tcp.example.com", 1, 8),
    )
    assert Names(said).places("sip:example.com")[0] == "TCP 192.0.2.2:5063"


@pytest.mark.parametrize(
    "naptrs", [None, answer(), answer(naptr("SIPS+D2T", "_sips._tcp.example.com"))]
)
def test_without_naptr_srv_is_asked_for_by_transport(naptrs: Answer | None) -> None:
    """3263-03"""
    said = dict(EXAMPLE)
    del said["example.com", "NAPTR"]
    if naptrs is not None:
        said["example.com", "NAPTR"] = naptrs
    names = Names(said)
    assert names.places("sip:example.com") == [
        "UDP 192.0.2.1:5062", "TCP 192.0.2.2:5063"
    ]  # fmt: skip


def test_without_naptr_and_srv_there_is_the_address() -> None:
    """3263-03"""
    names = Names({("example.com", "A"): answer("192.0.2.9")})
    assert names.places("sip:example.com") == ["UDP 192.0.2.9:5060"]
    assert [kind for _, kind in names.asked] == ["NAPTR", "SRV", "SRV", "A"]
    assert names.places("sip:example.com;transport=tcp") == ["TCP 192.0.2.9:5060"]


def test_a_naptr_whose_srv_is_not_there_leaves_the_address() -> None:
    """3263-03"""
    said = dict(EXAMPLE)
    for kind in ("udp", "tcp"):
        said[f"_sip._{kind}.example.com", "SRV"] = answer()
    assert Names(said).places("sip:example.com") == ["UDP 192.0.2.9:5060"]


def test_a_service_that_is_decidedly_not_there_is_not_looked_for_elsewhere() -> None:
    """RFC 2782: "A Target of "." means that the service is decidedly not available"."""
    said: dict[tuple[str, str], Said] = dict.fromkeys(
        [("_sip._udp.example.com", "SRV"), ("_sip._tcp.example.com", "SRV")],
        answer(Srv(0, 0, 0, "")),
    )
    said["example.com", "A"] = answer("192.0.2.9")
    names = Names(said)
    assert names.error("sip:example.com") == 404
    assert not any(kind == "A" for _, kind in names.asked)


def test_srv_may_name_hosts_of_the_hosts_file_and_numbers() -> None:
    said: dict[tuple[str, str], Said] = {
        ("_sip._udp.example.com", "SRV"): answer(
            Srv(1, 1, 5062, "pc.example"), Srv(2, 1, 5063, "192.0.2.4")
        )
    }
    names = Names(said, hosts={"pc.example": ["192.0.2.3"]})
    assert names.places("sip:example.com") == [
        "UDP 192.0.2.3:5062", "UDP 192.0.2.4:5063"
    ]  # fmt: skip


# Priorities and weights.


def test_the_lowest_priority_is_tried_first() -> None:
    """3263-04"""
    records = [Srv(16, 9, 1, "c"), Srv(1, 0, 1, "a"), Srv(9, 99, 1, "b")]
    for chance in (0.0, 0.5, 0.999):
        ordered = in_order(records, lambda chance=chance: chance)  # type: ignore[misc]
        assert [record.target for record in ordered] == ["a", "b", "c"]


def test_of_one_priority_each_is_first_in_proportion_to_its_weight() -> None:
    """3263-04"""
    records = [Srv(1, 10, 1, "a"), Srv(1, 60, 1, "b"), Srv(1, 30, 1, "c")]
    random = Random(1).random
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for _ in range(10_000):
        ordered = in_order(records, random)
        assert {record.target for record in ordered} == {"a", "b", "c"}
        first[ordered[0].target] += 1
        if ordered[0].target == "b":
            second[ordered[1].target] += 1
    assert first["a"] == pytest.approx(1000, rel=0.15)
    assert first["b"] == pytest.approx(6000, rel=0.05)
    # Of those that are left: 10 and 30.
    assert second["a"] / second["c"] == pytest.approx(1 / 3, rel=0.15)


@pytest.mark.parametrize(
    ("chance", "first"),
    [
        (0.0, "zero"),  # weight 0: "a very small chance of being selected"
        (0.01, "three"),
        (0.75, "three"),
        (0.76, "one"),
        (0.999, "one"),
    ],
)
def test_a_number_decides_among_weights(chance: float, first: str) -> None:
    """3263-04: the first whose running sum is at or above it (RFC 2782)."""
    # In that order, with those of weight 0 in front: 0, 3, 4.
    records = [Srv(1, 3, 1, "three"), Srv(1, 0, 1, "zero"), Srv(1, 1, 1, "one")]
    assert in_order(records, lambda: chance)[0].target == first


def test_weights_of_zero_keep_nobody_out() -> None:
    records = [Srv(1, 0, 1, "a"), Srv(1, 0, 1, "b")]
    assert len(in_order(records, lambda: 0.999)) == 2


# How long an answer holds.


def test_an_answer_holds_for_its_ttl() -> None:
    """3263-07"""
    names = Names({("pc.example", "A"): answer("192.0.2.1", ttl=30.0)})
    assert names.places("sip:pc.example:5060") == ["UDP 192.0.2.1:5060"]
    names.servers.said["pc.example", "A"] = answer("192.0.2.2")
    names.now = 29.9
    assert names.places("sip:pc.example:5060") == ["UDP 192.0.2.1:5060"]
    assert len(names.asked) == 1
    names.now = 30.0
    assert names.places("sip:pc.example:5060") == ["UDP 192.0.2.2:5060"]


def test_a_service_that_is_not_there_is_remembered_for_hours() -> None:
    """3263-07: only an address is asked for again soon, by who waits (3263-20)."""
    names = Names({("_sip._udp.pc.example", "SRV"): answer(ttl=1e9)})

    def ask() -> None:
        asyncio.run(names.resolver.answer("_sip._udp.pc.example", "SRV"))

    ask()
    names.now = NOTHING - 0.01
    ask()
    assert len(names.asked) == 1


@pytest.mark.parametrize(
    ("records", "ttl", "held"),
    [
        (["192.0.2.1"], 0.0, SHORTEST),
        (["192.0.2.1"], 1e9, LONGEST),
        ([], 0.0, SHORTEST),
        ([], 9.0, 9.0),
        ([], 1e9, ABSENT),
    ],
)
def test_a_ttl_has_bounds(records: list[str], ttl: float, held: float) -> None:
    """3263-07: what is not there is remembered, too (RFC 2308)"""
    names = Names({("pc.example", "A"): answer(*records, ttl=ttl)})

    def ask() -> None:
        asyncio.run(names.resolver.answer("pc.example", "A"))

    ask()
    names.now = held - 0.01
    ask()
    assert len(names.asked) == 1
    names.now = held
    ask()
    assert len(names.asked) == 2


def test_what_nobody_answers_is_not_asked_again_at_once() -> None:
    """3263-07"""
    names = Names({("pc.example", "A"): NOBODY})
    assert names.error("sip:pc.example:5060") == 503
    names.servers.said["pc.example", "A"] = answer("192.0.2.1")
    names.now = FAILED - 0.1
    assert names.error("sip:pc.example:5060") == 503
    assert len(names.asked) == 1
    names.now = FAILED
    assert names.places("sip:pc.example:5060") == ["UDP 192.0.2.1:5060"]


def test_there_is_an_end_to_what_is_remembered() -> None:
    """3263-07"""
    names = Names()

    async def ask() -> None:
        for number in range(CACHED + 5):
            await names.resolver.answer(f"{number}.example", "A")

    asyncio.run(ask())
    assert len(names.resolver) == CACHED
    # The oldest went.
    asyncio.run(names.resolver.answer("5.example", "A"))
    assert len(names.asked) == CACHED + 5
    asyncio.run(names.resolver.answer("0.example", "A"))
    assert len(names.asked) == CACHED + 6


def test_only_so_many_queries_wait_for_an_answer() -> None:
    """3261-159: each has a socket. Which were not made is not remembered."""
    names = Names({("c.example", "A"): answer("192.0.2.1")})
    names.resolver._at_most = 2

    async def main() -> None:
        gate = asyncio.Event()
        names.servers.wait = gate.wait  # type: ignore[assignment]
        ask = names.resolver.answer
        waiting = [
            asyncio.create_task(ask(name, "A"))
            for name in ("a.example", "b.example", "a.example")
        ]
        await asyncio.sleep(0)
        with pytest.raises(RemoteProtocolError, match="too many names") as caught:
            await ask("c.example", "A")
        assert (caught.value.status, names.resolver.refused) == (503, 1)
        gate.set()
        await asyncio.gather(*waiting)
        assert (await ask("c.example", "A")).records == ("192.0.2.1",)

    asyncio.run(main())


def test_the_hosts_file_comes_first() -> None:
    """3263-07"""
    names = Names(EXAMPLE, hosts={"example.com": ["192.0.2.77", "192.0.2.78"]})
    assert names.places("sip:example.com") == [
        "UDP 192.0.2.77:5060", "UDP 192.0.2.78:5060"
    ]  # fmt: skip
    assert names.asked == []


# Nobody waits for name servers but who wants to know.


def test_what_is_known_is_told_at_once_and_the_rest_later() -> None:
    """3263-07: the loop goes on meanwhile"""
    names = Names({("pc.example", "A"): answer("192.0.2.1")})
    told: list[object] = []

    async def main() -> None:
        gate = asyncio.Event()
        names.servers.wait = gate.wait  # type: ignore[assignment]
        names.resolver.find(Uri.parse("sip:192.0.2.9"), told.append)
        assert told == [[Destination(Transport.UDP, ("192.0.2.9", 5060))]]
        names.resolver.find(Uri.parse("sip:pc.example:5060"), told.append)
        names.resolver.find(Uri.parse("sip:pc.example:5061"), told.append)
        await asyncio.sleep(0)
        assert (len(told), names.woken) == (1, 0)
        # All who ask at once ask once.
        assert names.asked == [("pc.example", "A")]
        gate.set()
        await asyncio.gather(*names.resolver._handlers._tasks)
        await asyncio.sleep(0)
        # What comes later comes in no turn of the server's: it has to be woken.
        assert names.woken == 2
        names.resolver.find(Uri.parse("sip:pc.example:5062"), told.append)
        assert (len(told), names.woken) == (4, 2)

    asyncio.run(main())
    assert told[1:3] == [
        [Destination(Transport.UDP, ("192.0.2.1", 5060))],
        [Destination(Transport.UDP, ("192.0.2.1", 5061))],
    ]


def test_whoever_asks_is_told_also_of_an_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = Names({("a.example", "A"): KeyError("a bug"), ("b.example", "A"): NOBODY})
    told: list[RemoteProtocolError] = []

    async def main() -> None:
        names.resolver.find(Uri.parse("sip:a.example:5060"), told.append)  # type: ignore[arg-type]
        names.resolver.find(Uri.parse("sip:b.example:5060"), told.append)  # type: ignore[arg-type]

    asyncio.run(main())
    assert [error.status for error in told] == [500, 503]
    assert "KeyError" in caplog.text


def test_nobody_is_told_after_the_end() -> None:
    names = Names()
    told: list[object] = []

    async def main() -> None:
        names.servers.wait = asyncio.Event().wait  # type: ignore[assignment]
        names.resolver.find(Uri.parse("sip:pc.example"), told.append)
        names.resolver.stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert (told, names.woken) == ([], 0)


def test_who_waits_for_one_that_gave_up_asks_again() -> None:
    names = Names({("pc.example", "A"): answer("192.0.2.1")})

    async def main() -> list[Destination]:
        gate = asyncio.Event()
        names.servers.wait = gate.wait  # type: ignore[assignment]
        uri = Uri.parse("sip:pc.example:5060")
        first = asyncio.create_task(names.resolver.locate(uri))
        await asyncio.sleep(0)
        second = asyncio.create_task(names.resolver.locate(uri))
        await asyncio.sleep(0)
        first.cancel()
        gate.set()
        return await second

    assert places(asyncio.run(main())) == ["UDP 192.0.2.1:5060"]
    assert len(names.asked) == 2


# Name servers that are wrong.


def test_a_name_that_is_nowhere_is_404() -> None:
    names = Names()
    assert names.error("sip:nowhere.example") == 404
    assert names.error("sip:nowhere.example:5060") == 404


def test_an_error_for_naptr_is_no_end() -> None:
    """3263-03: some name servers know but the usual types."""
    said = dict(EXAMPLE)
    said["example.com", "NAPTR"] = NOBODY
    names = Names(said)
    assert names.places("sip:example.com")[0] == "UDP 192.0.2.1:5062"
    # But where nothing else is known either, nobody can say that there is no such host.
    assert Names({("example.com", "NAPTR"): NOBODY}).error("sip:example.com") == 503


def test_an_error_for_srv_does_not_lead_to_another_server() -> None:
    """The host of that name may be quite another machine."""
    said = dict(EXAMPLE)
    said["_sip._udp.example.com", "SRV"] = NOBODY
    names = Names(said)
    assert names.error("sip:example.com;transport=udp") == 503
    # By another transport, it is known.
    assert names.places("sip:example.com") == ["TCP 192.0.2.2:5063"]


def test_a_target_that_cannot_be_found_leaves_the_others() -> None:
    """3263-04"""
    said = dict(EXAMPLE)
    said["_sip._udp.example.com", "SRV"] = answer(
        Srv(1, 1, 5062, "dead.example.com"),
        Srv(2, 1, 5062, "gone.example.com"),
        Srv(3, 1, 5062, "a.example.com"),
    )
    said["dead.example.com", "A"] = NOBODY
    names = Names(said)
    uri = "sip:example.com;transport=udp"
    assert names.places(uri) == ["UDP 192.0.2.1:5062"]
    said["a.example.com", "A"] = answer()
    assert Names(said).error(uri) == 503


def test_srv_that_leads_back_to_itself_ends() -> None:
    """Of the target of an SRV record, only addresses are asked for."""
    said: dict[tuple[str, str], Said] = {
        ("example.com", "NAPTR"): answer(naptr("SIP+D2U", "example.com")),
        ("example.com", "SRV"): answer(Srv(1, 1, 5060, "example.com")),
    }
    names = Names(said)
    assert names.error("sip:example.com") == 404
    assert len(names.asked) == 3


def test_an_answer_that_is_too_long_is_not_followed_to_its_end() -> None:
    many = 3000
    srv = answer(*(Srv(1, n, 5060, f"{n}.host.example") for n in range(many)))
    said: dict[tuple[str, str], Said] = {
        ("example.com", "NAPTR"): answer(
            *(naptr("SIP+D2U", f"{n}.example", n) for n in range(many))
        ),
        **{(f"{n}.example", "SRV"): srv for n in range(many)},
    }
    names = Names(said)
    assert names.error("sip:example.com") == 404
    assert len(names.asked) <= 1 + MOST + MOST * MOST
    addresses = answer(*(f"192.0.2.{n}" for n in range(256)))
    said |= {(f"{n}.host.example", "A"): addresses for n in range(many)}
    names = Names(said)
    assert len(names.places("sip:example.com")) == MOST
    assert [kind for _, kind in names.asked] == ["NAPTR", "SRV", "A"]


def test_a_search_that_takes_too_long_ends_with_what_was_found() -> None:
    said = dict(EXAMPLE)
    said["_sip._tcp.example.com", "SRV"] = answer(
        Srv(1, 1, 5062, "b.example.com"), Srv(2, 1, 5062, "a.example.com")
    )
    names = Names(said)

    async def slow() -> None:
        names.now += PATIENCE / 3

    names.servers.wait = slow
    assert names.places("sip:example.com") == ["TCP 192.0.2.2:5062"]
    assert len(names.asked) == 3
    names = Names(said)

    async def slower() -> None:
        names.now += PATIENCE

    names.servers.wait = slower
    assert names.error("sip:example.com") == 503
    assert len(names.asked) == 1


def test_the_limits_are_such_that_a_caller_still_waits() -> None:
    """PATIENCE and one more question of 5 s: less than Timer B's 32 s."""
    assert resolver.PATIENCE + 5.0 < 32.0
