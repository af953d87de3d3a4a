"""Requests of ours, from sending to the end of their transactions (RFC 3261 §17.1)."""

from __future__ import annotations

from itertools import count

import pytest

from reginfo.sip.clients import LONGEST_DATAGRAM, UDP_ONLY, Clients
from reginfo.sip.errors import LocalProtocolError
from reginfo.sip.event import EndpointEvent, RequestFailed, ResponseReceived
from reginfo.sip.flow import Flow, Local
from reginfo.sip.invite import InviteClientTransaction, InviteState
from reginfo.sip.message import Draft
from reginfo.sip.timer import TimerWheel
from reginfo.sip.transaction import Datagram, TransactionState
from reginfo.sip.transport import Transport
from reginfo.sip.user import Nobody

from .messages import FLOW, SERVER, answer, as_response

STREAM = Local(Transport.TCP, SERVER.host, SERVER.port)


def draft(body: bytes = b"") -> Draft:
    head = "CSeq: 1 NOTIFY\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\n"
    return Draft("NOTIFY", "sip:w@192.0.2.1", head, body)


def inviting() -> Draft:
    head = "CSeq: 1 INVITE\r\nFrom: a\r\nTo: b\r\nCall-ID: c\r\n"
    return Draft("INVITE", "sip:w@192.0.2.1", head)


class Counting(Nobody):
    """A user that counts the requests that were never sent."""

    def __init__(self) -> None:
        self.undone = 0

    def never_sent(self) -> None:
        self.undone += 1


class Ours:
    """The clients of an endpoint, and what they report."""

    def __init__(self) -> None:
        numbers = count(1)
        self.outbox: list[Datagram] = []
        self.events: list[EndpointEvent] = []
        self.wheel = TimerWheel()
        self.clients = Clients(
            new_id=lambda: str(next(numbers)),
            outbox=self.outbox,
            events=self.events,
            wheel=self.wheel,
            answered=lambda flow, now: self.answered.append(flow),
        )
        self.answered: list[Flow] = []
        self.clients.use_streams(FLOW.local, STREAM)

    def sent(self, now: float) -> list[bytes]:
        """Let everything in the outbox be sent."""
        datagrams = self.outbox[:]
        self.outbox.clear()
        for datagram in datagrams:
            if datagram.transaction is not None:
                datagram.transaction.sent(now)
                self.wheel.schedule(datagram.transaction)
        return [datagram.data for datagram in datagrams]

    def invite(self) -> tuple[InviteClientTransaction, bytes]:
        """An INVITE that has been sent at 0, and its datagram."""
        transaction = self.clients.send(inviting(), FLOW, Nobody())
        assert isinstance(transaction, InviteClientTransaction)
        (data,) = self.sent(0.0)
        return transaction, data

    def cancelled(self) -> bytes:
        """The CANCEL, sent at 1.0, of an INVITE that rings."""
        transaction, data = self.invite()
        self.respond(data, 180, 0.5)
        self.clients.cancel(transaction, 1.0)
        (cancel,) = self.sent(1.0)
        self.events.clear()
        return cancel

    def respond(self, data: bytes, status: int, now: float, flow: Flow = FLOW) -> None:
        """The peer responds to a request of ours."""
        response = as_response(Datagram(answer(data, status, "X"), FLOW))
        self.clients.receive_response(response, flow, now)

    def run(self, until: float) -> list[tuple[float, bytes]]:
        """Let time pass; what is sent, and when."""
        out = []
        while self.wheel.timer_at is not None and self.wheel.timer_at <= until:
            now = self.wheel.timer_at
            machine = self.wheel.take(now)
            if machine is not None:
                machine.timer_due(now)
                self.wheel.schedule(machine)
            out += [(now, data) for data in self.sent(now)]
        return out


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


def test_a_long_request_falls_back_to_a_datagram_unless_its_user_divides_it() -> None:
    """3261-25"""
    ours = Ours()
    sent = ours.clients.send(draft(b"x" * LONGEST_DATAGRAM), FLOW, Nobody())
    ours.clients.not_sent(ours.outbox[-1], "connection refused", 10.0)
    assert sent.flow == FLOW
    assert [d.flow for d in ours.outbox] == [Flow(STREAM, FLOW.remote), FLOW]
    assert ours.events == []


def test_a_request_that_was_taken_back_is_forgotten() -> None:
    ours = Ours()
    user = Counting()
    sent = ours.clients.send(draft(), FLOW, user)
    ours.clients.forget(sent)
    assert len(ours.clients) == 0
    assert ours.events == []
    assert sent.state is TransactionState.TERMINATED
    assert user.undone == 1
    # Nothing that is still under way starts a timer.
    ours.sent(0.0)
    assert ours.wheel.timer_at is None


