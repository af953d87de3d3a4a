"""What is known of the contacts of one address-of-record, to decide something by."""

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
    Whether ``contact`` is a URI that equals ``uri`` (RFC 3261 §19.1.4).

    URIs can be equal that are spelled differently, and no key can express that.
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
    What is claimed of each contact that is bound, by key; the claim that holds first.

    Those that are not bound may be left out: a phone can have left many behind.
    """

    now: float
    "Seconds on the clock that `Claim.expires_at` uses."

    wall: float
    "Seconds since the epoch."

    standing: Standing | None = None
    "What the records of the user mean for the contacts; None for nothing."

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
        """All that is kept of a contact, bound or not."""
        known = self.rows.get(key)
        return self.past(key) if known is None else known

    def bound(self, key: str) -> Claim | None:
        """What a contact is bound by at this moment; None if it is not bound."""
        claims = self.rows.get(key)
        return bound_by(claims, self.standing, self.now) if claims else None

    def find(self, uri: Uri) -> str | None:
        """The key of the contact that ``uri`` is equal to; None if there is none."""
        if uri.key in self.rows:
            return uri.key
        for key, known in self.rows.items():
            if is_same(known[0].contact, uri):
                return key
        return None

    def stamp(self, key: str) -> Stamp:
        """A stamp for a new claim, later than all that is kept of that contact."""
        known = self.rows.get(key)
        if known is None:
            known = self.past(key)
        floor = 0 if self.standing is None else self.standing.latest
        return next_stamp(known, self.wall, floor)

    def record_stamp(self, kind: RecordKind) -> Stamp:
        """A stamp for a new record, later than all claims that it is about."""
        floor = 0 if self.standing is None else self.standing.latest
        claims = [claim for known in self.rows.values() for claim in known]
        return next_record_stamp(self.record(kind), claims, self.wall, floor)
