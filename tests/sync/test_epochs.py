"""Which cursors a source goes on from."""

from __future__ import annotations

import pytest

from reginfo.ledger.journal import Journal
from reginfo.sync.cursor import Cursor
from reginfo.sync.epochs import KEPT, Epochs, definition_of

from ..make import load, numbers

GROUP = "sip:all@example.com"


def opened(*begins: tuple[int, str]) -> Epochs:
    epochs, new_id = Epochs(Journal()), numbers("e")
    for begin, definition in begins:
        epochs.open(GROUP, definition, begin, new_id)
    return epochs


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [
        (Cursor("e2", 70), 70),  # of this run
        (Cursor("e2", 80), 80),
        (Cursor("e2", 81), 0),  # beyond what there is
        (Cursor("e1", 40), 40),  # of the run before, which came further
        (Cursor("e1", 50), 50),
        (Cursor("e1", 51), 0),  # what a backup did not have
        (Cursor("e9", 1), 0),  # of a database that is no more
        (None, 0),
    ],
)
def test_a_cursor_is_good_up_to_the_beginning_of_the_next_epoch(
    cursor: Cursor | None, expected: int
) -> None:
    """A cursor of another life is answered with everything: 3680-136."""
    epochs = opened((0, "d"), (50, "d"))
    assert epochs.resume(GROUP, cursor, last=80) == expected


def test_a_group_that_is_defined_anew_is_told_from_the_beginning() -> None:
    epochs = opened((0, "old"), (50, "new"))
    assert epochs.resume(GROUP, Cursor("e1", 40), 80) == 0
    assert epochs.resume(GROUP, Cursor("e2", 60), 80) == 60


def test_a_group_that_is_defined_as_before_continues() -> None:
    epochs = opened((0, "d"), (50, "other"), (60, "d"))
    assert epochs.resume(GROUP, Cursor("e1", 40), 80) == 40
    assert epochs.resume(GROUP, Cursor("e2", 55), 80) == 0


def test_epochs_are_kept_on_disk_and_the_oldest_forgotten() -> None:
    journal, new_id = Journal(), numbers("e")
    epochs = Epochs(journal)
    for begin in range(KEPT + 2):
        epochs.open(GROUP, "d", begin, new_id)
    again = Epochs(Journal())
    load(again.shelves, journal.close().entries[-1:])
    assert again.resume(GROUP, Cursor("e2", 2), 99) == 0
    assert again.resume(GROUP, Cursor("e3", 3), 99) == 3


def test_an_epoch_whose_commit_fails_was_never_opened() -> None:
    journal = Journal()
    epochs = Epochs(journal)
    epochs.open(GROUP, "d", 0, numbers("e"))
    journal.close().take_back()
    assert epochs.resume(GROUP, Cursor("e1", 0), 0) == 0
    assert epochs.resume("sip:other@example.com", Cursor("e1", 0), 0) == 0


def test_a_definition_is_of_table_and_domains_in_any_order() -> None:
    assert definition_of("t", ["a", "b"]) == definition_of("t", ["b", "a"])
    different = [("t", ["a"]), ("u", ["a"]), ("t", ["a", "b"]), ("t", ["ab"])]
    assert len({definition_of(*one) for one in different}) == 4
