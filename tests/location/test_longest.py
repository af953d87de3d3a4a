"""How long the end of a contact is remembered: as long as any linked server grants."""

from __future__ import annotations

import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.longest import KIND, MOST, LongestLife

from ..make import load


def test_the_greatest_counts_whoever_grants_it() -> None:
    """3680-145"""
    longest = LongestLife(Journal(), 3600)
    assert longest.seconds == 3600
    longest.hear(60)
    assert longest.seconds == 3600
    longest.hear(86_400)
    longest.hear(7200)
    assert longest.seconds == 86_400


def test_what_was_heard_is_known_after_a_restart() -> None:
    """3680-145: also if the own configuration grants less, or more, from then on."""
    journal = Journal()
    LongestLife(journal, 3600).hear(86_400)
    entries = journal.close().entries
    assert entries == [(KIND, "heard", 86_400.0)]
    for own, seconds in ((60, 86_400), (90_000, 90_000)):
        after = LongestLife(Journal(), own)
        load(after.shelves, entries)
        assert after.seconds == seconds


def test_a_commit_that_fails_has_heard_nothing() -> None:
    journal = Journal()
    longest = LongestLife(journal, 3600)
    longest.hear(86_400)
    journal.close().take_back()
    assert longest.seconds == 3600


@pytest.mark.parametrize("seconds", [0, -1, MOST + 1, float("inf"), float("nan")])
def test_what_nobody_can_grant_is_refused(seconds: float) -> None:
    longest = LongestLife(Journal(), 3600)
    with pytest.raises(ValueError, match="longest life"):
        longest.hear(seconds)
    assert longest.seconds == 3600


@pytest.mark.parametrize("seconds", [1, MOST])
def test_the_shortest_and_the_longest_interval_can_be_granted(seconds: int) -> None:
    longest = LongestLife(Journal(), 0.5)
    longest.hear(seconds)
    assert longest.seconds == seconds


def test_what_is_heard_again_is_not_written_again() -> None:
    journal = Journal()
    longest = LongestLife(journal, 3600)
    for seconds in (3600, 60):
        longest.hear(seconds)
    assert journal.close().entries == []
    longest.hear(7200)
    journal.close()
    longest.hear(7200)
    assert journal.close().entries == []
