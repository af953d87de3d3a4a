"""What a watcher has yet to be told, and when."""

from __future__ import annotations

import pytest

from reginfo.events.notify import ServedSubscription
from reginfo.reg.document import Piece
from reginfo.roles.row import WatchRow
from reginfo.roles.watch import (
    LONGEST_DOCUMENT,
    SHORTEST_DOCUMENT,
    Owed,
    Watch,
)
from reginfo.sip.dialog import Dialog
from reginfo.sip.message import Response
from reginfo.sip.transaction import TIMER_F

from ..make import ALICE, NOW, binding, flow, moment, request


class Keeper:
    """Notes what becomes of NOTIFYs."""

    def __init__(self) -> None:
        self.received: list[tuple[object, ...]] = []

    def receive_response(self, watch: Watch, response: Response, now: float) -> None:
        self.received.append((watch, response, now))

    def receive_failure(self, watch: Watch, cause: str, now: float) -> None:
        self.received.append((watch, cause, now))


@pytest.fixture
def watch() -> Watch:
    message = request("SUBSCRIBE", "Contact: <sip:w@192.0.2.50>", "Event: reg")
    dialog = Dialog.uas(message, tag="t", contact="<sip:us>", flow=flow())
    subscription = ServedSubscription(dialog=dialog, event="reg", expires_at=NOW + 600)
    row = WatchRow(id="1", aor=ALICE, subscription=subscription, min_interval=5.0)
    return Watch(row, Keeper())


def test_the_full_state_is_told_without_what_has_changed(watch: Watch) -> None:
    watch.tell(binding(1))
    watch.owe_full()
    assert watch.take(NOW) == Owed(full=True, bindings=[], parted={})


def test_until_there_is_something_to_tell_its_end_is_waited_for(watch: Watch) -> None:
    assert watch.timer_at == NOW + 600
    assert watch.take(NOW) is None
    assert watch.timer_at == NOW + 600


def test_what_waits_is_due_when_that_is_polite(watch: Watch) -> None:
    """A change that waits is due after the minimum interval (3680-34)."""
    watch.owe_full()
    watch.take(NOW)
    watch.answered()
    watch.tell(binding(1))
    assert watch.take(NOW + 1) is None
    assert watch.timer_at == NOW + 5
    assert watch.take(NOW + 5) == Owed(full=False, bindings=[binding(1)], parted={})


def test_what_becomes_of_a_notify_is_handed_to_the_keeper(watch: Watch) -> None:
    keeper = watch.keeper
    assert isinstance(keeper, Keeper)
    response = Response(200, "OK")
    watch.receive_response(response, moment(NOW + 1))
    watch.receive_failure("timeout", moment(NOW + 2))
    watch.never_sent()
    assert keeper.received == [(watch, response, NOW + 1), (watch, "timeout", NOW + 2)]


def test_a_contact_that_is_withdrawn_is_told_no_more(watch: Watch) -> None:
    desk = binding(1, contact="sip:alice@192.0.2.51")
    watch.tell(binding(1))
    watch.tell(desk)
    watch.withdraw(binding(1).key)
    watch.withdraw("unknown")
    assert watch.waits
    assert watch.take(NOW) == Owed(full=False, bindings=[desk], parted={})


def test_a_change_that_is_undone_is_told_no_more(watch: Watch) -> None:
    """A report is changed in place: each change of it has an undo of its own."""
    desk = binding(1, contact="sip:alice@192.0.2.51")
    undo = [watch.tell(binding(1)), watch.tell(desk)]
    undo.append(watch.tell(binding(2, "rejected")))
    undo.append(watch.withdraw(desk.key))
    for arguments in reversed(undo[1:]):
        watch.untell(*arguments)
    assert watch.take(NOW) == Owed(full=False, bindings=[binding(1)], parted={})
    watch.answered()
    watch.untell(*undo[0])
    assert watch.take(NOW + 600) is None


