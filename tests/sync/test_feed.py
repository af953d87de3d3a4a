"""What one link has been told, without a network and at exact times."""

from __future__ import annotations

from reginfo.sync.feed import BULK, CHECK_PACE, KEEP_ALIVE, NEVER, PACE, WINDOW, Feed


def feed(
    window: int = WINDOW, *, at: int = 0, last: int = 0, verify: float = 0
) -> Feed:
    """A feed that has begun at 100 s, and has sent nothing yet."""
    made = Feed(window, verify)
    made.resume(at, last, last - at, 100.0)
    return made


def test_a_document_is_due_at_once_after_a_subscribe_if_only_with_a_cursor() -> None:
    one = feed(at=5, last=5)
    assert one.next_at(5) <= 100
    assert one.is_quiet(100)
    one.answered(one.sends(5, 0, 100))
    assert one.next_at(5) == 100 + KEEP_ALIVE


def test_a_change_goes_at_once_when_nothing_is_under_way() -> None:
    """
    3680-137: what changes until the answer comes goes together.
    """
    one = feed()
    one.answered(one.sends(0, 0, 100))
    assert one.next_at(1) <= 100
    first = one.sends(1, 1, 100)
    assert one.next_at(20) == NEVER
    one.answered(first)
    assert one.next_at(20) <= 100
    one.sends(20, 19, 101)
    assert one.under_way == 1


def test_far_behind_up_to_eight_documents_are_under_way_and_paced() -> None:
    one = feed(last=10_000)
    now = 100.0
    for at in range(WINDOW):
        assert one.next_at(10_000) <= now
        one.sends(60 * (at + 1), 60, now)
        assert one.next_at(10_000) in (now + PACE, NEVER)
        now += PACE
    assert one.next_at(10_000) == NEVER


def test_over_udp_one_document_is_under_way() -> None:
    one = feed(window=1, last=10_000)
    flight = one.sends(10, 10, 100)
    assert one.next_at(10_000) == NEVER
    one.answered(flight)
    assert one.next_at(10_000) == 100 + PACE


def test_told_is_the_unbroken_prefix_of_good_answers() -> None:
    one = feed(last=10 * BULK)
    first, second, third = [one.sends(10 * n, 10, 100) for n in (1, 2, 3)]
    one.answered(third)
    assert one.told == 0
    one.answered(first)
    assert one.told == 10
    one.answered(second)
    assert one.told == 30


def test_a_refusal_goes_back_to_what_is_told_after_a_pause() -> None:
    """A source sends again whatever follows the unbroken prefix of 200s (6665-131)."""
    one = feed(last=10 * BULK)
    first, second, third = [one.sends(10 * n, 10, 100) for n in (1, 2, 3)]
    one.answered(first)
    assert one.failed(second, 107.0)
    assert (one.sent, one.seen, one.under_way) == (10, 10, 0)
    assert one.next_at(10 * BULK) == 107
    assert not one.answered(third), "it is sent again already"
    assert not one.failed(third, 200.0)
    assert one.told == 10


def test_what_is_not_for_the_link_takes_no_document() -> None:
    one = feed(at=5, last=5)
    one.answered(one.sends(5, 0, 100))
    one.passes(9, 101)
    assert one.next_at(9) == 100 + KEEP_ALIVE
    flight = one.sends(10, 1, 102)
    assert flight.to == 10
    one.answered(flight)
    assert one.told == 10


def test_a_suspect_link_is_sent_nothing_until_it_asks_anew() -> None:
    """
    6665-130: a NOTIFY without an answer does not end the link, and sends no more.
    """
    one = feed(last=10)
    one.sends(10, 10, 100)
    one.suspend(132)
    assert one.suspect_since == 132
    assert one.next_at(10**6) == NEVER
    one.suspend(140)
    assert one.suspect_since == 132
    one.resume(10, 12, 2, 150)
    assert one.suspect_since is None
    assert one.next_at(12) <= 150


def test_what_was_before_the_subscribe_is_sent_whoever_told_it() -> None:
    one = feed(at=3, last=8)
    assert one.kept_back == 8


def test_a_verification_waits_until_all_is_told_and_is_paced() -> None:
    one = feed(at=5, last=5, verify=1000)
    one.answered(one.sends(5, 0, 100))
    assert one.check_from(1099) is None
    one.answered(one.sends(5, 0, 1099))
    assert one.next_at(5) == 1100
    assert one.check_from(1100) == 0
    one.answered(one.checks(3, False, 1100))
    assert one.next_at(5) == 1100 + CHECK_PACE
    assert one.check_from(1100.1) is None
    assert one.check_from(1101) == 3
    one.answered(one.checks(5, True, 1101))
    assert one.check is None
    assert one.check_from(2100) is None
    assert one.check_from(2101) == 0
    assert one.told == 5


def test_without_verification_there_is_none() -> None:
    one = feed(at=5, last=5)
    one.answered(one.sends(5, 0, 100))
    assert one.check_from(10**9) is None


def test_progress_counts_what_is_told_of_a_transfer() -> None:
    one = feed(last=1000)
    assert one.is_syncing
    assert one.about == 1000
    one.answered(one.sends(60, 60, 100))
    assert one.count == 60
    one.answered(one.sends(1000, 940, 100))
    assert not one.is_syncing


def test_how_long_a_link_is_behind_is_known() -> None:
    one = feed(last=0)
    flight = one.sends(1, 1, 100)
    assert one.behind_since == 100
    one.answered(flight)
    assert one.behind_since is None
