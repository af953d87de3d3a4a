"""
Servers that watch each other, on an unreliable network, without sockets.

:class:`LossyWire` is a wire whose links between servers can be cut, and can lose,
double and delay datagrams. :func:`configuration` and :func:`register` say in one line
what most tests of several servers need. :class:`Simulation` plays a random sequence of
operations on three servers and two phones, and then checks that all of them agree.

From the root of the project, this runs 100 sequences of 30 operations in a star, from
seed 0 on, and prints the shortest sequence for the first fault that it finds::

    python -m tests.simulation star 0 100 30 register,unregister,wait
"""

from __future__ import annotations

import itertools
import logging
import random
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.location.binding import Binding
from reginfo.sip.flow import Address
from reginfo.sip.message import Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire
from reginfo.testing.wire import Packet, WireServer

from .make import place

HOSTS = {"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}
"""The addresses of the servers, by server id."""

ALICE = "sip:alice@example.com"
PHONE: Address = ("192.0.2.50", 5060)
CONTACT = "sip:alice@192.0.2.50"

_numbers = itertools.count(1)


class PreconditionError(Exception):
    """A test did not reach the state that its assertion is about."""


def given(holds: object, what: str = "") -> None:
    """
    Check a precondition of a test.

    A test that is expected to fail must fail in its assertion. So what comes before the
    assertion is checked by this function, which raises another kind of error.

    Raises:
        PreconditionError: ``holds`` is false.
    """
    if not holds:
        raise PreconditionError(what or "the test cannot begin")


def configuration(
    me: str, peers: Iterable[str], *, watch: Iterable[str] = (ALICE,), extra: str = ""
) -> Config:
    """
    The configuration of the server ``me``.

    Args:
        me: the server's id, a key of ``HOSTS``.
        peers: the ids of the servers that it knows.
        watch: the address-of-records that it watches at each of them.
        extra: more sections, as TOML; begins within ``[pua_reginfo]``.
    """
    text = f"""
[server]
id = "{me}"
listen = ["udp:{HOSTS[me]}:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[pua_reginfo]
server_address = "sip:server@{HOSTS[me]}"
{extra}
"""
    watched = ", ".join(f'"{aor}"' for aor in watch)
    for peer in peers:
        text += f'[[peer]]\nname = "{peer}"\nuri = "sip:{HOSTS[peer]}"\n'
        text += f"watch = [{watched}]\n"
    return Config.parse(text)


def register(
    wire: Wire,
    server: WireServer,
    contact: str = CONTACT,
    *,
    call_id: str = "c1",
    cseq: int = 1,
    expires: int = 600,
    aor: str = ALICE,
    phone: Address = PHONE,
) -> Response | None:
    """Send a REGISTER for one contact; the last response, None if there is none."""
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        f"Via: SIP/2.0/UDP {phone[0]}:{phone[1]};branch=z9hG4bKr{next(_numbers)}",
        f"From: <{aor}>;tag=t{next(_numbers)}",
        f"To: <{aor}>",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} REGISTER",
        f"Contact: <{contact}>",
        f"Expires: {expires}",
        "Content-Length: 0",
    ]
    wire.send("\r\n".join([*lines, "", ""]).encode(), phone, server.address)
    responses = [
        message
        for data in wire.received(phone)
        if isinstance(message := parse(data), Response)
    ]
    return responses[-1] if responses else None


def is_registered(response: Response | None) -> bool:
    """Whether a REGISTER was answered 200."""
    return response is not None and response.status == 200


def claims(server: WireServer, aor: str = ALICE) -> list[Binding]:
    """All that a server keeps for the contacts of ``aor``, what has ended included."""
    rows = server.app.store.rows(place(aor))
    return [claim for claims in rows.values() for claim in claims]


