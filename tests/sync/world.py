"""
Servers that are linked, on an unreliable network: what happens, and what must hold.

:class:`World` plays random operations on three to five servers whose location databases
are kept in sync by links, and on the phones of two users; every now and then it lets
them come to rest, and checks that

- all servers have the same claims and records, and so the same table;
- that is what the phones were last told;
- the versions of the documents in each dialog have no gap;
- a server knows all claims up to its cursor, at any time;
- nothing but keep-alives is sent any more, and no verification finds anything.

From the root of the project, this plays a million steps, over all shapes and faults::

    python -m tests.sync.world --steps 1000000
"""

from __future__ import annotations

import argparse
import itertools
import logging
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.location.claim import Claim
from reginfo.location.lives import join
from reginfo.location.place import Aor, Place
from reginfo.location.record import Record
from reginfo.reg.document import ContactEvent
from reginfo.sip.flow import Address
from reginfo.sip.message import Response
from reginfo.sip.parser import parse
from reginfo.sync import feed, source
from reginfo.testing import Wire
from reginfo.testing.wire import Packet, WireServer

GROUP = "sip:allusers@example.com"
ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
CAROL = "sip:carol@example.com"
NAMES = "abcde"
HOSTS = {name: f"192.0.2.{at}" for at, name in enumerate(NAMES, 1)}
FOREIGN = "192.0.2.9"
"""The host of a registrar of another kind, which two of the servers watch."""

SHAPES = ("mesh", "star", "ring", "line")

CALM = ("register",) * 6 + ("refresh",) * 3 + ("wait",) * 4
FAULTS: dict[str, tuple[str, ...]] = {
    "unregister": ("unregister", "unregister", "clear"),
    "reboot": ("reboot", "reboot"),
    "administrator": ("remove", "key", "identity"),
    "partition": ("cut", "cut", "mend", "mend", "roam", "leave"),
    "loss": ("lossy",),
    "restart": ("kill", "start", "start", "restart"),
    "empty": ("empty",),
    "restore": ("backup", "backup", "restore"),
    "forget": ("forget",),
    "commit": ("fail", "crash"),
    "skew": ("jump", "spoil"),
    "foreign": ("elsewhere", "elsewhere", "move", "again", "stale"),
}
"""Kinds of faults, and the operations that each adds to the calm ones."""

KNOWABLE = frozenset({"foreign", "unregister", "administrator"})
"""Faults with which the truth is known, although there is a foreign peer."""

REST = 35.0
"""Seconds after which all servers are equal, once every fault is over."""

_VERSION = re.compile(rb'<reginfo [^>]*version="(\d+)"')
_CALL_ID = re.compile(rb"\r\nCall-ID: ([^\r]+)")
_numbers = itertools.count(1)

Step = tuple[Any, ...]
_Told = tuple[str, Claim]


