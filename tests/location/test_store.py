"""Where every user is, and until when."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding, BindingChange
from reginfo.location.claim import KIND, Claim
from reginfo.location.contact_row import ContactRow
from reginfo.location.keyring import KeyChange
from reginfo.location.lives import SLACK
from reginfo.location.place import TABLE, Place
from reginfo.location.record import Record, RecordKind
from reginfo.location.rows import (
    LEARNED_GRACE,
    OVER_AGE,
    OVER_OF_ONE,
    RETRY_AFTER,
)
from reginfo.location.stamp import Stamp
from reginfo.location.store import LONGEST_LIFE, LocationStore

from ..make import ALICE, BOB, EXPIRED, NOW, WALL, binding, here, load, moment, place
from .test_lives import ANY as claims
from .watched import CYCLE, Watched, disk, restart

DESK = "sip:alice@192.0.2.51"

LATER = NOW + LONGEST_LIFE + SLACK
"""When a contact that has ended now is forgotten, if it was granted for long."""


def test_what_is_claimed_is_bound_until_it_ends() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60))
    (bound,) = watched.store.bindings(place(ALICE), NOW + 59.9)
    assert bound.contact == "sip:alice@192.0.2.50"
    assert watched.store.bindings(place(ALICE), NOW + 60) == []
    assert watched.store.bindings(place(BOB), NOW) == []


def test_all_claims_are_in_before_any_is_announced() -> None:
    """All claims of a change are stored before any is announced (3261-13)."""
    watched = Watched()
    seen: list[int] = []
    watched.store.listener = lambda change: seen.append(
        len(watched.store.bindings(place(ALICE), change.at))
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
    (bound,) = watched.store.bindings(place(ALICE), NOW)
    assert (bound.call_id, bound.stamp) == ("b", 15)
    kept = watched.store.claims(place(ALICE), bound.key)
    assert [one.order for one in kept] == [CYCLE[2].order, CYCLE[0].order]


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
    assert [c.call_id for c in watched.store.claims(place(ALICE), key)] == ["a", "b"]
    assert watched.store.claims(place(BOB), key) == ()


def test_that_what_is_gone_is_gone_is_announced_once() -> None:
    """
    The removal of a contact is announced once, however often a peer repeats it
    (3680-31).
    """
    # A peer says it again, for a reason of its own.
    watched = Watched()
    watched.apply(binding(1, source="b/x", owner="b"))
    watched.apply(binding(1, "expired", edition=5, owner="b"))
    watched.apply(binding(1, "unregistered", edition=6, owner="b"))
    assert watched.events() == ["registered", "expired"]
    assert watched.store.claims(place(ALICE), binding().key)[0].edition == 6


def test_that_what_was_never_there_is_gone_is_kept_and_announced_to_nobody() -> None:
    watched = Watched()
    watched.apply(binding(2, "unregistered"))
    assert watched.changes == []
    watched.apply(binding(1))
    assert watched.store.bindings(place(ALICE), NOW) == []


def test_tables_are_apart() -> None:
    watched = Watched()
    watched.store.apply(place(ALICE, "other"), [binding()], NOW)
    assert watched.store.bindings(place(ALICE), NOW) == []
    assert watched.store.rows(place(ALICE)) == {}
    assert list(watched.store.aors(TABLE)) == []
    assert list(watched.store.aors("other")) == [ALICE]
    assert len(watched.store.bindings(place(ALICE, "other"), NOW)) == 1
    assert watched.changes[0].place.table == "other"


def test_a_store_without_a_listener_keeps_what_it_is_told() -> None:
    store = LocationStore("a", Journal())
    assert store.timer_at is None
    assert len(store.apply(place(ALICE), [binding()], NOW)) == 1
    assert len(store.bindings(place(ALICE), NOW)) == 1


# Time.


def test_a_binding_of_ours_expires_at_its_time() -> None:
    """A binding of ours expires at its time (3261-16, 3680-21)."""
    watched = Watched("a")
    watched.apply(binding(stamp=7, expires_at=NOW + 60, owner="a"))
    watched.events()
    watched.pass_time(NOW + 59.8)
    assert watched.events() == []
    watched.pass_time(NOW + 60.125)
    (change,) = watched.changes
    gone = change.binding
    assert (gone.event, gone.owner, gone.source) == (EXPIRED, "a", None)
    assert gone.expires_at == NOW + 60


def test_time_passing_makes_no_claim() -> None:
    watched = Watched("a")
    watched.apply(binding(stamp=7, expires_at=NOW + 60, user_agent="x" * 99))
    numbers = watched.numbers()
    watched.pass_time(NOW + 61)
    (claim,) = watched.store.claims(place(ALICE), binding().key)
    assert (claim.stamp, claim.edition, claim.gone) == (7, 7, False)
    assert claim.user_agent == ""  # nothing is kept but what orders it
    assert watched.numbers() == numbers  # and nothing of it goes to others


def test_a_learned_binding_waits_for_its_owner_to_say_that_it_has_expired() -> None:
    watched = Watched("a")
    watched.apply(binding(expires_at=NOW + 60, owner="b", source="b/x"))
    watched.events()
    watched.pass_time(NOW + 60 + LEARNED_GRACE - 0.2)
    assert (
        watched.store.bindings(place(ALICE), NOW + 60) == []
    )  # gone, though not said so
    assert watched.events() == []
    watched.pass_time(NOW + 60 + LEARNED_GRACE + 0.125)
    (change,) = watched.changes
    gone = change.binding
    assert (gone.event, gone.owner, gone.source) == (EXPIRED, "b", "b/x")


def test_what_its_owner_said_in_time_is_not_said_again() -> None:
    watched = Watched("a")
    watched.apply(binding(expires_at=NOW + 60, owner="b", source="b/x"))
    watched.apply(binding(1, "expired", edition=9, expires_at=NOW + 60, owner="b"))
    watched.events()
    watched.pass_time(NOW + 3600)
    assert watched.events() == []


def test_what_comes_after_an_end_that_was_not_reported_is_a_new_registration() -> None:
    watched = Watched("a")
    watched.apply(binding(expires_at=NOW + 60, owner="b", source="b/x"))
    watched.apply(binding(2, stamp=9, owner="c"), now=NOW + 62)
    assert watched.events() == ["registered", "expired", "registered"]


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


def test_a_contact_is_forgotten_whole_and_nothing_remains() -> None:
    watched = Watched()
    watched.apply(binding(1, call_id="old", begin=1, stamp=1, expires_at=NOW + 3600))
    watched.apply(binding(call_id="new", begin=2, stamp=2, expires_at=NOW + 60))
    watched.pass_time(LATER + 59)
    assert len(watched.store.claims(place(ALICE), binding().key)) == 2
    watched.journal.close()
    watched.pass_time(LATER + 61)
    assert list(watched.store.aors(TABLE)) == []
    assert watched.store.timer_at is None
    assert watched.numbers() == [] and watched.store.over == 0
    batch = watched.journal.close()
    keys = ["\0".join([TABLE, ALICE, binding().key, k]) for k in ("2 new", "1 old")]
    assert batch.entries == [(KIND, key, None) for key in keys]
    assert not batch.urgent
    batch.take_back()
    assert len(watched.store.claims(place(ALICE), binding().key)) == 2
    assert len(watched.numbers()) == 2


def test_a_contact_is_kept_as_long_as_something_older_can_come_back() -> None:
    watched = Watched()
    stamp = int((WALL + 500) * 1e6)  # of a server whose clock is ahead
    watched.apply(binding(2, "unregistered", stamp=stamp))
    # The first look is when it would be due if no clock were wrong.
    watched.store.timer_due(moment(LATER, WALL + LATER - NOW))
    assert watched.store.timer_at == pytest.approx(LATER + 500)
    watched.store.timer_due(moment(LATER + 501, WALL + LATER + 501 - NOW))
    assert list(watched.store.aors(TABLE)) == []


def test_contacts_that_have_ended_are_limited_in_number() -> None:
    watched = Watched()
    watched.apply(binding(contact=DESK))
    for number in range(OVER_OF_ONE + 5):
        contact = f"sip:{number}@192.0.2.9"
        stamp = int((WALL + NOW) * 1e6)
        watched.apply(binding(1, "unregistered", contact=contact, stamp=stamp))
    # For a while all are kept: somebody may still have to be told.
    assert len(watched.store.rows(place(ALICE))) == OVER_OF_ONE + 6
    watched.pass_time(NOW + OVER_AGE + 1)
    kept = list(watched.store.rows(place(ALICE)))
    assert len(kept) == OVER_OF_ONE
    assert kept[:2] == [DESK, "sip:6@192.0.2.9"]


def test_contacts_of_all_users_that_have_ended_are_limited_in_number() -> None:
    store = LocationStore("a", Journal(), tombstones=2)
    for number in range(5):
        aor = f"sip:{number}@example.com"
        store.apply(place(aor), [binding(1, "unregistered")], NOW)
    assert list(store.aors(TABLE)) == ["sip:3@example.com", "sip:4@example.com"]
    assert store.forgotten_early == 3 and store.over == 2


def test_after_a_restart_those_that_ended_first_are_forgotten_first() -> None:
    """3680-146: whatever the order in which the database has them."""
    before = Watched()
    for number in (3, 1, 4, 2):
        stamp = int((WALL + number) * 1e6)
        gone = binding(1, "unregistered", stamp=stamp)
        before.apply(gone, aor=f"sip:{9 - number}@example.com")
    ended = binding(contact=DESK, expires_at=NOW + 0.5)
    before.apply(ended, aor="sip:9@example.com", now=NOW)
    before.pass_time(NOW + 1)
    entries = before.journal.close().entries
    store = LocationStore("a", Journal(), tombstones=3)
    last = {key: (kind, key, value) for kind, key, value in entries}
    load(store.shelves, [last[key] for key in sorted(last)])
    store.begin(here(), moment(NOW + 10, WALL + 10))
    store.apply(place("sip:4@example.com"), [binding(1, "unregistered")], NOW + 10)
    kept = sorted(aor[4] for aor in store.aors(TABLE))
    assert kept == ["4", "5", "6"]
    assert store.is_crowded and store.forgotten_early == 3
    assert store.describe().line == "users: 3, contacts forgotten early: 3"


def test_what_can_come_back_is_kept_for_the_longest_life_that_was_heard() -> None:
    """3680-145: forgotten when the stamp, the longest life and 92 s are over."""
    watched = Watched()
    watched.store.hear_longest_life(200_000)
    stamp = int((WALL + NOW) * 1e6)
    watched.apply(binding(1, "unregistered", stamp=stamp))
    watched.pass_time(NOW + 200_000 + SLACK - 1)
    assert list(watched.store.aors(TABLE)) == [ALICE]
    watched.pass_time(NOW + 200_000 + SLACK + 1)
    assert list(watched.store.aors(TABLE)) == []


def test_who_makes_room_again_is_not_crowded() -> None:
    """3680-146"""
    store = LocationStore("a", Journal(), tombstones=1)
    assert not store.is_crowded
    for aor in (ALICE, BOB):
        store.apply(place(aor), [binding(1, "unregistered")], NOW)
    assert store.is_crowded
    store.apply(place(BOB), [binding(2, call_id="new", stamp=9)], NOW)
    assert not store.is_crowded and store.forgotten_early == 1


def test_a_contact_expires_in_its_own_table() -> None:
    watched = Watched()
    watched.store.apply(place(ALICE, "other"), [binding(expires_at=NOW + 60)], NOW)
    watched.pass_time(NOW + 61)
    assert [(c.place.table, c.binding.event.value) for c in watched.changes] == [
        ("other", "registered"),
        ("other", "expired"),
    ]
    assert list(watched.store.aors(TABLE)) == []
    watched.pass_time(LATER + 61)
    assert list(watched.store.aors("other")) == []


def test_what_expires_is_not_to_be_tried_again_later() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60, retry_after=5))
    watched.pass_time(NOW + 61)
    assert watched.changes[-1].binding.retry_after is None


@pytest.mark.parametrize("removed", [False, True])
def test_what_is_gone_does_not_come_back_with_an_older_longer_claim(
    removed: bool,
) -> None:
    watched = Watched()
    watched.apply(binding(1, call_id="long", stamp=1, expires_at=NOW + 3600))
    watched.apply(binding(1, call_id="short", stamp=2, expires_at=NOW + 60))
    if removed:
        watched.apply(binding(2, "unregistered", call_id="short", stamp=3))
    for at in range(61, 4000, 100):
        watched.pass_time(NOW + at)
        assert watched.store.bindings(place(ALICE), NOW + at) == []
    watched.pass_time(2 * LATER)
    assert list(watched.store.aors(TABLE)) == []
    assert watched.events().count("registered") == 1


# What peers that run `reginfo` say.


def told(watched: Watched, *claims: Claim) -> list[Claim]:
    """
    The claims that are sent on when a peer that runs `reginfo` has said ``claims``.
    """
    sent: list[Claim] = []
    watched.store.claim_listener = lambda place, new, now: sent.extend(new)
    watched.store.apply(place(ALICE), claims, NOW, is_told=True)
    return sent


def test_a_claim_that_is_news_is_sent_on_and_one_that_is_not_ends_here() -> None:
    watched = Watched()
    assert told(watched, binding(2, owner="b", source="b/x")) == [
        binding(2, owner="b", source="b/x", number=1)
    ]
    assert told(watched, binding(2, owner="b", source="c/x")) == []


def test_who_says_what_loses_is_owed_what_holds() -> None:
    watched = Watched()
    watched.apply(binding(2, "unregistered", source="c/x"))
    (number,) = watched.numbers()
    (owed,) = told(watched, binding(1, source="b/x"))
    assert owed.gone and owed.source is None
    (later,) = watched.numbers()
    assert later > number


def test_who_knows_what_holds_is_owed_nothing() -> None:
    watched = Watched()
    held, lost = binding(call_id="b", stamp=9), binding(call_id="a", begin=3, stamp=5)
    watched.apply(held, lost)
    before = watched.numbers()
    assert told(watched, lost, held) == []
    assert watched.numbers() == before


def test_a_record_that_loses_is_owed_what_holds() -> None:
    watched = Watched()
    new = Record(kind=RecordKind.REJECTED, value="", stamp=Stamp(9), owner="a")
    old = Record(
        kind=RecordKind.REJECTED, value=None, stamp=Stamp(5), owner="b", source="b/x"
    )
    watched.store.apply(place(ALICE), (), NOW, records=[new])
    (number,) = watched.numbers()
    watched.store.apply(place(ALICE), (), NOW, records=[old], is_told=True)
    (later,) = watched.numbers()
    assert later > number


def test_a_record_that_is_owed_is_one_of_our_own_and_is_on_disk() -> None:
    """What a linked server does not know is sent to it, wherever it came from."""
    watched = Watched()
    new = Record(
        kind=RecordKind.REJECTED, value="", stamp=Stamp(9), owner="c", source="c/x"
    )
    old = msgspec.structs.replace(new, value=None, stamp=Stamp(5), owner="b")
    watched.store.apply(place(ALICE), (), NOW, records=[new])
    ((kind, key, _),) = watched.journal.close().entries
    changes: list[object] = []
    watched.store.listener = changes.append
    watched.store.apply(place(ALICE), (), NOW, records=[old], is_told=True)
    batch = watched.journal.close()
    (record,) = watched.store.records(place(ALICE))
    assert record.source is None and record.value == ""
    assert batch.entries == [(kind, key, record)]
    assert changes == [KeyChange(place(ALICE), (), (), None, at=NOW, is_published=True)]
    batch.take_back()
    assert [one.value for one in watched.store.records(place(ALICE))] == [""]


def test_a_record_that_is_known_is_owed_to_nobody() -> None:
    watched = Watched()
    new = Record(kind=RecordKind.REJECTED, value="", stamp=Stamp(9), owner="a")
    watched.store.apply(place(ALICE), (), NOW, records=[new])
    before = watched.numbers()
    watched.store.apply(place(ALICE), (), NOW, records=[new], is_told=True)
    assert watched.numbers() == before


def test_a_record_changes_what_all_contacts_are_bound_by() -> None:
    watched = Watched()
    watched.apply(binding(1), binding(1, contact=DESK, stamp=20))
    cleared = Record(kind=RecordKind.CLEARED, value="", stamp=Stamp(10), owner="b")
    watched.store.apply(place(ALICE), (), NOW, records=[cleared])
    assert watched.events() == ["registered", "registered", "unregistered"]
    (bound,) = watched.store.bindings(place(ALICE), NOW)
    assert bound.contact == DESK
    watched.apply(binding(2, stamp=9))
    assert len(watched.store.bindings(place(ALICE), NOW)) == 1
    watched.journal.close()
    watched.store.apply(
        place(ALICE),
        (),
        NOW,
        records=[
            Record(kind=RecordKind.REJECTED, value="", stamp=Stamp(30), owner="b")
        ],
    )
    assert watched.store.bindings(place(ALICE), NOW) == []
    watched.journal.close().take_back()
    assert [b.contact for b in watched.store.bindings(place(ALICE), NOW)] == [DESK]


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
        one.pass_time(2 * LATER)
        assert list(one.store.aors(TABLE)) == []
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
    assert watched.store.claims(place(ALICE), binding().key)[0].event != EXPIRED
    watched.pass_time(NOW + 60 + RETRY_AFTER - 1)
    assert watched.events() == []
    watched.pass_time(NOW + 60 + RETRY_AFTER + 1)
    assert watched.events() == ["expired"]


def test_a_contact_goes_on_if_somebody_knows_of_a_later_end() -> None:
    """3680-103: a peer lists it for longer; then it does not expire."""
    watched = Watched()
    first = binding(1, expires_at=NOW + 60)
    longer = binding(1, expires_at=NOW + 900, edition=9, owner="b", source="b/x")
    asked: list[tuple[str, float, float]] = []

    def prolong(row: ContactRow, now: float, wall: float) -> Claim | None:
        asked.append((row.key, now, wall))
        return longer if now < NOW + 900 else None

    sent: list[tuple[Place, list[Claim], float]] = []
    watched.store.prolong = prolong
    watched.store.claim_listener = lambda *told: sent.append(told)
    watched.apply(first, binding(1, call_id="b", begin=-5, stamp=0))
    sent.clear()
    watched.journal.close()
    watched.pass_time(NOW + 61)
    kept = watched.store.claims(place(ALICE), first.key)
    assert [one.call_id for one in kept] == ["a", "b"]
    assert asked == [(first.key, NOW + 60, WALL + NOW + 60)]
    ((at, claims, now),) = sent
    assert (at, claims[0].order, now) == (place(ALICE), longer.order, NOW + 60)
    (bound,) = watched.store.bindings(place(ALICE), NOW + 899)
    assert bound.expires_at == NOW + 900
    (change,) = watched.changes[1:]
    assert change.binding.event.state == "active" and change.place == place(ALICE)
    assert change.at == NOW + 60
    ((_, _, stored),) = watched.journal.close().entries
    assert stored.order == longer.order
    watched.changes.clear()
    watched.pass_time(NOW + 900 + LEARNED_GRACE)
    assert watched.events() == ["expired"]


def test_a_store_describes_its_users_and_changes() -> None:
    watched = Watched()
    none = watched.store.describe()
    assert (none.name, none.line) == ("store", "users: 0")
    watched.apply(binding(1), binding(1, contact=DESK))
    watched.apply(binding(1), aor=BOB)
    watched.apply(binding(2, "unregistered", contact=DESK))
    found = watched.store.describe()
    assert found.line == "users: 2"
    assert found.figures == {
        "users": 2,
        "changes_total": 4,
        "contacts_not_bound": 1,
        "forgotten_early_total": 0,
        "longest_life": LONGEST_LIFE,
    }


# From the disk.


def test_what_expired_while_we_were_down_is_told_as_expired() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60))
    rows = disk(watched)
    for late in (60, 90):
        after = Watched()
        load(after.store.shelves, [(KIND, k, v) for k, v in rows.items()])
        after.store.begin(here(), moment(NOW + late, WALL + late))
        assert after.store.bindings(place(ALICE), NOW + late) == []
        assert after.events() == ["expired"]


def test_a_probation_that_ended_while_we_were_down_binds_again() -> None:
    """What registered elsewhere meanwhile is bound at the start (3680-143)."""
    stamp = int((WALL + NOW) * 1e6)
    bar = Record(
        kind=RecordKind.PROBATION, value="60", stamp=Stamp(stamp), owner="a",
        until=Stamp(stamp + 60_000_000), expires_at=NOW + 60,
    )  # fmt: skip
    watched = Watched()
    watched.apply(binding(1, stamp=stamp + 1))
    watched.store.apply(place(ALICE), (), NOW, records=[bar])
    assert watched.events() == ["registered", "probation"]
    entries = watched.journal.close().entries
    for late, events in ((59, []), (60, ["registered"])):
        after = Watched()
        load(after.store.shelves, entries)
        after.store.begin(here(), moment(NOW + late))
        assert [(one.place, one.at) for one in after.changes] == [
            (place(ALICE), NOW + late) for _ in events
        ]
        assert after.events() == events
        assert after.store.is_bound(place(ALICE), NOW + late) is bool(events)


def test_a_contact_may_go_on_that_expired_while_we_were_down() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60))
    after = Watched()
    asked: list[tuple[float, float]] = []

    def prolong(row: ContactRow, now: float, wall: float) -> Claim | None:
        asked.append((now, wall))
        return binding(1, expires_at=NOW + 900, edition=9, owner="b")

    after.store.prolong = prolong
    load(after.store.shelves, watched.journal.close().entries)
    after.store.begin(here(), moment(NOW + 90, WALL))
    assert asked == [(NOW + 90, WALL)]
    assert after.store.is_bound(place(ALICE), NOW + 890)


def test_a_contact_that_cannot_expire_at_the_start_does_so_later() -> None:
    """One that fails keeps neither the server nor the others from starting."""
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60))
    watched.apply(binding(contact=DESK, expires_at=NOW + 60), aor=BOB)
    after = Watched()
    load(after.store.shelves, watched.journal.close().entries)

    def fail(change: BindingChange | KeyChange) -> None:
        if change.place == place(ALICE):
            raise RuntimeError("no")
        after.listen(change)

    after.store.listener = fail
    after.store.begin(here(), moment(NOW + 90))
    assert [one.place for one in after.changes] == [place(BOB)]
    assert after.events() == ["expired"]
    after.store.listener = after.listen
    after.pass_time(NOW + 90 + RETRY_AFTER - 0.5)
    assert after.events() == []
    after.pass_time(NOW + 90 + RETRY_AFTER + 0.5)
    assert after.events() == ["expired"]


def test_claims_and_records_have_their_numbers_after_a_restart() -> None:
    """What a link must send after a number is the same (`changes.py`)."""
    watched = Watched()
    cleared = Record(
        kind=RecordKind.CLEARED, value="", stamp=Stamp(int(WALL * 1e6)), owner="a"
    )
    watched.apply(binding(1))
    watched.store.apply(place(BOB), (), NOW, records=[cleared])
    watched.apply(binding(1, contact=DESK), aor=BOB)
    watched.store.set_key(place(ALICE), "k", "v", NOW, WALL)
    watched.apply(binding(2))
    numbers = watched.numbers()
    assert numbers == [2, 3, 4, 5]
    after = Watched()
    load(after.store.shelves, watched.journal.close().entries)
    after.store.begin(here(), moment(NOW))
    assert after.numbers() == numbers and after.store.changes.last == 5


def test_what_was_reported_as_expired_is_not_reported_again() -> None:
    watched = Watched()
    watched.apply(binding(expires_at=NOW + 60))
    watched.pass_time(NOW + 61)
    assert restart(watched, NOW + 62).events() == []


def test_what_was_loaded_is_forgotten_like_anything_else() -> None:
    watched = Watched()
    watched.apply(binding(1, "unregistered", expires_at=NOW + 60))
    after = restart(watched, NOW)
    after.pass_time(LATER + 1)
    assert list(after.store.aors(TABLE)) == []
