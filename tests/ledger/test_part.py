"""What every part of a server has in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from reginfo.ledger.journal import Journal
from reginfo.ledger.part import RETRY_AFTER, Description, Here, Parts
from reginfo.ledger.shelf import Rows
from reginfo.sip.flow import Local
from reginfo.sip.moment import Moment
from reginfo.sip.transport import Transport


class Nowhere:
    def find(self, uri: object, found: object) -> None:
        raise AssertionError("no name is asked for")


def test_the_values_that_a_part_is_given_compare_by_what_is_in_them() -> None:
    names = Nowhere()
    local = Local(Transport.UDP, "192.0.2.1", 5060)
    assert Here((local,), names) == Here((local,), names)
    assert Moment(1.0, 2.0) == Moment(now=1.0, wall=2.0)
    assert Description("store", "empty", {"bindings": 0}).figures == {"bindings": 0}


class Clockwork:
    """A part whose timer does what the test says, once a second."""

    def __init__(self, name: str, journal: Journal, *, fails: bool = False) -> None:
        self.name = name
        self.journal = journal
        self.fails = fails
        self.timer_at: float | None = 10.0
        self.called_at: list[float] = []
        self.undone_at: list[float] = []

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        return ()

    def begin(self, here: Here, moment: Moment) -> None: ...

    def timer_due(self, moment: Moment) -> None:
        if self.timer_at is None or moment.now < self.timer_at:
            return
        self.called_at.append(moment.now)
        self.journal.write("kind", self.name, 1, lambda: None)
        if self.fails:
            raise ZeroDivisionError
        self.timer_at = moment.now + 1

    def hears(self, change: Any) -> None: ...

    def undone(self, moment: Moment) -> None:
        self.undone_at.append(moment.now)
        if self.fails:
            raise ZeroDivisionError

    def describe(self) -> Description:
        return Description(self.name, "a clockwork", {})


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_part_whose_timer_fails_is_called_later_and_stops_no_other(
    failing: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Every loop over what is due goes on after an item that fails."""
    journal = Journal()
    parts = Parts(journal)
    ours = [Clockwork(f"p{n}", journal, fails=n == failing) for n in range(3)]
    for part in ours:
        parts.add(part)
    now = 10.0
    while now < 10.0 + RETRY_AFTER:
        parts.timer_due(Moment(now, now))
        assert parts.timer_at == min(now + 1, 10.0 + RETRY_AFTER)
        now += 1
    broken = ours.pop(failing)
    assert broken.called_at == [10.0]
    assert all(len(part.called_at) == RETRY_AFTER for part in ours)
    keys = {key for _, key, _ in journal.close().entries}
    assert keys == {part.name for part in ours}
    assert f"! a timer of the {broken.name}" in caplog.text
    broken.fails = False
    parts.timer_due(Moment(now, now))
    assert broken.called_at == [10.0, 10.0 + RETRY_AFTER]
    assert parts.timer_at == now + 1


def test_only_the_parts_that_are_due_are_called() -> None:
    journal = Journal()
    parts = Parts(journal)
    called = []

    class Sleeper(Clockwork):
        def timer_due(self, moment: Moment) -> None:
            called.append(self.name)

    for name, at in (("now", 10.0), ("later", 10.5), ("never", None)):
        part = Sleeper(name, journal)
        part.timer_at = at
        parts.add(part)
    parts.timer_due(Moment(10.0, 10.0))
    assert called == ["now"]
    parts.timer_due(Moment(10.5, 10.5))
    assert called == ["now", "now", "later"]


def test_after_a_failed_commit_each_part_is_told_whichever_fails() -> None:
    journal = Journal()
    parts = Parts(journal)
    ours = [Clockwork("a", journal, fails=True), Clockwork("b", journal)]
    for part in ours:
        parts.add(part)
    parts.undone(Moment(10.0, 10.0))
    assert [part.undone_at for part in ours] == [[10.0], [10.0]]
