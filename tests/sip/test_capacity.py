"""A request that takes too much of an endpoint is refused (3261-153, 3261-158)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reginfo.roles.requested import requested_contact
from reginfo.sip.address import numeric
from reginfo.sip.capacity import Capacity
from reginfo.sip.endpoint import Endpoint
from reginfo.sip.event import RequestReceived
from reginfo.sip.headers import cached_name_addr
from reginfo.sip.uri import Uri

from .messages import COMMON, FLOW, OK, as_response, parsed, request

SMALL = Capacity(header_field=100, head=400)


def statuses(data: bytes, capacity: Capacity | None = None) -> list[bytes]:
    """The first lines of what an endpoint answers; none if it reports the request."""
    ours = Endpoint(new_id=lambda: "1", methods=None, headers=COMMON, capacity=capacity)
    ours.receive_datagram(data, FLOW, 0.0)
    assert bool(ours.events()) is not bool(sent := ours.datagrams_to_send())
    return [datagram.data for datagram in sent]


def options(*lines: str, body: bytes = b"") -> bytes:
    return request("OPTIONS", more=lines, body=body)


def test_a_long_header_field_is_refused() -> None:
    data = options("Subject: " + "x" * 101)
    (answer,) = statuses(data, SMALL)
    assert answer.startswith(b"SIP/2.0 513 Message Too Large\r\n")
    assert b'Warning: 399 reginfo "Subject of more than 100 octets"' in answer
    assert not statuses(options("Subject: " + "x" * 100), SMALL)
    assert not statuses(data)


def test_octets_count_and_not_characters() -> None:
    assert statuses(options("Subject: " + "\N{EURO SIGN}" * 34), SMALL)
    assert not statuses(options("Subject: " + "\N{EURO SIGN}" * 33), SMALL)


@pytest.mark.parametrize("number", [1, 20])
def test_a_long_head_is_refused_and_a_body_does_not_count(number: int) -> None:
    lines = [f"X-{at}: {'y' * 40}" for at in range(number)]
    answers = statuses(options(*lines, body=b"z" * 1000), SMALL)
    assert [answer[:11] for answer in answers] == [b"SIP/2.0 513"] * (number > 1)
    assert not statuses(options(*lines), Capacity(header_field=100))


def test_what_is_short_is_not_measured() -> None:
    """The hot path compares one number."""
    assert SMALL.smallest == 100
    assert Capacity(head=400).smallest == 400
    assert Capacity().smallest > 1 << 30
    assert parsed(options())


@pytest.mark.parametrize(
    ("uri", "is_one"),
    [
        ("sip:112@example.com", True),
        ("sip:112@elsewhere.example;user=phone", True),
        ("tel:112", True),
        ("urn:service:SOS", True),
        ("urn:service:sos.fire", False),
        ("sip:1123@example.com", False),
        ("sip:alice@example.com", False),
        ("nonsense", False),
    ],
)
def test_an_emergency_number_is_known_in_any_uri(uri: str, is_one: bool) -> None:
    """3261-158"""
    capacity = Capacity(emergency=["112", "urn:service:sos"])
    assert capacity.is_emergency(parsed(request("INVITE", uri))) is is_one
    assert not Capacity().is_emergency(parsed(request("INVITE", uri)))


def test_who_finds_no_room_is_told_when_to_try_again() -> None:
    """3261-158, RFC 3261 §21.5.4"""
    ours = Endpoint(
        new_id=lambda: "1", methods=None, headers=COMMON,
        capacity=Capacity(transactions=1),
    )  # fmt: skip
    for number in range(3):
        via = f"SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK{number}"
        data = request("OPTIONS", via=via, call_id=f"c{number}")
        ours.receive_datagram(data, FLOW, 0.0)
    (event,) = ours.events()
    assert isinstance(event, RequestReceived)
    refused = [as_response(datagram) for datagram in ours.datagrams_to_send()]
    assert [(one.status, one.header("Retry-After")) for one in refused] == [
        (503, "10")
    ] * 2
    assert ours.servers.refused == 2
    ours.respond(event.transaction, OK)
    ours.sent(ours.datagrams_to_send(), 0.0)
    ours.receive_datagram(request("OPTIONS", call_id="c4"), FLOW, 0.0)
    assert len(ours.events()) == 1


@pytest.mark.parametrize(
    ("cached", "text", "is_kept"),
    [
        (Uri.parse, "sip:{}@h", True),
        (Uri.parse, "sip:{}@h;x=" + "x" * 400, True),
        (Uri.parse, "sip:{}@h;x=" + "x" * 600, False),
        (Uri.parse, "sip:{}\N{EURO SIGN}@h", False),
        (cached_name_addr, "<sip:{}@h>", True),
        (cached_name_addr, "<sip:{}@h;x=" + "x" * 400 + ">", True),
        (cached_name_addr, '"\N{EURO SIGN}" <sip:{}@h>', False),
        (requested_contact, "<sip:{}@h>", True),
        (requested_contact, "<sip:{}@h;x=" + "x" * 400 + ">", True),
        (requested_contact, '"\N{EURO SIGN}" <sip:{}@h>', False),
        (numeric, "{}", True),
        (numeric, "{}" + "x" * 64, False),
    ],
)
def test_no_cache_keeps_long_texts(
    cached: Callable[[str], object], text: str, is_kept: bool
) -> None:
    """3261-158: so that their number bounds their octets."""
    one = text.format("once.only")
    assert (cached(one) is cached(one)) is is_kept
