"""A request that takes too much of an endpoint is answered 513 (3261-153)."""

from __future__ import annotations

import pytest

from reginfo.sip.capacity import Capacity
from reginfo.sip.endpoint import Endpoint

from .messages import COMMON, FLOW, parsed, request

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
