"""
Servers that follow the rule of claims and do nothing else: no disk, no messages.

They stand for the product in the tests of the rule. The links between them are as lossy
as can be: a link is asked now and then, and brings everything after a cursor.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import msgspec

from reginfo.location import foreign
from reginfo.location.changes import ChangeIndex
from reginfo.location.claim import Claim, stripped
from reginfo.location.lives import Claims, forgotten_at, join, next_stamp
from reginfo.location.record import Record, RecordKind, Standing, standing
from reginfo.location.record import next_stamp as next_record_stamp
from reginfo.location.stamp import Stamp
from reginfo.location.state import bound_by, change
from reginfo.reg.document import ContactEvent

LONGEST = 3600.0
"""The longest time that is granted here, in seconds."""


class Contact:
    """What a replica keeps of one contact."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.claims: Claims = ()
        self.shown: Claim | None = None

    def has_number(self, number: int) -> bool:
        return any(claim.number == number for claim in self.claims)


class Records:
    """The records of the one address-of-record that there is."""

    def __init__(self) -> None:
        self.records: dict[tuple[RecordKind, str], Record] = {}
        self.standing: Standing | None = None

    def has_number(self, number: int) -> bool:
        return any(record.number == number for record in self.records.values())


class Clock:
    """The true time, which no server knows."""

    def __init__(self) -> None:
        self.now = 1e6


