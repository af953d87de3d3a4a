"""What a subscriber knows: documents merged into one view (RFC 3680 §5.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from .contact import MAX_VERSION
from .document import (
    Contact,
    ContactEvent,
    ContactState,
    Reginfo,
    RegistrationState,
    unquoted,
)

SLACK = 1.0
"Seconds by which two reports of one end differ: documents carry whole seconds."


class News(NamedTuple):
    """A contact that was added, changed or removed."""

    aor: str

    contact: Contact
    "As reported; ``expires`` counts from the moment the document was taken in."

    omitted: bool = False
    "Whether it was removed by not being listed. Then its event is ``expired``."

    had: Contact | None = None
    "The contact as it was listed until now; None if it was not."


class Taken(NamedTuple):
    """The result of taking in a document."""

    news: tuple[News, ...] = ()

    missed: bool = False
    "Whether an earlier document was lost: refresh, to be sent the full state."


class ReportedContact(msgspec.Struct, frozen=True, gc=False):
    """An active contact, as last reported."""

    aor: str
    contact: Contact

    expires_at: float | None
    "None if nobody said: it lives as long as the subscription that told us."


class RowChange(NamedTuple):
    """One row of a table that a document has changed."""

    aor: str
    id: str
    before: ReportedContact | None
    after: ReportedContact | None


class TableState(msgspec.Struct, frozen=True, gc=False):
    """What a table knows beside its rows: which document comes next."""

    version: int | None = None
    cseq: int = -1
    gone: tuple[tuple[str, Contact], ...] = ()
    "Terminated contacts of the latest document, with their address-of-record."


class TableDump(msgspec.Struct, frozen=True, kw_only=True):
    """A whole table, to be stored. Moments in it are relative to when it was made."""

    version: int | None
    cseq: int
    rows: tuple[ReportedContact, ...]
    gone: tuple[tuple[str, Contact], ...]

    @property
    def state(self) -> TableState:
        return TableState(self.version, self.cseq, self.gone)


_Gone = dict[tuple[str, str, str], Contact]
"Terminated rows by address-of-record, id and URI: some list two under one id."


class _Registration:
    """The rows of one address-of-record."""

    __slots__ = ("rows", "uris")

    def __init__(self) -> None:
        self.rows: dict[str, ReportedContact] = {}
        "By the id of the contact."

        self.uris: dict[str, int] = {}
        "How many rows have this URI."

    def set(self, id: str, row: ReportedContact | None) -> None:
        """Set a row, or remove it."""
        known = self.rows.pop(id, None) if row is None else self.rows.get(id)
        if known is not None:
            left = self.uris[known.contact.uri] - 1
            if left:
                self.uris[known.contact.uri] = left
            else:
                del self.uris[known.contact.uri]
        if row is not None:
            self.rows[id] = row
            self.uris[row.contact.uri] = self.uris.get(row.contact.uri, 0) + 1


class Table:
    """
    The active contacts of the registrations that one subscription watches.

    A partial document costs what is in it, however many contacts the table has.
    """

    def __init__(self) -> None:
        self._version: int | None = None
        self._cseq = -1
        # A row is found by its contact's id, in the table of its registration.
        # The RFC has that found by the registration's id (§5.2); here it is found by
        # the address-of-record. For a notifier that follows the RFC it is the same:
        # "the id [...] for a particular address-of-record MUST be the same across all
        # notifications". Of others, Clearwater's Sprout gives all registrations of a
        # document one id, so that the contacts of two identities would be one row; and
        # Kamailio's ids are memory addresses, so that a registration that is made anew
        # would leave its old rows.
        self._registrations: dict[str, _Registration] = {}

        # Terminated rows of the latest document. "That entry MAY be removed
        # from the table at any time" (§5.2). It is kept that long because many
        # notifiers repeat it in each document, and it is news only once.
        self._gone: _Gone = {}

        self.changes: list[RowChange] = []
        "The rows that the last call of :meth:`take` has changed."

    def __repr__(self) -> str:
        return f"<Table: {len(self)} contacts, version {self._version}>"

    def __len__(self) -> int:
        return sum(len(one.rows) for one in self._registrations.values())

    def __iter__(self) -> Iterator[ReportedContact]:
        """The contacts that are active, in no particular order."""
        for registration in self._registrations.values():
            yield from registration.rows.values()

    def aors(self) -> tuple[str, ...]:
        """The addresses-of-record that have such contacts, as they were written."""
        return tuple(self._registrations)

    @property
    def state(self) -> TableState:
        """What is to be stored beside the rows; see :meth:`restore`."""
        gone = self._gone and tuple(
            [(aor, contact) for (aor, _, _), contact in self._gone.items()]
        )
        return TableState(self._version, self._cseq, gone or ())

    def take(self, document: Reginfo, cseq: int, now: float) -> Taken:
        """
        Take in the body of a NOTIFY whose CSeq is ``cseq``.

        A NOTIFY without a body changes nothing, and is not given to the table.
        Terminated contacts come first in the news of a registration, so that of two
        with one URI the active one is what remains. :attr:`changes` has the rows that
        were changed.
        """
        self.changes = []
        if not self._is_next(document, cseq):
            return Taken()
        # §5.2, of a version more than one higher: "the document is processed,
        # and the subscriber SHOULD generate a refresh request to trigger a full
        # state notification". One that is full is what this would bring.
        missed = not document.full and (
            self._version is None or document.version != self._version + 1
        )
        self._version = document.version
        self._cseq = max(cseq, self._cseq)

        news: list[News] = []
        gone: _Gone = {}
        for registration in document.registrations:
            # A registration that is not active has no contacts: those that it does
            # not list are gone, even in a partial document.
            flush = document.full or registration.state is not RegistrationState.ACTIVE
            news += self._update(
                registration.aor, registration.contacts, flush, gone, now
            )
        if document.full:
            listed = {registration.aor for registration in document.registrations}
            for aor in [aor for aor in self._registrations if aor not in listed]:
                news += self._update(aor, (), True, gone, now)
        self._gone = gone
        return Taken(tuple(news), missed)

    def restart(self) -> None:
        """
        Prepare for a new subscription to the same resource.

        What is known stays until its first full document, which replaces it. What
        that leaves out is reported as gone.
        """
        self._version, self._cseq = None, -1

    def put(self, row: ReportedContact) -> None:
        """Set a row that was stored."""
        self._set(row.aor, row.contact.id, row)

    def undo(self, changes: Sequence[RowChange]) -> None:
        """Undo the changes of one call of :meth:`take`; see :meth:`restore`."""
        for aor, id, before, _ in reversed(changes):
            self._set(aor, id, before)

    def restore(self, state: TableState) -> None:
        """
        Set what a table knows beside its rows.

        With a state that was stored, and :meth:`put` for each row, a table continues
        after a restart.
        """
        self._version, self._cseq = state.version, state.cseq
        self._gone = {_key(aor, contact): contact for aor, contact in state.gone}

    def dump(self, now: float = 0.0) -> TableDump:
        """Return all that is known, with moments relative to ``now``."""
        state = self.state
        return TableDump(
            version=state.version,
            cseq=state.cseq,
            rows=tuple([shifted(row, -now) for row in self]),
            gone=state.gone,
        )

    @classmethod
    def load(cls, dump: TableDump, now: float = 0.0) -> Table:
        """Return the table that :meth:`dump` was made of."""
        table = cls()
        table.restore(dump.state)
        for row in dump.rows:
            table.put(shifted(row, now))
        return table

    def _set(self, aor: str, id: str, row: ReportedContact | None) -> None:
        registration = self._registrations.get(aor)
        if registration is None:
            if row is None:
                return
            registration = self._registrations[aor] = _Registration()
        registration.set(id, row)
        if not registration.rows:
            del self._registrations[aor]

    def _is_next(self, document: Reginfo, cseq: int) -> bool:
        """Whether a document is to be processed, and not one that was overtaken."""
        if self._version is None or document.version > self._version:
            return True
        if cseq <= self._cseq:
            return False
        if document.version == self._version:
            # The text is silent about this one. Kamailio, Sprout and Flexisip
            # write 0 always, and what they write is full.
            return document.full
        # "If the value [...] is less than the local version, the document is
        # discarded without processing"; but after the last comes the first.
        return self._version == MAX_VERSION

    def _update(
        self,
        aor: str,
        contacts: tuple[Contact, ...],
        flush: bool,
        gone: _Gone,
        now: float,
    ) -> list[News]:
        """
        Update the rows of one registration; ``flush`` removes what is not listed.

        Adds to ``gone`` which contacts are terminated.
        """
        registration = self._registrations.get(aor)
        if registration is None:
            registration = self._registrations[aor] = _Registration()
        rows = registration.rows
        old: dict[str, ReportedContact | None] = {}
        "Rows as they were, of each contact that is listed or flushed."

        ended: _Gone = {}
        came: dict[str, Contact] = {}
        active: set[str] = set()
        for contact in contacts:
            id = contact.id
            if id not in old:
                old[id] = rows.get(id)
            if contact.state is ContactState.TERMINATED:
                ended[_key(aor, contact)] = contact
                registration.set(id, None)
        for contact in contacts:
            # One id may be listed as terminated and, later on, as active.
            if contact.state is ContactState.ACTIVE:
                id = contact.id
                before = old[id]
                row = _follow(before, aor, contact, now)
                if rows.get(id) is not row:
                    registration.set(id, row)
                active.add(id)
                if row is not before:
                    came[id] = row.contact
                else:
                    came.pop(id, None)
        if flush and len(rows) > len(active):
            for id in [id for id in rows if id not in active]:
                old.setdefault(id, rows[id])
                registration.set(id, None)
        if not rows:
            del self._registrations[aor]
        for id, before in old.items():
            after = rows.get(id)
            if after is not before:
                self.changes.append(RowChange(aor, id, before, after))
        news = self._news(aor, old, registration.uris, ended, came)
        gone.update(ended)
        return news

    def _news(
        self,
        aor: str,
        old: dict[str, ReportedContact | None],
        active: dict[str, int],
        ended: _Gone,
        came: dict[str, Contact],
    ) -> list[News]:
        """
        Return what is new in a registration.

        Args:
            old: the rows as they were, of all ids that may have changed.
            active: the URIs that are active now.
        """
        # Two rows may have one URI. It is not gone while one of them is active,
        # unless that one is news and comes after.
        follow = {contact.uri for contact in came.values()}
        news = []
        reported = set()
        for key, contact in ended.items():
            if contact.uri in active and contact.uri not in follow:
                continue
            had = old[contact.id]
            if had is None or had.contact.uri != contact.uri:
                known = self._gone.get(key)
                if known is not None and _is_same(known, contact):
                    continue
            reported.add(contact.uri)
            news.append(News(aor, contact))
        for left in old.values():
            # By URI: a notifier that gives its id to another URI means that the
            # first one is gone.
            if left is None:
                continue
            uri = left.contact.uri
            if uri not in active and uri not in reported:
                reported.add(uri)
                contact = msgspec.structs.replace(
                    left.contact, event=ContactEvent.EXPIRED, expires=0
                )
                news.append(News(aor, contact, omitted=True))
        before = {row.contact.uri: row.contact for row in old.values() if row}
        return news + [
            News(aor, contact, had=before.get(contact.uri)) for contact in came.values()
        ]


def _key(aor: str, contact: Contact) -> tuple[str, str, str]:
    return aor, contact.id, contact.uri


def _follow(
    known: ReportedContact | None, aor: str, contact: Contact, now: float
) -> ReportedContact:
    """Return the row for ``contact``: ``known`` itself if that is no news."""
    expires_at = None if contact.expires is None else now + contact.expires
    if known is None or known.contact.uri != contact.uri:
        return ReportedContact(aor, contact, expires_at)
    before, ends_before = known.contact, known.expires_at
    if _same_register(before, contact) and ends_before is not None:
        # A document may have been stored for long, with what was left when it
        # was made. So the same REGISTER is never told to last longer.
        if expires_at is None or expires_at >= ends_before - SLACK:
            expires_at = ends_before
            contact = msgspec.structs.replace(
                contact, expires=max(0, math.ceil(ends_before - now))
            )
    elif (
        expires_at is not None
        and ends_before is not None
        and abs(expires_at - ends_before) <= SLACK
    ):
        expires_at = ends_before
    if expires_at == ends_before and _is_same(before, contact):
        return known
    return ReportedContact(aor, contact, expires_at)


def _same_register(before: Contact, contact: Contact) -> bool:
    """
    Whether both reports are of one REGISTER, neither by a server that knows more.

    Without the CSeq that is unknown. Then a later end counts as a refresh, so that a
    contact that is reachable is not lost.
    """
    return (
        contact.cseq is not None
        and contact.cseq == before.cseq
        and contact.callid == before.callid
        # The owner's word counts for more: it may prolong what was shortened.
        and contact.claim == before.claim
    )


def _is_same(one: Contact, other: Contact) -> bool:
    """Whether two reports say the same, whenever made and however written."""
    # The first line is for speed: one of these differs in most reports.
    if one.cseq != other.cseq or one.event is not other.event:
        return False
    return _timeless(one) == _timeless(other)


def _timeless(contact: Contact) -> Contact:
    """Return ``contact`` without what depends on the time or the way of writing."""
    params = contact.params
    if params:
        params = tuple([(name, value and unquoted(value)) for name, value in params])
    return msgspec.structs.replace(
        contact, expires=None, duration_registered=None, params=params
    )


def shifted(row: ReportedContact, by: float) -> ReportedContact:
    """Return ``row`` with ``by`` seconds added to its end."""
    if row.expires_at is None:
        return row
    return ReportedContact(row.aor, row.contact, row.expires_at + by)
