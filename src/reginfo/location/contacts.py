"""A snapshot of the contacts of one address-of-record, as input of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..sip.errors import RemoteProtocolError
from ..sip.uri import Uri
from ..sip.value import Value
from .claim import Claim
from .lives import Claims, next_stamp
from .place import Place
from .record import Record, RecordKind, Standing
from .record import next_stamp as next_record_stamp
from .stamp import Stamp
from .state import bound_by


def is_same(contact: str, uri: Uri) -> bool:
    """
    Whether ``contact`` is equal to ``uri`` (RFC 3261 §19.1.4).

    Differently spelled URIs can be equal, and no key can express that.
    """
    try:
        return uri.matches(Uri.parse(contact))
    except RemoteProtocolError:
        return False


class History(Protocol):
    """What is known of users; see :class:`reginfo.location.view.LocationView`."""

    def claims(self, place: Place, key: str) -> Claims:
        """All claims kept for one contact."""

    def record(self, place: Place, kind: RecordKind) -> Record | None:
        """The record of a kind."""


class Contacts(Value, frozen=True):
    """The contacts of one address-of-record, at one moment."""

    rows: Mapping[str, Claims]
    """
    The claims about each bound contact, by key; the claim that holds comes first.

    Contacts that are not bound may be missing, because there can be many of them.
    """

    now: float
    "Seconds on the clock that `Claim.expires_at` uses."

    wall: float
    "Seconds since the epoch."

    standing: Standing | None = None
    "The effect of the user's records on the contacts; None for no effect."

    history: History | None = None
    "Where more of :attr:`place` is found; None for nowhere."

    place: Place | None = None

    def record(self, kind: RecordKind) -> Record | None:
        """The record of a kind."""
        if self.history is None or self.place is None:
            return None
        return self.history.record(self.place, kind)

    def past(self, key: str) -> Claims:
        """All that is kept of a contact that is not in :attr:`rows`."""
        if self.history is None or self.place is None:
            return ()
        return self.history.claims(self.place, key)

    def claims(self, key: str) -> Claims:
        """Return all stored claims about a contact, bound or not."""
        known = self.rows.get(key)
        return self.past(key) if known is None else known

    def bound(self, key: str) -> Claim | None:
        """Return the claim that binds a contact now; None if it is not bound."""
        return bound_by(self.rows.get(key, ()), self.standing, self.now)

    def find(self, uri: Uri) -> str | None:
        """Return the key of the contact that is equal to ``uri``; None if none is."""
        if uri.key in self.rows:
            return uri.key
        for key, known in self.rows.items():
            if is_same(known[0].contact, uri):
                return key
        return None

    def stamp(self, key: str) -> Stamp:
        """Return a stamp for a new claim, later than all claims about that contact."""
        known = self.rows.get(key)
        if known is None:
            known = self.past(key)
        floor = 0 if self.standing is None else self.standing.latest
        return next_stamp(known, self.wall, floor)

    def record_stamp(self, kind: RecordKind) -> Stamp:
        """Return a stamp for a new record, later than all claims that it concerns."""
        floor = 0 if self.standing is None else self.standing.latest
        claims = [claim for known in self.rows.values() for claim in known]
        return next_record_stamp(self.record(kind), claims, self.wall, floor)
