"""NOTIFYs that a peer sends without a subscription of ours."""

from __future__ import annotations

from collections.abc import Callable

from ..events.headers import EventHeader, SubscriptionState
from ..ledger.journal import Journal
from ..location.source import UNSOLICITED, Source
from ..reg.table import RowChange, Table, TableState
from ..sip.errors import Refusal
from ..sip.message import Request
from .document import read_document
from .learner import DocumentOrigin, Learner
from .naming import Name

DIALOGS = 10_000
"""Dialogs whose documents we remember, at the most."""


class Unsolicited:
    """
    The documents of peers that notify without being asked.

    RFC 6665 §4.1.3 has no such NOTIFY. There are servers that send them, and operators
    who have configured them to.

    Args:
        longest: the longest time that a contact is believed to last, in seconds, by
            the name of the peer.
        name: the address-of-record that a URI names.
        location: the location table that they are learned into.
    """

    def __init__(
        self,
        journal: Journal,
        learner: Learner,
        *,
        package: str,
        longest: Callable[[str], int],
        location: str,
        name: Name,
    ) -> None:
        self._journal = journal
        self._learner = learner
        self._package = package
        self._longest = longest
        self._location = location
        self._name = name
        self._tables: dict[tuple[str, str], Table] = {}

    def receive_notify(
        self,
        peer: str,
        request: Request,
        now: float,
        wall: float,
        location: str | None = None,
    ) -> tuple[str, ...]:
        """
        Take in a NOTIFY that ``peer`` sends without being asked.

        Args:
            location: the location table, if not the usual one.

        Returns:
            The addresses-of-record that it lists, or no longer does; none without a
            body.

        Raises:
            Refusal, RemoteProtocolError: it is wrong. Then nothing has changed.
        """
        event = EventHeader.of(request)
        if event is None or event.package != self._package:
            raise Refusal(489, "Bad Event", headers=[("Allow-Events", self._package)])
        state = SubscriptionState.of(request)
        document = read_document(request, peer, self._name)
        key = (peer, request.call_id)
        known = self._tables.pop(key, None)
        if known is None and len(self._tables) >= DIALOGS:
            self._tables.pop(next(iter(self._tables)))
        table = self._tables[key] = known or Table()
        if document is None:
            return ()
        before = table.state
        taken = table.take(document, request.cseq.number, now)
        self._journal.remember(self._restore, key, known, before, table.changes)
        lasts = self._longest(peer)
        if state.expires is not None:
            lasts = min(state.expires, lasts)
        origin = DocumentOrigin(
            peer,
            str(Source(peer, UNSOLICITED)),
            now + lasts,
            location or self._location,
        )
        self._learner.learn(origin, document, taken.news, now, wall)
        listed = tuple(one.aor for one in document.registrations)
        return listed or tuple(dict.fromkeys(one.aor for one in taken.news))

    def _restore(
        self,
        key: tuple[str, str],
        table: Table | None,
        state: TableState,
        changes: list[RowChange],
    ) -> None:
        if table is None:
            self._tables.pop(key, None)
        else:
            table.undo(changes)
            table.restore(state)
            self._tables[key] = table
