"""Records: statements about an address-of-record as a whole."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from .claim import Claim
from .stamp import Stamp, stamp_at


class RecordKind(enum.StrEnum):
    """The kind of a record."""

    KEY = "key"
    "A value that a script stores under a name; also the identities of a user."

    CLEARED = "cleared"
    "`Contact: *`: claims with an older stamp do not hold."

    REJECTED = "rejected"
    "The user is barred: there are no bindings, and a REGISTER gets 403."

    PROBATION = "probation"
    "The same for a limited time; a REGISTER gets 500 with Retry-After."

    SHORTEN = "shorten"
    "Bindings with an older stamp end at :attr:`Record.expires_at` at the latest."


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """
    One statement about an address-of-record.

    For each (address-of-record, kind, name), the greatest by (stamp, owner) holds.
    """

    kind: RecordKind

    name: str = ""
    "The name of the key; empty for all other kinds."

    value: str | None = None
    "None if it was removed; this is stored so that an older value does not return."

    stamp: Stamp
    "When it was made, in µs; later than all that it concerns (:func:`next_stamp`)."

    owner: str
    "The id of the server at which it was made."

    until: Stamp = Stamp(0)
    "With PROBATION and SHORTEN: the end in µs, a label."

    expires_at: float = 0.0
    "The same end on this server's clock, in seconds."

    source: str | None = None
    "How it was learned; None if it was made here."

    number: int = 0
    "Its number in the index of changes of this server."

    @property
    def id(self) -> tuple[RecordKind, str]:
        """Kind and name: one record is stored for each."""
        return self.kind, self.name

    def outlives(self, other: Record) -> bool:
        """Whether this replaces ``other`` with the same :attr:`id`."""
        return (self.stamp, self.owner) > (other.stamp, other.owner)


class Standing(msgspec.Struct, frozen=True, gc=False):
    """The effect of the records of an address-of-record on its contacts."""

    cleared: Stamp = Stamp(0)
    "Claims whose stamp is below this do not hold."

    rejected: bool = False

    probation_ends: float = 0.0
    "The time until which there are no bindings; 0 for none."

    retry_after: int = 0
    "The retry-after of the probation, in seconds."

    shortened: Stamp = Stamp(0)
    "Claims whose stamp is below this end at :attr:`shortened_to` at the latest."

    shortened_to: float = 0.0

    latest: Stamp = Stamp(0)
    "The latest stamp of these records: a new claim needs a later one."

    def bars(self, now: float) -> bool:
        """Whether the user may not register now."""
        return self.rejected or now < self.probation_ends


def standing(records: Iterable[Record]) -> Standing | None:
    """Return the effect of the records on the contacts; None for no effect."""
    found: dict[str, Record] = {
        record.kind: record for record in records if record.kind is not RecordKind.KEY
    }
    if not found:
        return None
    cleared = found.get(RecordKind.CLEARED)
    rejected = found.get(RecordKind.REJECTED)
    probation = found.get(RecordKind.PROBATION)
    shorten = found.get(RecordKind.SHORTEN)
    lasts = probation is not None and probation.value is not None
    ends = shorten is not None and shorten.value is not None
    return Standing(
        cleared=Stamp(0 if cleared is None or cleared.value is None else cleared.stamp),
        rejected=rejected is not None and rejected.value is not None,
        probation_ends=probation.expires_at if probation and lasts else 0.0,
        retry_after=int(probation.value or 0) if probation and lasts else 0,
        shortened=Stamp(shorten.stamp if shorten and ends else 0),
        shortened_to=shorten.expires_at if shorten and ends else 0.0,
        latest=max(record.stamp for record in found.values()),
    )


def next_stamp(
    known: Record | None, claims: Iterable[Claim], wall: float, floor: int = 0
) -> Stamp:
    """
    Return a stamp for a new record: the time, but later than all that it concerns.

    Args:
        known: the record that it replaces.
        claims: the claims about the contacts that it concerns; none for a key.
        wall: the time in seconds since the epoch.
        floor: as for `lives.next_stamp`.
    """
    stamp = max(stamp_at(wall), floor + 1)
    if known is not None:
        stamp = max(stamp, known.stamp + 1)
    for claim in claims:
        stamp = max(stamp, claim.stamp + 1, claim.edition + 1)
    return Stamp(stamp)