class LossyWire(Wire):
    """
    A wire whose links between servers are unreliable.

    Datagrams of phones always arrive.

    Args:
        chance: decides which datagrams are lost, doubled and delayed.
    """

    def __init__(self, chance: random.Random | None = None) -> None:
        super().__init__()
        self.chance = chance or random.Random(0)
        self.loss = self.doubling = self.delaying = 0.0
        "Probabilities, for each datagram between two servers."

        self._cut: set[tuple[Address, Address]] = set()
        self.disturb(self._fate_of)

    def cut_one_way(self, source: Address, destination: Address) -> None:
        """Lose all datagrams from one server to another, until :meth:`mend`."""
        self._cut.add((source, destination))

    def cut_both(self, one: Address, other: Address) -> None:
        """Lose all datagrams between two servers, until :meth:`mend`."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def mend(self) -> None:
        """Undo every cut."""
        self._cut.clear()

    def _fate_of(self, packet: Packet) -> list[float]:
        between = (packet.source, packet.destination)
        chance = self.chance
        if not all(end[0] in HOSTS.values() for end in between):
            return [0.0]
        if between in self._cut or chance.random() < self.loss:
            return []
        copies = []
        if chance.random() < self.doubling:
            copies.append(chance.uniform(0.01, 2.0))
        if chance.random() < self.delaying:
            return [*copies, chance.uniform(0.01, 3.0)]
        return [*copies, 0.0]


Operation = tuple[Any, ...]
"""The name of a method of :class:`Simulation`, and its arguments."""

PEERS = {
    "star": {"a": "bc", "b": "a", "c": "a"},
    "mesh": {"a": "bc", "b": "ac", "c": "ab"},
    "ring": {"a": "b", "b": "c", "c": "a"},
}
"""Which servers each server watches, by topology."""

CALM = ("register", "unregister", "wait")
FAULTS = (*CALM, "stop", "start", "restart", "cut", "mend", "lossy")
ALL = (*FAULTS, "empty", "fold")
"""The operations to choose from: without faults, with them, and also with losses."""

QUIET = 9000.0
"""Seconds without faults after which all servers must agree."""


class Phone:
    """A phone as the simulation plays it, and what it believes."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.address: Address = (f"192.0.2.{60 + number}", 5060)
        self.contact = f"sip:alice@{self.address[0]}"
        self.calls = 0
        "How many Call-IDs it has used: it takes another one when it reboots."

        self.cseq = 0
        self.server = ""
        "The server that has answered its last REGISTER 200; empty if unregistered."

        self.last = ""
        "The server that has answered its last request 200."

        self.until = 0.0
        "When that registration expires."

        self.is_forgotten = False
        "Whether its server has lost its database since."


class Simulation:
    """
    Three servers that watch each other, and phones that register at any of them.

    Args:
        seed: of all that is random.
        topology: a key of ``PEERS``.
        expires: what the phones ask for, in seconds.
        phones: how many there are, all of one user.
    """

    def __init__(
        self, seed: int, topology: str, *, expires: int = 86_400, phones: int = 2
    ) -> None:
        self.chance = random.Random(seed)
        self.wire = LossyWire(random.Random(seed))
        self.topology = topology
        self.expires = expires
        self.storages: dict[str, MemoryStorage] = {}
        self.servers: dict[str, WireServer] = {}
        self.down: set[str] = set()
        self.phones = [Phone(number) for number in range(phones)]
        for name in HOSTS:
            self.storages[name] = MemoryStorage()
            self._serve(name)

    def configuration(self, name: str) -> Config:
        """Each server knows both others, and watches those of its topology."""
        text = ""
        for peer in HOSTS:
            if peer != name:
                watched = f'"{ALICE}"' if peer in PEERS[self.topology][name] else ""
                text += f'[[peer]]\nname = "{peer}"\nuri = "sip:{HOSTS[peer]}"\n'
                text += f"watch = [{watched}]\n"
        return configuration(name, [], extra=text)

    def _serve(self, name: str) -> None:
        server = self.wire.serve(self.configuration(name), self.storages[name])
        self.servers[name] = server
        self.down.discard(name)

    # Operations.

    def register(self, number: int, name: str, reboots: bool) -> None:
        """Register a phone at a server, with another Call-ID if it has rebooted."""
        self._register(self.phones[number], name, self.expires, reboots)

    def unregister(self, number: int, reboots: bool) -> None:
        """Unregister a phone at the server that it is registered at."""
        phone = self.phones[number]
        if phone.server:
            self._register(phone, phone.server, 0, reboots)

    def stop(self, name: str) -> None:
        """Kill a server; its database remains."""
        if name not in self.down:
            self.wire.kill(self.servers[name])
            self.down.add(name)

    def start(self, name: str) -> None:
        if name in self.down:
            self._serve(name)

    def restart(self, name: str) -> None:
        self.stop(name)
        self.start(name)

    def empty(self, name: str) -> None:
        """Restart a server with an empty database."""
        self.stop(name)
        self.storages[name] = MemoryStorage()
        self.start(name)
        for phone in self.phones:
            if phone.last == name:
                # Perhaps nobody else had heard of it.
                phone.server, phone.is_forgotten = "", True

    def cut(self, source: str, destination: str, both: bool) -> None:
        """Lose all datagrams from one server to another, and back if ``both``."""
        ends = (HOSTS[source], 5060), (HOSTS[destination], 5060)
        (self.wire.cut_both if both else self.wire.cut_one_way)(*ends)

    def mend(self) -> None:
        self.wire.mend()

    def lossy(self, loss: float, doubling: float, delaying: float) -> None:
        """Set the probabilities of faults on all links."""
        self.wire.loss, self.wire.doubling = loss, doubling
        self.wire.delaying = delaying

    def wait(self, seconds: float) -> None:
        self.wire.pass_time(seconds)

    def fold(self, name: str) -> None:
        """Fold the journal of a server into its tables."""
        while self.storages[name].fold():
            pass

    def _register(self, phone: Phone, name: str, expires: int, reboots: bool) -> None:
        if name in self.down:
            return
        if reboots:
            phone.calls, phone.cseq = phone.calls + 1, 0
        phone.cseq += 1
        answer = register(
            self.wire,
            self.servers[name],
            phone.contact,
            call_id=f"c{phone.number}.{phone.calls}",
            cseq=phone.cseq,
            expires=expires,
            phone=phone.address,
        )
        if is_registered(answer):
            phone.server = name if expires else ""
            phone.last = name
            phone.until = self.wire.now + expires

    # Sequences of operations.

    def choose(self, names: Sequence[str]) -> Operation:
        """Make a random operation, one of those called ``names``."""
        chance, servers = self.chance, list(HOSTS)
        name = chance.choice(names)
        phone = chance.randrange(len(self.phones))
        match name:
            case "register":
                at = chance.choice(servers)
                return name, phone, at, chance.random() < 0.3
            case "unregister":
                return name, phone, chance.random() < 0.2
            case "cut":
                return name, *chance.sample(servers, 2), chance.random() < 0.7
            case "mend":
                return (name,)
            case "lossy":
                probabilities = [(0, 0, 0.1, 0.3), (0, 0.1), (0, 0.2)]
                return name, *(chance.choice(some) for some in probabilities)
            case "wait":
                return name, chance.choice([0.1, 1, 10, 40, 100, 400, 2000])
        return name, chance.choice(servers)

    def play(self, operations: Iterable[Operation]) -> None:
        """Play the operations, each as soon as the one before it has settled."""
        for name, *arguments in operations:
            getattr(self, name)(*arguments)
            self.wire.pass_time(0.05)

    def finish(self) -> None:
        """End all faults, and let the servers come to rest."""
        self.mend()
        self.lossy(0, 0, 0)
        for name in HOSTS:
            self.start(name)
        self.wire.pass_time(QUIET)

    # What must hold at rest.

    def views(self) -> dict[str, list[str]]:
        """The contacts of the user at each server."""
        return {
            name: sorted(server.contacts(ALICE))
            for name, server in self.servers.items()
        }

    def faults(self) -> list[str]:
        """What is wrong at rest; empty if nothing is."""
        views, found = self.views(), []
        if len({tuple(view) for view in views.values()}) > 1:
            found.append(f"the servers differ: {views}")
        believed = sorted(
            phone.contact
            for phone in self.phones
            if phone.server and phone.until > self.wire.now
        )
        is_known = not any(phone.is_forgotten for phone in self.phones)
        if is_known and any(view != believed for view in views.values()):
            found.append(f"the phones believe {believed}: {views}")
        return found + self.faults_of_claims()

    def faults_of_claims(self) -> list[str]:
        """Contacts of which the servers do not know the same claims."""
        known = {
            name: {
                key: [claim.order for claim in claims]
                for key, claims in server.app.store.rows(place(ALICE)).items()
            }
            for name, server in self.servers.items()
        }
        return [
            f"{name} knows {rows}, a {known['a']}"
            for name, rows in known.items()
            if rows != known["a"]
        ]


