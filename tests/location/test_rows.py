"""The rows of contacts: on disk, loaded, numbered, and put back."""

from __future__ import annotations

import pytest

from reginfo.location.place import TABLE
from reginfo.location.rows import LEARNED_GRACE

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
