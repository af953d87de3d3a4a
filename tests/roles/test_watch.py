"""What a watcher has yet to be told, and when."""

from __future__ import annotations

import pytest

from reginfo.events.notify import ServedSubscription
from reginfo.roles.row import WatchRow
from reginfo.roles.watch import Owed, Watch
from reginfo.sip.dialog import Dialog
from reginfo.sip.message import Response

from ..make import ALICE, NOW, binding, flow, moment, request


class Keeper:
    """Notes what becomes of NOTIFYs."""

    def __init__(self) -> None:
        self.received: list[tuple[object, ...]] = []

    def receive_response(self, watch: Watch, response: Response, now: float) -> None:
        self.received.append((watch, response, now))

    def receive_failure(self, watch: Watch, cause: str, now: float) -> None:
        self.received.append((watch, cause))


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
    watch.receive_failure("timeout", moment())
    watch.never_sent()
    assert keeper.received == [(watch, response, NOW + 1), (watch, "timeout")]
