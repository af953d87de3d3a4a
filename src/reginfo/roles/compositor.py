"""
The compositor: what others PUBLISH is merged with what is known here (RFC 3903 §6).

A publication is one publisher's view of an address-of-record, as a whole. Contacts in
it become claims, judged like any others; a publication that is removed, or ends, takes
away what no other publication lists.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..events import compose
from ..events.notify import SubscriptionPolicy
from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows
from ..location.binding import Binding
from ..location.store import TABLE, LocationStore
from ..reg.document import Reginfo, Registration, RegistrationState, registration_id
from ..reg.table import Table, TableDump
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.message import Request, Response
from ..sip.timer import TimerWheel
from ..sip.uri import Uri
from .document import read_body
from .learner import DocumentOrigin, Learner, omission
from .naming import Name, as_written, named

logger = logging.getLogger("reginfo.compositor")

PACKAGE = "reg"

KIND = "contribution"
"""The kind of our entries in the journal."""

RETRY_AFTER = 5.0
"""Seconds until what was due, and could not be committed, is due again."""

_WAY = "PUBLISH"
"""The second half of the source of what is learned here; see `Binding.source`."""


class ContributionRow(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A publication, as it is kept on disk."""

    id: str
    "Names it in the journal, for all its life."

    aor: str
    peer: str
    "Who publishes it."

    etag: str
    "The last one given: whoever has it may change the publication."

    expires_at: float
    "When it ends unless it is refreshed, in seconds on the server's clock."

    request: tuple[str, str, int]
    "Call-ID, From tag and CSeq of the last PUBLISH, to know it when it comes again."

    granted: int
    "For how many seconds that was granted."

    table: TableDump


class Contribution:
    """One publication, and the contacts in it."""

    __slots__ = ("row", "scheduled_at", "table", "timer_at")

    def __init__(self, row: ContributionRow, table: Table) -> None:
        self.row = row
        self.table = table
        self.timer_at: float | None = row.expires_at
        self.scheduled_at: float | None = None

    def timer_due(self, now: float) -> None:
        # What has become of it, its compositor finds out.
        self.timer_at = None

    def lists(self, uri: Uri, now: float) -> bool:
        """Whether it says that a contact is bound."""
        return any(
            (row.expires_at is None or row.expires_at > now)
            and _is(row.contact.uri, uri)
            for row in self.table
        )


