"""Keys in a record: the later one holds, everywhere, and after a restart."""

from __future__ import annotations

import itertools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.ledger.journal import Journal
from reginfo.location import keyring
from reginfo.location.binding import BindingChange
from reginfo.location.keyring import KIND, REMEMBERED, KeyChange
from reginfo.location.lives import SLACK
from reginfo.location.place import TABLE, Aor
from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.location.store import LocationStore

from ..make import ALICE, BOB, NOW, WALL, binding, here, load, moment, place

AL, TEL = "sip:al@example.com", "tel:+15550100"
BOTH = f"<{ALICE}>, <{AL}>"


class Keys:
    """A store, and what it says of its keys."""

    def __init__(self, server_id: str = "a", key: str | None = "identities") -> None:
        self.journal = Journal()
        self.store = LocationStore(server_id, self.journal, identities_key=key)
        self.changes: list[KeyChange] = []
        self.store.listener = self.listen

    def listen(self, change: BindingChange | KeyChange) -> None:
        if isinstance(change, KeyChange):
            self.changes.append(change)

    def set(
        self, value: str | None, name: str = "identities", aor: str = ALICE
    ) -> bool:
        return self.store.set_key(place(aor), name, value, NOW, WALL)

    def restart(self, wall: float = WALL) -> Keys:
        """What a start makes of what was written."""
        after = Keys()
        load(after.store.shelves, self.journal.close().entries)
        after.store.begin(here(), moment(NOW, wall))
        return after


def all_keys(keys: Keys, aor: str) -> dict[str, Record]:
    """The keys of a user, those that were removed included."""
    return {record.name: record for record in keys.store.records(place(aor))}


def put(keys: Keys, aor: str, *records: Record) -> None:
    keys.store.apply(place(aor), (), NOW, records=records)


def key(value: str | None, stamp: int, owner: str, name: str = "k") -> Record:
    return Record(
        kind=RecordKind.KEY, name=name, value=value, stamp=Stamp(stamp), owner=owner
    )


def test_what_is_set_is_there_until_it_is_removed() -> None:
    """The contract: `ul_add_key`, `ul_get_key`, `ul_rm_key`."""
    keys = Keys()
    assert not keys.set(None, "barred")
    assert keys.set("yes", "barred")
    assert keys.set("yes", "barred")
    assert keys.store.keys(place(ALICE)) == {"barred": "yes"}
    assert keys.store.keys(place(ALICE, "other")) == keys.store.keys(place(BOB)) == {}
    assert keys.set(None, "barred")
    assert keys.store.keys(place(ALICE)) == {}
    assert not keys.set(None, "barred")
    assert len(keys.changes) == 2  # to set what is set changes nothing


def test_a_restart_knows_all_keys() -> None:
    keys = Keys()
    keys.set(BOTH)
    keys.set("no", "barred")
    after = keys.restart().store
    assert after.keys(place(ALICE)) == {"identities": BOTH, "barred": "no"}
    assert after.identities(place(ALICE)) == (ALICE, AL)
    assert after.record_of(place(AL)).aor == ALICE


def test_a_restart_forgets_what_was_removed_long_ago() -> None:
    keys = Keys()
    keys.set("yes", "barred")
    keys.set(None, "barred")
    batch = keys.journal._batch.entries[-1:]
    for wall, kept in ((WALL + 60, True), (WALL + REMEMBERED + 1, False)):
        after = Keys()
        load(after.store.shelves, batch)
        after.store.begin(here(), moment(NOW, wall))
        assert ("barred" in all_keys(after, ALICE)) is kept
        batch_of_start = after.journal.close()
        assert not batch_of_start.urgent  # if it is lost, it is forgotten again
        written = batch_of_start.entries
        assert written == ([] if kept else [(KIND, batch[0][1], None)])


def removed(keys: Keys, aor: str, wall: float, name: str = "k") -> None:
    keys.store.set_key(place(aor), name, "v", NOW, wall)
    keys.store.set_key(place(aor), name, None, NOW, wall)


def test_what_was_removed_long_ago_is_forgotten_while_we_run() -> None:
    keys = Keys()
    removed(keys, ALICE, WALL)
    keys.journal.close()
    keys.store.set_key(place(BOB), "k", "v", NOW, WALL + REMEMBERED - 1)
    assert all_keys(keys, ALICE)["k"].value is None
    keys.store.set_key(place(BOB), "k", "w", NOW, WALL + REMEMBERED + 1)
    assert all_keys(keys, ALICE) == {}
    batch = keys.journal.close()
    assert batch.entries[-1] == (KIND, f"{TABLE}\0{ALICE}\0key\0k", None)
    batch.take_back()
    assert all_keys(keys, ALICE)["k"].value is None
    keys.store.set_key(place(BOB), "k", "x", NOW, WALL + REMEMBERED + 2)
    assert all_keys(keys, ALICE) == {}


