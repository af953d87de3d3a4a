"""NOTIFYs that a peer sends without a subscription."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from ..events.headers import EventHeader, SubscriptionState
from ..ledger.journal import Journal
from ..location.foreign import GRACE
from ..location.place import Aor, Name
from ..location.source import UNSOLICITED, Source
from ..reg.table import RowChange, Table, TableState
from ..sip.errors import Refusal
from ..sip.message import Request
from ..sip.uri import Uri
from .document import MayTell, anything, read_document
from .learner import Learner
from .listing import Listed, Listing
from .naming import users_of
from .origin import DocumentOrigin

DIALOGS = 10_000
"""The maximum number of dialogs whose documents are kept."""


class Stream:
    """The documents of a peer in one dialog."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.table = Table()
        self.until = 0.0
        "When a contact without `expires` ends."


class Unsolicited:
    """
    The documents of peers that notify without a subscription.

    RFC 6665 §4.1.3 does not allow such NOTIFYs, but there are servers that can be
    configured to send them.

    Args:
        longest: the longest interval accepted for a contact, in seconds, by the name of
            the peer.
        name: returns the address-of-record of a URI.
        location: the location table to update.
        may_tell: whether a peer may report a user.
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
        may_tell: MayTell = anything,
    ) -> None:
        self._journal = journal
        self._learner = learner
        self._package = package
        self._longest = longest
        self._location = location
        self._name = name
        self.may_tell = may_tell
        self._streams: dict[tuple[str, str], Stream] = {}
        self._listing: Listing[Stream] = Listing()

    def receive_notify(
        self,
        peer: str,
        request: Request,
        now: float,
        wall: float,
        location: str | None = None,
    ) -> tuple[Aor, ...]:
        """
        Process a NOTIFY that ``peer`` sent without a subscription.

        Args:
            location: the location table, if not the default one.

        Returns:
            The addresses-of-record that it lists, or no longer lists; none if it has no
            body.

        Raises:
            Refusal, RemoteProtocolError: it is wrong; nothing has changed.
        """
        event = EventHeader.of(request)
        if event is None or event.package != self._package:
            raise Refusal(489, "Bad Event", headers=[("Allow-Events", self._package)])
        state = SubscriptionState.of(request)
        document = read_document(
            request,
            peer,
            self._name,
            self._longest(peer),
            partial(self.may_tell, peer),
        )
        if document is None:
            return ()  # it lists nothing, so it takes no place
        key = (peer, request.call_id)
        known = self._streams.pop(key, None)
        if known is None and len(self._streams) >= DIALOGS:
            self._forget_oldest()
        stream = self._streams[key] = known or Stream(peer)
        table, before, until = stream.table, stream.table.state, stream.until
        taken = table.take(document, request.cseq.number, now)
        changes = table.changes
        self._listing.update(stream, changes)
        self._journal.remember(
            self._restore, key, stream, known, before, until, changes
        )
        lasts = self._longest(peer)
        if state.expires is not None:
            lasts = min(state.expires, lasts)
        stream.until = now + lasts
        origin = DocumentOrigin(
            peer,
            str(Source(peer, UNSOLICITED)),
            location or self._location,
            stream.until,
        )
        self._learner.learn(origin, document, taken.news, table, now, wall)
        told = dict.fromkeys(Aor(one.aor) for one in taken.news)
        return users_of(document) or tuple(told)

    def listings(self, aor: Aor, uri: Uri, now: float) -> Iterator[Listed]:
        """Return the peers that list a contact as bound, in an unsolicited NOTIFY."""
        for stream, row in self._listing.find(aor, uri):
            if row.contact.claim is not None:
                continue  # a `reginfo` server: its claims are in the store
            ends = row.expires_at
            if ends is None:
                ends = stream.until + GRACE
            if now < ends:
                source = str(Source(stream.peer, UNSOLICITED))
                yield Listed(stream.peer, source, aor, row.contact, ends)

    def _forget_oldest(self) -> None:
        """Make room for a dialog: forget the one that has been silent longest."""
        key = next(iter(self._streams))
        oldest = self._streams.pop(key)
        self._listing.remove(oldest, oldest.table)
        self._journal.remember(self._put_back, key, oldest)

    def _put_back(self, key: tuple[str, str], oldest: Stream) -> None:
        self._streams = {key: oldest, **self._streams}
        self._listing.add(oldest, oldest.table)

    def _restore(
        self,
        key: tuple[str, str],
        stream: Stream,
        known: Stream | None,
        state: TableState,
        until: float,
        changes: list[RowChange],
    ) -> None:
        self._listing.undo(stream, changes)
        stream.table.undo(changes)
        stream.table.restore(state)
        stream.until = until
        if known is None:
            self._streams.pop(key, None)
        else:
            self._streams[key] = known