class Replica:
    """
    One server.

    Args:
        offset: seconds by which its calendar is ahead.
        rng: makes the names of epochs.
    """

    def __init__(
        self, name: str, clock: Clock, rng: random.Random, offset: float = 0.0
    ) -> None:
        self.name, self.clock, self.rng, self.offset = name, clock, rng, offset
        self.up = True
        self.announced: list[tuple[str, str]] = []
        self.wipe()

    def wipe(self) -> None:
        """Lose the database."""
        self.contacts: dict[str, Contact] = {}
        self.records = Records()
        self.index = ChangeIndex()
        self.epochs: list[tuple[float, int]] = []
        self.cursors: dict[str, tuple[float, int]] = {}
        self.mirror: dict[str, tuple[str, int]] = {}
        self.boot()

    def boot(self) -> None:
        self.epochs.append((self.rng.random(), self.index.last))
        self.resumed: set[str] = set()

    def save(self) -> dict[str, Any]:
        """A backup of the database."""
        names = ("contacts", "records", "index", "epochs", "cursors", "mirror")
        return copy.deepcopy({name: self.__dict__[name] for name in names})

    def restore(self, saved: dict[str, Any]) -> None:
        self.__dict__.update(copy.deepcopy(saved))
        self.boot()

    @property
    def now(self) -> float:
        return self.clock.now

    @property
    def wall(self) -> float:
        return self.clock.now + self.offset

    # What is known.

    def bound(self, key: str) -> Claim | None:
        contact = self.contacts.get(key)
        if contact is None:
            return None
        return bound_by(contact.claims, self.records.standing, self.now)

    def view(self) -> dict[str, tuple[str, int, str]]:
        """What is bound: Call-ID, CSeq and owner, by contact."""
        return {
            key: (claim.call_id, claim.cseq, claim.owner)
            for key in self.contacts
            if (claim := self.bound(key)) is not None
        }

    # The rule.

    def take(self, key: str, claim: Claim, source: str | None) -> bool:
        """Take in a claim; whether it was news."""
        contact = self.contacts.setdefault(key, Contact(key))
        before = contact.claims
        after = join(before, claim)
        news = after is not before
        if news:
            claim = msgspec.structs.replace(
                claim, source=source, number=self.index.next_number()
            )
            after = join(before, claim)
            self._keep(contact, after, claim.number)
            self._evaluate(contact)
        holds = contact.claims[0]
        if source is not None and holds.order != claim.order:
            # Who says what loses is owed what holds.
            owed = msgspec.structs.replace(
                holds, source=None, number=self.index.next_number()
            )
            self._keep(contact, (owed, *contact.claims[1:]), owed.number)
        return news

    def take_record(self, record: Record, source: str | None) -> bool:
        records = self.records
        known = records.records.get(record.id)
        if known is not None and not record.outlives(known):
            return False
        number = self.index.next_number()
        new = msgspec.structs.replace(record, source=source, number=number)
        records.records[record.id] = new
        self.index.add(number, records)
        if known is not None:
            self.index.drop(known.number)
        records.standing = standing(records.records.values())
        for contact in self.contacts.values():
            self._evaluate(contact)
        return True

    def _keep(self, contact: Contact, claims: Claims, number: int) -> None:
        before = contact.claims
        contact.claims = claims
        self.index.add(number, contact)
        numbers = {claim.number for claim in claims}
        for claim in before:
            if claim.number not in numbers:
                self.index.drop(claim.number)

    def _evaluate(self, contact: Contact) -> None:
        standing = self.records.standing
        after = bound_by(contact.claims, standing, self.now)
        news = change(contact.shown, after, contact.claims, standing, self.now)
        contact.shown = after
        if news is not None:
            self.announced.append((contact.key, news.event.value))

    def forget(self) -> None:
        for key, contact in list(self.contacts.items()):
            at = forgotten_at(contact.claims, self.now, self.wall, LONGEST)
            if all(c.is_over(self.now) for c in contact.claims) and at < self.now:
                self._drop(key)

    def forget_all_but(self, most: int) -> None:
        """Forget contacts that are not bound, those that ended first."""
        over = sorted(
            (max(c.stamp for c in contact.claims), key)
            for key, contact in self.contacts.items()
            if self.bound(key) is None
        )
        for _, key in over[: max(0, len(over) - most)]:
            self._drop(key)

    def strip(self) -> None:
        """Keep of what is over only what orders it."""
        for contact in self.contacts.values():
            contact.claims = tuple(
                stripped(c) if c.is_over(self.now) else c for c in contact.claims
            )

    def _drop(self, key: str) -> None:
        contact = self.contacts.pop(key)
        claims, contact.claims = contact.claims, ()
        for claim in claims:
            self.index.drop(claim.number)

    # What phones and administrators do.

    def _stamp(self, key: str) -> int:
        contact, of = self.contacts.get(key), self.records.standing
        claims = contact.claims if contact else ()
        return next_stamp(claims, self.wall, of.latest if of else 0)

    def register(self, key: str, call_id: str, cseq: int, expires: float) -> bool:
        """A REGISTER; ``expires`` of 0 unregisters. False for 500 or 403."""
        of = self.records.standing
        if of is not None and of.bars(self.now):
            return False
        bound = self.bound(key)
        same = bound is not None and bound.call_id == call_id
        if bound is not None and same and cseq <= bound.cseq:
            return False
        stamp = self._stamp(key)
        begin = bound.begin if bound is not None and same else stamp
        gone = expires == 0
        self.take(
            key,
            Claim(
                contact=key,
                key=key,
                call_id=call_id,
                cseq=cseq,
                begin=Stamp(begin),
                stamp=Stamp(stamp),
                edition=Stamp(stamp),
                gone=gone,
                event=ContactEvent.UNREGISTERED if gone else ContactEvent.REGISTERED,
                owner=self.name,
                until=Stamp(stamp + int(expires * 1e6)),
                expires_at=self.now + expires,
                registered_at=bound.registered_at if bound else self.now,
            ),
            None,
        )
        return True

    def clear(self, call_id: str, cseq: int) -> bool:
        """`Contact: *`: whether it was accepted."""
        claims = [c for contact in self.contacts.values() for c in contact.claims]
        known = self.records.records.get((RecordKind.CLEARED, ""))
        of = self.records.standing
        stamp = next_record_stamp(known, claims, self.wall, of.latest if of else 0)
        bound = {k: c for k in self.contacts if (c := self.bound(k)) is not None}
        if any(c.call_id == call_id and cseq <= c.cseq for c in bound.values()):
            return False
        for key, c in bound.items():
            same = c.call_id == call_id
            end = msgspec.structs.replace(
                c, call_id=call_id, cseq=cseq, begin=c.begin if same else stamp,
                stamp=stamp, edition=stamp, gone=True, owner=self.name,
                event=ContactEvent.UNREGISTERED, until=stamp,
            )  # fmt: skip
            self.take(key, end, None)
        cleared = Record(
            kind=RecordKind.CLEARED, value="", stamp=stamp, owner=self.name
        )
        self.take_record(cleared, None)
        return True

    def remove(self, key: str) -> bool:
        """An administrator's act: a life of its own."""
        bound = self.bound(key)
        if bound is None:
            return False
        stamp = self._stamp(key)
        end = msgspec.structs.replace(
            bound, begin=stamp, stamp=stamp, edition=stamp, gone=True,
            event=ContactEvent.DEACTIVATED, owner=self.name,
        )  # fmt: skip
        self.take(key, end, None)
        return True

    # Links.

    def _told(self, cursor: tuple[float, int]) -> Iterator[Claim | Record]:
        """What follows a cursor; all, losers too, if the cursor is not good."""
        epoch, at = cursor
        names = [name for name, _ in self.epochs]
        known = names.index(epoch) if epoch in names else None
        if known is None or (known + 1 < len(names) and at > self.epochs[known + 1][1]):
            at = 0
        for number, item in self.index.after(at):
            if isinstance(item, Contact):
                yield from (c for c in item.claims if c.number == number)
            else:
                assert isinstance(item, Records)
                yield from (r for r in item.records.values() if r.number == number)

    def pull(self, other: Replica) -> bool:
        """Be told by ``other`` all that follows our cursor; whether any was news."""
        cursor = (other.epochs[-1][0], other.index.last)
        told = list(other._told(self.cursors.get(other.name, (0.0, 0))))
        live = other.name in self.resumed
        news = False
        for said in told:
            if live and said.source == self.name:
                continue  # what came from us is not sent back
            if isinstance(said, Claim):
                news |= self.take(said.key, said, other.name)
            else:
                news |= self.take_record(said, other.name)
        self.resumed.add(other.name)
        self.cursors[other.name] = cursor
        return news

    # A foreign peer.

    def hear(self, other: Foreign) -> None:
        """Take in the full document of a peer that knows no claims."""
        old, new = self.mirror, other.listing()
        for key, (call_id, cseq, expires_at) in new.items():
            if old.get(key) == (call_id, cseq):
                continue
            contact = self.contacts.get(key)
            told = self._of(other.name, contact)
            listing = Claim(
                contact=key,
                key=key,
                call_id=call_id,
                cseq=cseq,
                begin=Stamp(0),
                stamp=Stamp(0),
                edition=Stamp(0),
                gone=False,
                event=ContactEvent.REGISTERED,
                owner=other.name,
                until=Stamp(0),
                expires_at=expires_at,
                registered_at=self.now,
            )
            claim = foreign.listed(listing, told, had=old.get(key))
            if claim is not None:
                self.take(key, claim, other.name)
        for key, (call_id, cseq) in old.items():
            if key in new and new[key][0] == call_id:
                continue
            told = self._of(other.name, self.contacts.get(key))
            claim = foreign.ended(ContactEvent.EXPIRED, call_id, cseq, told)
            if claim is not None:
                self.take(key, claim, other.name)
        self.mirror = {key: value[:2] for key, value in new.items()}

    def _of(self, peer: str, contact: Contact | None) -> foreign.Told:
        claims = contact.claims if contact is not None else ()
        return foreign.Told(peer=peer, claims=claims, now=self.now, wall=self.wall)


class Foreign:
    """A foreign registrar: the last writer wins, and nothing is kept of it."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name, self.clock = name, clock
        self.table: dict[str, tuple[str, int, float]] = {}

    def register(self, key: str, call_id: str, cseq: int, expires: float) -> bool:
        known = self.table.get(key)
        if known is not None and known[0] == call_id and cseq <= known[1]:
            return False
        if expires:
            self.table[key] = (call_id, cseq, self.clock.now + expires)
        else:
            self.table.pop(key, None)
        return True

    def listing(self) -> dict[str, tuple[str, int, float]]:
        return {k: v for k, v in self.table.items() if v[2] > self.clock.now}