@pytest.mark.parametrize("days", [1, 30])
def test_a_probation_is_remembered_until_it_is_over(days: int) -> None:
    """3680-143: one that lasts longer than the end of a key is remembered."""
    keys = Keys()
    lasts = days * 86_400
    stamp = int(WALL * 1e6)
    bar = Record(
        kind=RecordKind.PROBATION, value=str(lasts), stamp=Stamp(stamp), owner="a",
        until=Stamp(stamp + lasts * 1_000_000), expires_at=NOW + lasts,
    )  # fmt: skip
    keys.store.apply(place(ALICE), (), NOW, records=(bar,))
    last = max(REMEMBERED, lasts + SLACK)
    keys.store.set_key(place(BOB), "k", "v", NOW, WALL + last - 1)
    assert keys.store.records(place(ALICE)) != []
    keys.store.set_key(place(BOB), "k", "w", NOW, WALL + last + 1)
    assert keys.store.records(place(ALICE)) == []


@pytest.mark.parametrize("kind", [RecordKind.PROBATION, RecordKind.KEY])
def test_after_a_restart_a_record_ends_at_the_same_moment(kind: RecordKind) -> None:
    """Its end is on the new clock; one without an end has none (3680-143)."""
    keys = Keys()
    ends = NOW + 600 if kind is RecordKind.PROBATION else 0.0
    record = Record(
        kind=kind, value="600", stamp=Stamp(int(WALL * 1e6)), owner="a", expires_at=ends
    )
    put(keys, ALICE, record)
    after = Keys()
    load(after.store.shelves, keys.journal.close().entries, shift=-40.0)
    after.store.begin(here(), moment(NOW - 40.0, WALL))
    (loaded,) = after.store.records(place(ALICE))
    assert loaded.expires_at == (ends and ends - 40.0)
    assert (loaded.value, loaded.stamp) == (record.value, record.stamp)


def test_what_was_removed_and_set_again_is_not_forgotten() -> None:
    keys = Keys()
    removed(keys, ALICE, WALL)
    keys.set("again", "k")
    removed(keys, BOB, WALL + REMEMBERED + 1)
    assert keys.store.keys(place(ALICE)) == {"k": "again"}


def test_of_very_many_that_were_removed_the_oldest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyring, "TOMBSTONES", 10)
    keys = Keys()
    users = [f"sip:{number}@example.com" for number in range(100)]
    for user in users:
        removed(keys, user, WALL)
    assert [user for user in users if all_keys(keys, user)] == users[-10:]


def test_what_a_restart_knows_to_be_removed_is_forgotten_in_time() -> None:
    keys = Keys()
    removed(keys, ALICE, WALL)
    after = keys.restart()
    assert all_keys(after, ALICE)
    after.store.set_key(place(BOB), "k", "v", NOW, WALL + REMEMBERED + 1)
    assert all_keys(after, ALICE) == {}


def test_a_commit_that_fails_leaves_what_was() -> None:
    keys = Keys()
    keys.set(BOTH)
    keys.journal.close()
    keys.set(f"<{TEL}>")
    assert keys.store.record_of(place(TEL)).aor == ALICE
    keys.journal.close().take_back()
    assert keys.store.keys(place(ALICE)) == {"identities": BOTH}
    assert (
        keys.store.record_of(place(AL)).aor,
        keys.store.record_of(place(TEL)).aor,
    ) == (
        ALICE,
        TEL,
    )
    keys.set("x", "new", BOB)
    keys.journal.close().take_back()
    assert all_keys(keys, BOB) == {}


@given(
    st.permutations(
        [key(f"{owner}{stamp}", stamp, owner) for owner in "ab" for stamp in (1, 2, 3)]
        + [key(None, 3, "b")]
    ),
    st.integers(0, 6),
)
def test_all_servers_come_to_the_same(order: list[Record], again: int) -> None:
    """Whatever the order in which settings arrive, and how often."""
    keys = Keys()
    for record in [*order, order[again]]:
        put(keys, ALICE, record)
    held = all_keys(keys, ALICE)["k"]
    assert (held.stamp, held.owner) == (3, "b")


def test_identities_stand_for_the_record() -> None:
    """The contract, `ul_identities_key`: set and present, or the record alone."""
    keys = Keys()
    assert keys.store.identities(place(ALICE)) == (ALICE,)
    keys.set(f"<{AL}>, <{TEL}>")
    assert keys.store.identities(place(ALICE)) == (AL, TEL)
    assert [keys.store.record_of(place(aor)).aor for aor in (ALICE, AL, TEL, BOB)] == [
        ALICE, ALICE, ALICE, BOB,
    ]  # fmt: skip
    keys.set(None)
    assert keys.store.identities(place(ALICE)) == (ALICE,)
    assert keys.store.record_of(place(AL)).aor == AL
    assert [(change.before, change.after) for change in keys.changes] == [
        ((ALICE,), (AL, TEL)), ((AL, TEL), (ALICE,)),
    ]  # fmt: skip


def test_without_the_parameter_a_key_is_a_key() -> None:
    """The contract, `ul_identities_key`: not set."""
    keys = Keys(key=None)
    keys.set(BOTH)
    assert keys.store.identities(place(ALICE)) == (ALICE,)
    assert (keys.store.record_of(place(AL)).aor, keys.store.named_by(place(AL))) == (
        AL,
        None,
    )


