"""What name servers answer, and what is made of it (RFC 1035, RFC 2308)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.nameserver import Nameserver

from reginfo.io.nameservers import NEGATIVE, NameServers, at, hosts
from reginfo.io.resolver import Answer, Naptr, Srv
from reginfo.sip.errors import RemoteProtocolError

SOA = "ns.example. admin.example. 1 3600 600 86400 {minimum}"

Say = Callable[[dns.message.QueryMessage], dns.message.Message]


class Fake(Nameserver):
    """A name server that is asked by a call, and answers what a test says."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked: list[str] = []

    def __str__(self) -> str:
        return "fake"

    def kind(self) -> str:
        return "fake"

    def is_always_max_size(self) -> bool:
        return False

    def answer_nameserver(self) -> str:
        return "fake"

    def answer_port(self) -> int:
        return 53

    async def async_query(
        self, request: dns.message.QueryMessage, *args: Any, **kwargs: Any
    ) -> dns.message.Message:
        self.asked.append(str(request.question[0]))
        return self.say(request)


def says(
    *answer: tuple[str, int, str, str],
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    soa: tuple[int, int] | None = None,
) -> Say:
    """
    An answer of these records: name, TTL, type, and the rest.

    Args:
        soa: TTL and minimum of an SOA record beside it.
    """

    def say(request: dns.message.QueryMessage) -> dns.message.Message:
        response = dns.message.make_response(request)
        response.set_rcode(rcode)
        for name, ttl, kind, text in answer:
            response.answer.append(dns.rrset.from_text(name, ttl, "IN", kind, text))
        if soa is not None:
            ttl, minimum = soa
            text = SOA.format(minimum=minimum)
            response.authority.append(
                dns.rrset.from_text("example.", ttl, "IN", "SOA", text)
            )
        return dns.message.from_wire(response.to_wire())

    return say


def fails(error: Exception) -> Say:
    def say(request: dns.message.QueryMessage) -> dns.message.Message:
        raise error

    return say


def ask(name: str, kind: str, *servers: Say, timeout: float = 1.0) -> Answer:
    fakes = [Fake(say) for say in servers]
    return asyncio.run(NameServers(fakes, timeout).ask(name, kind))


def error(name: str, kind: str, *servers: Say, timeout: float = 1.0) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        ask(name, kind, *servers, timeout=timeout)
    assert caught.value.status == 503
    return str(caught.value)


def test_addresses_are_text_and_the_answer_holds_for_its_ttl() -> None:
    """3263-07"""
    say = says(("pc.example.", 60, "A", "192.0.2.1"))
    assert ask("pc.example", "A", say) == Answer(["192.0.2.1"], 60.0)
    say = says(("pc.example.", 60, "AAAA", "2001:db8::1"))
    assert ask("pc.example", "AAAA", say) == Answer(["2001:db8::1"], 60.0)


def test_srv_and_naptr_are_read() -> None:
    """3263-03, 3263-04"""
    say = says(("_sip._udp.example.", 60, "SRV", "1 2 5070 PC.Example."))
    assert ask("_sip._udp.example", "SRV", say) == Answer(
        [Srv(1, 2, 5070, "pc.example")], 60.0
    )
    say = says(("_sip._udp.example.", 60, "SRV", "0 0 0 ."))
    assert ask("_sip._udp.example", "SRV", say).records == [Srv(0, 0, 0, "")]
    text = '10 20 "s" "SIP+D2U" "" _sip._udp.example.'
    assert ask("example", "NAPTR", says(("example.", 60, "NAPTR", text))) == Answer(
        [Naptr(10, 20, "s", "SIP+D2U", "_sip._udp.example")], 60.0
    )


def test_an_alias_is_followed_and_the_shorter_ttl_holds() -> None:
    """3263-07"""
    say = says(
        ("www.example.", 20, "CNAME", "pc.example."),
        ("pc.example.", 60, "A", "192.0.2.1"),
    )
    assert ask("www.example", "A", say) == Answer(["192.0.2.1"], 20.0)


