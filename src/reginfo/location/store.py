"""
Where every user is, and until when: all claims and records, in memory and on disk.

The state of a contact is never edited. Claims and records come in by
:meth:`LocationStore.apply`; what each contact is bound by is worked out anew, and what
differs from before is announced.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows, nothing
from ..reg.document import ContactEvent
from ..sip.timer import TimerWheel
from ..sip.uri import Uri
from .binding import Binding, BindingChange
from .changes import ChangeIndex
from .claim import KIND, Claim, shifted, stripped
from .contact_row import ContactIndex, ContactRow, UserContacts
from .contacts import Contacts
from .keyring import KeyChange, Keyring, UserRecords
from .lives import SLACK, Claims, forgotten_at, join
from .longest import LongestLife
from .record import Record, RecordKind, next_stamp
from .state import bound_by, change

logger = logging.getLogger("reginfo.location")

TABLE = "location"
"""The table that is meant where none is named."""

LEARNED_GRACE = 5.0
"""
Seconds after its end until a contact that another server owns is reported as expired,
so that its owner is the first to say so. It counts as gone meanwhile.
"""

RETRY_AFTER = 5.0
"""Seconds until what was due, and could not be committed, is due again."""

LONGEST_LIFE = 86_400.0
"""The longest time that is granted, in seconds, unless a server grants more."""

TOMBSTONES = 1_000_000
"""Contacts that are kept although they are not bound, at the most."""

OVER_OF_ONE = 64
"""
Contacts of one address-of-record that are kept although they ended long ago, at most.

