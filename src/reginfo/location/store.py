"""
Where every user is, and until when (usrloc): in memory, with a journal beside it.

This file is long because the rule of what a contact is, and the timers that end it, act
on the same rows.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows
from ..reg.document import ContactEvent
from ..sip.timer import TimerWheel
from ..sip.uri import Uri
from .binding import KIND, Binding, BindingChange, shifted
from .contact_row import ContactIndex, ContactRow
from .key import Key
from .keyring import KeyChange, Keyring
from .merge import Survivors, forget, forgotten_at, join

logger = logging.getLogger("reginfo.location")

TABLE = "location"
"""The table that is meant where none is named."""

LEARNED_GRACE = 5.0
"""
Seconds that a learned binding outlives its end, so that its owner may say first that it
has expired. It counts as gone meanwhile.
"""

RETRY_AFTER = 5.0
"""Seconds until what was due, and could not be committed, is due again."""

MAX_AHEAD = 86400.0
"""
Seconds by which a stamp may be ahead of our calendar. One that is later by far would
take our clock with it, for good: until nobody can read our stamps any more.
"""

Listener = Callable[[BindingChange | KeyChange], None]


def is_ahead(stamp: int, wall: float) -> bool:
    """Whether a stamp is too far ahead to be believed; ``wall`` is our calendar."""
    return stamp > (wall + MAX_AHEAD) * 1e6


class LocationStore:
    """
    Contacts by table and address-of-record.

    Claims go in by :meth:`apply`; what they change is announced to the listener once
    all of them are in, so that it sees all of a REGISTER or none of it.

    Args:
        server_id: which owner is ourselves: only the owner declares a binding expired.
        journal: is told every change, and how to take it back.
        identities_key: the key of a record under which its identities stand; None if
            there are none.
        canonical: the address-of-record that a URI names; raises `RemoteProtocolError`.
    """

    def __init__(
        self,
        server_id: str,
        journal: Journal,
        *,
        identities_key: str | None = None,
        canonical: Callable[[Uri], str] | None = None,
    ) -> None:
        self._server_id = server_id
        self._journal = journal
        self._records: dict[str, dict[str, dict[str, ContactRow]]] = {}
        self._index = ContactIndex()
        self._wheel = TimerWheel()
        self._stamp = 0
        self._claims: Rows[Binding] = Rows(
            journal, KIND, Binding, self._take_loaded, shifted
        )
        self._keyring = Keyring(journal, identities_key, canonical)
        self._identified = identities_key is not None
        self.listener: Listener | None = None

        self.sequence = 0
        "Of the last change."

    # What others ask.

    def bindings(self, aor: str, now: float, table: str = TABLE) -> list[Binding]:
        """The contacts that ``aor`` is bound to at this moment."""
        record = self._records.get(table, {}).get(aor)
        if not record:
            return []
        return [
            claim
            for row in record.values()
            if (claim := row.claims[0]).active and claim.expires_at > now
        ]

    def claims(self, aor: str, key: str, table: str = TABLE) -> Survivors:
        """All claims kept for one contact, the one that holds first; empty if none."""
        row = self._records.get(table, {}).get(aor, {}).get(key)
        return row.claims if row else ()

    def is_bound(self, aor: str, now: float, table: str = TABLE) -> bool:
        """Whether ``aor`` is bound to any contact at this moment."""
        record = self._records.get(table, {}).get(aor)
        if not record:
            return False
        for row in record.values():
            claim = row.claims[0]
            if claim.active and claim.expires_at > now:
                return True
        return False

    def find(self, aor: str, uri: Uri, table: str = TABLE) -> tuple[str, Survivors]:
        """
        Return the key under which a contact is kept, and what is claimed of it.

        Like :func:`.contacts.find`, with an index where there are many contacts.
        """
        record = self._records.get(table, {}).get(aor)
        if record is None:
            return uri.key, ()
        row = record.get(uri.key)
        if row is not None:
            return uri.key, row.claims
        row = self._index.find(table, aor, record, uri)
        return (uri.key, ()) if row is None else (row.key, row.claims)

    def rows(self, aor: str, table: str = TABLE) -> dict[str, Survivors]:
        """The claims for each contact of ``aor``, those that are gone included."""
        record = self._records.get(table, {}).get(aor, {})
        return {key: row.claims for key, row in record.items()}

    def aors(self, table: str = TABLE) -> Iterator[str]:
        """Every address-of-record that has a row, in the order in which they came."""
        return iter(self._records.get(table, {}))

    def identities(self, aor: str, table: str = TABLE) -> tuple[str, ...]:
        """
        By which addresses-of-record the record of ``aor`` is told of.

        Its public identities; where none are known, ``aor`` itself.
        """
        if self._identified and (found := self._keyring.identities(table, aor)):
            return found
        return (aor,)

    def record_of(self, aor: str, table: str = TABLE) -> str:
        """
        The record that is meant by ``aor``: its own, or that whose identity it is.

        Its own as long as something is bound to it; of several records that name an
        identity, the one that did so last.
        """
        named_by = self.named_by(aor, table)
        if named_by is None:
            return aor
        own = self._records.get(table, {}).get(aor, {})
        return aor if any(row.claims[0].active for row in own.values()) else named_by

    def named_by(self, aor: str, table: str = TABLE) -> str | None:
        """The record that names ``aor`` as an identity; None if there is none."""
        if not self._identified:
            return None
        return self._keyring.named_by(table, aor)

    def keys(self, aor: str, table: str = TABLE) -> dict[str, str]:
        """What is kept in the record of ``aor``, by name."""
        return {
            name: key.value
            for name, key in self._keyring.keys(table, aor).items()
            if key.value is not None
        }

    def all_keys(self, aor: str, table: str = TABLE) -> dict[str, Key]:
        """The same for a server of our kind: also what was removed."""
        return self._keyring.keys(table, aor)

    def tables(self) -> list[str]:
        """The tables in which there are contacts."""
        return list(self._records)

    def next_stamp(self, wall: float) -> int:
        """
        A stamp for a claim made here: later than every one seen.

        Args:
            wall: seconds since the epoch.
        """
        self._stamp = max(self._stamp + 1, int(wall * 1e6))
        return self._stamp

    # What changes it.

    def apply(
        self,
        aor: str,
        claims: Iterable[Binding],
        now: float,
        table: str = TABLE,
        is_published: bool = True,
    ) -> list[BindingChange]:
        """
        Take in all of ``claims`` for contacts of ``aor``, and announce what is new.

        A claim that loses to one that is known, or says what is known, is no change.

        Args:
            is_published: whether presence servers are to hear of the changes.
        """
        news: list[tuple[Binding, int]] = []
        records = self._records.get(table)
        if records is None:
            records = self._records[table] = {}
        for claim in claims:
            record = records.get(aor)
            if record is None:
                record = records[aor] = {}
            if claim.stamp > self._stamp:
                self._stamp = claim.stamp
            row = record.get(claim.key)
            if row is None:
                before: Survivors = ()
                row = record[claim.key] = ContactRow(table, aor, claim.key, ())
            else:
                before = row.claims
            row.claims = join(before, claim)
            if row.claims is before:
                continue
            if not before:
                self._index.add(row)
            self.sequence += 1
            self._claims.write(
                _entry_key(table, aor, claim), claim, self._restore, row, before
            )
            self._schedule(row)
            # To learn that what was gone is gone, for another reason perhaps, is no
            # news, to whom it concerns; but it keeps out more.
            if row.claims[0] is claim and (
                claim.active or (before and before[0].active)
            ):
                news.append((claim, self.sequence))
        last = len(news) - 1
        changes = [
            BindingChange(table, aor, claim, sequence, at < last, now, is_published)
            for at, (claim, sequence) in enumerate(news)
        ]
        if self.listener is not None:
            # Only now: a listener that looks must see all of them or none.
            for change in changes:
                self.listener(change)
        return changes

    def set_key(
        self,
        aor: str,
        name: str,
        value: str | None,
        now: float,
        wall: float,
        table: str = TABLE,
        is_published: bool = True,
    ) -> bool:
        """
        Keep ``value`` in the record of ``aor``, or remove what is kept there.

        Args:
            value: None to remove it.
            is_published: whether presence servers are to hear of the change.

        Returns:
            False if there is nothing to remove.
        """
        known = self._keyring.keys(table, aor).get(name)
        if value == (None if known is None else known.value):
            return value is not None
        stamp = self.next_stamp(wall)
        key = Key(value, stamp, self._server_id)
        self.put_key(aor, name, key, now, table, is_published)
        return True

    def put_key(
        self,
        aor: str,
        name: str,
        key: Key,
        now: float,
        table: str = TABLE,
        is_published: bool = True,
    ) -> None:
        """Take in a key of the record of ``aor``, if nothing later is known."""
        self._stamp = max(self._stamp, key.stamp)
        changed = self._keyring.put(table, aor, name, key)
        if changed is not None and self.listener is not None:
            self.listener(changed._replace(at=now, is_published=is_published))

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """What is kept in the storage; :meth:`loaded` ends the loading."""
        return (self._claims, *self._keyring.shelves)

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`."""
        return self._wheel.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Expire what is due, and forget what nothing can contradict any more."""
        now, wall = moment.now, moment.wall

        def act(row: ContactRow) -> None:
            self._row_due(row, now, wall)

        work_off(self._wheel, self._journal, now, act)

    def hears(self, change: object) -> None:
        """Ignore it: the store itself announces what changes."""

    def undone(self, moment: Moment) -> None:
        """Do nothing: what is taken back is due again by its own undo."""

    def describe(self) -> Description:
        """Describe how many users are known, and how much has changed."""
        users = sum(map(len, self._records.values()))
        figures = {"users": users, "changes_total": self.sequence}
        return Description("store", f"{users} users", figures)

    def begin(self, here: Here, moment: Moment) -> None:
        """
        Schedule all that was loaded.

        What expired while we were down does so now, and is told as expired.
        """
        wall = moment.wall
        for stamp in self._keyring.loaded(wall):
            self._saw(stamp, wall)
        rows = [
            row
            for records in self._records.values()
            for record in records.values()
            for row in record.values()
        ]
        for row in rows:
            for claim in row.claims:
                self._saw(claim.stamp, wall)
        for row in rows:
            self._schedule(row)
            # Not when the wheel comes round to it: until then a watcher could be shown
            # a state without the contact, before it is told that the contact has gone.
            if row.timer_at is not None and row.timer_at <= moment.now:
                try:
                    with self._journal.attempt():
                        self._row_due(row, moment.now, moment.wall)
                except Exception:
                    # One row that cannot expire must not keep the server from starting.
                    logger.exception("! %s of %s cannot expire", row.key, row.aor)
                    self._postpone(row, moment.now + RETRY_AFTER)

    # How.

    def _take_loaded(self, key: str, claim: Binding) -> None:
        table, aor = key.split("\0", 2)[:2]
        record = self._records.setdefault(table, {}).setdefault(aor, {})
        row = record.get(claim.key)
        if row is None:
            row = record[claim.key] = ContactRow(table, aor, claim.key, ())
        row.claims = join(row.claims, claim)

    def _saw(self, stamp: int, wall: float) -> None:
        """Let the clock go on from a stamp of the journal, if that can be true."""
        if stamp > self._stamp and not is_ahead(stamp, wall):
            self._stamp = stamp

    def _row_due(self, row: ContactRow, now: float, wall: float) -> None:
        """Expire a contact whose time is up, or forget what is long gone."""
        claim = row.claims[0] if row.claims else None
        if claim is None:
            return
        if claim.active and now >= self._ends_at(claim):
            expired = msgspec.structs.replace(
                claim,
                event=ContactEvent.EXPIRED,
                stamp=self.next_stamp(wall),
                retry_after=None,
            )
            # If the disk does not take it, nobody is served by haste.
            self._journal.remember(self._postpone, row, now + RETRY_AFTER)
            self.apply(row.aor, [expired], now, row.table)
        else:
            self._forget(row, now)

    def _ends_at(self, claim: Binding) -> float:
        if claim.owner == self._server_id:
            return claim.expires_at
        return claim.expires_at + LEARNED_GRACE

    def _schedule(self, row: ContactRow) -> None:
        holds, *losers = row.claims
        if holds.active:
            due = self._ends_at(holds)
        else:
            due = math.inf if losers else forgotten_at(holds)
        for claim in losers:
            due = min(due, forgotten_at(claim))
        row.timer_at = due
        self._wheel.schedule(row)

    def _postpone(self, row: ContactRow, at: float) -> None:
        row.timer_at = at
        self._wheel.schedule(row)

    def _forget(self, row: ContactRow, now: float) -> None:
        holds = row.claims[0]
        before = row.claims
        kept = forget(before[1:], now)
        # What says that the contact is gone stays until there is nothing left that
        # says otherwise: an older claim may have been made for longer.
        if kept or holds.active or now < forgotten_at(holds):
            kept = (holds, *kept)
        row.claims = kept
        for claim in before:
            if claim not in kept:
                key = _entry_key(row.table, row.aor, claim)
                # A crash may lose this: then it is forgotten again.
                self._claims.erase(key, self._restore, row, before, urgent=False)
        if kept:
            self._schedule(row)
        else:
            self._drop(row)

    def _drop(self, row: ContactRow) -> None:
        row.timer_at = None
        self._wheel.schedule(row)
        self._index.remove(row)
        records = self._records[row.table]
        record = records.get(row.aor, {})
        record.pop(row.key, None)
        if not record:
            records.pop(row.aor, None)
            self._index.forget(row.table, row.aor)

    def _restore(self, row: ContactRow, before: Survivors) -> None:
        row.claims = before
        if not before:
            self._drop(row)
            return
        record = self._records[row.table].setdefault(row.aor, {})
        record[row.key] = row
        self._index.add(row)
        self._schedule(row)


def _entry_key(table: str, aor: str, claim: Binding) -> str:
    """One row on disk for each claim that is kept."""
    return f"{table}\0{aor}\0{claim.key}\0{claim.call_id}"
