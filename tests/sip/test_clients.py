"""Requests of ours, from sending to the end of their transactions (RFC 3261 §17.1)."""

from __future__ import annotations

from itertools import count

import pytest

from reginfo.sip.clients import LONGEST_DATAGRAM, UDP_ONLY, Clients
from reginfo.sip.errors import LocalProtocolError
from reginfo.sip.event import EndpointEvent, RequestFailed
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft
from reginfo.sip.timer import TimerWheel
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport
from reginfo.sip.user import Nobody

from .messages import FLOW, SERVER

STREAM = Local(Transport.TCP, SERVER.host, SERVER.port)


def draft(body: bytes = b"") -> Draft:
    head = "CSeq: 1 NOTIFY\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\n"
    return Draft("NOTIFY", "sip:w@192.0.2.1", head, body)


class Ours:
    """The clients of an endpoint, and what they report."""

    def __init__(self) -> None:
        numbers = count(1)
        self.outbox: list[Datagram] = []
        self.events: list[EndpointEvent] = []
        self.clients = Clients(
            new_id=lambda: str(next(numbers)),
            outbox=self.outbox,
            events=self.events,
            wheel=TimerWheel(),
        )
        self.clients.use_streams(FLOW.local, STREAM)


def test_a_branch_is_used_once_and_begins_as_it_must() -> None:
    ours = Ours()
    ours.clients.send(draft(), FLOW, Nobody(), "z9hG4bKx")
    for branch in ("z9hG4bKx", "x"):
        with pytest.raises(LocalProtocolError):
            ours.clients.send(draft(), FLOW, Nobody(), branch)
    assert len(ours.clients) == 1


@pytest.mark.parametrize("is_divisible", [False, True])
def test_what_is_too_long_for_a_datagram_goes_by_a_stream(is_divisible: bool) -> None:
    """3261-25: §18.1.1"""
    ours = Ours()
    long = draft(b"x" * LONGEST_DATAGRAM)
    sent = ours.clients.send(long, FLOW, Nobody(), is_divisible=is_divisible)
    assert sent.flow == Flow(STREAM, FLOW.remote)
    assert not ours.clients.is_datagram_only(FLOW)
    # No TCP there: by UDP all the same, unless its user divides it.
    ours.clients.not_sent(ours.outbox[-1], "connection refused", 10.0)
    assert ours.clients.is_datagram_only(FLOW)
    if is_divisible:
        assert ours.events == [RequestFailed(sent, "connection refused")]
        assert len(ours.clients) == 0
    else:
        assert ours.events == []
        assert sent.flow == FLOW
    later = ours.clients.send(long, FLOW, Nobody())
    assert later.flow == FLOW
    # The peer is asked for TCP again in ten minutes.
    ours.clients.timer_due(10.0 + UDP_ONLY + 1)
    assert not ours.clients.is_datagram_only(FLOW)


def test_a_request_that_was_taken_back_is_forgotten() -> None:
    ours = Ours()
    sent = ours.clients.send(draft(), FLOW, Nobody())
    ours.clients.forget(sent)
    assert len(ours.clients) == 0
    assert ours.events == []
