"""Where every user is, and until when."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.ledger.journal import Journal
from reginfo.location.binding import KIND, Binding, BindingChange
from reginfo.location.keyring import KeyChange
from reginfo.location.store import (
    LEARNED_GRACE,
    RETRY_AFTER,
    TABLE,
    LocationStore,
)

from ..make import ALICE, BOB, EXPIRED, NOW, WALL, binding, here, load, moment
from .test_merge import CYCLE, claims

DESK = "sip:alice@192.0.2.51"


class Watched:
    """A store, and what it has announced."""

    def __init__(self, server_id: str = "a") -> None:
        self.journal = Journal()
        self.store = LocationStore(server_id, self.journal)
        self.store.listener = self.listen
        self.changes: list[BindingChange] = []

    def listen(self, change: BindingChange | KeyChange) -> None:
        if isinstance(change, BindingChange):
            self.changes.append(change)

    def apply(self, *claims: Binding, now: float = NOW, aor: str = ALICE) -> None:
        self.store.apply(aor, claims, now)

    def events(self) -> list[str]:
        events = [change.binding.event.value for change in self.changes]
        self.changes.clear()
        return events

    def pass_time(self, until: float) -> None:
        while (at := self.store.timer_at) is not None and at <= until:
            self.store.timer_due(moment(at))

    def view(self) -> Any:
        """All that anybody can ask."""
        return {aor: self.store.rows(aor) for aor in self.store.aors()}


def test_what_is_claimed_is_bound_until_it_ends() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60))
    (bound,) = watched.store.bindings(ALICE, NOW + 59.9)
    assert bound.contact == "sip:alice@192.0.2.50"
    assert watched.store.bindings(ALICE, NOW + 60) == []
    assert watched.store.bindings(BOB, NOW) == []


def test_all_claims_are_in_before_any_is_announced() -> None:
    # 3261-13
    watched = Watched()
    seen: list[int] = []
    watched.store.listener = lambda change: seen.append(
        len(watched.store.bindings(ALICE, change.at))
    )
    watched.apply(binding(), binding(contact=DESK))
    assert seen == [2, 2]


def test_changes_that_belong_together_say_so() -> None:
    watched = Watched()
    watched.apply(binding(), binding(contact=DESK), binding(contact="sip:c@192.0.2.52"))
    assert [change.more for change in watched.changes] == [True, True, False]


def test_each_change_has_a_sequence_number_one_higher() -> None:
    watched = Watched()
    watched.apply(binding(1), binding(1, contact=DESK))
    watched.apply(binding(2))
    assert [change.sequence for change in watched.changes] == [1, 2, 3]
    assert watched.store.sequence == 3


def test_an_echo_changes_nothing() -> None:
    watched = Watched()
    watched.apply(binding(2))
    watched.journal.close()
    watched.changes.clear()
    for echo in (binding(2), binding(1)):
        watched.apply(echo)
    assert watched.changes == []
    assert watched.journal.close().entries == []
    assert watched.store.sequence == 1


@pytest.mark.parametrize("order", list(itertools.permutations(CYCLE)))
def test_a_cycle_of_call_id_and_time_has_one_winner(order: tuple[Binding, ...]) -> None:
    watched = Watched()
    for claim in order:
        watched.apply(claim)
    (bound,) = watched.store.bindings(ALICE, NOW)
    assert (bound.call_id, bound.stamp) == ("b", 15)
    assert watched.store.claims(ALICE, bound.key) == (CYCLE[2], CYCLE[0])


@given(st.lists(claims, max_size=8), st.randoms(use_true_random=False))
def test_all_servers_come_to_the_same(given_claims: list[Binding], random: Any) -> None:
    one, other = Watched("s1"), Watched("s2")
    shuffled = list(given_claims)
    random.shuffle(shuffled)
    for claim in given_claims:
        one.apply(claim)
    other.apply(*shuffled)
    assert one.view() == other.view()


def test_a_claim_that_loses_is_kept_and_announced_to_nobody() -> None:
    watched = Watched()
    watched.apply(binding(1, call_id="a", stamp=2))
    watched.changes.clear()
    watched.apply(binding(1, call_id="b", stamp=1))
    assert watched.changes == []
    key = binding().key
    assert [c.call_id for c in watched.store.claims(ALICE, key)] == ["a", "b"]
    assert watched.store.claims(BOB, key) == ()


def test_that_what_is_gone_is_gone_is_announced_once() -> None:
    # 3680-31: a peer says it again, for a reason of its own.
    watched = Watched()
    watched.apply(binding(1, source="b/x", owner="b"))
    watched.apply(binding(1, "expired", stamp=5, owner="b"))
    watched.apply(binding(1, "unregistered", stamp=6, owner="b"))
    assert watched.events() == ["registered", "expired"]
    assert watched.store.claims(ALICE, binding().key)[0].stamp == 6


def test_that_what_was_never_there_is_gone_is_kept_and_announced_to_nobody() -> None:
    watched = Watched()
    watched.apply(binding(2, "unregistered"))
    assert watched.changes == []
    watched.apply(binding(1))
    assert watched.store.bindings(ALICE, NOW) == []


def test_tables_are_apart() -> None:
    watched = Watched()
    watched.store.apply(ALICE, [binding()], NOW, "other")
    assert watched.store.bindings(ALICE, NOW) == []
    assert watched.store.rows(ALICE) == {}
    assert list(watched.store.aors()) == []
    assert list(watched.store.aors("other")) == [ALICE]
    assert len(watched.store.bindings(ALICE, NOW, "other")) == 1
    assert watched.changes[0].table == "other"


def test_a_store_without_a_listener_keeps_what_it_is_told() -> None:
    store = LocationStore("a", Journal())
    assert store.timer_at is None
    assert len(store.apply(ALICE, [binding()], NOW)) == 1
    assert len(store.bindings(ALICE, NOW)) == 1


# Stamps.


def test_a_stamp_is_later_than_any_before_even_if_the_calendar_goes_back() -> None:
    store = Watched().store
    first = store.next_stamp(WALL)
    assert first == WALL * 1e6
    assert store.next_stamp(WALL) == first + 1
    assert store.next_stamp(WALL - 3600) == first + 2
    assert store.next_stamp(WALL + 1) == (WALL + 1) * 1e6


def test_a_stamp_is_later_than_any_that_a_peer_has_made() -> None:
    watched = Watched()
    ahead = int((WALL + 500) * 1e6)
    watched.apply(binding(stamp=ahead, owner="b"))
    assert watched.store.next_stamp(WALL) == ahead + 1


# Time.


def test_a_binding_of_ours_expires_at_its_time() -> None:
    # 3261-16, 3680-21
    watched = Watched("a")
    watched.apply(binding(stamp=7, expires_at=NOW + 60, owner="a"))
    watched.events()
    watched.pass_time(NOW + 59.8)
    assert watched.events() == []
    watched.pass_time(NOW + 60.125)
    (change,) = watched.changes
    gone = change.binding
    assert (gone.event, gone.owner, gone.source) == (EXPIRED, "a", None)
    assert gone.stamp > 7
    assert gone.expires_at == NOW + 60


def test_a_learned_binding_waits_for_its_owner_to_say_that_it_has_expired() -> None:
    watched = Watched("a")
    watched.apply(binding(expires_at=NOW + 60, owner="b", source="b/x"))
    watched.events()
    watched.pass_time(NOW + 60 + LEARNED_GRACE - 0.2)
    assert watched.store.bindings(ALICE, NOW + 60) == []  # gone, though not said so
    assert watched.events() == []
    watched.pass_time(NOW + 60 + LEARNED_GRACE + 0.125)
    (change,) = watched.changes
    gone = change.binding
    assert (gone.event, gone.owner, gone.source) == (EXPIRED, "b", "b/x")


def test_what_its_owner_said_in_time_is_not_said_again() -> None:
    watched = Watched("a")
    watched.apply(binding(expires_at=NOW + 60, owner="b", source="b/x"))
    watched.apply(binding(1, "expired", stamp=9, expires_at=NOW + 60, owner="b"))
    watched.events()
    watched.pass_time(NOW + 3600)
    assert watched.events() == []


def test_a_refresh_puts_off_the_end() -> None:
    watched = Watched()
    watched.apply(binding(1, expires_at=NOW + 60))
    watched.apply(binding(2, "refreshed", expires_at=NOW + 120))
    watched.pass_time(NOW + 119)
    assert watched.events() == ["registered", "refreshed"]
    watched.pass_time(NOW + 121)
    assert watched.events() == ["expired"]


def test_a_later_end_that_becomes_earlier_is_kept() -> None:
    watched = Watched()
    watched.apply(binding(1, expires_at=NOW + 3600))
    watched.apply(binding(2, "refreshed", expires_at=NOW + 60))
    watched.events()
    watched.pass_time(NOW + 61)
    assert watched.events() == ["expired"]


def test_a_tombstone_is_forgotten_and_nothing_remains() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60))
    watched.pass_time(NOW + 60 + 91)
    assert len(watched.store.rows(ALICE)) == 1
    watched.journal.close()
    watched.pass_time(NOW + 60 + 93)
    assert list(watched.store.aors()) == []
    assert watched.store.timer_at is None
    batch = watched.journal.close()
    key = "\0".join([TABLE, ALICE, binding().key, "a"])
    assert batch.entries == [(KIND, key, None)]
    assert not batch.urgent
    batch.take_back()
    (claim,) = watched.store.claims(ALICE, binding().key)
    assert claim.event == EXPIRED


def test_one_of_several_losers_is_forgotten() -> None:
    watched = Watched()
    for stamp, seconds in enumerate([60, 120, 3600], 1):
        watched.apply(
            binding(1, call_id=f"c{stamp}", stamp=stamp, expires_at=NOW + seconds)
        )
    watched.journal.close()
    watched.pass_time(NOW + 60 + 93)
    calls = [claim.call_id for claim in watched.store.claims(ALICE, binding().key)]
    assert calls == ["c3", "c2"]
    ((_, key, value),) = watched.journal.close().entries
    assert (key.split("\0")[3], value) == ("c1", None)


def test_a_tombstone_is_forgotten_and_the_other_contacts_stay() -> None:
    watched = Watched()
    watched.apply(binding(2, "unregistered", expires_at=NOW + 60))
    watched.apply(binding(contact=DESK, expires_at=NOW + 3600))
    watched.pass_time(NOW + 60 + 93)
    (bound,) = watched.store.bindings(ALICE, NOW + 60 + 93)
    assert bound.contact == DESK
    assert len(watched.store.rows(ALICE)) == 1


def test_a_tombstone_outlives_a_loser_that_ends_before_it() -> None:
    watched = Watched()
    watched.apply(binding(1, call_id="a", stamp=1, expires_at=NOW + 60))
    gone = binding(1, "unregistered", call_id="b", stamp=2, expires_at=NOW + 3600)
    watched.apply(gone)
    watched.pass_time(NOW + 60 + 93)
    assert watched.store.claims(ALICE, gone.key) == (gone,)


def test_a_tombstone_stays_as_long_as_a_loser_that_it_keeps_out() -> None:
    watched = Watched()
    for stamp, seconds in ((1, 3600), (2, 120)):
        watched.apply(
            binding(1, call_id=f"c{stamp}", stamp=stamp, expires_at=NOW + seconds)
        )
    gone = binding(1, "unregistered", call_id="c3", stamp=3, expires_at=NOW + 60)
    watched.apply(gone)
    watched.pass_time(NOW + 120 + 93)
    calls = [claim.call_id for claim in watched.store.claims(ALICE, gone.key)]
    assert calls == ["c3", "c1"]
    assert watched.store.bindings(ALICE, NOW + 120 + 93) == []


def test_a_contact_expires_in_its_own_table() -> None:
    watched = Watched()
    watched.store.apply(ALICE, [binding(expires_at=NOW + 60)], NOW, "other")
    watched.pass_time(NOW + 61)
    assert [(c.table, c.binding.event.value) for c in watched.changes] == [
        ("other", "registered"),
        ("other", "expired"),
    ]
    assert list(watched.store.aors()) == []
    watched.pass_time(NOW + 61 + 93)
    assert list(watched.store.aors("other")) == []


def test_what_expires_is_not_to_be_tried_again_later() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60, retry_after=5))
    watched.pass_time(NOW + 61)
    assert watched.changes[-1].binding.retry_after is None


def test_a_loser_is_forgotten_while_the_winner_lives() -> None:
    watched = Watched()
    watched.apply(binding(1, call_id="a", stamp=1, expires_at=NOW + 60))
    watched.apply(binding(1, call_id="b", stamp=2, expires_at=NOW + 3600))
    key = binding().key
    watched.pass_time(NOW + 60 + 93)
    assert [c.call_id for c in watched.store.claims(ALICE, key)] == ["b"]
    assert len(watched.store.bindings(ALICE, NOW + 3599)) == 1
    watched.events()
    watched.pass_time(NOW + 3601)
    assert watched.events() == ["expired"]


@pytest.mark.parametrize("removed", [False, True])
def test_what_is_gone_does_not_come_back_with_an_older_longer_claim(
    removed: bool,
) -> None:
    watched = Watched()
    watched.apply(binding(1, call_id="long", stamp=1, expires_at=NOW + 3600))
    watched.apply(binding(1, call_id="short", stamp=2, expires_at=NOW + 60))
    if removed:
        gone = binding(2, "unregistered", call_id="short", stamp=3, expires_at=NOW + 60)
        watched.apply(gone)
    at = NOW + 61.0
    while at < NOW + 3600 + 93:
        watched.pass_time(at)
        assert watched.store.bindings(ALICE, at) == []
        at += 10.0
    watched.pass_time(at)
    assert list(watched.store.aors()) == []
    assert watched.events().count("registered") == 2


# What is taken back.


times = st.floats(0, 400).map(lambda t: NOW + round(t, 2))
steps = st.one_of(
    st.tuples(st.just("apply"), st.lists(claims, min_size=1, max_size=3), times),
    st.tuples(st.just("time"), times),
)


def replay(watched: Watched, given_steps: list[Any], since: float = NOW) -> float:
    """Apply claims, and let time pass, which never goes back; returns when it is."""
    for step in given_steps:
        if step[0] == "apply":
            ends = [
                msgspec.structs.replace(claim, expires_at=step[2]) for claim in step[1]
            ]
            watched.apply(*ends, now=since)
        else:
            since = max(since, step[1])
            watched.pass_time(since)
    return since


@given(st.lists(steps, max_size=5), st.lists(steps, max_size=6))
def test_what_is_taken_back_never_was(kept: list[Any], undone: list[Any]) -> None:
    watched, other = Watched("s1"), Watched("s1")
    now = replay(watched, kept)
    assert replay(other, kept) == now
    watched.journal.close()
    before = watched.view()
    later = replay(watched, undone, now)
    watched.journal.close().take_back()
    assert watched.view() == before == other.view()
    # And so do the timers: all that is due is announced, and forgotten in the end.
    for one in (watched, other):
        one.changes.clear()
        one.pass_time(later + 2 * RETRY_AFTER)
        one.pass_time(NOW + 10_000)
        assert list(one.store.aors()) == []
        assert one.store.timer_at is None
    first, second = (
        sorted((c.binding.call_id, c.binding.cseq) for c in one.changes)
        for one in (watched, other)
    )
    assert first == second


def test_an_expiry_that_could_not_be_committed_is_tried_again_but_not_at_once() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60))
    watched.journal.close()
    watched.store.timer_due(moment(NOW + 60, WALL))
    assert watched.events() == ["registered", "expired"]
    watched.journal.close().take_back()
    assert watched.store.claims(ALICE, binding().key)[0].active
    watched.pass_time(NOW + 60 + RETRY_AFTER - 1)
    assert watched.events() == []
    watched.pass_time(NOW + 60 + RETRY_AFTER + 1)
    assert watched.events() == ["expired"]


# From the disk.


def disk(watched: Watched) -> dict[str, Any]:
    """What is on disk once the open batch is."""
    rows: dict[str, Any] = {}
    for kind, key, value in watched.journal.close().entries:
        assert kind == KIND
        rows[key] = None if value is None else msgspec.to_builtins(value)
    return {key: value for key, value in rows.items() if value is not None}


def restart(watched: Watched, now: float, shift: float = 0.0) -> Watched:
    after = Watched()
    entries = [(KIND, key, value) for key, value in disk(watched).items()]
    load(after.store.shelves, entries, shift)
    after.store.begin(here(), moment(now))
    return after


def test_after_a_restart_everything_is_as_it_was() -> None:
    watched = Watched()
    watched.apply(*CYCLE)
    watched.apply(binding(1, contact=DESK), aor=BOB)
    watched.apply(binding(2, "unregistered", contact=DESK), aor=BOB)
    before = watched.view()
    after = restart(watched, NOW)
    assert after.view() == before
    assert after.changes == []
    assert after.store.next_stamp(0.0) == 16


def test_times_are_on_the_clock_of_the_new_start() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 600, registered_at=NOW - 5))
    after = restart(watched, 50.0, shift=-NOW)
    (bound,) = after.store.bindings(ALICE, 50.0)
    assert (bound.expires_at, bound.registered_at) == (600.0, -5.0)


def test_a_stamp_that_cannot_be_true_does_not_move_the_clock_at_a_start() -> None:
    watched = Watched()
    watched.apply(binding(stamp=2**62 - 1, owner="b"))
    watched.apply(binding(stamp=int((WALL + 5) * 1e6), owner="b", contact=DESK))
    after = Watched()
    load(after.store.shelves, [(KIND, k, v) for k, v in disk(watched).items()])
    key = ["v", 2**62 - 1, "b", "b/x"]
    load(after.store.shelves, [("key", f"{TABLE}\0{ALICE}\0k", key)])
    after.store.begin(here(), moment(NOW, WALL))
    assert after.store.next_stamp(WALL) == (WALL + 5) * 1e6 + 1


def test_what_expired_while_we_were_down_is_told_as_expired() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60))
    rows = disk(watched)
    for late in (60, 90):
        after = Watched()
        load(after.store.shelves, [(KIND, k, v) for k, v in rows.items()])
        after.store.begin(here(), moment(NOW + late, WALL + late))
        assert after.store.bindings(ALICE, NOW + late) == []
        assert after.events() == ["expired"]


def test_what_was_loaded_is_forgotten_like_anything_else() -> None:
    watched = Watched()
    watched.apply(binding(1, "unregistered", expires_at=NOW + 60))
    after = restart(watched, NOW)
    after.pass_time(NOW + 60 + 93)
    assert list(after.store.aors()) == []


def test_what_was_forgotten_stays_so_over_a_restart() -> None:
    watched = Watched()
    watched.apply(binding(1, call_id="a", stamp=1, expires_at=NOW + 60))
    watched.apply(binding(1, call_id="b", stamp=2, expires_at=NOW + 3600))
    watched.pass_time(NOW + 200)
    after = restart(watched, NOW + 200)
    assert [c.call_id for c in after.store.claims(ALICE, binding().key)] == ["b"]


def test_the_key_of_an_entry_names_table_aor_contact_and_call_id() -> None:
    watched = Watched()
    watched.apply(binding())
    ((_, key, value),) = watched.journal.close().entries
    assert key.split("\0") == [TABLE, ALICE, binding().key, "a"]
    assert value == binding()
