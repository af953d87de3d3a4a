"""The stored rows of all contacts: numbered, written to disk, restored on undo."""

from __future__ import annotations

import msgspec
from msgspec.structs import force_setattr

from ..ledger.journal import Journal
from ..ledger.shelf import Rows, nothing
from ..reg.document import ContactEvent
from ..sip.timer import TimerWheel
from .changes import ChangeIndex
from .claim import KIND, Claim, shifted, stripped
from .contact_row import ContactRow, UserContacts
from .keyring import Keyring, UserRecords
from .lives import SLACK, Claims, join
from .longest import LongestLife
from .place import Name, Place, place_in
from .record import Record
from .view import LocationView

RETRY_AFTER = 5.0
"""Seconds until a due item whose commit failed is retried."""

LEARNED_GRACE = 5.0
"""
Seconds between the end of a contact that another server owns and its report as expired,
so that the owner reports it first. Meanwhile it is not bound.
"""

OVER_OF_ONE = 64
"""
The maximum number of contacts of one address-of-record that are kept after they ended
long ago.

A browser that creates a new contact for each page would otherwise leave those of a day.
"""

OVER_AGE = 1800.0
"""Seconds after which a contact has ended long ago; most outages are shorter."""


class LocationRows(LocationView):
    """
    Keeps the claims about each contact, and its announced binding.

    Every change of a row is noted in the index of changes, and in the journal with its
    undo. The timer wheel has the time at which a row is due.

    Args:
        server_id: the owner id of this server.
        journal: receives every change, with its undo.
        longest_life: the longest interval that is granted here, in seconds.
        identities_key: the key that holds the identities of a user; None if there is
            none.
        canonical: returns the address-of-record of a URI, or raises
            `RemoteProtocolError`.
    """

    def __init__(
        self,
        server_id: str,
        journal: Journal,
        *,
        longest_life: float,
        identities_key: str | None,
        canonical: Name | None,
    ) -> None:
        self._longest = LongestLife(journal, longest_life)
        keyring = Keyring(
            journal, self._number, self._longest, identities_key, canonical
        )
        super().__init__(keyring, identified=identities_key is not None)
        self.server_id = server_id
        self._journal = journal
        self._wheel = TimerWheel()
        self._rows: Rows[Claim] = Rows(journal, KIND, Claim, self._take_loaded, shifted)
        # Contacts that are not bound, in the order in which they ended.
        self._over: dict[ContactRow, None] = {}

        self.changes = ChangeIndex()
        "Every stored claim and record, in the order of their last changes."

    @property
    def longest_life(self) -> float:
        """The longest interval that any linked server grants, in seconds."""
        return self._longest.seconds

    def hear_longest_life(self, seconds: float) -> None:
        """
        Take note of what a linked server says: the greatest counts, and is stored.

        Raises:
            ValueError: that is no time that a contact could be granted.
        """
        self._longest.hear(seconds)

    @property
    def over(self) -> int:
        """The number of stored contacts that are not bound."""
        return len(self._over)

    def _keep(self, row: ContactRow, claims: Claims, new: Claim) -> None:
        """Set the claims about a contact, of which ``new`` is new."""
        before, changes = row.claims, self.changes
        force_setattr(new, "number", changes.note(row))
        row.claims = claims
        if before and self._index.is_used and before[0].contact != claims[0].contact:
            self._index.add(row)
        self._journal.put(
            (KIND, _entry_key(row, new), new),
            (self._restore, (row, before, row.shown)),
            True,
        )
        if len(before) == 1 and len(claims) == 1:
            changes.drop(before[0].number)  # the hot path: a refresh of the only life
            return
        for claim in before:
            if not _has(claims, claim):
                changes.drop(claim.number)
                if claim.begin != new.begin or claim.call_id != new.call_id:
                    self._rows.erase(_entry_key(row, claim), nothing)

    def _owe(self, row: ContactRow) -> Claim:
        """Give the claim that holds a new number, because a peer does not know it."""
        holds, *others = row.claims
        owed = msgspec.structs.replace(holds, source=None)
        self._keep(row, (owed, *others), owed)
        return owed

    def _strip(self, row: ContactRow, now: float) -> None:
        """Reduce a contact that has ended to the fields that order its claims."""
        before = row.claims
        kept = []
        for at, claim in enumerate(before):
            known = claim
            if claim.is_over(now):
                claim = stripped(claim)
            if at == 0 and not claim.gone and row.shown is None:
                # A restart must know that this has been reported.
                claim = msgspec.structs.replace(claim, event=ContactEvent.EXPIRED)
            kept.append(known if claim == known else claim)
        row.claims = tuple(kept)
        for claim, old in zip(kept, before, strict=True):
            if claim is not old:
                self._rows.write(
                    _entry_key(row, claim), claim, self._put_back, row, before,
                    urgent=False,
                )  # fmt: skip

    def _drop(self, row: ContactRow, now: float) -> None:
        """Forget a contact, with all claims about it."""
        # If the commit fails, retry only after RETRY_AFTER.
        self._journal.remember(self._postpone, row, now + RETRY_AFTER)
        before, shown = row.claims, row.shown
        row.claims, row.shown = (), None
        for claim in before:
            self.changes.drop(claim.number)
            # If a crash loses this, the contact is forgotten again later.
            self._rows.erase(
                _entry_key(row, claim), self._restore, row, before, shown, urgent=False
            )
        self._remove(row)

    def _remove(self, row: ContactRow) -> None:
        row.timer_at = None
        self._wheel.schedule(row)
        self._over.pop(row, None)
        self._index.remove(row)
        user = self._records.get(row.place)
        if user is not None and user.rows.get(row.key) is row:
            del user.rows[row.key]
            user.bound.pop(row.key, None)
            user.over.pop(row, None)
            if not user.rows:
                del self._records[row.place]
                self._index.forget(row.place)

    def _set_shown(self, row: ContactRow, shown: Claim | None) -> None:
        """Set the announced binding of a contact, with all consequences."""
        row.shown = shown
        user = self._records.get(row.place)
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

    def _rows_of(self, place: Place) -> list[ContactRow]:
        user = self._records.get(place)
        return [] if user is None else list(user.rows.values())

    def _ends_at(self, shown: Claim) -> float:
        if shown.owner == self.server_id:
            return shown.expires_at
        return shown.expires_at + LEARNED_GRACE

    def _schedule(self, row: ContactRow, now: float) -> None:
        if row.shown is not None:
            # When it ends, another peer may be found to list it for longer.
            row.timer_at = row.shown.expires_at
        else:
            # Without the wall clock this is an estimate; it is checked again when due.
            user = self._records.get(row.place)
            is_one_of_many = user is not None and len(user.over) > OVER_OF_ONE
            longest = OVER_AGE if is_one_of_many else self.longest_life + SLACK
            row.timer_at = now + longest
        self._wheel.schedule(row)

    def _postpone(self, row: ContactRow, at: float) -> None:
        row.timer_at = at
        self._wheel.schedule(row)

    # Loading.

    def _take_loaded(self, key: str, claim: Claim) -> None:
        place = place_in(key)
        user = self._records.setdefault(place, UserContacts())
        row = user.rows.get(claim.key)
        if row is None:
            row = user.rows[claim.key] = ContactRow(place, claim.key)
        row.claims = join(row.claims, claim)

    def _number_all(self, rows: list[ContactRow]) -> None:
        """Build the index of changes from the loaded rows."""
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
        """Note the replacement of a record in the index of changes."""
        if after is not None:
            number = self.changes.next_number()
            old = before.number if before is not None else 0
            force_setattr(after, "number", number)
            self.changes.add(number, user)
            if old:
                self.changes.drop(old)
        elif before is not None:
            self.changes.drop(before.number)

    # Undo, if a commit fails.

    def _restore(self, row: ContactRow, before: Claims, shown: Claim | None) -> None:
        current, row.claims = row.claims, before
        # First the new numbers: none that is dropped may still be that of a claim.
        for claim in before:
            if not _has(current, claim):
                number = self.changes.next_number()
                force_setattr(claim, "number", number)
                self.changes.add(number, row)
        for claim in current:
            if not _has(before, claim):
                self.changes.drop(claim.number)
        if not before:
            row.shown = shown
            self._remove(row)
            return
        user = self._records.setdefault(row.place, UserContacts())
        user.rows[row.key] = row
        self._show(row, shown)
        self._index.add(row)

    def _put_back(self, row: ContactRow, before: Claims) -> None:
        row.claims = before

    def _show(self, row: ContactRow, shown: Claim | None) -> None:
        self._set_shown(row, shown)
        if shown is not None:
            self._postpone(row, self._ends_at(shown))


def _entry_key(row: ContactRow, claim: Claim) -> str:
    """Return the key of a stored row: there is one for each stored life."""
    place = row.place  # its part is as `row_key` has it, without a call
    return f"{place.table}\0{place.aor}\0{row.key}\0{claim.begin} {claim.call_id}"


def _has(claims: Claims, claim: Claim) -> bool:
    """Whether ``claims`` has this very object, and not only an equal one."""
    for known in claims:
        if known is claim:
            return True
    return False