def peers_of(shape: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Which servers each server asks."""
    last = len(names) - 1
    if shape == "mesh":
        return {one: [other for other in names if other != one] for one in names}
    if shape == "star":
        hub, *others = names
        return {hub: others} | {one: [hub] for one in others}
    if shape == "ring":
        return {one: [names[(at + 1) % len(names)]] for at, one in enumerate(names)}
    return {
        one: [names[n] for n in (at - 1, at + 1) if 0 <= n <= last]
        for at, one in enumerate(names)
    }


class Phone:
    """A phone, and what it believes."""

    def __init__(self, number: int) -> None:
        self.address: Address = (f"192.0.2.{60 + number}", 5060)
        self.aor = (ALICE, ALICE, BOB, CAROL)[number]
        self.contact = f"sip:phone{number}@{self.address[0]}"
        self.number = number
        self.calls = 0
        "How many Call-IDs it has used."

        self.cseq = 0
        self.until = 0.0
        "When it believes to be registered until; 0 if it is not."

    @property
    def call_id(self) -> str:
        return f"c{self.number}.{self.calls}"


class World:
    """
    Servers, phones and what happens to them.

    Args:
        seed: of all that is random.
        shape: one of ``SHAPES``: who asks whom.
        faults: keys of ``FAULTS``.
        transport: of the links, ``udp`` or ``tcp``.
    """

    def __init__(
        self,
        seed: int,
        shape: str,
        faults: Iterable[str],
        *,
        servers: int = 3,
        transport: str = "udp",
    ) -> None:
        self.chance = random.Random(seed)
        self.faults = frozenset(faults)
        self.transport = transport
        self.names = NAMES[:servers]
        self.asks = peers_of(shape, self.names)
        self.wire = Wire()
        self.loss = self.doubling = self.delaying = 0.0
        self.wire.disturb(self._fate_of)
        self.skews = {
            name: self.chance.uniform(-15, 15) if "skew" in self.faults else 0.0
            for name in self.names
        }
        self.storages = {name: MemoryStorage() for name in self.names}
        self.backups: dict[str, Path] = {}
        self.directory: Path | None = None
        self.servers: dict[str, WireServer] = {}
        self.down: set[str] = set()
        self.cuts: set[tuple[str, str]] = set()
        self.phones = [Phone(number) for number in range(3)]
        self.stranger = Phone(3)
        "Whose contact nobody looks at: it may be spoiled."

        self.is_truth_known = True
        self.versions: dict[bytes, int] = {}
        self.apart = False
        "Whether a server could not be reached since all were last at rest."

        self.wrong: list[str] = []
        self.foreign: WireServer | None = None
        if "foreign" in self.faults:
            self.foreign = self.wire.serve(foreign(), MemoryStorage())
        for name in self.names:
            self._serve(name)
        self.operations = CALM + tuple(
            one for fault in sorted(self.faults) for one in FAULTS[fault]
        )
        self.wire.pass_time(6)

    def close(self) -> None:
        """Remove what is on disk."""
        if self.directory is not None:
            shutil.rmtree(self.directory)

    # Operations.

    def choose(self) -> Step:
        """Make a random operation."""
        chance = self.chance
        name = chance.choice(self.operations)
        at, phone = chance.choice(self.names), chance.randrange(len(self.phones))
        match name:
            case "register" | "refresh" | "reboot" | "elsewhere":
                return name, phone, at, chance.choice([60, 600, 3600])
            case "move" | "again" | "stale":
                return name, phone, at
            case "unregister" | "clear" | "remove":
                return name, phone, at
            case "roam" | "spoil" | "leave":
                return name, phone, *chance.sample(self.names, 2)
            case "key":
                return name, phone, at, chance.choice(["x", "y"]), chance.choice("12-")
            case "identity":
                return name, phone, at, chance.choice(["", "sip:shared@example.com"])
            case "cut":
                return name, *chance.sample(self.names, 2)
            case "lossy":
                choices = [(0, 0, 0.1, 0.3), (0, 0.1), (0, 0.2)]
                return name, *(chance.choice(some) for some in choices)
            case "mend":
                return (name,)
            case "wait":
                return name, chance.choice([0.1, 1, 20, 70, 200])
        return name, at

    def play(self, step: Step) -> None:
        """Play an operation; what follows of it may take longer."""
        if "skew" in self.faults:
            # Acts of one phone closer together than the clocks may be taken in the
            # wrong order, by servers that have not heard of each other's.
            self.wire.pass_time(self.chance.choice([31, 45]))
        getattr(self, f"_{step[0]}")(*step[1:])
        self.wire.pass_time(self.chance.choice([0.01, 0.05, 0.5]))
        self._look()

    def _register(self, number: int, at: str, expires: int) -> None:
        """Register with another Call-ID, as after a reboot."""
        phone = self.phones[number]
        phone.calls, phone.cseq = phone.calls + 1, 0
        self._send(phone, at, expires)

    def _refresh(self, number: int, at: str, expires: int) -> None:
        self._send(self.phones[number], at, expires)

    def _reboot(self, number: int, at: str, expires: int) -> None:
        """Register with the same Call-ID, counted from 1 again: 500 while bound."""
        self._calm_down()
        phone = self.phones[number]
        before, phone.cseq = phone.cseq, 0
        if not self._send(phone, at, expires):
            phone.cseq = before

    def _unregister(self, number: int, at: str) -> None:
        self._send(self.phones[number], at, 0)

    def _clear(self, number: int, at: str) -> None:
        """Unregister all contacts of a user."""
        phone = self.phones[number]
        if self._send(phone, at, 0, contact="*"):
            for other in self.phones:
                if other.aor == phone.aor:
                    other.until = 0.0

    def _elsewhere(self, number: int, at: str, expires: int) -> None:
        """Register at the registrar of another kind."""
        assert self.foreign is not None
        phone = self.phones[number]
        phone.cseq += 1
        if self._ask(self.foreign, phone, expires, phone.contact):
            phone.until = self.wire.now + expires

    def _roam(self, number: int, away: str, at: str) -> None:
        """
        Register with many Call-IDs while one server is away, then there with the first.

        The REGISTER that holds in the end is of the life that began first.
        """
        phone = self.phones[number]
        if not self._send(phone, away, 3600):
            return
        call, cseq = phone.calls, phone.cseq
        for other in self.names:
            if other != away:
                self._cut(away, other)
        for _ in range(9):
            self._register(number, at, 3600)
            self.wire.pass_time(1)
        latest, phone.calls, phone.cseq = phone.calls, call, cseq
        self.wire.pass_time(35 if "skew" in self.faults else 1)
        self._send(phone, away, self.chance.choice([0, 3600]))
        phone.calls, phone.cseq = latest + 1, 0
        self._mend()

    def _jump(self, at: str) -> None:
        """Have a calendar be two hours off while somebody else registers there."""
        if at not in self.down:
            clock: Any = self.servers[at].app._assembly.clock
            clock._skew += 7200
            self._send(self.stranger, at, 600)
            clock._skew -= 7200

    def _leave(self, number: int, away: str, at: str) -> None:
        """Unregister at a server that has not heard of the registration."""
        for other in self.names:
            if other != away:
                self._cut(away, other)
        self._register(number, at, 3600)
        self.wire.pass_time(35 if "skew" in self.faults else 1)
        self._unregister(number, away)
        self._mend()

    def _spoil(self, number: int, away: str, at: str) -> None:
        """
        Have a calendar be wrong for a while; what comes after it is ordered as it was.
        """
        for other in self.names:
            if other != away:
                self._cut(away, other)
        self._jump(away)
        self._register(number, away, 3600)
        self.wire.pass_time(35)
        phone = self.phones[number]
        phone.calls, phone.cseq = phone.calls + 1, 0
        self._send(phone, at, self.chance.choice([0, 60]))
        self.wire.pass_time(35)
        self._mend()

    def _crash(self, at: str) -> None:
        """
        Kill a server that has just refused to commit the first of several documents.
        """
        others = [name for name in self.asks[at] if name not in self.down]
        if at in self.down or not others:
            return
        other = self.chance.choice(others)
        # What is sent meanwhile arrives at once.
        self._cut(at, other)
        for number in (0, 1, 2, 0, 2):
            self._register(number, other, 3600)
        self.wire.pass_time(0.05)  # documents are paced
        self._mend()
        self.storages[at].failures = 1
        self.wire.pass_time(0.25)
        self._kill(at)
        self.storages[at].failures = 0
        self._serve(at)

    # At the registrar of another kind.

    def _move(self, number: int, at: str) -> None:
        """Register there, then here: what ends there does not end what is here."""
        self._elsewhere(number, at, 60)
        self.wire.pass_time(1)
        self._register(number, at, 600)
        self.wire.pass_time(75)
        self._look_at_phones()

    def _again(self, number: int, at: str) -> None:
        """Register there with the same CSeq again, once the binding has gone."""
        phone = self.phones[number]
        phone.calls, phone.cseq = phone.calls + 1, 0
        self._elsewhere(number, at, 60)
        self.wire.pass_time(75)
        phone.cseq -= 1
        self._elsewhere(number, at, 600)
        self._look_at_phones()

    def _stale(self, number: int, at: str) -> None:
        """Have a REGISTER arrive there after the un-REGISTER that follows it, here."""
        assert self.foreign is not None
        phone = self.phones[number]
        self._register(number, at, 600)
        if self._send(phone, at, 0):
            phone.cseq -= 1
            self._ask(self.foreign, phone, 60, phone.contact)
            phone.cseq += 1
        self._look_at_phones()

    def _remove(self, number: int, at: str) -> None:
        """Remove a contact as an administrator."""
        if at in self.down:
            return
        phone, server = self.phones[number], self.servers[at]
        failures = self.storages[at].failures
        is_done = server.app.remove(
            phone.aor, contact=phone.contact, event=ContactEvent.DEACTIVATED
        )
        server.settle()
        # If the commit fails, it is taken back.
        if is_done and self.storages[at].failures == failures:
            phone.until = 0.0

    def _key(self, number: int, at: str, name: str, value: str) -> None:
        self._set_key(
            self.phones[number].aor, at, name, None if value == "-" else value
        )

    def _identity(self, number: int, at: str, identity: str) -> None:
        """Have an identity move between users."""
        value = f"<{identity}>" if identity else None
        self._set_key(self.phones[number].aor, at, "identities", value)

    def _set_key(self, aor: str, at: str, name: str, value: str | None) -> None:
        if at in self.down:
            return
        server, wire = self.servers[at], self.wire
        wall = wire.links.epoch + wire.now + self.skews[at]
        with server.turns.attempt():
            server.app.store.set_key(_place(aor), name, value, wire.now, wall)
        server.settle()

    def _cut(self, one: str, other: str) -> None:
        self.wire.cut(HOSTS[one], HOSTS[other])
        self.cuts.add((one, other))
        self.apart = True

    def _mend(self) -> None:
        self.wire.heal()
        self.cuts.clear()

    def _lossy(self, loss: float, doubling: float, delaying: float) -> None:
        self.loss, self.doubling, self.delaying = loss, doubling, delaying

    def _kill(self, at: str) -> None:
        if at not in self.down:
            self.wire.kill(self.servers[at])
            self.down.add(at)
            self.apart = True

    def _start(self, at: str) -> None:
        if at in self.down:
            self._serve(at)

    def _restart(self, at: str) -> None:
        self._kill(at)
        self._serve(at)

    def _empty(self, at: str) -> None:
        """Start with an empty database; what only this server knew is lost."""
        self._calm_down()
        self._kill(at)
        self.storages[at] = MemoryStorage()
        self._serve(at)

    def _backup(self, at: str) -> None:
        if at not in self.down:
            if self.directory is None:
                self.directory = Path(tempfile.mkdtemp())
            target = self.directory / f"{next(_numbers)}.db"
            self.backups[at] = self.servers[at].backup(target)

    def _restore(self, at: str) -> None:
        if at in self.backups:
            self._calm_down()
            self._kill(at)
            self.storages[at] = MemoryStorage.open(self.backups[at])
            self._serve(at)

    def _forget(self, at: str) -> None:
        """Forget contacts that have ended, early, as if there were too many."""
        if at not in self.down:
            self._calm_down()
            store = self.servers[at].app.store
            before, store._tombstones = store._tombstones, 0
            with self.servers[at].turns.attempt():
                store._limit(self.wire.now)
            store._tombstones = before
            self.servers[at].settle()

    def _fail(self, at: str) -> None:
        """Have the next commit of a server fail."""
        self.storages[at].failures = 1

    def _wait(self, seconds: float) -> None:
        self.wire.pass_time(seconds)

    # How.

    def _calm_down(self) -> None:
        """End all faults, and let all be known: what only one knew may be lost."""
        self._heal()
        self.wire.pass_time(REST)

    def _heal(self) -> None:
        self._mend()
        self._lossy(0, 0, 0)
        for name in self.names:
            self.storages[name].failures = 0
            self._start(name)

    def _serve(self, name: str) -> None:
        self.servers[name] = self.wire.serve(
            self._configuration(name), self.storages[name], skew=self.skews[name]
        )
        self.down.discard(name)

    def _configuration(self, me: str) -> Config:
        gateway = "foreign" in self.faults and me in self.names[:2]
        text = f"""
[server]
id = "{me}"
listen = ["udp:{HOSTS[me]}:5060", "tcp:{HOSTS[me]}:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[sync]
verify = "10m"
[pua_reginfo]
server_address = "sip:server@{HOSTS[me]}"
ul_identities_key = "identities"
[[group]]
uri = "{GROUP}"
domains = ["example.com"]
"""
        by = ";transport=tcp" if self.transport == "tcp" else ""
        for peer in self.names:
            if peer != me:
                watch = f'"{GROUP}"' if peer in self.asks[me] else "[]"
                text += f'[[peer]]\nname = "{peer}"\nuri = "sip:{HOSTS[peer]}{by}"\n'
                text += f"watch = {watch}\n"
        if gateway:
            text += f'[[peer]]\nname = "k"\nuri = "sip:{FOREIGN}"\n'
            text += f'watch = ["{ALICE}", "{BOB}"]\n'
        return Config.parse(text)

    def _send(
        self, phone: Phone, at: str, expires: int, contact: str | None = None
    ) -> bool:
        """Send a REGISTER; whether it was answered 200."""
        phone.cseq += 1
        if at in self.down:
            return False
        if not self._ask(self.servers[at], phone, expires, contact or phone.contact):
            return False
        phone.until = self.wire.now + expires if expires else 0.0
        return True

    def _ask(
        self, server: WireServer, phone: Phone, expires: int, contact: str
    ) -> bool:
        lines = [
            "REGISTER sip:example.com SIP/2.0",
            f"Via: SIP/2.0/UDP {phone.address[0]}:5060;branch=z9hG4bKw{next(_numbers)}",
            f"From: <{phone.aor}>;tag=t{next(_numbers)}",
            f"To: <{phone.aor}>",
            f"Call-ID: {phone.call_id}",
            f"CSeq: {phone.cseq} REGISTER",
            f"Contact: {contact if contact == '*' else f'<{contact}>'}",
            f"Expires: {expires}",
            "Content-Length: 0",
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.received(phone.address)
        self.wire.send(data, phone.address, server.address)
        answers = [parse(one) for one in self.wire.received(phone.address)]
        return any(isinstance(m, Response) and m.status == 200 for m in answers)

    def _fate_of(self, packet: Packet) -> list[float]:
        """Lose, double and delay datagrams between servers."""
        if packet.source[1] != 5060 or int(packet.source[0][8:]) >= 50:
            return [0.0]
        if int(packet.destination[0][8:]) >= 50:
            return [0.0]
        chance = self.chance
        if chance.random() < self.loss:
            return []
        copies = []
        if chance.random() < self.doubling:
            copies.append(chance.uniform(0.01, 2.0))
        if chance.random() < self.delaying:
            return [*copies, chance.uniform(0.01, 3.0)]
        return [*copies, 0.0]

    # What must hold.

    def _look(self) -> None:
        """Look at the packets that were sent since: versions have no gap."""
        for packet in self.wire.packets:
            data = packet.data
            if not data.startswith(b"NOTIFY ") or b"urn:x-reginfo:link" not in data:
                continue
            found, call = _VERSION.search(data), _CALL_ID.search(data)
            assert found is not None and call is not None
            version, known = int(found[1]), self.versions.get(call[1], -1)
            # A NOTIFY that is too long for a datagram is never sent if nobody accepts
            # a connection.
            if version > known + 1 and not (self.apart and self.transport == "udp"):
                self.wrong.append(f"version {version} after {known}: {call[1]!r}")
            self.versions[call[1]] = max(version, known)
        self.wire.packets.clear()
        if not self.wrong:
            self.wrong = self._unknown()[:1]

    def _unknown(self) -> list[str]:
        """What a server does not know, although its cursor is beyond it."""
        found = []
        for name, server in self.servers.items():
            for link in server.app.sink.links():
                cursor, other = link.cursor, self.servers[link.peer]
                if cursor is None or {name, link.peer} & self.down:
                    continue
                epoch = other.app.source._open[link.group.aor].id
                if cursor.epoch != epoch:
                    continue
                for claim in self._told_until(other, cursor.number):
                    known = server.app.store.claims(_place(claim[0]), claim[1].key)
                    joined = join(known, claim[1])
                    if [one.order for one in joined] != [one.order for one in known]:
                        found.append(
                            f"{self.wire.now}: {name} is at {cursor.number} of"
                            f" {link.peer}, but does not know {claim[1].order}"
                        )
        return found

    def _told_until(self, server: WireServer, number: int) -> Iterator[_Told]:
        """
        The claims that bind a contact, and were told up to a number.

        What has ended may be forgotten, and what has lost with it.
        """
        for aor in (ALICE, BOB):
            bound = {binding.key for binding in server.bindings(aor)}
            for key, (claim, *_) in server.app.store.rows(_place(aor)).items():
                if claim.number <= number and key in bound:
                    yield aor, claim

    def _look_at_phones(self) -> None:
        """Look at the table in the middle of it, where no fault can be to blame."""
        self.wire.pass_time(1)
        if self.faults <= KNOWABLE and all(
            abs(phone.until - self.wire.now) > 6 for phone in self.phones
        ):
            self.wrong += self._untrue()

    def rest(self) -> list[str]:
        """End all faults, let everything come to rest; what is wrong then."""
        self._heal()
        self.wire.pass_time(REST)
        while self._expires_soon():
            self.wire.pass_time(15)
        found = [*self.wrong, *self._differences(), *self._untrue()]
        self.wrong = []
        self._look()
        self.apart = False
        found += self._sent_back()
        self.wire.pass_time(25)
        found += [
            f"still sent: {packet.data.partition(b'<registration')[2][:400]!r}"
            for packet in self.wire.packets
            if packet.data.startswith(b"NOTIFY ")
            and b"urn:x-reginfo:link" in packet.data
            and b"<registration" in packet.data
            and b' check="true"' not in packet.data
            # A verification brings back what one server has forgotten early, and who
            # tells it is owed what holds.
            and "forget" not in self.faults
        ][:1]
        self._look()
        for name, server in self.servers.items():
            for link in server.app.sink.links():
                # What was forgotten early comes back by a verification, as said above.
                if link.drift and "forget" not in self.faults:
                    found.append(f"{name}: {link.drift} drift from {link.peer}")
                    link.drift = 0
                if link.refused:
                    found.append(f"{name}: {link.refused} refused: {link.problem}")
                    link.refused = 0
        return found

    def _expires_soon(self) -> bool:
        """Whether a contact expires while we look, at a foreign registrar too."""
        now = self.wire.now
        ends = [phone.until for phone in self.phones]
        if self.foreign is None:
            return any(abs(end - now) < 10 for end in ends)
        for aor in (ALICE, BOB, CAROL):
            ends += [one.expires_at for one in self.foreign.bindings(aor)]
        # A gateway may subscribe anew, and be told of what has expired since.
        return any(-10 < end - now < 40 for end in ends)

    def _sent_back(self) -> list[str]:
        """
        Register somebody at rest: whoever hears it of a server does not tell it back.
        """
        at = self.chance.choice(self.names)
        self._send(self.stranger, at, 600)
        self.wire.pass_time(0.5)
        call_id = f'callid="{self.stranger.call_id}" cseq="{self.stranger.cseq}"'
        back = [
            f"sent back to {at} by {packet.source}: {call_id}"
            for packet in self.wire.packets
            if packet.destination[0] == HOSTS[at]
            and call_id.encode() in packet.data
            and any(
                HOSTS[other] == packet.source[0] and at in self.asks[other]
                for other in self.asks[at]
            )
        ]
        self._look()
        return back

    def _differences(self) -> list[str]:
        """Where servers differ, in what is bound or in what is kept."""
        now, found = self.wire.now, []
        for aor in (ALICE, BOB):
            bound = {
                name: sorted(server.contacts(aor))
                for name, server in self.servers.items()
            }
            if any(one != bound["a"] for one in bound.values()):
                found.append(f"{now}: bound to {aor}: {bound}")
            kept = {name: self._kept(name, aor) for name in self.servers}
            found += [
                f"{now}: {name} keeps of {aor}\n    {one}\n  a\n    {kept['a']}"
                for name, one in kept.items()
                if one != kept["a"]
            ]
        return found

    def _kept(self, name: str, aor: str) -> object:
        store = self.servers[name].app.store
        claims = {
            key: [claim.order for claim in claims]
            for key, claims in store.rows(_place(aor)).items()
        }
        if "forget" in self.faults:
            # What has ended may be forgotten by one alone, and in part.
            bound = {one.key for one in self.servers[name].bindings(aor)}
            claims = {key: orders[:1] for key, orders in claims.items() if key in bound}
        records: list[Record] = store.records(_place(aor))
        said = sorted(
            (r.kind, r.name, r.value or "", r.stamp, r.owner) for r in records
        )
        return claims, said, store.identities(_place(aor))

    def _untrue(self) -> list[str]:
        """Where the table is not what the phones were last told."""
        if "foreign" in self.faults and self.faults - KNOWABLE:
            return []  # what a foreign peer has said meanwhile nobody can know
        now = self.wire.now
        believed = sorted(p.contact for p in self.phones if p.until > now)
        known = sorted(
            contact
            for aor in (ALICE, BOB)
            for contact in self.servers["a"].contacts(aor)
        )
        return (
            [] if known == believed else [f"{now}: believed {believed}, known {known}"]
        )


def _place(aor: str) -> Place:
    return Place("location", Aor(aor))


def foreign() -> Config:
    """A registrar that knows nobody: to it, watchers are as RFC 3680 has them."""
    return Config.parse(
        f"""
[server]
id = "k"
listen = ["udp:{FOREIGN}:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
"""
    )


def worlds(seed: int, only: Sequence[str] = ()) -> Iterator[World]:
    """
    Worlds of all shapes, sizes and transports, with random faults.

    Args:
        only: the faults in each of them; empty for random ones.
    """
    while True:
        chance = random.Random(seed)
        faults = [fault for fault in FAULTS if chance.random() < 0.45]
        if "foreign" in faults and chance.random() < 0.5:
            faults.remove("foreign")
        elif "foreign" in faults and chance.random() < 0.6:
            faults = [fault for fault in faults if fault in KNOWABLE]
        yield World(
            seed,
            chance.choice(SHAPES),
            only or faults,
            servers=chance.choice([3, 3, 3, 5]),
            transport=chance.choice(["udp", "tcp"]),
        )
        seed += 1


def play(world: World, steps: int, *, rest_each: int = 25) -> list[str]:
    """Play steps in a world; the first that was wrong at rest, with what led to it."""
    trace: list[str] = []
    for number in range(steps):
        step = world.choose()
        trace.append(f"{world.wire.now:.2f} {step}")
        world.play(step)
        if (number + 1) % rest_each == 0 or number + 1 == steps:
            found = world.rest()
            if found:
                return [*trace[-rest_each:], *found]
            trace.append("at rest")
    return []


@contextmanager
def small_documents() -> Iterator[None]:
    """Have few changes take several documents, side by side on a stream."""
    room: Any = source
    before = feed.BULK, room.LONGEST
    feed.BULK, room.LONGEST = 2, 1500
    try:
        yield
    finally:
        feed.BULK, room.LONGEST = before


def run(
    steps: int, seed: int = 0, *, each: int = 50, only: Sequence[str] = ()
) -> tuple[int, list[str]]:
    """
    Play steps, in one world after the other.

    Args:
        only: the faults in each of them; empty for random ones.

    Returns:
        how many were played, and what was wrong in the first world that ended so.
    """
    played = 0
    for number, world in enumerate(worlds(seed, only)):
        with closing(world), small_documents():
            found = play(world, min(each, steps - played))
        played += each
        if found:
            about = f"seed {seed + number}: {sorted(world.faults)} {world.transport}"
            return played, [f"{about} {world.asks}", *found]
        if played >= steps:
            break
    return played, []


def main(arguments: Sequence[str]) -> int:
    """Play, and print how far it has come."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slice", type=int, default=5_000, help="steps for each line")
    parser.add_argument("--faults", nargs="*", default=(), choices=FAULTS)
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    begin, done = time.monotonic(), 0
    while done < wanted.steps:
        number = min(wanted.slice, wanted.steps - done)
        _, found = run(number, wanted.seed + done // 50, only=wanted.faults)
        done += number
        seconds = time.monotonic() - begin
        sys.stdout.write(f"{done} of {wanted.steps} steps, {seconds:.0f} s\n")
        sys.stdout.flush()
        if found:
            sys.stdout.write("\n".join(found) + "\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