@pytest.mark.parametrize("rcode", [dns.rcode.NXDOMAIN, dns.rcode.NOERROR])
@pytest.mark.parametrize(
    ("soa", "ttl"), [((900, 30), 30.0), ((20, 600), 20.0), (None, NEGATIVE)]
)
def test_there_is_nothing_for_as_long_as_the_soa_says(
    rcode: dns.rcode.Rcode, soa: tuple[int, int] | None, ttl: float
) -> None:
    """3263-07: RFC 2308 §5"""
    assert ask("pc.example", "A", says(rcode=rcode, soa=soa)) == Answer((), ttl)


@pytest.mark.parametrize(
    "say",
    [
        says(rcode=dns.rcode.SERVFAIL),
        says(rcode=dns.rcode.REFUSED),
        says(rcode=dns.rcode.NOTIMP),
        fails(dns.exception.FormError()),  # type: ignore[no-untyped-call]
        fails(OSError("no route")),
        fails(EOFError()),
        # An alias of itself.
        says(("pc.example.", 60, "CNAME", "pc.example.")),
        # NXDOMAIN, and an answer all the same.
        says(("pc.example.", 60, "A", "192.0.2.1"), rcode=dns.rcode.NXDOMAIN),
    ],
)
def test_an_invalid_answer_is_an_error_and_the_next_server_is_queried(say: Say) -> None:
    assert "pc.example" in error("pc.example", "A", say)
    good = says(("pc.example.", 60, "A", "192.0.2.1"))
    assert ask("pc.example", "A", say, good).records == ["192.0.2.1"]


def test_an_answer_to_another_question_is_none() -> None:
    """What was not asked for is not believed."""
    say = says(("other.example.", 60, "A", "192.0.2.66"))
    assert ask("pc.example", "A", say).records == ()


def test_silence_ends_with_the_timeout() -> None:
    silent = fails(dns.exception.Timeout(timeout=0.0))  # type: ignore[no-untyped-call]
    said = error("pc.example", "A", silent, timeout=0.01)
    assert said == "pc.example: no name server answers"


@pytest.mark.parametrize(
    "name", ["a..example", "a" * 64 + ".example", "a." * 200, "", "."]
)
def test_what_cannot_be_a_name_is_not_asked_for(name: str) -> None:
    fake = Fake(fails(AssertionError("asked")))
    answer = asyncio.run(NameServers([fake], 1.0).ask(name, "A"))
    assert (answer, fake.asked) == (Answer((), NEGATIVE), [])


def test_names_are_complete() -> None:
    """No search list of this machine is tried behind them."""
    fake = Fake(says(rcode=dns.rcode.NXDOMAIN))
    asyncio.run(NameServers([fake], 1.0).ask("pc", "A"))
    assert fake.asked == ["pc. IN A"]


def test_a_machine_without_name_servers_has_its_hosts_file(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*args: Any, **kwargs: Any) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver, "Resolver", none)
    servers = NameServers([], 1.0)
    assert "no name servers" in caplog.text
    assert asyncio.run(servers.ask("pc.example", "A")) == Answer((), NEGATIVE)


def test_a_name_server_is_asked_at_its_address() -> None:
    assert str(at(("192.0.2.53", 53))) == "Do53:192.0.2.53@53"
    assert str(at(("[2001:db8::53]", 5353))) == "Do53:2001:db8::53@5353"


def test_the_hosts_file_is_read_as_it_is(tmp_path: Path) -> None:
    """3263-07"""
    file = tmp_path / "hosts"
    file.write_bytes(
        b"127.0.0.1 localhost\n"
        b"# 192.0.2.9 not.example\n"
        b"192.0.2.1\tPC.example. pc # and this\n"
        b"\n"
        b"2001:db8::1 pc.example\n"
        b"192.0.2.1 pc.example\n"
        b"nonsense pc.example\n"
        b"192.0.2.2\n"
        b"192.0.2.3 \xff.example\n"
    )
    found = hosts(file)
    assert found["pc.example"] == ["192.0.2.1", "2001:db8::1"]
    assert found["pc"] == ["192.0.2.1"]
    assert found["localhost"] == ["127.0.0.1"]
    assert "not.example" not in found
    assert len(found) == 4


def test_without_a_hosts_file_there_is_localhost(tmp_path: Path) -> None:
    assert hosts(tmp_path / "none") == {"localhost": ["127.0.0.1", "::1"]}
