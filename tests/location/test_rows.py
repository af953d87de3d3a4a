"""The rows of contacts: on disk, loaded, numbered, and put back."""

from __future__ import annotations

import pytest

from reginfo.location.place import TABLE
from reginfo.location.rows import LEARNED_GRACE, OVER_AGE, RETRY_AFTER
from reginfo.location.store import LONGEST_LIFE

from ..make import ALICE, BOB, NOW, binding, moment, place
from .watched import CYCLE, Watched, restart

DESK = "sip:alice@192.0.2.51"
KEY = binding().key


def test_after_a_restart_everything_is_as_it_was() -> None:
    watched = Watched()
    watched.apply(*CYCLE)
    watched.apply(binding(1, contact=DESK), aor=BOB)
    watched.apply(binding(2, "unregistered", contact=DESK), aor=BOB)
    before = watched.view()
    after = restart(watched, NOW)
    assert after.view() == before
    assert after.changes == []
    assert after.numbers() == watched.numbers()
    assert after.store.changes.last == watched.store.changes.last


def test_times_are_on_the_clock_of_the_new_start() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 600, registered_at=NOW - 5))
    after = restart(watched, 50.0, shift=-NOW)
    (bound,) = after.store.bindings(place(ALICE), 50.0)
    assert (bound.expires_at, bound.registered_at) == (600.0, -5.0)


def test_a_life_that_was_evicted_stays_so_over_a_restart() -> None:
    watched = Watched()
    for number in range(20):
        watched.apply(binding(1, call_id=f"c{number}", begin=number, stamp=number))
    after = restart(watched, NOW)
    claims = after.store.claims(place(ALICE), binding().key)
    assert [c.call_id for c in claims] == [f"c{n}" for n in range(19, 12, -1)]


def test_the_key_of_an_entry_names_table_aor_contact_and_call_id() -> None:
    watched = Watched()
    watched.apply(binding())
    ((_, key, value),) = watched.journal.close().entries
    assert key.split("\0") == [TABLE, ALICE, binding().key, "1 a"]
    assert value == binding(number=1)


def test_a_refresh_replaces_the_row_and_its_number() -> None:
    watched = Watched()
    watched.apply(binding(1))
    (first,) = watched.journal.close().entries
    watched.apply(binding(2))
    (second,) = watched.journal.close().entries
    assert first[1] == second[1]  # one life, one row
    assert watched.numbers() == [2]
    assert len(watched.store.changes) == 1


def test_each_life_has_a_row_and_an_evicted_life_is_erased() -> None:
    watched = Watched()
    for number in range(9):
        watched.apply(binding(1, call_id=f"c{number}", begin=number, stamp=number))
    entries = watched.journal.close().entries
    erased = [key.split("\0")[3] for _, key, value in entries if value is None]
    assert erased == ["0 c0", "1 c1"]
    assert len(watched.numbers()) == 7


def test_a_contact_that_has_ended_keeps_only_what_orders_it() -> None:
    watched = Watched()
    long = binding(expires_at=NOW + 60, user_agent="Phone 1.0", params=(("x", "1"),))
    watched.apply(long)
    watched.pass_time(NOW + 60)
    (kept,) = watched.store.claims(place(ALICE), KEY)
    assert kept.order == long.order
    assert (kept.user_agent, kept.params) == ("", ())
    watched.journal.close().take_back()
    assert watched.store.rows(place(ALICE)) == {}


@pytest.mark.parametrize(("owner", "grace"), [("a", 0.0), ("b", LEARNED_GRACE)])
def test_a_contact_of_another_server_is_due_later(owner: str, grace: float) -> None:
    watched = Watched("a")
    watched.apply(binding(owner=owner, expires_at=NOW + 60))
    watched.store.timer_due(moment(NOW + 60 + grace - 0.5))
    assert watched.events() == ["registered"]
    watched.store.timer_due(moment(NOW + 60 + grace))
    assert watched.events() == ["expired"]


