"""What a subscriber knows: documents folded into one view (RFC 3680 §5.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator
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
    """A contact that has come, changed or gone."""

    aor: str

    contact: Contact
    "As reported; ``expires`` counts from the moment the document was taken in."

    omitted: bool = False
    "Whether it is gone without a word, and ``expired`` is but what we call that."


class Taken(NamedTuple):
    """What taking in a document has brought."""

    news: tuple[News, ...] = ()

    missed: bool = False
    "Whether an earlier document never came: refresh, to be sent the full state."


class ReportedContact(msgspec.Struct, frozen=True, gc=False):
    """An active contact, as last reported."""

    aor: str
    contact: Contact

    expires_at: float | None
    "None if nobody said: it lives as long as the subscription that told us."


class TableDump(msgspec.Struct, frozen=True, kw_only=True):
    """A table, to be stored. Moments in it are relative to when it was made."""

    version: int | None
    cseq: int
    rows: tuple[ReportedContact, ...]
    gone: tuple[tuple[str, Contact], ...]


_Gone = dict[tuple[str, str, str], Contact]
"Terminated rows by address-of-record, id and URI: some list two under one id."


class Table:
    """The active contacts of the registrations that one subscription watches."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._cseq = -1
        # A row is found by its contact's id, in the table of its registration.
        # That is to be found by the registration's id (§5.2), but is found by
        # the address-of-record here. For a notifier that follows the RFC it is
        # the same: "the id [...] for a particular address-of-record MUST be the
        # same across all notifications". Of others, Clearwater's Sprout gives
        # all registrations of a document one id, so that the contacts of two
        # identities would be one row; and Kamailio's ids are memory addresses,
        # so that a registration that is made anew would leave its old rows.
        self._rows: dict[str, dict[str, ReportedContact]] = {}

        # Terminated rows of the latest document. "That entry MAY be removed
        # from the table at any time" (§5.2); it is kept so long because many
        # notifiers repeat it in each document, and it is news only once.
        self._gone: _Gone = {}

    def __repr__(self) -> str:
        count = sum(len(rows) for rows in self._rows.values())
        return f"<Table: {count} contacts, version {self._version}>"

    def __iter__(self) -> Iterator[ReportedContact]:
        """The contacts that are active, in no particular order."""
        for rows in self._rows.values():
            yield from rows.values()

    def aors(self) -> tuple[str, ...]:
        """The addresses-of-record that have such contacts, as they were written."""
        return tuple(self._rows)

    def take(self, document: Reginfo, cseq: int, now: float) -> Taken:
        """
        Take in the body of a NOTIFY whose CSeq is ``cseq``.

        A NOTIFY without a body is none of the table's business: it changes
        nothing. Terminated contacts come first in the news of a registration,
        so that of two with one URI the active one is what remains.
        """
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
            # A registration that is not active has no contacts: those that it
            # does not list are gone, even if only a part is told.
            flush = document.full or registration.state is not RegistrationState.ACTIVE
            news += self._update(
                registration.aor, registration.contacts, flush, gone, now
            )
        if document.full:
            listed = {registration.aor for registration in document.registrations}
            for aor in [aor for aor in self._rows if aor not in listed]:
                news += self._update(aor, (), True, gone, now)
        self._gone = gone
        return Taken(tuple(news), missed)

    def restart(self) -> None:
        """
        Prepare for a new subscription to the same resource.

        What is known stays until its first full document, which replaces it;
        what that leaves out is reported as gone.
        """
        self._version, self._cseq = None, -1

    def dump(self, now: float = 0.0) -> TableDump:
        """All that is known, to be stored; with ``now``, if the clock is not."""
        return TableDump(
            version=self._version,
            cseq=self._cseq,
            rows=tuple([_shifted(row, -now) for row in self]),
            gone=tuple([(aor, contact) for (aor, _, _), contact in self._gone.items()]),
        )

    @classmethod
    def load(cls, dump: TableDump, now: float = 0.0) -> Table:
        """The table that :meth:`dump` was made of."""
        table = cls()
        table._version, table._cseq = dump.version, dump.cseq
        for row in dump.rows:
            rows = table._rows.setdefault(row.aor, {})
            rows[row.contact.id] = _shifted(row, now)
        table._gone = {_key(aor, contact): contact for aor, contact in dump.gone}
        return table

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
        Update the table of one registration; ``flush`` what is not listed.

        Notes in ``gone`` which contacts are terminated.
        """
        old = self._rows.get(aor, {})
        rows: dict[str, ReportedContact] = {} if flush else old.copy()
        ended: _Gone = {}
        came: dict[str, Contact] = {}
        for contact in contacts:
            if contact.state is ContactState.TERMINATED:
                ended[_key(aor, contact)] = contact
                rows.pop(contact.id, None)
        for contact in contacts:
            # One id may be listed as terminated and, later on, as active.
            if contact.state is ContactState.ACTIVE:
                before = old.get(contact.id)
                row = _follow(before, aor, contact, now)
                rows[contact.id] = row
                if row is not before:
                    came[contact.id] = row.contact
                else:
                    came.pop(contact.id, None)
        if rows:
            self._rows[aor] = rows
        else:
            self._rows.pop(aor, None)

        news = self._news(aor, old, rows, ended, came)
        gone.update(ended)
        return news

    def _news(
        self,
        aor: str,
        old: dict[str, ReportedContact],
        rows: dict[str, ReportedContact],
        ended: _Gone,
        came: dict[str, Contact],
    ) -> list[News]:
        """What there is to tell of a registration whose rows were ``old``."""
        # Two rows may have one URI. It is not gone while one of them is active,
        # unless that one is news and comes after.
        active = {row.contact.uri for row in rows.values()}
        follow = {contact.uri for contact in came.values()}
        news = []
        told = set()
        for key, contact in ended.items():
            if contact.uri in active and contact.uri not in follow:
                continue
            had = old.get(contact.id)
            if had is None or had.contact.uri != contact.uri:
                known = self._gone.get(key)
                if known is not None and _timeless(known) == _timeless(contact):
                    continue
            told.add(contact.uri)
            news.append(News(aor, contact))
        for left in old.values():
            # By URI: a notifier that gives its id to another URI means that the
            # first one is gone.
            uri = left.contact.uri
            if uri not in active and uri not in told:
                told.add(uri)
                contact = msgspec.structs.replace(
                    left.contact, event=ContactEvent.EXPIRED, expires=0
                )
                news.append(News(aor, contact, omitted=True))
        return news + [News(aor, contact) for contact in came.values()]


def _key(aor: str, contact: Contact) -> tuple[str, str, str]:
    return aor, contact.id, contact.uri


def _follow(
    known: ReportedContact | None, aor: str, contact: Contact, now: float
) -> ReportedContact:
    """The row that ``contact`` makes of ``known``: the same if it is no news."""
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
    if expires_at == ends_before and _timeless(before) == _timeless(contact):
        return known
    return ReportedContact(aor, contact, expires_at)


def _same_register(before: Contact, contact: Contact) -> bool:
    """
    Whether both reports are of one REGISTER, neither by a server that knows more.

    Without its CSeq nobody can tell; then a later end is a refresh, for a
    contact that is reachable must not be lost.
    """
    return (
        contact.cseq is not None
        and contact.cseq == before.cseq
        and contact.callid == before.callid
        # The owner's word counts for more: it may prolong what was shortened.
        and contact.claim == before.claim
    )


def _timeless(contact: Contact) -> Contact:
    """What a report says of a contact, whenever it is made and however written."""
    params = contact.params
    if params:
        params = tuple([(name, value and unquoted(value)) for name, value in params])
    return msgspec.structs.replace(
        contact, expires=None, duration_registered=None, params=params
    )


def _shifted(row: ReportedContact, by: float) -> ReportedContact:
    if row.expires_at is None:
        return row
    return ReportedContact(row.aor, row.contact, row.expires_at + by)
