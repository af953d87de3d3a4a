"""A turn: what is decided together is durable together, or is taken back."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from reginfo.ledger.application import Done
from reginfo.ledger.journal import Entry, Journal
from reginfo.ledger.turn import DEPENDENT, LAZY, PASSES, SLICE, TRANSACTIONS, Turns
from reginfo.sip.endpoint import Endpoint
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.event import EndpointEvent, RequestFailed, RequestReceived
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft, Response
from reginfo.sip.moment import Moment
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport
from reginfo.sip.user import Nobody

from ..make import NOW, PHONE, numbers

LOCAL = Local(Transport.UDP, "192.0.2.1", 5060)
FLOW = Flow(LOCAL, PHONE)
Act = Callable[[RequestReceived, Moment], Response | None]


class HandClock:
    """A clock that the test moves."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def now(self) -> float:
        return self.server.now

    def moment(self) -> Moment:
        return Moment(self.server.now, 1e9 + self.server.now)


class Server:
    """Turns, and what they decide, commit and send, as the test wants it."""

    def __init__(self, *, durable: bool = True) -> None:
        self.now = NOW
        self.endpoint = Endpoint(new_id=numbers(""), methods=None, headers={})
        self.journal = Journal(self.endpoint)
        self.turns = Turns(self.endpoint, self.journal, HandClock(self))
        self.commits: list[tuple[list[Entry], Done]] = []
        self.sent: list[str] = []
        self.value = 0
        self.due: list[float] = []
        self.worked: list[float] = []
        self.undone_at: list[float] = []
        self.asked_to_settle = 0
        self.act: Act = self.set
        self.turns.connect(
            self,
            send=self.send,
            settle_soon=self.settle_soon,
            set_timer=lambda: None,
            committer=self if durable else None,
        )

    # The application.

    def handle(self, event: EndpointEvent, moment: Moment) -> None:
        assert isinstance(event, RequestReceived)
        self.turns.answer(event, self.act, moment)

    def flow_lost(self, flow: Flow, moment: Moment) -> None:
        raise ZeroDivisionError

    @property
    def timer_at(self) -> float | None:
        return min(self.due, default=None)

    def timer_due(self, moment: Moment) -> None:
        if self.due and min(self.due) <= moment.now:
            self.worked.append(self.due.pop(self.due.index(min(self.due))))
            self.now += 0.001

    def undone(self, moment: Moment) -> None:
        self.undone_at.append(moment.now)

    # What carries decisions out.

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None:
        assert wall == 1e9 + boot
        self.commits.append((list(entries), done))

    def send(self, outbox: list[Datagram]) -> None:
        self.sent += [one.data.partition(b"\r\n")[0].decode() for one in outbox]

    def settle_soon(self) -> None:
        self.asked_to_settle += 1

    # What is decided.

    def put(self, value: int, *, urgent: bool = True) -> None:
        self.journal.write("kind", "key", value, self.undo, self.value, urgent=urgent)
        self.value = value

    def undo(self, value: int) -> None:
        self.value = value

    def set(self, event: RequestReceived, moment: Moment) -> Response:
        self.put(self.value + 1)
        return Response(200, "OK")

    def receive(
        self, number: int = 1, *, settles: bool = True, method: str = "MESSAGE"
    ) -> None:
        lines = [
            f"{method} sip:us@192.0.2.1 SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bK{number}",
            f"From: <sip:a@b>;tag={number}",
            "To: <sip:us@192.0.2.1>",
            f"Call-ID: {number}",
            f"CSeq: 1 {method}",
        ]
        self.turns.receive("\r\n".join([*lines, "", ""]).encode(), FLOW)
        if settles:
            self.turns.settle()


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_response_is_sent_once_its_batch_is_durable(server: Server) -> None:
    server.receive()
    assert server.sent == []
    ((entries, done),) = server.commits
    assert entries == [("kind", "key", 1)]
    done(None)
    assert server.sent == ["SIP/2.0 200 OK"]
    assert server.turns.commits == 1


