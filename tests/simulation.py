"""
Servers that watch each other, on an unreliable network, without sockets.

:class:`LossyWire` is a wire whose links between servers can be cut, and can lose,
double and delay datagrams. :func:`configuration` and :func:`register` say in one line
what most tests of several servers need.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

from reginfo.config.config import Config
from reginfo.location.binding import Binding
from reginfo.sip.flow import Address
from reginfo.sip.message import Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire
from reginfo.testing.wire import Packet, WireServer

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
    rows = server.app.store.rows(aor)
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
        self._delayed: list[tuple[float, Packet]] = []

    def cut(self, source: Address, destination: Address) -> None:
        """Lose all datagrams from one server to another, until :meth:`mend`."""
        self._cut.add((source, destination))

    def cut_both(self, one: Address, other: Address) -> None:
        """Lose all datagrams between two servers, until :meth:`mend`."""
        self.cut(one, other)
        self.cut(other, one)

    def mend(self) -> None:
        """Undo every cut."""
        self._cut.clear()

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := min((at for at, _ in self._delayed), default=end + 1)) <= end:
            super().pass_time(max(0.0, due - self.now))
            arrived = [packet for at, packet in self._delayed if at <= self.now]
            self._delayed = [one for one in self._delayed if one[0] > self.now]
            self._queue.extend(arrived)
            self._deliver()
        super().pass_time(end - self.now)

    def _carry(self, packet: Packet) -> None:
        between = (packet.source, packet.destination)
        chance = self.chance
        if all(end[0] in HOSTS.values() for end in between):
            if between in self._cut or chance.random() < self.loss:
                self.packets.append(packet)
                return
            if chance.random() < self.doubling:
                self._delay(packet, 2.0)
            if chance.random() < self.delaying:
                self.packets.append(packet)
                self._delay(packet, 3.0)
                return
        super()._carry(packet)

    def _delay(self, packet: Packet, most: float) -> None:
        at = self.now + self.chance.uniform(0.01, most)
        self._delayed.append((at, packet))
