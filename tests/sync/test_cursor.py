"""How far a link has come, and when that moves."""

from __future__ import annotations

import pytest

from reginfo.sync.cursor import LAST, Cursor, Stretch, advanced, read_since

E1, E2 = "e1", "e2"


@pytest.mark.parametrize("number", [0, 1, 10**12, LAST])
def test_a_cursor_is_read_as_it_was_written(number: int) -> None:
    cursor = Cursor("aZ_-.~9", number)
    assert read_since(str(cursor)) == cursor


@pytest.mark.parametrize(
    "text",
    [None, "", "none", "e1", "e1/", "/1", "e1/-1", "e1/01", "e1/1.5", "e 1/1"]
    + ["e1/1/2", f"e1/{2**63}", f"e1/{2**64}", "e1/" + "9" * 5000, "e" * 65 + "/1"]
    + ["e1/١", "e1/1\n"],
)
def test_an_invalid_cursor_requests_everything(text: str | None) -> None:
    """Reading is lenient: 3680-133."""
    assert read_since(text) is None


@pytest.mark.parametrize(
    ("after", "to", "expected"),
    [
        (5, 9, 9),  # it follows
        (0, 9, 9),  # it has more than what is missing
        (4, 5, 5),  # nothing new
        (0, 3, 5),  # never back
        (6, 9, 5),  # a gap: one before it was lost
    ],
)
def test_within_an_epoch_a_cursor_moves_over_no_gap_and_never_back(
    after: int, to: int, expected: int
) -> None:
    """
    A sink moves its cursor only where a document follows what it knows (3680-134).
    """
    known = Cursor(E1, 5)
    assert advanced(known, known, Stretch(E1, after, to)) == Cursor(E1, expected)


def test_into_another_epoch_it_moves_by_what_begins_at_0_or_at_what_was_asked() -> None:
    """A document of another epoch moves the cursor only from where it is (3680-135)."""
    known = Cursor(E1, 5)
    assert advanced(known, known, Stretch(E2, 0, 3)) == Cursor(E2, 3)
    assert advanced(known, known, Stretch(E2, 5, 7)) == Cursor(E2, 7)
    assert advanced(known, known, Stretch(E2, 6, 7)) is known
    assert advanced(known, known, Stretch(E2, 4, 7)) is known


def test_what_has_moved_since_it_was_asked_for_is_not_what_was_asked() -> None:
    asked, known = Cursor(E1, 5), Cursor(E2, 5)
    assert advanced(known, asked, Stretch("e3", 5, 9)) is known


def test_without_a_cursor_only_the_beginning_counts() -> None:
    assert advanced(None, None, Stretch(E1, 0, 3)) == Cursor(E1, 3)
    assert advanced(None, None, Stretch(E1, 1, 3)) is None