def test_nothing_is_waited_for_where_nothing_is_kept() -> None:
    server = Server(durable=False)
    server.receive()
    assert server.sent == ["SIP/2.0 200 OK"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refusal(423, "Interval Too Brief"), "423 Interval Too Brief"),
        (RemoteProtocolError("what is that"), "400 Bad Request"),
        (ZeroDivisionError(), "500 Server Internal Error"),
    ],
)
def test_an_error_becomes_a_response_and_nothing_has_changed(
    server: Server, error: Exception, status: str
) -> None:
    def act(event: RequestReceived, moment: Moment) -> Response:
        server.put(9)
        server.endpoint.send_request(DRAFT, FLOW, Nobody())
        raise error

    server.act = act
    server.receive()
    assert server.sent == [f"SIP/2.0 {status}"]
    assert server.value == 0
    assert server.commits == []


DRAFT = Draft(
    "MESSAGE",
    "sip:b@192.0.2.50",
    "From: <sip:us@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n",
)


def test_an_error_after_the_response_is_logged_and_answered_no_second_time(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    def act(event: RequestReceived, moment: Moment) -> Response:
        event.transaction.respond(Response(486, "Busy Here"))
        raise ZeroDivisionError

    server.act = act
    server.receive()
    assert server.sent == ["SIP/2.0 486 Busy Here"]
    assert "MESSAGE failed after its response" in caplog.text


def test_a_request_may_be_answered_later(server: Server) -> None:
    server.act = lambda event, moment: None
    server.receive()
    assert server.sent == []
    assert server.commits == []


def test_a_failed_commit_takes_back_what_was_decided_upon_it(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.receive(1)
    server.receive(2)
    assert server.value == 2
    server.commits[0][1](OSError("disk full"))
    assert server.value == 0
    assert server.sent == 2 * ["SIP/2.0 500 Server Internal Error"]
    assert server.turns.degraded == "disk full"
    assert server.undone_at == [NOW]
    assert len(server.commits) == 1
    server.receive(3)
    server.commits[1][1](None)
    assert server.turns.degraded is None
    assert "the store commits again" in caplog.text


@pytest.mark.parametrize("urgent", [True, False])
def test_a_failed_commit_takes_back_what_no_batch_holds_yet(
    server: Server, urgent: bool
) -> None:
    """No 2xx without a commit, whoever has decided it, and whenever."""
    requests: list[RequestReceived] = []

    def later(event: RequestReceived, moment: Moment) -> None:
        requests.append(event)

    server.act = later
    server.receive(1)
    server.act = server.set
    server.receive(2)
    # A handler that has waited goes on, in the turn of the loop in which it fails.
    with server.turns.attempt():
        server.put(server.value + 10, urgent=urgent)
        requests[0].transaction.respond(Response(200, "OK"))
    server.turns.wake()
    server.commits[0][1](OSError("disk full"))
    assert server.value == 0
    assert server.sent == 2 * ["SIP/2.0 500 Server Internal Error"]


def test_who_waits_is_told_when_it_is_durable_or_taken_back(server: Server) -> None:
    told: list[bool] = []
    assert not server.turns.when_durable(told.append)
    server.receive(1)
    assert server.turns.when_durable(told.append)  # under way
    server.receive(2)
    assert server.turns.when_durable(told.append)  # decided since
    server.commits[0][1](None)
    assert told == [True]
    server.commits[1][1](OSError("disk full"))
    assert told == [True, False]


def test_what_nobody_waits_for_is_committed_after_a_while(server: Server) -> None:
    server.put(1, urgent=False)
    server.turns.settle()
    assert server.commits == []
    assert server.turns.timer_at == NOW + LAZY
    server.now += LAZY
    server.turns.timer_due()
    assert [entries for entries, _ in server.commits] == [[("kind", "key", 1)]]


def test_the_end_commits_what_nobody_waits_for(server: Server) -> None:
    server.put(1, urgent=False)
    server.turns.flush()
    assert len(server.commits) == 1


def test_after_a_slice_of_due_work_datagrams_come_first(server: Server) -> None:
    server.due = [NOW] * 100
    server.turns.timer_due()
    assert 0 < len(server.worked) <= SLICE / 0.001 + 1
    at = server.turns.timer_at
    assert at is not None and at <= server.now  # the rest is due at once


def test_where_the_clock_stands_still_a_slice_is_as_many_passes() -> None:
    """What expires together is worked off in slices, whatever the clock says."""
    server = Server(durable=False)
    server.due = [NOW] * (PASSES + 10)
    at = server.now

    def timer_due(moment: Moment) -> None:
        Server.timer_due(server, moment)
        server.now = at

    server.timer_due = timer_due  # type: ignore[method-assign]
    server.turns.timer_due()
    assert len(server.worked) == PASSES
    due_at = server.turns.timer_at
    assert due_at is not None and due_at <= at  # the rest is due at once
    server.turns.timer_due()
    assert len(server.worked) == PASSES + 10


def test_transactions_that_end_together_end_in_slices() -> None:
    """A datagram is not kept waiting by the Timers J of all of them."""
    server, many = Server(durable=False), 2 * PASSES * TRANSACTIONS
    for number in range(many):
        server.receive(number)
    server.now += 33
    slices = 0
    while (at := server.turns.timer_at) is not None and at <= server.now:
        before = len(server.endpoint.servers)
        server.turns.timer_due()
        slices += 1
        assert before - len(server.endpoint.servers) <= PASSES * TRANSACTIONS
    assert (len(server.endpoint.servers), slices) == (0, 2)


def test_requests_that_nobody_answers_fail_in_the_slice_that_their_timers_are_of(
    server: Server,
) -> None:
    """The work that a failure makes counts in its slice."""
    failed: list[float] = []

    class Patient(Nobody):
        def receive_failure(self, cause: str, moment: Moment) -> None:
            failed.append(server.now)
            server.now += 0.001

    def handle(event: EndpointEvent, moment: Moment) -> None:
        assert isinstance(event, RequestFailed)
        event.transaction.user.receive_failure(event.cause, moment)

    server.handle = handle  # type: ignore[method-assign]
    draft = Draft("OPTIONS", "sip:w@192.0.2.50", "CSeq: 1 OPTIONS\r\n")
    many = 4 * TRANSACTIONS
    for _ in range(many):
        server.endpoint.send_request(draft, FLOW, Patient())
    server.turns.settle()
    server.now += 33
    server.turns.timer_due()
    assert 0 < len(failed) <= TRANSACTIONS
    while (at := server.turns.timer_at) is not None and at <= server.now:
        server.turns.timer_due()
    assert len(failed) == many


@pytest.mark.parametrize("first", [0, 1, 2])
def test_an_event_that_cannot_be_handled_stops_no_other(
    server: Server, first: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Every loop over what is due goes on after an item that fails."""
    handled: list[str] = []

    def handle(event: EndpointEvent, moment: Moment) -> None:
        assert isinstance(event, RequestReceived)
        if event.request.call_id == str(first):
            raise ZeroDivisionError
        handled.append(event.request.call_id)
        Server.handle(server, event, moment)

    server.handle = handle  # type: ignore[method-assign]
    for number in range(3):
        server.receive(number, settles=False)
    server.turns.settle()
    assert handled == [str(n) for n in range(3) if n != first]
    assert len(server.commits) == 1
    assert "! RequestReceived cannot be handled" in caplog.text


def test_a_response_that_cannot_be_written_is_500_and_nothing_has_changed(
    server: Server,
) -> None:
    """What a 200 would have confirmed is taken back with it."""

    def act(event: RequestReceived, moment: Moment) -> Response:
        server.put(5)
        return Response(200, "OK", {"Contact": None})  # type: ignore[dict-item]

    server.act = act
    server.receive()
    assert server.sent == ["SIP/2.0 500 Server Internal Error"]
    assert (server.value, server.commits) == (0, [])


def test_who_waits_for_a_commit_in_vain_stops_no_other(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[bool] = []
    server.receive()

    def broken(is_durable: bool) -> None:
        raise ZeroDivisionError

    server.turns.when_durable(broken)
    server.turns.when_durable(told.append)
    server.commits[0][1](None)
    assert told == [True]
    assert "! what waited for a commit cannot go on" in caplog.text


def test_to_wake_is_to_settle_soon_and_once(server: Server) -> None:
    server.turns.wake()
    server.turns.wake()
    assert server.asked_to_settle == 1
    server.turns.settle()
    server.turns.wake()
    assert server.asked_to_settle == 2


def test_an_error_at_the_end_of_a_stream_stops_nothing(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        server.turns.flow_lost(FLOW)
    assert "! the end of the stream to 192.0.2.50:5060" in caplog.text


def test_a_server_that_was_killed_commits_and_sends_no_more(server: Server) -> None:
    server.turns.disconnect()
    server.receive()
    assert server.commits == []
    assert server.sent == []


def test_what_a_script_tries_becomes_a_response_if_it_fails(server: Server) -> None:
    events: list[RequestReceived] = []
    server.act = lambda event, moment: events.append(event)
    server.receive()
    request = events[0].request

    def fails() -> str:
        server.put(5)
        raise Refusal(403, "Forbidden")

    refused = server.turns.response_of(request, FLOW, fails)
    assert isinstance(refused, Response) and refused.status == 403
    assert server.value == 0
    assert server.turns.response_of(request, FLOW, lambda: "done") == "done"


def responds(status: int) -> Act:
    """A decision that changes nothing."""
    return lambda event, moment: Response(status, "X")


def test_what_reveals_no_change_waits_for_no_commit(server: Server) -> None:
    """3261-177: OPTIONS, errors of the client, what is relayed, and all of it again"""
    server.receive(1)
    assert server.sent == []
    server.act = responds(200)
    server.receive(2, method="OPTIONS")
    server.act = responds(403)
    server.receive(3)
    relayed = Draft("MESSAGE", "sip:b@x", "Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n")
    server.endpoint.send_request(relayed, FLOW, Nobody())
    server.turns.settle()
    now = ["SIP/2.0 200 X", "SIP/2.0 403 X", "MESSAGE sip:b@x SIP/2.0"]
    assert server.sent == now
    server.receive(2, method="OPTIONS")
    server.receive(3)
    assert server.sent == now + now[:2]
    assert len(server.commits) == 1


def test_it_goes_even_with_the_changes_of_its_own_turn(server: Server) -> None:
    """3261-177: the batch that it is decided with begins its commit"""
    server.receive(1, settles=False)
    server.receive(2, settles=False, method="OPTIONS")

    def act(event: RequestReceived, moment: Moment) -> Response:
        if event.request.method == "OPTIONS":
            return Response(200, "Here")
        return server.set(event, moment)

    server.act = act
    server.turns.settle()
    assert server.sent == ["SIP/2.0 200 Here"]
    server.commits[0][1](None)
    assert server.sent == ["SIP/2.0 200 Here", "SIP/2.0 200 OK"]


@pytest.mark.parametrize("status", [200, 202, 299, 302, 500, 503, 600, *DEPENDENT])
def test_what_says_something_of_what_is_stored_waits(
    server: Server, status: int
) -> None:
    """3261-177: a change that may be undone is revealed by nothing"""
    server.receive(1)
    server.act = responds(status)
    server.receive(2)
    # It was not sent, so there is nothing to repeat either.
    server.receive(1)
    server.receive(2)
    request = Draft("NOTIFY", "sip:b@x", "CSeq: 1 NOTIFY\r\n")
    server.endpoint.send_request(request, FLOW, Nobody())
    server.turns.settle()
    assert server.sent == []
    server.commits[0][1](None)
    assert server.sent == [
        "SIP/2.0 200 OK", f"SIP/2.0 {status} X", "NOTIFY sip:b@x SIP/2.0",
    ]  # fmt: skip


@pytest.mark.parametrize("status", [200, 403])
def test_what_has_changed_something_waits_whatever_it_answers(
    server: Server, status: int
) -> None:
    """3261-177: a handler of a script may store something, and refuse the request"""

    def act(event: RequestReceived, moment: Moment) -> Response:
        server.put(7)
        return Response(status, "X")

    server.act = act
    server.receive(1, method="OPTIONS")
    assert server.sent == []
    server.commits[0][1](None)
    assert server.sent == [f"SIP/2.0 {status} X"]


def test_a_slow_commit_is_a_problem(server: Server) -> None:
    """3261-178"""
    server.receive(1)
    server.now += 3.0
    assert "3.0 s" in (server.turns.disk.problem(server.now) or "")
    server.commits[0][1](None)
    assert "took 3.0 s" in (server.turns.disk.problem(server.now) or "")
