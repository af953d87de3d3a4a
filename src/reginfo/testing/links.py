"""The simulated network of a wire: packets, links, streams, and time."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from ..sip.flow import Address
from ..sip.transport import TCP, UDP, Transport

EPOCH = 1_700_000_000.0
"""The wall clock, in seconds since the epoch, when the clock of a wire is 0."""

EPHEMERAL = 40_000
"""The port of the first connection that a host opens."""

RETRANSMIT = 0.2
"""Seconds until a stream sends again what was lost; doubled each time (RFC 6298)."""

UNACKNOWLEDGED = 20.0
"""Seconds after which a stream breaks that loses everything (TCP_USER_TIMEOUT)."""

Which = Callable[["Packet"], bool]
Fate = Callable[["Packet"], Iterable[float]]


class Packet(msgspec.Struct, frozen=True):
    """One datagram, or one message on a stream."""

    source: Address
    destination: Address
    data: bytes
    transport: Transport = UDP

    @property
    def first_line(self) -> str:
        """The start line: ``NOTIFY sip:b@192.0.2.2 SIP/2.0``, ``SIP/2.0 200 OK``."""
        return self.data.partition(b"\r\n")[0].decode("utf-8", "replace")


class Unacknowledged:
    """What was sent on a stream and lost, in order: it is sent again."""

    def __init__(self, now: float) -> None:
        self.packets: deque[Packet] = deque()
        self.pause = RETRANSMIT
        self.again_at = now + RETRANSMIT
        self.breaks_at = now + UNACKNOWLEDGED


class Links:
    """
    Carries packets, and loses, duplicates or delays them as requested.

    Args:
        now: the initial time of the clock, in seconds.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self.epoch = EPOCH
        "The wall clock when the clock is 0; assign it to make the wall clock step."

        self.packets: list[Packet] = []
        "All packets sent so far, including lost ones."

        self.fate: Fate | None = None
        """
        Returns the delays of each datagram in seconds: `[]` loses it, `[0.0, 0.0]`
        duplicates it, `[0.2]` delays it. None delivers all datagrams at once.
        """

        self._faults: list[tuple[Which, tuple[float, ...]]] = []
        self._cuts: set[frozenset[str]] = set()
        self._arrived: deque[Packet] = deque()
        self._delayed: list[tuple[float, int, Packet]] = []
        self._numbers = itertools.count()
        self._ports = itertools.count(EPHEMERAL)
        # The other end of each open stream, by its two addresses as one end sees them.
        self._streams: dict[tuple[Address, Address], tuple[Address, Address]] = {}
        # What streams have lost, by destination and source.
        self._lost: dict[tuple[Address, Address], Unacknowledged] = {}

    # Faults.

    def add_fault(self, which: Which, delays: tuple[float, ...], times: int) -> None:
        """Apply ``delays`` to the next ``times`` packets that ``which`` selects."""
        self._faults += [(which, delays)] * times

    def cut(self, one: str, other: str) -> None:
        """Lose all packets between two hosts; streams send theirs again."""
        self._cuts.add(frozenset((one, other)))

    def heal(self, one: str, other: str) -> None:
        """End :meth:`cut` between two hosts."""
        self._cuts.discard(frozenset((one, other)))

    def heal_all(self) -> None:
        """End :meth:`cut` between all hosts."""
        self._cuts.clear()

    def is_cut(self, source: Address, destination: Address) -> bool:
        """Whether the link between two hosts is cut."""
        return frozenset((source[0], destination[0])) in self._cuts

    # Packets.

    def carry(self, packet: Packet) -> None:
        """
        Send a packet; :meth:`take` returns it when it has arrived.

        What a stream sends while its link is cut is sent again, and arrives in order,
        unless the stream breaks before: see :meth:`broken`.
        """
        self.packets.append(packet)
        delays: Iterable[float] = (0.0,)
        ends = packet.destination, packet.source
        if packet.transport.is_reliable and (ends in self._lost or self.is_cut(*ends)):
            lost = self._lost.setdefault(ends, Unacknowledged(self.now))
            lost.packets.append(packet)
            return
        if self.is_cut(packet.source, packet.destination):
            return
        for at, (which, of_fault) in enumerate(self._faults):
            if which(packet):
                del self._faults[at]
                delays = of_fault
                break
        else:
            if self.fate is not None and not packet.transport.is_reliable:
                delays = self.fate(packet)
        for delay in delays:
            if delay <= 0:
                self._arrived.append(packet)
            else:
                entry = (self.now + delay, next(self._numbers), packet)
                heapq.heappush(self._delayed, entry)

    def take(self) -> Packet | None:
        """Return the next packet that has arrived; None if there is none."""
        while self._delayed and self._delayed[0][0] <= self.now:
            self._arrived.append(heapq.heappop(self._delayed)[2])
        for ends, lost in list(self._lost.items()):
            while lost.again_at <= self.now:
                if not self.is_cut(*ends):
                    self._arrived += lost.packets
                    del self._lost[ends]
                    break
                lost.pause *= 2
                lost.again_at += lost.pause
        return self._arrived.popleft() if self._arrived else None

    @property
    def next_at(self) -> float | None:
        """When the next packet arrives, or a stream breaks; None for never."""
        times = [self._delayed[0][0]] if self._delayed else []
        times += [min(one.again_at, one.breaks_at) for one in self._lost.values()]
        return min(times, default=None)

    # Streams.

    def connect(
        self, local: Address, remote: Address, listening: bool
    ) -> Packet | None:
        """
        Open a stream, and return the addresses of a message on it.

        Args:
            local: the listening address; the stream gets a port of its own.
            listening: whether somebody accepts connections at ``remote``.

        Returns:
            A packet without data, as it arrives at the other end; None if nobody
            accepts the connection.
        """
        known = self._streams.get((local, remote))
        if known is None:
            if not listening or self.is_cut(local, remote):
                return None
            port = (local[0], next(self._ports))
            self.accept(local, remote, port)
            known = (remote, port)
        destination, source = known
        return Packet(source, destination, b"", TCP)

    def accept(self, local: Address, remote: Address, port: Address) -> None:
        """Note that the host of ``local`` has a stream from ``port`` to ``remote``."""
        self._streams[local, remote] = (remote, port)
        self._streams[remote, port] = (local, remote)

    def broken(self) -> tuple[Address, Address] | None:
        """
        Close a stream that has lost everything for too long, at the sending end.

        Returns:
            Its addresses, as seen from there; None if there is none.
        """
        for ends, lost in list(self._lost.items()):
            if lost.breaks_at <= self.now:
                del self._lost[ends]
                sender = self.sender_of(lost.packets[0])
                if sender is not None:
                    self.abandon(*sender)
                    return sender
        return None

    def is_open(self, local: Address, remote: Address) -> bool:
        """Whether there is a stream between two addresses, as seen from one end."""
        return (local, remote) in self._streams

    def close(self, local: Address, remote: Address) -> tuple[Address, Address] | None:
        """Close a stream, and return its addresses as seen from the other end."""
        other = self._streams.get((local, remote))
        self.abandon(local, remote)
        if other is not None:
            self.abandon(*other)
        return other

    def abandon(self, local: Address, remote: Address) -> None:
        """Close a stream at one end; the other one believes that it is open."""
        ends = self._streams.pop((local, remote), None)
        if ends is not None:
            self._lost.pop(ends, None)

    def sender_of(self, packet: Packet) -> tuple[Address, Address] | None:
        """Return the stream that a packet was sent by, as its sender sees it."""
        ends = (packet.destination, packet.source)
        found = (one for one, other in self._streams.items() if other == ends)
        return next(found, None)

    def streams_of(self, local: Address) -> list[Address]:
        """Return the remote addresses of all streams from ``local``."""
        return [remote for one, remote in self._streams if one == local]
