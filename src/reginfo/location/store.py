"""
The location store: applies claims and records, expires bindings, announces changes.

The state of a contact is never edited. Claims and records enter through
:meth:`LocationStore.apply`; then the binding of each contact is computed again, and
differences are announced.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows
from ..reg.document import ContactEvent
from .binding import Binding, BindingChange
from .claim import Claim
from .contact_row import ContactRow, UserContacts
from .keyring import KeyChange, UserRecords
from .lives import Claims, ended_at, forgotten_at, join
from .place import Name, Place
from .record import Record, RecordKind, next_stamp
from .rows import OVER_OF_ONE, RETRY_AFTER, LocationRows
from .state import bound_by, change

logger = logging.getLogger("reginfo.location")

LONGEST_LIFE = 86_400.0
"""The longest interval that is granted, in seconds, unless a server grants more."""

TOMBSTONES = 1_000_000
"""The maximum number of stored contacts that are not bound."""

_ALWAYS = -math.inf

Listener = Callable[[BindingChange | KeyChange], None]
ClaimListener = Callable[[Place, list[Claim], float], None]
"""A callback that receives a user, the claims that are new, and the time."""

Prolong = Callable[[ContactRow, float, float], Claim | None]
"""Returns the claim that continues a contact which has expired, if any."""


class LocationStore(LocationRows):
    """
    Contacts by user.

    Claims and records enter through :meth:`apply`; their changes are announced to the
    listener after all of them are applied, so that it sees a REGISTER completely or not
    at all.

    Args:
        server_id: the owner id of this server: the owner is the first to report a
            contact as expired.
        journal: receives every change, with its undo.
        identities_key: the key that holds the identities of a user; None if there is
            none.
        canonical: returns the address-of-record of a URI, or raises
            `RemoteProtocolError`.
        tombstones: the maximum number of stored contacts that are not bound.
        longest_life: the longest interval that is granted here, in seconds; linked
            servers may grant more (:meth:`hear_longest_life`).
    """

    def __init__(
        self,
        server_id: str,
        journal: Journal,
        *,
        identities_key: str | None = None,
        canonical: Name | None = None,
        tombstones: int = TOMBSTONES,
        longest_life: float = LONGEST_LIFE,
    ) -> None:
        super().__init__(
            server_id,
            journal,
            longest_life=longest_life,
            identities_key=identities_key,
            canonical=canonical,
        )
        self._tombstones = tombstones
        self.listener: Listener | None = None
        self.claim_listener: ClaimListener | None = None
        self.prolong: Prolong | None = None

        self.sequence = 0
        "The number of the last announced change."

        self.forgotten_early = 0
        "The number of contacts that were forgotten early, because there were too many."

    def apply(
        self,
        place: Place,
        claims: Sequence[Claim],
        now: float,
        *,
        records: Iterable[Record] = (),
        is_told: bool = False,
        is_published: bool = True,
    ) -> list[BindingChange]:
        """
        Apply claims and records of a user, and announce the differences.

        A claim that is known, or that loses to a known one, is not a change.

        Args:
            is_published: whether to publish the changes.
            is_told: whether they come from a `reginfo` peer. If one of its claims
                loses, the peer does not know the claim that holds, which therefore gets
                a new number and is sent to it.
        """
        news: list[Binding] = []
        keys: list[KeyChange] = []
        for record in records:
            self._take_record(place, record, now, news, keys, is_told)
        told: list[Claim] = []
        doubtful: dict[ContactRow, None] = {}  # with `is_told` only
        user = self._records.get(place)
        for claim in claims:
            if user is None:
                user = self._records[place] = UserContacts()
            row = user.rows.get(claim.key)
            if row is None:
                row = user.rows[claim.key] = ContactRow(place, claim.key)
            if claim.number:
                # It may have a number at another server, which is not valid here.
                claim = msgspec.structs.replace(claim, number=0)
            before = row.claims
            after = join(before, claim)
            if after is not before:
                self._keep(row, after, claim)
                if not before:
                    self._index.add(row)
                told.append(claim)
                self._evaluate(row, before, now, news)
            if is_told and row.claims[0] is not claim:
                doubtful[row] = None
        for row in doubtful:
            if not _has_order(claims, row):
                told.append(self._owe(row))
        changes = self._announce(place, news, now, is_published)
        if self.claim_listener is not None and told:
            self.claim_listener(place, told, now)
        if self.listener is not None:
            for key_change in keys:
                self.listener(key_change._replace(at=now, is_published=is_published))
        if len(self._over) > self._tombstones:
            self._limit(now)
        return changes

    def set_key(
        self,
        place: Place,
        name: str,
        value: str | None,
        now: float,
        wall: float,
        is_published: bool = True,
    ) -> bool:
        """
        Set a key of ``place``, or remove it.

        Args:
            value: None to remove it.

        Returns:
            False if there is no key to remove.
        """
        known = self._keyring.record(place, RecordKind.KEY, name)
        if value == (None if known is None else known.value):
            return value is not None
        record = Record(
            kind=RecordKind.KEY,
            name=name,
            value=value,
            stamp=next_stamp(
                known, (), wall, self._keyring.floor(place.table, name, value)
            ),
            owner=self.server_id,
        )
        self.apply(place, (), now, records=(record,), is_published=is_published)
        return True

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """The stored rows; :meth:`loaded` ends the loading."""
        return (self._rows, *self._keyring.shelves, *self._longest.shelves)

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`."""
        return self._wheel.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Report expired contacts, and forget tombstones that are old enough."""

        def act(machine: ContactRow | UserRecords) -> None:
            if isinstance(machine, ContactRow):
                self._row_due(machine, moment.now, moment.wall)
            else:
                self._probation_over(machine, moment.now)

        work_off(self._wheel, self._journal, moment.now, act)

    def undone(self, moment: Moment) -> None:
        """Do nothing: the undo of an item schedules it again."""

    def describe(self) -> Description:
        """Describe the number of users and of changes."""
        users = len(self._records)
        figures = {
            "users": users,
            "changes_total": self.sequence,
            "contacts_not_bound": len(self._over),
            "forgotten_early_total": self.forgotten_early,
            "longest_life": int(self.longest_life),
        }
        line = f"users: {users}"
        if self.forgotten_early:
            line += f", contacts forgotten early: {self.forgotten_early}"
        return Description("store", line, figures)

    @property
    def is_crowded(self) -> bool:
        """Whether contacts that have ended are forgotten early, to make room."""
        return self.forgotten_early > 0 and len(self._over) >= self._tombstones

    def begin(self, here: Here, moment: Moment) -> None:
        """
        Set the timers of all loaded rows, and number them.

        Contacts that expired while the server was down are reported as expired now.
        """
        now = moment.now
        self._keyring.loaded(moment.wall)
        rows = [row for user in self._records.values() for row in user.rows.values()]
        self._number_all(rows)
        for records in self._keyring.users():
            self._wait_for_probation(records, now)
        # Those that ended first are the first to be forgotten.
        rows.sort(key=lambda row: ended_at(row.claims[0], now, moment.wall))
        for row in rows:
            holds = row.claims[0]
            standing = self._keyring.standing(row.place)
            shown = None
            if holds.event is not ContactEvent.EXPIRED:
                shown = bound_by(row.claims, standing, _ALWAYS)
            self._set_shown(row, shown)
            self._schedule(row, now)
        for row in rows:
            try:
                with self._journal.attempt():
                    self._begin_row(row, moment)
            except Exception:
                # A row whose expiry fails must not prevent the start.
                logger.exception("! %s of %s cannot expire", row.key, row.place)
                self._postpone(row, now + RETRY_AFTER)

    # How.

    def _limit(self, now: float) -> None:
        """Forget the contacts that ended first, if too many have ended."""
        while len(self._over) > self._tombstones:
            self.forgotten_early += 1
            self._drop(next(iter(self._over)), now)

    def _begin_row(self, row: ContactRow, moment: Moment) -> None:
        # Now, and not by the timer: until then a watcher could get a state without the
        # contact, before the contact is reported as expired.
        now = moment.now
        if row.timer_at is not None and row.timer_at <= now:
            self._row_due(row, now, moment.wall)
        elif row.shown is None:
            news: list[Binding] = []
            self._evaluate(row, row.claims, now, news)
            self._announce(row.place, news, now)

    def _announce(
        self,
        place: Place,
        news: list[Binding],
        now: float,
        is_published: bool = True,
    ) -> list[BindingChange]:
        if not news:
            return []
        last = len(news) - 1
        changes = []
        for at, binding in enumerate(news):
            self.sequence += 1
            changes.append(
                BindingChange(
                    place, binding, self.sequence, at < last, now, is_published
                )
            )
        if self.listener is not None:
            # Only now, because a listener must see all of them or none.
            for one in changes:
                self.listener(one)
        return changes

    def _go_on(self, row: ContactRow, longer: Claim, now: float) -> None:
        """Have a contact whose time is up go on by a claim that ends later."""
        before = row.claims
        news: list[Binding] = []
        self._keep(row, join(before, longer), longer)
        self._evaluate(row, before, now, news, goes_on=True)
        self._announce(row.place, news, now)
        if self.claim_listener is not None:
            self.claim_listener(row.place, [longer], now)

    def _evaluate(
        self,
        row: ContactRow,
        before: Claims,
        now: float,
        news: list[Binding],
        goes_on: bool = False,
    ) -> None:
        """
        Compute the binding of a contact, and note the difference.

        Args:
            goes_on: whether an expiry that was due does not take place after all.
        """
        standing = self._keyring.standing(row.place)
        shown = row.shown
        if shown is not None and shown.expires_at <= now and not goes_on:
            # Its expiry was due to be reported; the new state follows it.
            ended = change(shown, None, before, standing, now)
            if ended is not None:
                news.append(ended)
            shown = None
        after = bound_by(row.claims, standing, now)
        new = change(shown, after, row.claims, standing, now)
        if new is not None:
            news.append(new)
        if new is not None and after is not None:
            after = new
        elif after is not None and shown is not None and after.event != shown.event:
            # The same state; its end may have moved by less than is announced.
            after = msgspec.structs.replace(after, event=shown.event)
        if row.shown is not None and after is not None:
            row.shown = after  # the hot path
        else:
            self._set_shown(row, after)
        self._schedule(row, now)

    def _take_record(
        self,
        place: Place,
        record: Record,
        now: float,
        news: list[Binding],
        keys: list[KeyChange],
        is_told: bool,
    ) -> None:
        changed = self._keyring.put(place, record)
        if changed is None:
            known = self._keyring.record(place, record.kind, record.name)
            if is_told and known is not None and known.outlives(record):
                owed = msgspec.structs.replace(known, source=None)
                self._keyring.owe(place, owed)
                keys.append(KeyChange(place, (), (), None))
            return
        keys.append(changed)
        if record.kind is RecordKind.KEY:
            return
        user = self._keyring.user(place)
        if user is not None:
            self._wait_for_probation(user, now)
        for row in self._rows_of(place):
            self._journal.remember(self._show, row, row.shown)
            self._evaluate(row, row.claims, now, news)

    def _wait_for_probation(self, user: UserRecords, now: float) -> None:
        standing = user.standing
        if standing is not None and standing.probation_ends > now:
            user.timer_at = standing.probation_ends
            self._wheel.schedule(user)

    def _probation_over(self, user: UserRecords, now: float) -> None:
        """Bind contacts that registered elsewhere during the probation."""
        news: list[Binding] = []
        for row in self._rows_of(user.place):
            self._journal.remember(self._show, row, row.shown)
            self._evaluate(row, row.claims, now, news)
        self._announce(user.place, news, now)

    def _row_due(self, row: ContactRow, now: float, wall: float) -> None:
        """Report an expired contact, or forget an old tombstone."""
        shown = row.shown
        if not row.claims:
            return
        if shown is None:
            user = self._records[row.place]
            if len(user.over) > OVER_OF_ONE:
                # All contacts that ended before this one are older.
                for old in list(user.over)[: len(user.over) - OVER_OF_ONE]:
                    self._drop(old, now)
                    if old is row:
                        return
            at = forgotten_at(row.claims, now, wall, self.longest_life)
            if now < at:
                self._postpone(row, at)
            else:
                self._drop(row, now)
            return
        if now < shown.expires_at:
            self._schedule(row, now)
            return
        # If the commit fails, retry only after RETRY_AFTER.
        self._journal.remember(self._postpone, row, now + RETRY_AFTER)
        longer = None if self.prolong is None else self.prolong(row, now, wall)
        if longer is not None:
            self._go_on(row, longer, now)
            return
        if now < (ends_at := self._ends_at(shown)):
            self._postpone(row, ends_at)
            return
        self._journal.remember(self._show, row, shown)
        news: list[Binding] = []
        self._evaluate(row, row.claims, now, news)
        self._strip(row, now)
        self._announce(row.place, news, now)


def _has_order(told: Sequence[Claim], row: ContactRow) -> bool:
    """Whether one of the claims is that which holds for a contact."""
    order = row.claims[0].order
    for claim in told:
        if claim.key == row.key and claim.order == order:
            return True
    return False