def test_an_invite_that_was_taken_back_is_forgotten() -> None:
    ours = Ours()
    sent = ours.clients.send(inviting(), FLOW, Nobody())
    ours.clients.forget(sent)
    assert len(ours.clients) == 0
    assert ours.events == []
    assert sent.state is InviteState.TERMINATED
    ours.sent(0.0)
    assert ours.wheel.timer_at is None


@pytest.mark.parametrize("what", [draft(), inviting()])
def test_a_request_and_its_via_are_written_whole_and_given_to_its_user(
    what: Draft,
) -> None:
    ours = Ours()
    user = Nobody()
    sent = ours.clients.send(what, FLOW, user, "z9hG4bKx")
    assert sent.user is user
    via = "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKx;rport"
    assert ours.outbox == [Datagram(what.write(via), FLOW, sent)]
    (data,) = ours.sent(0.0)
    ours.respond(data, 180, 0.1)
    (event,) = ours.events
    assert isinstance(event, ResponseReceived)
    assert event.transaction is sent
    assert event.response.status == 180


def test_the_response_to_a_cancel_ends_its_retransmissions() -> None:
    """3261-48: §9.1, §17.1.3"""
    ours = Ours()
    cancel = ours.cancelled()
    assert cancel.startswith(b"CANCEL sip:w@192.0.2.1 SIP/2.0\r\n")
    assert ours.run(1.5) == [(1.5, cancel)]
    ours.respond(cancel, 200, 2.0)
    assert ours.run(32.0) == []
    assert ours.events == []


def test_a_cancel_that_cannot_be_delivered_ends_without_a_report() -> None:
    """3261-66: the ICMP error ends the CANCEL, and not its INVITE"""
    ours = Ours()
    cancel = ours.cancelled()
    assert len(ours.clients) == 2
    ours.clients.unreachable(cancel, FLOW, "connection refused")
    assert len(ours.clients) == 1
    assert ours.run(32.0) == []
    assert ours.events == []


@pytest.mark.parametrize(
    ("status", "cancels"),
    [(100, True), (199, True), (200, False), (201, False), (486, False)],
)
def test_a_requested_cancel_is_sent_after_a_provisional_response_alone(
    status: int, cancels: bool
) -> None:
    """3261-48: §9.1"""
    ours = Ours()
    transaction, data = ours.invite()
    ours.clients.cancel(transaction, 0.1)
    assert ours.outbox == []
    ours.respond(data, status, 0.2)
    sent = [data.split(b" ")[0] for data in ours.sent(0.2)]
    assert (b"CANCEL" in sent) is cancels
    # Another response does not send it again.
    ours.respond(data, status, 0.3)
    assert b"CANCEL" not in [data.split(b" ")[0] for data in ours.sent(0.3)]


@pytest.mark.parametrize("branch", [b"z9hG4bK\xff1", b"\x80", b"z9hG4bK\xc3\xa9"])
def test_an_icmp_error_whose_branch_is_not_ascii_is_ignored(branch: bytes) -> None:
    """3261-66: anybody can forge it"""
    ours = Ours()
    ours.clients.send(draft(), FLOW, Nobody(), "z9hG4bK1")
    (data,) = ours.sent(0.0)
    forged = data.replace(b"z9hG4bK1", branch)
    assert forged != data
    ours.clients.unreachable(forged, FLOW, "connection refused")
    assert ours.events == []
    assert len(ours.clients) == 1


def test_a_lost_stream_is_no_concern_of_requests_elsewhere() -> None:
    """3261-150: only its own list is looked through, which ends with its requests."""
    ours = Ours()
    user = Nobody()
    here, there = (Flow(STREAM, ("192.0.2.9", port)) for port in (5060, 5061))
    ours.clients.send(draft(), here, user)
    lost = [ours.clients.send(draft(), there, user) for _ in range(2)]
    ours.clients.flow_lost(there)
    assert ours.events == [RequestFailed(one, "connection lost") for one in lost]
    assert set(ours.clients._on_streams) == {here}
    ours.clients.flow_lost(there)
    assert len(ours.events) == 2
    ours.clients.flow_lost(here)
    assert len(ours.events) == 3
    assert not ours.clients._on_streams and not len(ours.clients)


def test_a_request_that_falls_back_leaves_the_list_of_its_stream() -> None:
    ours = Ours()
    ours.clients.send(draft(b"x" * LONGEST_DATAGRAM), FLOW, Nobody())
    (datagram,) = ours.outbox
    assert set(ours.clients._on_streams) == {Flow(STREAM, FLOW.remote)}
    ours.clients.not_sent(datagram, "connection refused", 0.0)
    assert not ours.clients._on_streams
    assert len(ours.clients) == 1
