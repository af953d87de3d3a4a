"""The rows of all contacts: numbered, on disk, and put back if a commit fails."""

from __future__ import annotations

import msgspec

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
from .place import Name, Place, place_in, row_key
from .record import Record
from .view import LocationView

LEARNED_GRACE = 5.0
"""
Seconds after its end until a contact that another server owns is reported as expired,
so that its owner is the first to say so. It counts as gone meanwhile.
"""

OVER_OF_ONE = 64
"""
Contacts of one address-of-record that are kept although they ended long ago, at most.

A browser that makes a new contact for each page would leave a day's worth of them.
"""

OVER_AGE = 1800.0
"""Seconds after which a contact counts as ended long ago: most outages are shorter."""


class LocationRows(LocationView):
    """
    Keeps the claims for each contact, and what it is shown to be bound by.

    Every change of a row is noted in the index of changes and in the journal, with what
    takes it back. When a row is due again is in the timer wheel.

    Args:
        server_id: which owner is ourselves.
        journal: is told every change, and how to take it back.
        longest_life: the longest time that is granted here, in seconds.
        identities_key: the key under which the identities of a user stand; None if
            there are none.
        canonical: the address-of-record that a URI names; raises `RemoteProtocolError`.
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
        # Contacts that are not bound, those that ended first at the front.
        self._over: dict[ContactRow, None] = {}

        self.changes = ChangeIndex()
        "Every claim and record that is kept, in the order of their last changes."

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
    def over(self) -> int:
        """How many contacts are kept that are not bound."""
        return len(self._over)

    def _keep(self, row: ContactRow, claims: Claims, new: Claim) -> None:
        """Have a contact keep ``claims``, of which ``new`` is new."""
        before, changes = row.claims, self.changes
        number = changes.next_number()
        msgspec.structs.force_setattr(new, "number", number)
        row.claims = claims
        changes.add(number, row)
        self._journal.write(
            KIND, _entry_key(row, new), new, self._restore, row, before, row.shown
        )
        for claim in before:
            if not _has(claims, claim):
                changes.drop(claim.number)
                if claim.begin != new.begin or claim.call_id != new.call_id:
                    self._rows.erase(_entry_key(row, claim), nothing)

    def _owe(self, row: ContactRow) -> Claim:
        """Number what holds anew: somebody has said what loses to it."""
        holds, *others = row.claims
        owed = msgspec.structs.replace(holds, source=None)
        self._keep(row, (owed, *others), owed)
        return owed

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
        user = self._records.get(row.place)
        if user is not None and user.rows.get(row.key) is row:
            del user.rows[row.key]
            user.bound.pop(row.key, None)
            user.over.pop(row, None)
            if not user.rows:
                del self._records[row.place]
                self._index.forget(row.place)

    def _set_shown(self, row: ContactRow, shown: Claim | None) -> None:
        """Set what a contact is shown to be bound by, and all that follows."""
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
            # Without the calendar this is a guess; it is looked at again when due.
            user = self._records.get(row.place)
            is_one_of_many = user is not None and len(user.over) > OVER_OF_ONE
            longest = OVER_AGE if is_one_of_many else self.longest_life + SLACK
            row.timer_at = now + longest
        self._wheel.schedule(row)

    def _postpone(self, row: ContactRow, at: float) -> None:
        row.timer_at = at
        self._wheel.schedule(row)

    # What is loaded.

    def _take_loaded(self, key: str, claim: Claim) -> None:
        place = place_in(key)
        user = self._records.setdefault(place, UserContacts())
        row = user.rows.get(claim.key)
        if row is None:
            row = user.rows[claim.key] = ContactRow(place, claim.key)
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
        user = self._records.setdefault(row.place, UserContacts())
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
    return f"{row_key(row.place)}\0{row.key}\0{claim.begin} {claim.call_id}"


def _has(claims: Claims, claim: Claim) -> bool:
    """Whether ``claim`` is one of them: the same object, and not an equal one."""
    for known in claims:
        if known is claim:
            return True
    return False