class Compositor:
    """
    All publications, by address-of-record.

    Args:
        new_id: makes a random token: no entity-tag is ever given twice.
        policy: for how long a publication may stand.
        max_expires: the longest time that a contact is believed to last, in seconds.
        longest: the same for a publisher, by its name, where that differs.
        name: the address-of-record that a URI names, as records are kept by.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        server_id: str,
        new_id: Callable[[], str],
        policy: SubscriptionPolicy,
        max_expires: int,
        longest: Callable[[str], int] | None = None,
        location: str = TABLE,
        name: Name = as_written,
    ) -> None:
        self._name = name
        self._store = store
        self._journal = journal
        self._new_id = new_id
        self._policy = policy
        self._location = location
        self._rows: Rows[ContributionRow] = Rows(
            journal, KIND, ContributionRow, self._take_loaded, _shifted
        )
        self._wheel = TimerWheel()
        self._by_aor: dict[str, dict[str, Contribution]] = {}
        self._learner = Learner(
            store, server_id=server_id, max_expires=max_expires, longest=longest
        )

    def __len__(self) -> int:
        return sum(map(len, self._by_aor.values()))

    def contributions(self) -> Iterator[Contribution]:
        """Every publication that stands."""
        for known in self._by_aor.values():
            yield from known.values()

    # From the network.

    def receive_publish(
        self, request: Request, *, peer: str, aor: str, now: float, wall: float
    ) -> Response:
        """
        Take in a PUBLISH: all of it, or nothing.

        Args:
            peer: who publishes, and is known to us.
            aor: the address-of-record that the Request-URI names.

        Raises:
            Refusal, RemoteProtocolError: it cannot be. Then nothing has changed.
        """
        again = self._served_before(request, aor, peer)
        if again is not None:
            return _accepted(again.row.granted, again.row.etag)
        asked = compose.read(request, PACKAGE, self._policy)
        known = self._find(aor, asked.etag, peer)
        document = read_body(request, peer) if asked.has_body else None
        if document is not None:
            document = _of(named(document, self._name), aor)
        etag = self._new_id()
        if not asked.expires:
            if known is not None:
                self._remove(known, now, wall)
            return _accepted(0, etag)
        row = ContributionRow(
            id=known.row.id if known is not None else self._new_id(),
            aor=aor,
            peer=peer,
            etag=etag,
            expires_at=now + asked.expires,
            request=_identity(request),
            granted=asked.expires,
            table=known.row.table if known is not None else Table().dump(),
        )
        contribution = known or Contribution(row, Table())
        self._update(contribution, row, document, now, wall)
        return _accepted(asked.expires, etag)

    # From the clock.

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Remove what was not refreshed."""
        now = moment.now

        def act(machine: Contribution) -> None:
            if machine.row.expires_at > now or not self._has(machine):
                return
            # If the commit fails, retry only after RETRY_AFTER.
            self._journal.remember(self._postpone, machine, now + RETRY_AFTER)
            self._remove(machine, now, moment.wall)

        work_off(self._wheel, self._journal, now, act)

    def hears(self, change: object) -> None:
        """Ignore it: publications of others do not depend on what happens here."""

    def undone(self, moment: Moment) -> None:
        """Do nothing: what is taken back is due again by its own undo."""

    def describe(self) -> Description:
        """Describe how many publications of others stand."""
        count = len(self)
        line = f"{count} publications of others"
        return Description("compositor", line, {"contributions": count})

    # From the disk.

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """What is kept in the storage; :meth:`loaded` ends the loading."""
        return (self._rows,)

    def _take_loaded(self, key: str, row: ContributionRow) -> None:
        self._put(Contribution(row, Table.load(row.table)))

    def begin(self, here: Here, moment: Moment) -> None:
        """Schedule what was loaded; remove what has ended meanwhile."""
        now = moment.now
        for contribution in list(self.contributions()):
            if contribution.row.expires_at > now:
                self._wheel.schedule(contribution)
                continue
            try:
                with self._journal.attempt():
                    self._remove(contribution, now, moment.wall)
            except Exception:
                # One that cannot end must not keep the server from starting.
                row = contribution.row
                logger.exception("! publication of %s by %s", row.aor, row.peer)
                self._postpone(contribution, now + RETRY_AFTER)

    # How.

    def _served_before(
        self, request: Request, aor: str, peer: str
    ) -> Contribution | None:
        """
        The publication that this very PUBLISH has made or changed already.

        Its transaction would know; but that is gone after a restart, when a publisher
        that got no answer sends it again.
        """
        identity = _identity(request)
        return next(
            (
                contribution
                for contribution in self._by_aor.get(aor, {}).values()
                if contribution.row.request == identity
                and contribution.row.peer == peer
            ),
            None,
        )

    def _find(self, aor: str, etag: str | None, peer: str) -> Contribution | None:
        if etag is None:
            return None
        for contribution in self._by_aor.get(aor, {}).values():
            if contribution.row.etag == etag and contribution.row.peer == peer:
                return contribution
        raise Refusal(412, "Conditional Request Failed")

    def _update(
        self,
        contribution: Contribution,
        row: ContributionRow,
        document: Reginfo | None,
        now: float,
        wall: float,
    ) -> None:
        told = DocumentOrigin(
            row.peer,
            f"{row.peer}/{_WAY}",
            row.expires_at,
            self._location,
            scope=_WAY,
        )
        table = Table.load(row.table)
        if document is not None:
            # Versions count the documents of a subscription (RFC 3680 §5.1). What
            # orders publications is the entity-tag.
            table.restart()
            news = table.take(document, 0, now).news
        else:
            news = ()
        row = msgspec.structs.replace(row, table=table.dump())
        before = contribution.row if self._has(contribution) else None
        self._set(contribution, row, table)
        self._rows.write(row.id, row, self._restore, contribution, before)
        self._learner.learn(told, tuple(n for n in news if not n.omitted), now, wall)
        self._drop(row.aor, [n.contact.uri for n in news if n.omitted], now, wall)
        self._learner.prolong(told, _document_of(table, row.aor), now, wall)

    def _remove(self, contribution: Contribution, now: float, wall: float) -> None:
        row = contribution.row
        self._take_out(contribution)
        self._rows.erase(row.id, self._restore, contribution, row)
        gone = [listed.contact.uri for listed in contribution.table]
        self._drop(row.aor, gone, now, wall)

    def _drop(self, aor: str, gone: list[str], now: float, wall: float) -> None:
        """
        Remove contacts that a publication no longer lists.

        But for what another one lists; what we have from elsewhere is not its own.
        """
        claims: list[Binding] = []
        for contact in gone:
            try:
                uri = Uri.parse(contact)
            except RemoteProtocolError:
                continue  # which has been complained of
            known = self._known(aor, uri)
            if (
                known is None
                or not known.active
                or known.source is None
                or known.source.partition("/")[2] != _WAY
                or any(c.lists(uri, now) for c in self._by_aor.get(aor, {}).values())
            ):
                continue
            claims.append(omission(known, _WAY, self._store, wall))
        self._store.apply(aor, claims, now, self._location)

    def _known(self, aor: str, uri: Uri) -> Binding | None:
        claims = self._store.claims(aor, uri.key, self._location)
        if claims:
            return claims[0]
        for survivors in self._store.rows(aor, self._location).values():
            if uri.matches(Uri.parse(survivors[0].contact)):
                return survivors[0]
        return None

    def _has(self, contribution: Contribution) -> bool:
        known = self._by_aor.get(contribution.row.aor, {})
        return known.get(contribution.row.id) is contribution

    def _set(
        self, contribution: Contribution, row: ContributionRow, table: Table
    ) -> None:
        contribution.row, contribution.table = row, table
        contribution.timer_at = row.expires_at
        self._put(contribution)
        self._wheel.schedule(contribution)

    def _put(self, contribution: Contribution) -> None:
        row = contribution.row
        self._by_aor.setdefault(row.aor, {})[row.id] = contribution

    def _take_out(self, contribution: Contribution) -> None:
        row = contribution.row
        contribution.timer_at = None
        self._wheel.schedule(contribution)
        known = self._by_aor.get(row.aor, {})
        known.pop(row.id, None)
        if not known:
            self._by_aor.pop(row.aor, None)

    def _restore(self, contribution: Contribution, row: ContributionRow | None) -> None:
        if row is None:
            self._take_out(contribution)
        else:
            self._set(contribution, row, Table.load(row.table))

    def _postpone(self, contribution: Contribution, at: float) -> None:
        contribution.timer_at = at
        self._wheel.schedule(contribution)