def test_what_is_not_bound_is_counted_until_it_is_bound_again() -> None:
    watched = Watched()
    watched.apply(binding(1, "unregistered"))
    assert watched.store.over == 1
    watched.apply(binding(2))
    assert watched.store.over == 0
    watched.journal.close().take_back()
    assert watched.store.over == 0
    assert list(watched.store.aors(TABLE)) == []


def test_a_refresh_that_is_taken_back_leaves_the_contact_as_it_was() -> None:
    """Its binding, its end, and one number, later than any that was sent."""
    watched = Watched()
    watched.apply(binding(1, expires_at=NOW + 60))
    watched.journal.close()
    watched.apply(binding(2, expires_at=NOW + 600))
    watched.journal.close().take_back()
    (bound,) = watched.store.bindings(place(ALICE), NOW)
    assert (bound.cseq, bound.expires_at) == (1, NOW + 60)
    assert watched.numbers() == [3] and len(watched.store.changes) == 1
    watched.changes.clear()
    watched.pass_time(NOW + 61)
    assert watched.events() == ["expired"]
    assert watched.store.bindings(place(ALICE), NOW) == []


def test_another_life_that_is_taken_back_leaves_the_first_as_it_was() -> None:
    watched = Watched()
    watched.apply(binding(1))
    watched.journal.close()
    watched.apply(binding(1, call_id="b", begin=5, stamp=9))
    assert watched.numbers() == [1, 2]
    watched.journal.close().take_back()
    assert [one.call_id for one in watched.store.claims(place(ALICE), KEY)] == ["a"]
    assert watched.numbers() == [1] and len(watched.store.changes) == 1


def test_a_return_that_is_taken_back_leaves_a_contact_that_is_forgotten_in_time() -> (
    None
):
    watched = Watched()
    watched.apply(binding(1, "unregistered"))
    watched.journal.close()
    at = watched.store.timer_at
    watched.apply(binding(2))
    watched.journal.close().take_back()
    assert watched.store.bindings(place(ALICE), NOW) == []
    assert watched.store.over == 1
    assert watched.store.timer_at is not None and at is not None
    assert watched.store.timer_at <= at
    watched.pass_time(NOW + 2 * LONGEST_LIFE)
    assert watched.store.rows(place(ALICE)) == {}


def test_a_forgotten_contact_that_is_taken_back_is_known_and_forgotten_again() -> None:
    watched = Watched()
    watched.apply(binding(1, "unregistered"))
    watched.journal.close()
    watched.pass_time(NOW + 2 * LONGEST_LIFE)
    assert watched.store.rows(place(ALICE)) == {} and watched.store.over == 0
    watched.journal.close().take_back()
    assert set(watched.store.rows(place(ALICE))) == {KEY} and watched.store.over == 1
    assert len(watched.numbers()) == 1
    at = watched.store.timer_at
    assert at is not None and at >= NOW + LONGEST_LIFE + RETRY_AFTER
    watched.pass_time(at)
    assert watched.store.rows(place(ALICE)) == {} and watched.store.over == 0


def test_a_contact_that_never_was_is_in_no_snapshot() -> None:
    watched = Watched()
    watched.apply(binding(1))
    watched.journal.close()
    watched.apply(binding(1, contact=DESK))
    watched.journal.close().take_back()
    assert set(watched.store.contacts(place(ALICE), NOW, 0.0).rows) == {KEY}
    assert set(watched.store.rows(place(ALICE))) == {KEY}


def test_contacts_that_were_forgotten_do_not_count_among_those_that_have_ended() -> (
    None
):
    """The limit for one user is for what is kept of it now."""
    watched = Watched()
    watched.apply(binding(1, contact=DESK, expires_at=NOW + 9 * LONGEST_LIFE))

    def end(hosts: range, now: float) -> None:
        for host in hosts:
            gone = binding(1, "unregistered", contact=f"sip:a@192.0.2.{host}")
            watched.apply(gone, now=now)

    end(range(60, 100), NOW)
    later = NOW + 2 * LONGEST_LIFE
    watched.pass_time(later)
    assert len(watched.store.rows(place(ALICE))) == 1
    end(range(100, 140), later)
    watched.pass_time(later + OVER_AGE + 1)
    assert len(watched.store.rows(place(ALICE))) == 41