def test_what_was_taken_comes_back_with_what_was_told_since(watch: Watch) -> None:
    desk = binding(1, contact="sip:alice@192.0.2.51")
    watch.tell(binding(1))
    snapshot = watch.snapshot()
    assert watch.take(NOW) is not None
    undo = watch.tell(desk)
    watch.untell(*undo)
    watch.restore(snapshot)
    assert watch.take(NOW) == Owed(full=False, bindings=[binding(1)], parted={})


def test_a_report_is_not_copied_for_each_change(watch: Watch) -> None:
    """3261-150: many changes take linear time, and memory."""
    watch.tell(binding(1))
    pending = watch._pending
    for number in range(2, 9):
        watch.tell(binding(number, contact=f"sip:{number}@192.0.2.51"))
    watch.withdraw(binding(1).key)
    assert watch._pending is pending


def test_nothing_waits_once_the_last_contact_is_withdrawn(watch: Watch) -> None:
    watch.tell(binding(1, "unregistered"))
    watch.withdraw(binding(1).key)
    assert not watch.waits
    assert watch.take(NOW) is None
    watch.owe_full()
    assert watch.take(NOW) == Owed(full=True, bindings=[], parted={})


def test_documents_become_shorter_until_a_datagram_takes_them(watch: Watch) -> None:
    assert watch.longest == LONGEST_DOCUMENT == 48 * 1024
    for longest in (8192, 1365, SHORTEST_DOCUMENT):
        assert watch.shorten()
        assert watch.longest == longest
        assert type(watch.longest) is int
    assert not watch.shorten()
    assert watch.longest == SHORTEST_DOCUMENT


def test_a_shorter_document_is_due_at_once_whatever_was_held(watch: Watch) -> None:
    watch.owe_full()
    watch.take(NOW)
    watch.refused(Response(503, "", {"Retry-After": ["30"]}), NOW, lambda: 0.5)
    assert watch.take(0.5) is None
    assert watch.shorten()
    assert watch.take(0.5) == Owed(full=True, bindings=[], parted={})


@pytest.mark.parametrize(
    ("after", "is_tried"), [(TIMER_F - 0.1, True), (TIMER_F, False)]
)
def test_a_watcher_is_tried_as_long_as_a_response_is_waited_for(
    watch: Watch, after: float, is_tried: bool
) -> None:
    """RFC 3261 §17.1.2.2: Timer F."""
    assert watch.unreachable(NOW, lambda: 0.5)
    assert watch.unreachable(NOW + after, lambda: 0.5) is is_tried
    assert watch.failures == (2 if is_tried else 1)


def test_a_timer_that_was_due_is_over(watch: Watch) -> None:
    watch.timer_due(NOW + 600)
    assert watch.timer_at is None


def test_a_new_watch_has_nothing_behind_it_and_nothing_under_way(watch: Watch) -> None:
    assert (watch.is_long, watch.in_pieces) == (False, False)
    assert watch.is_long is watch.in_pieces is watch.waits is False
    assert (watch.failures, watch.settled, watch.stalled) == (0, True, False)
    assert watch.divide(False, [], {}) is Piece.WHOLE


def test_nothing_holds_the_first_report_not_even_when_a_clock_begins(
    watch: Watch,
) -> None:
    watch.tell(binding(1))
    assert watch.take(0.0) == Owed(full=False, bindings=[binding(1)], parted={})
    watch.answered()
    watch.doubt(True)
    assert watch.take(0.0) == Owed(full=True, bindings=[], parted={})


def test_an_act_of_an_administrator_does_not_wait_for_the_interval(
    watch: Watch,
) -> None:
    """3680-34"""
    watch.owe_full()
    watch.take(0.0)
    watch.answered()
    watch.tell(binding(1))
    assert watch.take(0.5) is None
    rejected = binding(2, "rejected")
    watch.tell(rejected)
    assert watch.take(0.5) == Owed(full=False, bindings=[rejected], parted={})
