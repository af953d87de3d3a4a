"""
The tests that every storage must pass.

A test module of an implementation has a subclass of :class:`StorageSuite` whose name
begins with `Test`, with a fixture `place` that says how its storages are opened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reginfo.ledger.journal import Entry
from reginfo.ledger.storage import Storage, StoreError

from ..make import NOW, WALL, binding, value_of


class Place(NamedTuple):
    """Where a storage is, and how a server opens it."""

    new: Callable[[], Storage]
    "Makes an empty storage."

    restart: Callable[[Storage], Storage]
    "Closes a storage and opens it again, as a restart of the server does."

    open: Callable[[Path], Storage]
    "Opens a backup."

    fail: Callable[[Storage, bool], None]
    "Has commits fail from now on, or succeed again."


Keys = dict[tuple[str, str], Any]


def state(storage: Storage, boot: float = NOW, wall: float = WALL) -> Keys:
    """The value of each row that is loaded."""
    rows: Keys = {}
    for row in storage.load(boot=boot, wall=wall, boot_id="one"):
        assert (row.kind, row.key) not in rows, "loaded twice"
        rows[row.kind, row.key] = value_of(row)
    return rows


def shift_of(storage: Storage, boot: float, wall: float, boot_id: str) -> float:
    (row,) = storage.load(boot=boot, wall=wall, boot_id=boot_id)
    return row.shift


def fold(storage: Storage) -> None:
    while storage.fold():
        pass


keys = st.sampled_from(["x", "y", "z\0z"])
entries = st.tuples(
    st.sampled_from(["held", "told"]), keys, st.none() | st.integers(0, 9)
)


class StorageSuite:
    """What holds for each implementation of :class:`Storage`."""

    def test_a_new_storage_is_empty(self, place: Place) -> None:
        storage = place.new()
        assert state(storage) == {}
        assert storage.last_commit is None
        assert storage.entries == 0
        storage.close()

    def test_what_is_appended_is_loaded(self, place: Place) -> None:
        storage = place.new()
        claim = binding(q="0.5", params=(("ob", None),))
        batch: list[Entry] = [
            ("location", f"location\0a\0{claim.key}\0{claim.call_id}", claim),
            ("told", "k", (1, 2, True)),
            ("told", "é\0\n", {"a": b"\0"}),
        ]
        storage.append(batch, boot=NOW, wall=WALL)
        loaded = state(storage)
        assert loaded["told", "k"] == [1, 2, True]
        assert loaded["told", "é\0\n"] == {"a": b"\0"}
        assert loaded[batch[0][:2]][0] == claim.contact
        assert storage.entries == 3
        storage.close()

    def test_a_later_entry_replaces_an_earlier_one_and_none_removes_it(
        self, place: Place
    ) -> None:
        storage = place.new()
        storage.append([("held", "a", 1), ("held", "b", 1)], boot=NOW, wall=WALL)
        storage.append([("held", "a", 2), ("held", "b", None)], boot=NOW, wall=WALL)
        storage.append([("held", "never", None)], boot=NOW, wall=WALL)
        assert state(storage) == {("held", "a"): 2}
        storage.close()

    def test_of_two_entries_for_a_row_in_one_batch_the_last_counts(
        self, place: Place
    ) -> None:
        storage = place.new()
        batch: list[Entry] = [("held", "a", 1), ("held", "a", None), ("held", "a", 3)]
        storage.append(batch, boot=NOW, wall=WALL)
        assert state(place.restart(storage)) == {("held", "a"): 3}

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,  # the suite is run for each storage
        ],
    )
    @given(
        st.lists(
            st.tuples(st.lists(entries, max_size=4), st.integers(0, 9), st.booleans()),
            max_size=6,
        )
    )
    def test_rows_hold_their_last_value_over_folding_and_restarts(
        self, place: Place, batches: list[tuple[list[Entry], int, bool]]
    ) -> None:
        storage, expected = place.new(), {}
        for batch, steps, restart in batches:
            storage.append(batch, boot=NOW, wall=WALL)
            for kind, key, value in batch:
                expected[kind, key] = value
            for _ in range(steps):
                storage.fold()
            if restart:
                storage = place.restart(storage)
            assert state(storage) == {
                k: v for k, v in expected.items() if v is not None
            }
        fold(storage)
        fold(storage)
        assert storage.entries == 0
        assert state(storage) == {k: v for k, v in expected.items() if v is not None}
        storage.close()

    def test_a_commit_that_fails_raises_and_changes_nothing(self, place: Place) -> None:
        storage = place.new()
        storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
        place.fail(storage, True)
        with pytest.raises(StoreError):
            storage.append(
                [("held", "a", 2), ("held", "b", 1)], boot=NOW, wall=WALL + 9
            )
        place.fail(storage, False)
        assert state(storage) == {("held", "a"): 1}
        assert storage.last_commit == WALL
        storage.append([("held", "b", 3)], boot=NOW, wall=WALL)
        assert state(storage) == {("held", "a"): 1, ("held", "b"): 3}
        storage.close()

    def test_the_last_commit_is_known_folded_or_not(self, place: Place) -> None:
        storage = place.new()
        storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
        fold(storage)
        assert storage.last_commit == WALL
        # Also when nothing of it is left.
        storage.append([("held", "a", None)], boot=NOW, wall=WALL + 5)
        fold(storage)
        storage = place.restart(storage)
        assert storage.last_commit == WALL + 5
        storage.close()

    @pytest.mark.parametrize("folded", [False, True])
    def test_a_step_of_the_calendar_changes_nothing_after_a_restart(
        self, place: Place, folded: bool
    ) -> None:
        storage = place.new()
        assert state(storage, NOW, WALL) == {}
        storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
        if folded:
            fold(storage)
        for step in (7200.0, -7200.0, 1e9):
            storage = place.restart(storage)
            assert shift_of(storage, NOW + 70, WALL + 70 + step, "one") == 0.0
        storage.close()

    @pytest.mark.parametrize("folded", [False, True])
    def test_after_a_boot_the_calendar_says_once_how_much_time_has_passed(
        self, place: Place, folded: bool
    ) -> None:
        storage = place.new()
        state(storage, NOW, WALL)
        storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
        if folded:
            fold(storage)
        # 100 s later by the calendar, after a boot: that clock shows 7.
        storage = place.restart(storage)
        assert shift_of(storage, 7.0, WALL + 100, "two") == pytest.approx(-NOW - 93)
        # The calendar steps, and the server is restarted, in the same run and in the
        # next one.
        storage = place.restart(storage)
        shift = shift_of(storage, 9.0, WALL + 9000, "two")
        assert shift == pytest.approx(-NOW - 93)
        storage.append([("held", "b", 1)], boot=10.0, wall=WALL + 9001)
        storage = place.restart(storage)
        rows = storage.load(boot=5.0, wall=WALL + 9002, boot_id="three")
        assert {row.key: row.shift for row in rows} == {
            "a": pytest.approx(-NOW - 93 - 6),
            "b": pytest.approx(-6.0),
        }
        storage.close()

    def test_a_clock_that_has_gone_back_is_another_one(self, place: Place) -> None:
        """A virtual machine that is set back to a snapshot keeps its boot id."""
        storage = place.new()
        state(storage, NOW, WALL)
        storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
        storage = place.restart(storage)
        shift = shift_of(storage, NOW - 500, WALL + 100, "one")
        assert shift == pytest.approx(-600.0)
        storage.close()

    def test_without_a_boot_id_the_calendar_is_believed(self, place: Place) -> None:
        storage = place.new()
        shift_less = list(storage.load(boot=NOW, wall=WALL))
        assert shift_less == []
        storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
        storage = place.restart(storage)
        assert shift_of(storage, 50.0, WALL + 100, "") == pytest.approx(-NOW - 50)
        storage.close()

    def test_a_backup_is_the_state_at_one_moment(
        self, place: Place, tmp_path: Path
    ) -> None:
        storage, copy = place.new(), tmp_path / "copy"
        storage.append([("held", "a", 1)], boot=NOW, wall=WALL)
        storage.backup(copy)
        storage.append([("held", "b", 1)], boot=NOW, wall=WALL)
        with pytest.raises(StoreError, match="copy"):
            storage.backup(copy)
        opened = place.open(copy)
        assert state(opened) == {("held", "a"): 1}
        assert opened.last_commit == WALL
        opened.close()
        storage.backup(copy, overwrite=True)
        opened = place.open(copy)
        assert set(state(opened)) == {("held", "a"), ("held", "b")}
        opened.close()
        storage.close()