def _is(contact: str, uri: Uri) -> bool:
    try:
        return uri.matches(Uri.parse(contact))
    except RemoteProtocolError:
        return False  # which has been complained of


def _shifted(row: ContributionRow, by: float) -> ContributionRow:
    return msgspec.structs.replace(
        row,
        expires_at=row.expires_at + by,
        table=Table.load(row.table, by).dump(),
    )


def _identity(request: Request) -> tuple[str, str, int]:
    return request.call_id, request.from_.tag, request.cseq.number


def _accepted(expires: int, etag: str) -> Response:
    headers = [("Expires", str(expires)), ("SIP-ETag", etag)]
    return Response.of(200, "OK", headers)


def _of(document: Reginfo, aor: str) -> Reginfo:
    """
    What a document says of one address-of-record, as all that is to be known of it.

    Raises:
        RemoteProtocolError: it speaks of others only (3903-41).
    """
    registrations = []
    for registration in document.registrations:
        try:
            if Uri.parse(registration.aor).aor == aor:
                registrations.append(msgspec.structs.replace(registration, aor=aor))
        except RemoteProtocolError:
            continue
    if document.registrations and not registrations:
        raise RemoteProtocolError("a document of another address-of-record")
    return msgspec.structs.replace(
        document, full=True, registrations=tuple(registrations)
    )


def _document_of(table: Table, aor: str) -> Reginfo:
    """What a publication says, as a document."""
    one = Registration(
        aor=aor,
        id=registration_id(aor),
        state=RegistrationState.ACTIVE,
        contacts=tuple(row.contact for row in table),
    )
    return Reginfo(version=0, full=True, registrations=(one,))
