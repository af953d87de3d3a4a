"""
The rows of the table of amplifiers in docs/security.md, each measured.

An attacker sends in the name of a victim that stays silent, or names the victim where
requests or responses are to go.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from reginfo.config.config import Config
from reginfo.testing import Wire
from reginfo.testing.server import WireServer

VICTIM = ("198.51.100.7", 5060)
ATTACKER = ("192.0.2.66", 5060)
FRIENDS = [("192.0.2.10", 5060 + number) for number in range(10)]

CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[registrar]
max_contacts = 0
[proxy]
relay = "all"
[nat]
ping = "options"
ping_all = true
ping_interval = 30
"""


class Attack:
    """A server, and the octets that the victim gets for those of the attacker."""

    def __init__(self) -> None:
        self.wire = Wire(limits=True)
        self.server: WireServer = self.wire.serve(Config.parse(CONFIG))
        self.sent = 0
        self._numbers = iter(range(10**6))
        self._before = 0

    def send(
        self,
        method: str,
        to: str = "sip:alice@example.com",
        *,
        via: str = "",
        source: tuple[str, int] = VICTIM,
        counts: bool = True,
        headers: Sequence[str] = (),
        branch: str = "",
    ) -> None:
        number = next(self._numbers)
        branch = branch or f"z9hG4bK{number}"
        uri = "sip:example.com" if method == "REGISTER" else to
        data = "\r\n".join(
            [
                f"{method} {uri} SIP/2.0",
                f"v:SIP/2.0/UDP {via or f'{source[0]}:{source[1]};rport'}"
                f";branch={branch}",
                f"f:<{to}>;tag={number}",
                f"t:<{to}>",
                f"i:{number}",
                f"CSeq:1 {method}",
                *headers,
                "",
                "",
            ]
        ).encode()
        self.raw(data, source=source, counts=counts)

    def raw(
        self, data: bytes, *, source: tuple[str, int] = VICTIM, counts: bool = True
    ) -> None:
        self.sent += counts * len(data)
        self.wire.send(data, source, self.server.address)

    def bind(
        self, count: int, at: str = "client-host-{}.example.net:5060",
        *, counts: bool = True, source: tuple[str, int] = ATTACKER,
    ) -> None:  # fmt: skip
        """Register contacts, a hundred at a time, from the attacker's own address."""
        for first in range(0, count, 100):
            numbers = range(first, min(first + 100, count))
            contacts = ",".join(f"<sip:{n:03d}@{at.format(n)}>" for n in numbers)
            self.send(
                "REGISTER", source=source, headers=[f"m:{contacts}"], counts=counts
            )

    def factor(self, seconds: float = 40.0) -> float:
        """Let time pass; what the victim got, for each octet that was sent."""
        self.wire.pass_time(seconds)
        got = sum(
            len(packet.data)
            for packet in self.wire.packets
            if packet.destination[0] == VICTIM[0]
        )
        return got / self.sent


REG = ["o:reg", f"m:<sip:w@{VICTIM[0]}>"]


def maddr(attack: Attack) -> None:
    """61 octets again and again, after a request whose Via names the victim."""
    attack.bind(700, counts=False)
    via = f"h:5060;maddr={VICTIM[0]}"
    attack.send("REGISTER", via=via, source=ATTACKER, branch="z9hG4bKq")
    again = b"REGISTER x SIP/2.0\r\nv:SIP/2.0/UDP h:5060;branch=z9hG4bKq\r\n\r\n"
    assert len(again) <= 61
    for source in [ATTACKER, VICTIM] * 25:
        attack.raw(again, source=source)


def subscribe(count: int, source: tuple[str, int]) -> object:
    def act(attack: Attack) -> None:
        attack.bind(count, counts=False)
        attack.send("SUBSCRIBE", source=source, headers=REG)

    return act


def fetch(attack: Attack) -> None:
    attack.bind(200, counts=False)
    for _ in range(10):
        attack.send("REGISTER")


def fetch_without_rport(attack: Attack) -> None:
    attack.bind(200, counts=False)
    attack.send("REGISTER", via=f"{VICTIM[0]}:9")


def fork(method: str, source: tuple[str, int], host: str = VICTIM[0]) -> object:
    """Ten contacts at ports of the victim; the attacker calls them once."""

    def act(attack: Attack) -> None:
        attack.wire.hosts["victim.example.net"] = VICTIM
        attack.bind(10, at=host + ":70{:02d}", source=source)
        attack.send(method, source=source)

    return act


def answers_of_a_fork(attack: Attack) -> None:
    """Ten phones ring and answer a call in the name of the victim."""
    for number, friend in enumerate(FRIENDS):
        attack.send(
            "REGISTER", source=friend, counts=False,
            headers=[f"m:<sip:{number}@{friend[0]}:{friend[1]}>"],
        )  # fmt: skip
    attack.send("INVITE")
    attack.wire.pass_time(0.0)


def pings(attack: Attack) -> None:
    attack.send("REGISTER", headers=[f"m:<sip:a@{VICTIM[0]}>", "Expires:7200"])


def pings_elsewhere(attack: Attack) -> None:
    attack.bind(1, at=VICTIM[0])


def malformed(attack: Attack) -> None:
    for line in (b"REGISTER x SIP/2.0", b"INVITE sip:a@b SIP/2.0", b"X y SIP/9.9"):
        attack.raw(line + b"\r\nv:SIP/2.0/UDP h;branch=z9hG4bKqq\r\n\r\n")
        attack.raw(line + b"\r\nv:SIP/2.0/UDP h;rport;branch=z9hG4bKqr\r\n\r\n")
        attack.raw(line + b"\r\n\r\n")


ROWS = [
    (maddr, 40.0),
    *((subscribe(count, source), 40.0) for count in (0, 3, 200)
      for source in (VICTIM, ATTACKER)),
    (fetch, 40.0),
    (fetch_without_rport, 40.0),
    *((fork(method, source), 40.0) for method in ("MESSAGE", "INVITE")
      for source in (VICTIM, ATTACKER)),
    (fork("MESSAGE", ATTACKER, "victim.example.net"), 40.0),
    (answers_of_a_fork, 40.0),
    (pings, 3600.0),
    (pings_elsewhere, 3600.0),
    (malformed, 40.0),
]  # fmt: skip


@pytest.mark.parametrize(("act", "seconds"), ROWS)
def test_no_victim_gets_more_than_three_times(act: object, seconds: float) -> None:
    """3261-170..175"""
    attack = Attack()
    act(attack)  # type: ignore[operator]
    assert attack.factor(seconds) <= 3.0
