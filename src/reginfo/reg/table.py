"""The table of a subscriber: merges documents into one view (RFC 3680 §5.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import msgspec

from .contact import MAX_VERSION
from .document import (
    Contact,
    ContactEvent,
    ContactState,
    Piece,
    Reginfo,
    RegistrationState,
)
from .reported import follow, is_same
from .table_row import ReportedContact as ReportedContact
from .table_row import RowChange as RowChange
from .table_row import TableDump as TableDump
from .table_row import TableState as TableState
from .table_row import shifted as shifted

ACTIVE, BOUND, MORE = RegistrationState.ACTIVE, ContactState.ACTIVE, Piece.MORE


class News(NamedTuple):
    """A contact that was added, changed or removed."""

    aor: str

    contact: Contact
    "As reported; ``expires`` counts from the time at which the document was processed."

    omitted: bool = False
    "Whether it was removed by omission; then its event is ``expired``."


class Taken(NamedTuple):
    """The result of processing a document."""

    news: tuple[News, ...] = ()

    missed: bool = False
    "Whether an earlier document was lost: refresh to get the full state."


_Gone = dict[tuple[str, str, str], Contact]
"Terminated rows by address-of-record, id and URI; some peers list two with one id."


class _Registration:
    """The rows of one address-of-record."""

    __slots__ = ("rows", "uris")

    def __init__(self) -> None:
        self.rows: dict[str, ReportedContact] = {}
        "By the id of the contact."

        self.uris: dict[str, int] = {}
        "The number of rows with each URI."

    def set(self, id: str, row: ReportedContact | None) -> None:
        """Set or remove a row."""
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

    The cost of a partial document does not depend on the size of the table.
    """

    def __init__(self) -> None:
        self._next = TableState()
        # A row is found by the id of its contact, in the table of its registration. The
        # RFC finds that table by the id of the registration (§5.2); here it is found by
        # the address-of-record. For a notifier that follows the RFC this is the same:
        # "the id [...] for a particular address-of-record MUST be the same across all
        # notifications". Others do not follow it. Clearwater's Sprout gives all
        # registrations of a document one id, which would merge the contacts of two
        # identities; Kamailio's ids are memory addresses, so that a registration that
        # is created again would leave its old rows.
        self._registrations: dict[str, _Registration] = {}

        # Terminated rows of the latest document. "That entry MAY be removed from the
        # table at any time" (§5.2). It is kept because many notifiers repeat it in each
        # document, but it must be reported only once.
        self._gone: _Gone = {}

        # Ids that were listed since the first piece of a full state; None if no such
        # state is being received. Not stored: after a restart, a refresh brings it.
        self._listed: dict[str, set[str]] | None = None

        # The results of the last call of :meth:`take`.

        self.changes: list[RowChange] = []
        "The rows that it changed."

        self.untimed: list[tuple[str, Contact]] = []
        "Active contacts without `expires`, each with its address-of-record."

        self.has_claims = False
        """
        Whether the document carries claims or records: then it comes from a `reginfo`
        server, and its omissions mean nothing.
        """

        self.is_full = False
        "Whether the last document completed a full state, whose omissions are endings."

    def __repr__(self) -> str:
        return f"<Table: {len(self)} contacts, version {self._next.version}>"

    def __len__(self) -> int:
        return sum(len(one.rows) for one in self._registrations.values())

    def __iter__(self) -> Iterator[ReportedContact]:
        """Yield the active contacts, in no particular order."""
        for registration in self._registrations.values():
            yield from registration.rows.values()

    def aors(self) -> tuple[str, ...]:
        """The addresses-of-record that have active contacts, as written."""
        return tuple(self._registrations)

    @property
    def state(self) -> TableState:
        """The state to store with the rows; see :meth:`restore`."""
        return self._next

    def take(self, document: Reginfo, cseq: int, now: float) -> Taken:
        """
        Process the body of a NOTIFY with the CSeq ``cseq``.

        A NOTIFY without a body changes nothing; do not pass it to the table. Terminated
        contacts come first in the news of a registration, so that of two contacts with
        one URI the active one remains. :attr:`changes` has the changed rows.
        """
        self.changes, self.untimed = [], []
        self.has_claims = self.is_full = False
        if not self._is_next(document, cseq):
            self._look_at(document)
            return Taken()
        # §5.2, about a version that is higher by more than one: "the document is
        # processed, and the subscriber SHOULD generate a refresh request to trigger a
        # full state notification". A full document needs no refresh.
        version = self._next.version
        missed = not document.full and (
            version is None or document.version != version + 1
        )
        is_full = document.full and document.piece is not MORE
        if document.full:
            self._listed = None if is_full else {}
        elif missed:
            self._listed = None

        news: list[News] = []
        gone: _Gone = {}
        for registration in document.registrations:
            # A registration that is not active has no contacts: those that it does not
            # list have ended, even in a partial document.
            flush = is_full or registration.state is not ACTIVE
            aor, contacts = registration.aor, registration.contacts
            if registration.keys:
                self.has_claims = True
            self._update(aor, contacts, flush, gone, news, now)
            if self._listed is not None:
                ids = {one.id for one in contacts if one.state is BOUND}
                self._listed.setdefault(aor, set()).update(ids)
        if is_full:
            listed = {registration.aor for registration in document.registrations}
            for aor in [aor for aor in self._registrations if aor not in listed]:
                self._update(aor, (), True, gone, news, now)
        elif document.piece is Piece.LAST and self._listed is not None:
            is_full = True
            for aor in list(self._registrations):
                keep = self._listed.get(aor, set())
                self._update(aor, (), True, gone, news, now, keep)
            self._listed = None
        self._gone = gone
        self.is_full = is_full
        self._next = TableState(
            document.version,
            max(cseq, self._next.cseq),
            tuple([(aor, contact) for (aor, _, _), contact in gone.items()])
            if gone
            else (),
        )
        return Taken(tuple(news), missed)

    def restart(self) -> None:
        """
        Prepare for a new subscription to the same resource.

        The rows are kept until the first full document, which replaces them. Contacts
        that it omits are reported as ended.
        """
        self._next = TableState(gone=self._next.gone)
        self._listed = None

    def put(self, row: ReportedContact) -> None:
        """Set a stored row."""
        self._set(row.aor, row.contact.id, row)

    def undo(self, changes: Sequence[RowChange]) -> None:
        """Undo the changes of one call of :meth:`take`; see :meth:`restore`."""
        for change in reversed(changes):
            self._set(change.aor, change.id, change.before)

    def restore(self, state: TableState) -> None:
        """
        Set the state of a table without its rows.

        After a restart, a table continues with its stored state, and :meth:`put` for
        each row.
        """
        self._next = state
        self._listed = None
        self._gone = {_key(aor, contact): contact for aor, contact in state.gone}

    def dump(self, now: float = 0.0) -> TableDump:
        """Return the whole table, with times relative to ``now``."""
        state = self.state
        return TableDump(
            version=state.version,
            cseq=state.cseq,
            rows=tuple([shifted(row, -now) for row in self]),
            gone=state.gone,
        )

    @classmethod
    def load(cls, dump: TableDump, now: float = 0.0) -> Table:
        """Restore the table from a :meth:`dump`."""
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
        """Whether to process a document; False if it was overtaken by a later one."""
        state = self._next
        version = state.version
        if version is None or document.version > version:
            return True
        if cseq <= state.cseq:
            return False
        if document.version == version:
            # The RFC does not cover this case. Kamailio, Sprout and Flexisip always
            # write 0, in full documents.
            return document.full
        # "If the value [...] is less than the local version, the document is discarded
        # without processing"; but the version wraps around.
        return version == MAX_VERSION

    def _look_at(self, document: Reginfo) -> None:
        """Note the contacts of an overtaken document, which changes no row."""
        for registration in document.registrations:
            if registration.keys:
                self.has_claims = True
            for contact in registration.contacts:
                if contact.claim is not None:
                    self.has_claims = True
                if contact.expires is None and contact.state is BOUND:
                    self.untimed.append((registration.aor, contact))

    def _update(
        self,
        aor: str,
        contacts: tuple[Contact, ...],
        flush: bool,
        gone: _Gone,
        news: list[News],
        now: float,
        keep: Collection[str] = (),
    ) -> None:
        """
        Update the rows of one registration; ``flush`` removes rows that are not listed.

        Ids in ``keep`` are not removed. Terminated contacts are added to ``gone``,
        changes to ``news``.
        """
        registration = self._registrations.get(aor)
        if registration is None:
            registration = self._registrations[aor] = _Registration()
        rows = registration.rows
        old: dict[str, ReportedContact | None] = {}
        "The previous rows of contacts that are listed or flushed."

        ended: _Gone = {}
        active: list[Contact] = []
        for contact in contacts:
            id = contact.id
            if id not in old:
                old[id] = rows.get(id)
            if contact.claim is not None:
                self.has_claims = True
            if contact.event.state is BOUND:
                active.append(contact)
                if contact.expires is None:
                    self.untimed.append((aor, contact))
            else:
                ended[_key(aor, contact)] = contact
                registration.set(id, None)
        # An id may be listed first as terminated and then as active.
        came: dict[str, Contact] = {}
        for contact in active:
            id = contact.id
            before = old[id]
            row = follow(before, aor, contact, now)
            if rows.get(id) is not row:
                registration.set(id, row)
            if row is not before:
                came[id] = row.contact
            else:
                came.pop(id, None)
        if flush:
            for id in [id for id in rows if id not in old and id not in keep]:
                old[id] = rows[id]
                registration.set(id, None)
        if not rows:
            del self._registrations[aor]
        is_lost = False
        for id, before in old.items():
            after = rows.get(id)
            if after is not before:
                self.changes.append(RowChange(aor, id, before, after))
                if before is not None and (
                    after is None or after.contact.uri != before.contact.uri
                ):
                    is_lost = True
        if ended or is_lost:
            self._end(aor, old, registration.uris, ended, came, news)
            gone.update(ended)
        for contact in came.values():
            news.append(News(aor, contact))

    def _end(
        self,
        aor: str,
        old: dict[str, ReportedContact | None],
        active: dict[str, int],
        ended: _Gone,
        came: dict[str, Contact],
        news: list[News],
    ) -> None:
        """
        Add the contacts of a registration that have ended to ``news``.

        Args:
            old: the previous rows of all ids that may have changed.
            active: the URIs that are active now.
        """
        # Two rows may have one URI. It has not ended while one of them is active,
        # unless that one is a change and follows.
        follow = {contact.uri for contact in came.values()}
        reported = set()
        for key, contact in ended.items():
            if contact.uri in active and contact.uri not in follow:
                continue
            had = old[contact.id]
            if had is None or had.contact.uri != contact.uri:
                known = self._gone.get(key)
                if known is not None and is_same(known, contact):
                    continue
            reported.add(contact.uri)
            news.append(News(aor, contact))
        for left in old.values():
            # By URI: if a notifier reuses an id for another URI, the first one has
            # ended.
            if left is None:
                continue
            uri = left.contact.uri
            if uri not in active and uri not in reported:
                reported.add(uri)
                contact = msgspec.structs.replace(
                    left.contact, event=ContactEvent.EXPIRED, expires=0
                )
                news.append(News(aor, contact, omitted=True))


def _key(aor: str, contact: Contact) -> tuple[str, str, str]:
    return aor, contact.id, contact.uri