def test_a_value_without_identities_is_ignored(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys = Keys()
    with caplog.at_level(logging.WARNING):
        keys.set("<mailto:x@y>, ")
    assert keys.store.identities(place(ALICE)) == (ALICE,)
    assert "not an identity: '<mailto:x@y>'" in caplog.text


def test_who_registers_an_identity_by_itself_has_a_record_of_its_own() -> None:
    keys = Keys()
    keys.set(BOTH)
    keys.store.apply(place(AL), [binding(1)], NOW)
    assert keys.store.record_of(place(AL)).aor == AL
    keys.store.apply(place(AL), [binding(2, "unregistered")], NOW)
    assert keys.store.record_of(place(AL)).aor == ALICE


def test_of_two_records_that_name_an_identity_the_last_has_it() -> None:
    keys = Keys()
    keys.set(f"<{TEL}>")
    keys.set(f"<{TEL}>", aor=BOB)
    assert keys.store.record_of(place(TEL)).aor == BOB
    keys.set(f"<{TEL}>, <{AL}>")
    assert keys.store.record_of(place(TEL)).aor == ALICE
    keys.set(f"<{TEL}>, <{AL}>", aor=BOB)
    assert keys.restart().store.record_of(place(TEL)).aor == BOB
    keys.set(None, aor=BOB)
    assert keys.store.record_of(place(TEL)).aor == ALICE


def test_an_identity_belongs_to_who_named_it_last_in_any_order_of_names() -> None:
    """Whose clock was ahead, and whose name is greater, makes no difference."""
    keys = Keys()
    aors = (ALICE, BOB, "sip:aa@a", ALICE, BOB)
    for number, aor in enumerate(aors * 2):
        value, wall = f"<{TEL}>, <{AL}>;x={number}", WALL - 60.0 * number
        keys.store.set_key(place(aor), "identities", value, NOW, wall)
        assert keys.store.named_by(place(TEL)) == aor
        assert keys.store.record_of(place(AL)).aor == aor


def test_a_key_with_no_identities_needs_no_later_stamp() -> None:
    """The stamps of other keys, tables and users are of no account."""
    keys = Keys()
    keys.store.set_key(place(BOB), "identities", f"<{TEL}>", NOW, WALL + 60)
    now = int(WALL * 1e6)
    for table, name, value in [
        (TABLE, "k", f"<{TEL}>"),
        (TABLE, "identities", f"<{AL}>"),
        ("other", "identities", f"<{TEL}>"),
    ]:
        keys.store.set_key(place(ALICE, table), name, value, NOW, WALL)
        record = keys.store.record(place(ALICE, table), RecordKind.KEY, name)
        assert record is not None and record.stamp == now
    early = Keys()
    early.store.set_key(place(ALICE), "identities", f"<{TEL}>", NOW, 0.0)
    record = early.store.record(place(ALICE), RecordKind.KEY, "identities")
    assert record is not None and record.stamp <= 1


@pytest.mark.parametrize("is_published", [True, False])
def test_a_key_is_set_at_a_moment_and_published_or_not(is_published: bool) -> None:
    """`reginfo_disable_publish` holds for a key, too."""
    keys = Keys()
    keys.store.set_key(place(ALICE), "k", "v", NOW, WALL, is_published)
    keys.store.set_key(place(ALICE), "k", "w", NOW + 1, WALL)
    assert [(one.at, one.is_published) for one in keys.changes] == [
        (NOW, is_published),
        (NOW + 1, True),
    ]
    assert keys.changes[0].before == keys.changes[0].after == (ALICE,)


def test_identities_are_named_as_the_domains_have_them() -> None:
    store = LocationStore(
        "a",
        Journal(),
        identities_key="i",
        canonical=lambda uri: Aor(uri.user or "none"),
    )
    store.set_key(place("alice", TABLE), "i", "<sip:al@one.example>", NOW, WALL)
    assert store.identities(place("alice")) == ("al",)


def test_stamps_continue_from_those_that_are_learned() -> None:
    keys = Keys()
    stamps = itertools.count(int((WALL + 60) * 1e6))
    put(keys, ALICE, key("theirs", next(stamps), "b"))
    keys.set("ours", "k")
    assert keys.store.keys(place(ALICE)) == {"k": "ours"}


def test_two_settings_of_one_name_that_are_of_different_kinds_are_apart() -> None:
    keys = Keys()
    keys.set("yes", "cleared")
    put(
        keys,
        ALICE,
        Record(kind=RecordKind.CLEARED, value="", stamp=Stamp(5), owner="b"),
    )
    assert keys.store.keys(place(ALICE)) == {"cleared": "yes"}
    assert len(keys.store.records(place(ALICE))) == 2


def test_each_record_is_in_the_index_of_changes_once() -> None:
    keys = Keys()
    for value in ("x", "y", None, "z"):
        keys.set(value, "k")
    keys.set("v", "other")
    ((first, _), (second, _)) = keys.store.changes.after(0)
    keys.journal.close().take_back()
    assert list(keys.store.changes.after(0)) == [] and first < second
