"""What a batch of work has changed, and how to take it back."""

from __future__ import annotations

import logging

import pytest

from reginfo.ledger.journal import Journal


def test_a_batch_is_taken_back_newest_first() -> None:
    done: list[int] = []
    journal = Journal()
    journal.write("kind", "one", 1, done.append, 1)
    journal.remember(done.append, 2)
    journal.write("kind", "two", None, done.append, 3, urgent=False)
    batch = journal.close()
    assert batch.entries == [("kind", "one", 1), ("kind", "two", None)]
    batch.take_back()
    assert done == [3, 2, 1]


def test_a_later_batch_is_taken_back_before_an_earlier_one() -> None:
    done: list[int] = []
    journal = Journal()
    journal.remember(done.append, 1)
    first = journal.close()
    journal.remember(done.append, 2)
    journal.after(done.append, 3)
    first.add(journal.close())
    first.take_back()
    assert done == [2, 1]
    first.announce()
    assert done == [2, 1, 3]


def test_two_batches_that_become_one_are_written_and_announced_whole() -> None:
    done: list[int] = []
    journal = Journal()
    journal.write("kind", "one", 1, print)
    journal.after(done.append, 1)
    first = journal.close()
    journal.write("kind", "two", 2, print)
    journal.after(done.append, 2)
    first.add(journal.close())
    assert first.entries == [("kind", "one", 1), ("kind", "two", 2)]
    first.announce()
    assert done == [1, 2]


def test_a_batch_is_urgent_if_anything_in_it_is() -> None:
    journal = Journal()
    journal.write("kind", "key", 1, print, urgent=False)
    lazy = journal.close()
    assert not lazy.urgent
    journal.write("kind", "key", 1, print)
    journal.write("kind", "key", 1, print, urgent=False)
    urgent = journal.close()
    assert urgent.urgent
    lazy.add(urgent)
    assert lazy.urgent


def test_what_is_rolled_back_is_undone_and_nothing_of_it_remains() -> None:
    done: list[str] = []
    journal = Journal()
    journal.write("kind", "kept", 1, done.append, "kept", urgent=False)
    journal.after(done.append, "after kept")
    mark = journal.mark()
    journal.write("kind", "undone", 1, done.append, "first")
    journal.remember(done.append, "second")
    journal.after(done.append, "after undone")
    journal.roll_back(mark)
    assert done == ["second", "first"]
    batch = journal.close()
    assert batch.entries == [("kind", "kept", 1)]
    assert not batch.urgent
    batch.announce()
    assert done == ["second", "first", "after kept"]


def test_what_was_urgent_before_stays_so_when_the_rest_is_rolled_back() -> None:
    journal = Journal()
    journal.write("kind", "kept", 1, print)
    mark = journal.mark()
    journal.write("kind", "undone", 1, print, urgent=False)
    journal.roll_back(mark)
    assert journal.close().urgent


def test_a_closed_batch_leaves_an_empty_journal() -> None:
    journal = Journal()
    journal.write("kind", "key", 1, print)
    journal.close()
    empty = journal.close()
    assert (empty.entries, empty.undo, empty.after, empty.urgent) == ([], [], [], False)


class Outbox:
    """What is sent with a batch, as numbers."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def mark(self) -> int:
        return len(self.sent)

    def roll_back(self, mark: int) -> None:
        del self.sent[mark:]


def test_an_attempt_that_fails_takes_back_journal_and_outbox() -> None:
    done: list[int] = []
    outbox = Outbox()
    journal = Journal(outbox)
    journal.write("kind", "kept", 0, done.append, 0, urgent=False)
    outbox.sent.append(0)
    with pytest.raises(ZeroDivisionError), journal.attempt():
        journal.write("kind", "one", 1, done.append, 1)
        journal.remember(done.append, 2)
        journal.after(done.append, 3)
        outbox.sent.append(1)
        raise ZeroDivisionError
    assert done == [2, 1]
    assert outbox.sent == [0]
    batch = journal.close()
    assert batch.entries == [("kind", "kept", 0)]
    assert not batch.urgent
    batch.announce()
    assert done == [2, 1]


def test_an_attempt_inside_another_is_taken_back_alone() -> None:
    done: list[int] = []
    journal = Journal()
    with journal.attempt():
        journal.write("kind", "outer", 1, done.append, 1)
        with pytest.raises(ZeroDivisionError), journal.attempt():
            journal.write("kind", "inner", 2, done.append, 2)
            raise ZeroDivisionError
    assert done == [2]
    assert journal.close().entries == [("kind", "outer", 1)]


def test_an_announcement_that_fails_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is durable is announced to everybody, whoever fails."""
    done: list[int] = []

    def broken() -> None:
        raise ZeroDivisionError

    journal = Journal()
    journal.after(done.append, 1)
    journal.after(broken)
    journal.after(done.append, 2)
    with caplog.at_level(logging.ERROR):
        journal.close().announce()
    assert done == [1, 2]
    assert len(caplog.records) == 1
