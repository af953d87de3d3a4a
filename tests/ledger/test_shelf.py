"""A shelf is a map that is on disk; its undo is the value that stood there."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.ledger import shelf
from reginfo.ledger.journal import Journal
from reginfo.ledger.memory import MemoryStorage
from reginfo.ledger.shelf import Rows, Shelf
from reginfo.ledger.storage import StoredRow

from ..make import NOW, WALL


class Moment(msgspec.Struct, frozen=True):
    at: float


def moments(journal: Journal) -> Shelf[Moment]:
    return Shelf(journal, "moment", Moment, lambda value, by: Moment(value.at + by))


changes = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.floats(0, 9)), max_size=12
)


@given(changes, changes)
def test_what_is_taken_back_is_as_it_was(
    kept: list[tuple[str, float | None]], undone: list[tuple[str, float | None]]
) -> None:
    journal = Journal()
    one = moments(journal)

    def change(what: list[tuple[str, float | None]]) -> None:
        for key, at in what:
            if at is None:
                one.drop(key)
            else:
                one.put(key, Moment(at))

    change(kept)
    storage = MemoryStorage()
    storage.append(journal.close().entries, boot=NOW, wall=WALL)
    before = {key: one[key] for key in one}
    change(undone)
    journal.close().take_back()
    assert {key: one[key] for key in one} == before
    # And a start finds the same.
    after = moments(Journal())
    shelf.load(storage, [after], boot=NOW, wall=WALL, boot_id="")
    assert {key: after[key] for key in after} == before


def test_a_shelf_is_read_like_a_map() -> None:
    one = moments(Journal())
    one.put("a", Moment(1.0))
    assert len(one) == 1
    assert "a" in one
    assert one.get("b") is None
    assert list(one.values()) == [Moment(1.0)]


def test_its_owner_hears_of_what_was_put_back() -> None:
    journal = Journal()
    heard: list[str] = []
    one: Shelf[int] = Shelf(journal, "number", int, restored=heard.append)
    one.put("a", 1)
    journal.close()
    one.put("a", 2)
    one.drop("b")
    one.put("c", 3)
    journal.close().take_back()
    assert heard == ["c", "a"]
    assert one["a"] == 1


def test_what_is_not_urgent_waits_for_another_commit() -> None:
    journal = Journal()
    one = moments(journal)
    one.put("a", Moment(1.0), urgent=False)
    one.drop("a", urgent=False)
    assert not journal.close().urgent
    one.put("a", Moment(1.0))
    assert journal.close().urgent


def test_moments_are_on_the_present_clock_once_loaded() -> None:
    one = moments(Journal())
    one.load(StoredRow("moment", "a", msgspec.msgpack.encode(Moment(5.0)), 2.0))
    json = msgspec.json.encode(Moment(5.0))
    one.load(StoredRow("moment", "b", json, 0.0, True))
    one.load(StoredRow("moment", "c", json.decode(), 1.0, True))
    assert [one["a"].at, one["b"].at, one["c"].at] == [7.0, 5.0, 6.0]


@pytest.mark.parametrize(
    "value", [b"", b"\xc1", "[5.0]", msgspec.msgpack.encode(["x"])]
)
def test_a_row_that_cannot_be_used_is_left_out_and_logged(
    value: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    one = moments(Journal())
    one.load(StoredRow("moment", "bad", value))
    one.load(StoredRow("moment", "good", msgspec.msgpack.encode(Moment(5.0))))
    assert list(one) == ["good"]
    assert "stored row moment 'bad' cannot be used, left out" in caplog.text


def test_what_its_owner_cannot_take_is_left_out_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken: list[str] = []

    def take(key: str, value: int) -> None:
        if value > 1:
            raise ValueError("too large")
        taken.append(key)

    rows: Rows[int] = Rows(Journal(), "number", int, take)
    storage = MemoryStorage()
    batch = [("number", key, n) for n, key in enumerate("abc")]
    storage.append([*batch, ("unknown", "x", 1)], boot=NOW, wall=WALL)
    shelf.load(storage, [rows], boot=NOW, wall=WALL, boot_id="")
    assert taken == ["a", "b"]
    assert "too large" in caplog.text