def sequence(
    seed: int, topology: str, length: int, names: Sequence[str], **options: int
) -> list[Operation]:
    """Make the random operations of one run."""
    simulation = Simulation(seed, topology, **options)
    return [simulation.choose(names) for _ in range(length)]


def run(
    seed: int, topology: str, operations: Iterable[Operation], **options: int
) -> list[str]:
    """Play operations from the beginning; what is wrong at the end."""
    simulation = Simulation(seed, topology, **options)
    simulation.wait(5)
    simulation.play(operations)
    simulation.finish()
    return simulation.faults()


def shortest(
    seed: int, topology: str, operations: Sequence[Operation], **options: int
) -> list[Operation]:
    """Leave out operations as long as the rest still ends with a fault."""
    left = list(operations)
    size = max(1, len(left) // 2)
    while size:
        at, is_shorter = 0, False
        while at < len(left):
            candidate = left[:at] + left[at + size :]
            if run(seed, topology, candidate, **options):
                left, is_shorter = candidate, True
            else:
                at += size
        if not is_shorter or size > 1:
            size //= 2
    return left


def main(arguments: Sequence[str]) -> int:
    """Run sequences of operations; print the shortest one with a fault."""
    logging.disable(logging.CRITICAL)
    topology, first, count, length, names = arguments[:5]
    options = {"expires": int(arguments[5])} if len(arguments) > 5 else {}
    wrong = 0
    for seed in range(int(first), int(first) + int(count)):
        operations = sequence(seed, topology, int(length), names.split(","), **options)
        faults = run(seed, topology, operations, **options)
        wrong += bool(faults)
        if faults and wrong == 1:
            least = shortest(seed, topology, operations, **options)
            sys.stdout.write(f"seed {seed}:\n")
            for line in [*least, *run(seed, topology, least, **options)]:
                sys.stdout.write(f"  {line}\n")
    sys.stdout.write(f"{wrong} of {count} sequences end with a fault\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