A browser that makes a new contact for each page would leave a day's worth of them.
"""

OVER_AGE = 1800.0
"""Seconds after which a contact counts as ended long ago: most outages are shorter."""

_ALWAYS = -math.inf

Listener = Callable[[BindingChange | KeyChange], None]
ClaimListener = Callable[[str, str, list[Claim], float], None]
"""Is called with table, address-of-record, the claims that are news, and the time."""

Prolong = Callable[[ContactRow, float, float], Claim | None]
"""Returns a claim by which a contact goes on whose time is up, if there is one."""


class LocationStore:
    """
    Contacts by table and address-of-record.

    Claims and records go in by :meth:`apply`; what they change is announced to the
    listener once all of them are in, so that it sees all of a REGISTER or none of it.

    Args:
        server_id: which owner is ourselves: the owner is the first to say that a
            contact has expired.
        journal: is told every change, and how to take it back.
        identities_key: the key under which the identities of a user stand; None if
            there are none.
        canonical: the address-of-record that a URI names; raises `RemoteProtocolError`.
        tombstones: how many contacts are kept at the most although they are not bound.
        longest_life: the longest time that is granted here, in seconds; linked servers
            may grant more (:meth:`hear_longest_life`).
    """

    def __init__(
        self,
        server_id: str,
        journal: Journal,
        *,
        identities_key: str | None = None,
        canonical: Callable[[Uri], str] | None = None,
        tombstones: int = TOMBSTONES,
        longest_life: float = LONGEST_LIFE,
    ) -> None:
        self.server_id = server_id
        self._journal = journal
        self._records: dict[str, dict[str, UserContacts]] = {}
        self._index = ContactIndex()
        self._wheel = TimerWheel()
        self._rows: Rows[Claim] = Rows(journal, KIND, Claim, self._take_loaded, shifted)
        self._longest = LongestLife(journal, longest_life)
        self._keyring = Keyring(
            journal, self._number, self._longest, identities_key, canonical
        )
        self._identified = identities_key is not None
        # Contacts that are not bound, those that ended first at the front.
        self._over: dict[ContactRow, None] = {}
        self._tombstones = tombstones
        self.listener: Listener | None = None
        self.claim_listener: ClaimListener | None = None
        self.prolong: Prolong | None = None

        self.changes = ChangeIndex()
        "Every claim and record that is kept, in the order of their last changes."

        self.sequence = 0
        "Of the last change that was announced."

        self.forgotten_early = 0
        "How many contacts were forgotten because there were too many."

    @property
    def longest_life(self) -> float:
        """The longest time in seconds that any linked server grants."""
        return self._longest.seconds

    def hear_longest_life(self, seconds: float) -> None:
        """
        Take note of what a linked server says: the greatest counts, and is stored.

        Raises:
            ValueError: that is no time that a contact could be granted.
        """
        self._longest.hear(seconds)

    @property
    def is_crowded(self) -> bool:
        """Whether contacts that have ended are forgotten early, to make room."""
        return self.forgotten_early > 0 and len(self._over) >= self._tombstones

    # Queries.

    def bindings(self, aor: str, now: float, table: str = TABLE) -> list[Binding]:
        """The contacts that ``aor`` is bound to at this moment."""
        user = self._records.get(table, {}).get(aor)
        if user is None:
            return []
        return [
            shown
            for row in user.bound.values()
            if (shown := row.shown) is not None and shown.expires_at > now
        ]

    def binding(
        self, aor: str, key: str, now: float, table: str = TABLE
    ) -> Binding | None:
        """What one contact is bound by at this moment; None if it is not bound."""
        user = self._records.get(table, {}).get(aor)
        row = None if user is None else user.bound.get(key)
        shown = None if row is None else row.shown
        return shown if shown is not None and shown.expires_at > now else None

    def claims(self, aor: str, key: str, table: str = TABLE) -> Claims:
        """All claims kept for one contact, the one that holds first; empty if none."""
        user = self._records.get(table, {}).get(aor)
        row = None if user is None else user.rows.get(key)
        return row.claims if row else ()

    def rows(self, aor: str, table: str = TABLE) -> dict[str, Claims]:
        """The claims for each contact of ``aor``, those that are gone included."""
        user = self._records.get(table, {}).get(aor)
        if user is None:
            return {}
        return {key: row.claims for key, row in user.rows.items()}

    def is_known(self, aor: str, table: str = TABLE) -> bool:
        """Whether anything is kept of ``aor``, be it that a contact has gone."""
        return aor in self._records.get(table, {}) or bool(
            self._keyring.user(table, aor)
        )

    def contacts(
        self, aor: str, now: float, wall: float, table: str = TABLE
    ) -> Contacts:
        """What is known of the contacts of ``aor``, to decide something by."""
        user = self._records.get(table, {}).get(aor)
        rows = {} if user is None else user.bound
        return Contacts(
            rows={key: row.claims for key, row in rows.items()},
            now=now,
            wall=wall,
            standing=self._keyring.standing(table, aor),
            record=partial(self._keyring.record, table, aor),
            past=partial(self.claims, aor, table=table),
        )

    def latest_record(self, aor: str, table: str = TABLE) -> int:
        """The latest stamp of the records that concern the contacts; 0 for none."""
        standing = self._keyring.standing(table, aor)
        return 0 if standing is None else standing.latest

    def aors(self, table: str = TABLE) -> Iterator[str]:
        """Every address-of-record that has a row, in the order in which they came."""
        return iter(self._records.get(table, {}))

    def is_bound(self, aor: str, now: float, table: str = TABLE) -> bool:
        """Whether ``aor`` is bound to any contact at this moment."""
        user = self._records.get(table, {}).get(aor)
        if user is None:
            return False
        for row in user.bound.values():
            if row.shown is not None and row.shown.expires_at > now:
                return True
        return False

    def find(self, aor: str, uri: Uri, table: str = TABLE) -> tuple[str, Claims]:
        """
        Return the key under which a contact is kept, and what is claimed of it.

        Like :meth:`.Contacts.find`, with an index where there are many contacts. Where
        the contact is not known, ``uri.key`` and no claims.
        """
        user = self._records.get(table, {}).get(aor)
        if user is None:
            return uri.key, ()
        row = user.rows.get(uri.key)
        if row is not None:
            return uri.key, row.claims
        row = self._index.find(table, aor, user.rows, uri)
        return (uri.key, ()) if row is None else (row.key, row.claims)

    def identities(self, aor: str, table: str = TABLE) -> tuple[str, ...]:
        """
        The addresses-of-record under which the contacts of ``aor`` are reported.

        Its public identities; where none are known, ``aor`` itself.
        """
        if self._identified and (found := self._keyring.identities(table, aor)):
            return found
        return (aor,)

    def record_of(self, aor: str, table: str = TABLE) -> str:
        """
        The user whose contacts ``aor`` has: its own, or whose identity it is.

        Its own as long as something is bound to it; of several users that name the
        identity, the one that did so last.
        """
        named_by = self.named_by(aor, table)
        if named_by is None:
            return aor
        own = self._records.get(table, {}).get(aor)
        return aor if own is not None and own.bound else named_by

    def named_by(self, aor: str, table: str = TABLE) -> str | None:
        """The user that names ``aor`` as an identity; None if there is none."""
        if not self._identified:
            return None
        return self._keyring.named_by(table, aor)

    def keys(self, aor: str, table: str = TABLE) -> dict[str, str]:
        """The keys of ``aor`` by name."""
        return {
            name: record.value
            for name, record in self._keyring.keys(table, aor).items()
            if record.value is not None
        }

    def records(self, aor: str, table: str = TABLE) -> list[Record]:
        """All records of ``aor``, also what was removed or lifted."""
        return self._keyring.records(table, aor)

    def barred(self, now: float, table: str = TABLE) -> list[tuple[str, Record]]:
        """Users that are rejected or on probation, and the record that says so."""
        found = []
        for user in self._keyring.users():
            if user.table != table or user.standing is None:
                continue
            if user.standing.bars(now):
                kind = RecordKind.PROBATION
                if user.standing.rejected:
                    kind = RecordKind.REJECTED
                found.append((user.aor, user.records[kind, ""]))
        return found

    def tables(self) -> list[str]:
        """The tables in which there are contacts."""
        return list(self._records)

    @property
    def over(self) -> int:
        """How many contacts are kept that are not bound."""
        return len(self._over)

    # Changes.

    def apply(
        self,
        aor: str,
        claims: Iterable[Claim],
        now: float,
        table: str = TABLE,
        *,
        records: Iterable[Record] = (),
        is_told: bool = False,
        is_published: bool = True,
    ) -> list[BindingChange]:
        """
        Take in claims and records of ``aor``, and announce what is different.

        A claim that loses to one that is known, or is known, is no change.

        Args:
            is_published: whether presence servers are to hear of the changes.
            is_told: whether a peer of our kind says so. What it says that loses shows
                that it does not know what holds: that is numbered anew, for it.
        """
        news: list[Binding] = []
        keys: list[KeyChange] = []
        for record in records:
            self._take_record(aor, record, now, table, news, keys, is_told)
        told: list[Claim] = []
        said: dict[ContactRow, set[object]] = {}
        by_aor = self._records.get(table)
        if by_aor is None:
            by_aor = self._records[table] = {}
        for claim in claims:
            user = by_aor.get(aor)
            if user is None:
                user = by_aor[aor] = UserContacts()
            row = user.rows.get(claim.key)
            if row is None:
                row = user.rows[claim.key] = ContactRow(table, aor, claim.key)
            if claim.number:
                # One that is kept elsewhere, too: its number there is not ours.
                claim = msgspec.structs.replace(claim, number=0)
            before = row.claims
            after = join(before, claim)
            if after is not before:
                self._keep(row, after, claim)
                if not before:
                    self._index.add(row)
                told.append(claim)
                self._evaluate(row, before, now, news)
            if is_told:
                said.setdefault(row, set()).add(claim.order)
        for row, orders in said.items():
            if row.claims and row.claims[0].order not in orders:
                told.append(self._owe(row))
        if not by_aor:
            del self._records[table]
        changes = self._announce(table, aor, news, now, is_published)
        if self.claim_listener is not None and told:
            self.claim_listener(table, aor, told, now)
        if self.listener is not None:
            for key_change in keys:
                self.listener(key_change._replace(at=now, is_published=is_published))
        self._limit()
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
        Set a key of ``aor``, or remove it.

        Args:
            value: None to remove it.

        Returns:
            False if there is nothing to remove.
        """
        known = self._keyring.record(table, aor, RecordKind.KEY, name)
        if value == (None if known is None else known.value):
            return value is not None
        record = Record(
            kind=RecordKind.KEY,
            name=name,
            value=value,
            stamp=next_stamp(known, (), wall, self._keyring.floor(table, name, value)),
            owner=self.server_id,
        )
        self.apply(aor, (), now, table, records=(record,), is_published=is_published)
        return True

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """What is kept in the storage; :meth:`loaded` ends the loading."""
        return (self._rows, *self._keyring.shelves, *self._longest.shelves)

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`."""
        return self._wheel.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Report what has expired, and forget what nothing can contradict any more."""

        def act(machine: ContactRow | UserRecords) -> None:
            if isinstance(machine, ContactRow):
                self._row_due(machine, moment.now, moment.wall)
            else:
                self._probation_over(machine, moment.now)

        work_off(self._wheel, self._journal, moment.now, act)

    def hears(self, change: object) -> None:
        """Ignore it: the store itself announces what changes."""

    def undone(self, moment: Moment) -> None:
        """Do nothing: what is taken back is due again by its own undo."""

    def describe(self) -> Description:
        """Describe how many users are known, and how much has changed."""
        users = sum(map(len, self._records.values()))
        figures = {
            "users": users,
            "changes_total": self.sequence,
            "contacts_not_bound": len(self._over),
            "forgotten_early_total": self.forgotten_early,
            "longest_life": self.longest_life,
        }
        line = f"{users} users"
        if self.forgotten_early:
            line += f", {self.forgotten_early} contacts forgotten early"
        return Description("store", line, figures)

    def begin(self, here: Here, moment: Moment) -> None:
        """
        Set the timers of all that was loaded, and number it.

        What expired while the server was down is reported as expired now.
        """
        now = moment.now
        self._keyring.loaded(moment.wall)
        rows = [
            row
            for users in self._records.values()
            for user in users.values()
            for row in user.rows.values()
        ]
        self._number_all(rows)
        for records in self._keyring.users():
            self._wait_for_probation(records, now)
        # Those that ended first are the first to be forgotten.
        rows.sort(key=lambda row: _ended_at(row.claims[0], moment))
        for row in rows:
            holds = row.claims[0]
            standing = self._keyring.standing(row.table, row.aor)
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
                # One row that cannot expire must not keep the server from starting.
                logger.exception("! %s of %s cannot expire", row.key, row.aor)
                self._postpone(row, now + RETRY_AFTER)

    # How.

    def _limit(self) -> None:
        """Forget contacts that ended first, if there are too many that have ended."""
        while len(self._over) > self._tombstones:
            self.forgotten_early += 1
            self._drop(next(iter(self._over)))

    def _begin_row(self, row: ContactRow, moment: Moment) -> None:
        # Not when the wheel reaches it: until then a watcher could be shown a state
        # without the contact, before it is told that the contact has gone.
        now = moment.now
        if row.timer_at is not None and row.timer_at <= now:
            self._row_due(row, now, moment.wall)
        elif row.shown is None:
            news: list[Binding] = []
            self._evaluate(row, row.claims, now, news)
            self._announce(row.table, row.aor, news, now)

    def _announce(
        self,
        table: str,
        aor: str,
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
                    table, aor, binding, self.sequence, at < last, now, is_published
                )
            )
        if self.listener is not None:
            # Only now: a listener that looks must see all of them or none.
            for one in changes:
                self.listener(one)
        return changes

    def _evaluate(
        self, row: ContactRow, before: Claims, now: float, news: list[Binding]
    ) -> None:
        """Work out what a contact is bound by, and note what is different."""
        standing = self._keyring.standing(row.table, row.aor)
        shown = row.shown
        if shown is not None and shown.expires_at <= now:
            # Its end was due to be reported; what is new comes after that.
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
            # It says the same, and its end may have moved by less than is news.
            after = msgspec.structs.replace(after, event=shown.event)
        if row.shown is not None and after is not None:
            row.shown = after  # the hot path
        else:
            self._set_shown(row, after)
        self._schedule(row, now)

    def _set_shown(self, row: ContactRow, shown: Claim | None) -> None:
        """Set what a contact is shown to be bound by, and all that follows."""
        row.shown = shown
        user = self._records.get(row.table, {}).get(row.aor)
        if shown is None:
            if row not in self._over:
                self._over[row] = None
            if user is not None:
                user.bound.pop(row.key, None)
                user.over.setdefault(row, None)
        else:
            self._over.pop(row, None)
            if user is not None:
                user.over.pop(row, None)
                user.bound[row.key] = row

    def _keep(self, row: ContactRow, claims: Claims, new: Claim) -> None:
        """Have a contact keep ``claims``, of which ``new`` is new."""
        before, changes = row.claims, self.changes
        number = changes.next_number()
        msgspec.structs.force_setattr(new, "number", number)
        row.claims = claims
        changes.add(number, row)
        self._rows.write(
            _entry_key(row, new), new, self._restore, row, before, row.shown
        )
        for claim in before:
            if not _has(claims, claim):
                changes.drop(claim.number)
                if claim.life != new.life:
                    self._rows.erase(_entry_key(row, claim), nothing)

    def _owe(self, row: ContactRow) -> Claim:
        """Number what holds anew: somebody has said what loses to it."""
        holds, *others = row.claims
        owed = msgspec.structs.replace(holds, source=None)
        self._keep(row, (owed, *others), owed)
        return owed

    def _take_record(
        self,
        aor: str,
        record: Record,
        now: float,
        table: str,
        news: list[Binding],
        keys: list[KeyChange],
        is_told: bool,
    ) -> None:
        changed = self._keyring.put(table, aor, record)
        if changed is None:
            known = self._keyring.record(table, aor, record.kind, record.name)
            if is_told and known is not None and known.outlives(record):
                owed = msgspec.structs.replace(known, source=None)
                self._keyring.owe(table, aor, owed)
                keys.append(KeyChange(table, aor, (), (), None))
            return
        keys.append(changed)
        if record.kind is RecordKind.KEY:
            return
        user = self._keyring.user(table, aor)
        if user is not None:
            self._wait_for_probation(user, now)
        for row in self._rows_of(table, aor):
            self._journal.remember(self._show, row, row.shown)
            self._evaluate(row, row.claims, now, news)

    def _rows_of(self, table: str, aor: str) -> list[ContactRow]:
        user = self._records.get(table, {}).get(aor)
        return [] if user is None else list(user.rows.values())

    def _wait_for_probation(self, user: UserRecords, now: float) -> None:
        standing = user.standing
        if standing is not None and standing.probation_ends > now:
            user.timer_at = standing.probation_ends
            self._wheel.schedule(user)

    def _probation_over(self, user: UserRecords, now: float) -> None:
        """Bind what was registered elsewhere meanwhile, later than the probation."""
        news: list[Binding] = []
        for row in self._rows_of(user.table, user.aor):
            self._journal.remember(self._show, row, row.shown)
            self._evaluate(row, row.claims, now, news)
        self._announce(user.table, user.aor, news, now)

    def _take_loaded(self, key: str, claim: Claim) -> None:
        table, aor = key.split("\0", 2)[:2]
        user = self._records.setdefault(table, {}).setdefault(aor, UserContacts())
        row = user.rows.get(claim.key)
        if row is None:
            row = user.rows[claim.key] = ContactRow(table, aor, claim.key)
        row.claims = join(row.claims, claim)

    def _number_all(self, rows: list[ContactRow]) -> None:
        """Build the index of changes of what was loaded."""
        numbered: list[tuple[int, ContactRow | UserRecords]] = []
        for row in rows:
            numbered += [(claim.number, row) for claim in row.claims]
        for user in self._keyring.users():
            numbered += [(record.number, user) for record in user.records.values()]
        numbered.sort(key=lambda pair: pair[0])
        for number, item in numbered:
            self.changes.add(number, item)
            self.changes.last = number

    def _number(
        self, user: UserRecords, before: Record | None, after: Record | None
    ) -> None:
        """Note in the index of changes that a record has been replaced."""
        if after is not None:
            number = self.changes.next_number()
            old = before.number if before is not None else 0
            msgspec.structs.force_setattr(after, "number", number)
            self.changes.add(number, user)
            if old:
                self.changes.drop(old)
        elif before is not None:
            self.changes.drop(before.number)

    def _row_due(self, row: ContactRow, now: float, wall: float) -> None:
        """Report a contact whose time is up, or forget what is long gone."""
        shown = row.shown
        if not row.claims:
            return
        if shown is None:
            user = self._records[row.table][row.aor]
            if len(user.over) > OVER_OF_ONE:
                # All that ended before this one are as old.
                for old in list(user.over)[: len(user.over) - OVER_OF_ONE]:
                    self._drop(old)
                    if old is row:
                        return
            at = forgotten_at(row.claims, now, wall, self.longest_life)
            if now < at:
                self._postpone(row, at)
            else:
                self._drop(row)
            return
        if now < self._ends_at(shown):
            self._schedule(row, now)
            return
        # If the commit fails, retry only after RETRY_AFTER.
        self._journal.remember(self._postpone, row, now + RETRY_AFTER)
        longer = None if self.prolong is None else self.prolong(row, now, wall)
        if longer is not None:
            self.apply(row.aor, (longer,), now, row.table)
            return
        self._journal.remember(self._show, row, shown)
        news: list[Binding] = []
        self._evaluate(row, row.claims, now, news)
        self._strip(row, now)
        self._announce(row.table, row.aor, news, now)

    def _strip(self, row: ContactRow, now: float) -> None:
        """Keep of a contact that has ended only what orders its claims."""
        before = row.claims
        kept = []
        for at, claim in enumerate(before):
            known = claim
            if claim.is_over(now):
                claim = stripped(claim)
            if at == 0 and not claim.gone and row.shown is None:
                # So that a restart knows that this has been reported.
                claim = msgspec.structs.replace(claim, event=ContactEvent.EXPIRED)
            kept.append(known if claim == known else claim)
        row.claims = tuple(kept)
        for claim, old in zip(kept, before, strict=True):
            if claim is not old:
                self._rows.write(
                    _entry_key(row, claim), claim, self._put_back, row, before,
                    urgent=False,
                )  # fmt: skip

    def _ends_at(self, shown: Claim) -> float:
        if shown.owner == self.server_id:
            return shown.expires_at
        return shown.expires_at + LEARNED_GRACE

    def _schedule(self, row: ContactRow, now: float) -> None:
        if row.shown is not None:
            row.timer_at = self._ends_at(row.shown)
        else:
            # Without the calendar this is a guess; it is looked at again when due.
            user = self._records.get(row.table, {}).get(row.aor)
            is_one_of_many = user is not None and len(user.over) > OVER_OF_ONE
            longest = OVER_AGE if is_one_of_many else self.longest_life + SLACK
            row.timer_at = now + longest
        self._wheel.schedule(row)

    def _postpone(self, row: ContactRow, at: float) -> None:
        row.timer_at = at
        self._wheel.schedule(row)

    def _drop(self, row: ContactRow) -> None:
        """Forget a contact, with all of its claims."""
        before, shown = row.claims, row.shown
        row.claims, row.shown = (), None
        for claim in before:
            self.changes.drop(claim.number)
            # A crash may lose this: then it is forgotten again.
            self._rows.erase(
                _entry_key(row, claim), self._restore, row, before, shown, urgent=False
            )
        self._remove(row)

    def _remove(self, row: ContactRow) -> None:
        row.timer_at = None
        self._wheel.schedule(row)
        self._over.pop(row, None)
        self._index.remove(row)
        users = self._records.get(row.table, {})
        user = users.get(row.aor)
        if user is not None and user.rows.get(row.key) is row:
            del user.rows[row.key]
            user.bound.pop(row.key, None)
            user.over.pop(row, None)
            if not user.rows:
                del users[row.aor]
                self._index.forget(row.table, row.aor)
        if not users:
            self._records.pop(row.table, None)

    # What is taken back if a commit fails.

    def _restore(self, row: ContactRow, before: Claims, shown: Claim | None) -> None:
        now = row.timer_at
        current, row.claims = row.claims, before
        for claim in current:
            if not _has(before, claim):
                self.changes.drop(claim.number)
        for claim in before:
            if not _has(current, claim):
                number = self.changes.next_number()
                msgspec.structs.force_setattr(claim, "number", number)
                self.changes.add(number, row)
        if not before:
            row.shown = shown
            self._remove(row)
            return
        users = self._records.setdefault(row.table, {})
        user = users.setdefault(row.aor, UserContacts())
        user.rows[row.key] = row
        self._show(row, shown)
        self._index.add(row)
        if shown is None and now is not None:
            self._postpone(row, now)

    def _put_back(self, row: ContactRow, before: Claims) -> None:
        row.claims = before

    def _show(self, row: ContactRow, shown: Claim | None) -> None:
        self._set_shown(row, shown)
        if shown is not None:
            self._postpone(row, self._ends_at(shown))


def _entry_key(row: ContactRow, claim: Claim) -> str:
    """One row on disk for each life that is kept."""
    return f"{row.table}\0{row.aor}\0{row.key}\0{claim.begin} {claim.call_id}"


def _ended_at(claim: Claim, moment: Moment) -> float:
    """When a contact that is not bound any more has ended; later for all others."""
    if claim.gone:
        return moment.now + claim.edition / 1e6 - moment.wall
    return claim.expires_at


def _has(claims: Claims, claim: Claim) -> bool:
    """Whether ``claim`` is one of them: the same object, and not an equal one."""
    for known in claims:
        if known is claim:
            return True
    return False
