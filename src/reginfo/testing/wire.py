"""
Connects servers without sockets, for tests that control the time.

A :class:`Wire` carries the messages of its servers, and of phones that the test plays::

    wire = Wire()
    a, b = wire.serve(CONFIG_OF_A), wire.serve(CONFIG_OF_B)
    wire.send(REGISTER, PHONE, a.address)
    assert b.contacts("sip:alice@example.com") == ["sip:alice@192.0.2.1"]

It carries UDP and TCP. Datagrams can be lost, duplicated and delayed, links can be cut.
A server can be killed and started again, with its database, an empty one, or a backup.
The servers are the real ones, with their own parts and turns. Random tokens are
consecutive numbers, so that all runs of a test are equal.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from ..config.config import Config
from ..ledger.memory import MemoryStorage
from ..ledger.storage import Storage
from ..sip.flow import Address
from ..sip.transport import TCP, UDP, Transport
from .links import EPOCH as EPOCH
from .links import Fate, Links, Which
from .links import Packet as Packet
from .server import WireServer as WireServer

ROUNDS = 100
"""How often timers may be due at one time before this counts as an error."""


class Wire:
    """
    Connects servers that share one clock.

    Args:
        now: the initial time of the clock, in seconds.
        limits: whether servers limit what they send to addresses that are not
            validated. By default they do not, because the phones of a test are silent
            unless the test answers for them.
    """

    def __init__(self, now: float = 1000.0, *, limits: bool = False) -> None:
        self._limits = limits
        self.links = Links(now)
        "The network between the servers."

        self.servers: dict[Address, WireServer] = {}
        "The servers, by their first listening address."

        self.hosts: dict[str, Address | list[Address]] = {}
        "Names that can be resolved, and where they are; it may be changed at any time."

        self._at: dict[tuple[str, Address], WireServer] = {}
        self._down: set[Address] = set()
        self._numbers = itertools.count()
        self._inboxes: dict[Address, list[bytes]] = {}
        self._delivering = False

    @property
    def now(self) -> float:
        """
        The time of the clock, in seconds; assign it to simulate a sleeping machine.
        """
        return self.links.now

    @now.setter
    def now(self, now: float) -> None:
        self.links.now = now

    @property
    def packets(self) -> list[Packet]:
        """All packets sent so far, including lost ones."""
        return self.links.packets

    # Servers.

    def serve(
        self, config: Config, storage: Storage | None = None, *, skew: float = 0.0
    ) -> WireServer:
        """
        Start a server at the addresses of ``config``.

        Args:
            storage: the storage of the server, regardless of ``config``; None to store
                nothing, so that it cannot be restarted.
            skew: seconds by which its calendar is ahead of that of the wire.
        """
        server = WireServer(
            config,
            self.links,
            hosts=self.hosts,
            new_id=self.new_id,
            listening=self._is_listening,
            hang_up=self._hang_up,
            deliver=self._deliver,
            storage=storage,
            skew=skew,
            limits=self._limits,
        )
        self.servers[server.address] = server
        for transport, address in server.addresses:
            self._at[transport, address] = server
            self._down.discard(address)
        server.start()
        self._deliver()
        return server

    def kill(self, server: WireServer) -> None:
        """
        Stop a server at once, like a power failure.

        Everything that it has committed is in its database. Its streams are closed.
        """
        server.stop()
        del self.servers[server.address]
        for place in server.addresses:
            del self._at[place]
            self._down.add(place[1])
        for _, local in server.addresses:
            for remote in self.links.streams_of(local):
                self._hang_up(local, remote)

    def restart(
        self,
        server: WireServer,
        *,
        config: Config | None = None,
        storage: Storage | None = None,
    ) -> WireServer:
        """
        Kill a server, and start it again with its database.

        Args:
            config: a new configuration; by default unchanged.
            storage: a new database; by default unchanged.
        """
        if self.servers.get(server.address) is server:
            self.kill(server)
        if storage is None:
            storage = server.storage
        return self.serve(config or server.config, storage)

    def empty(self, server: WireServer) -> WireServer:
        """Kill a server, and start it again with an empty database."""
        return self.restart(server, storage=MemoryStorage())

    def restore(self, server: WireServer, backup: Path) -> WireServer:
        """
        Kill a server, and start it again with a copy of :meth:`WireServer.backup`.
        """
        return self.restart(server, storage=server.opened(backup))

    # The network.

    def send(
        self,
        data: bytes,
        source: Address,
        destination: Address,
        transport: Transport = UDP,
    ) -> None:
        """Send a message from a phone at ``source``, and deliver all consequences."""
        if transport.is_reliable:
            self.links.accept(source, destination, source)
        self.links.carry(Packet(source, destination, data, transport))
        self._deliver()

    def hang_up(self, source: Address, destination: Address) -> None:
        """Close the stream that a phone at ``source`` has to ``destination``."""
        self._close(source, destination)
        self._deliver()

    def received(self, address: Address) -> list[bytes]:
        """Return the messages that a phone at ``address`` got since the last call."""
        return self._inboxes.pop(address, [])

    def lose(self, which: Which, times: int = 1) -> None:
        """Lose the next ``times`` packets that ``which`` selects."""
        self.links.add_fault(which, (), times)

    def double(self, which: Which, times: int = 1) -> None:
        """Deliver the next ``times`` packets that ``which`` selects twice."""
        self.links.add_fault(which, (0.0, 0.0), times)

    def delay(self, which: Which, seconds: float, times: int = 1) -> None:
        """Deliver the next ``times`` packets that ``which`` selects later."""
        self.links.add_fault(which, (seconds,), times)

    def disturb(self, fate: Fate | None) -> None:
        """
        Set the function that decides when each datagram arrives: :attr:`Links.fate`.
        """
        self.links.fate = fate

    def cut(self, one: WireServer | str, other: WireServer | str) -> None:
        """
        Lose all packets between two servers or hosts.

        As with TCP, a stream sends again what it has lost; it breaks at the sending end
        after 20 seconds, of which the other end hears nothing.
        """
        self.links.cut(_host(one), _host(other))

    def heal(
        self, one: WireServer | str | None = None, other: WireServer | str | None = None
    ) -> None:
        """End :meth:`cut` between two servers or hosts, or between all."""
        if one is None or other is None:
            self.links.heal_all()
        else:
            self.links.heal(_host(one), _host(other))

    # Time.

    def pass_time(self, seconds: float) -> None:
        """Let time pass, one timer after the other."""
        end = self.now + seconds
        rounds = 0
        self._deliver()  # messages caused by a direct call of a server's method
        while (at := self._timer_at()) is not None and at <= end:
            rounds = 0 if at > self.now else rounds + 1
            if rounds > ROUNDS:
                raise AssertionError(f"a timer for {at} is due again and again")
            self.now = max(self.now, at)
            for server in list(self.servers.values()):
                due_at = server.timer_at
                if due_at is not None and due_at <= self.now:
                    server.timer_due()
            self._deliver()
        self.now = end

    def new_id(self) -> str:
        """Return a unique token."""
        return f"{next(self._numbers):016d}"

    def _timer_at(self) -> float | None:
        times = [server.timer_at for server in self.servers.values()]
        times.append(self.links.next_at)
        return min((at for at in times if at is not None), default=None)

    def _is_listening(self, address: Address) -> bool:
        """Whether a running server or a phone accepts connections at an address."""
        return (TCP, address) in self._at or address not in self._down

    def _close(self, local: Address, remote: Address) -> None:
        other = self.links.close(local, remote)
        if other is not None:
            server = self._server_of(other[0])
            if server is not None:
                server.lost(*other)

    def _hang_up(self, local: Address, remote: Address) -> None:
        """Close a stream of a server; where nothing passes, nobody hears of it."""
        if self.links.is_cut(local, remote):
            self.links.abandon(local, remote)
        else:
            self._close(local, remote)

    def _reset(self, packet: Packet) -> None:
        """Have a sender know that its stream is not open at the other end any more."""
        end = self.links.sender_of(packet)
        server = None if end is None else self._server_of(end[0])
        if end is not None:
            self.links.abandon(*end)
        if end is not None and server is not None:
            server.lost(*end)

    def _server_of(self, address: Address) -> WireServer | None:
        for transport in (TCP, UDP):
            if (transport, address) in self._at:
                return self._at[transport, address]
        return None

    def _deliver(self) -> None:
        if self._delivering:
            return
        self._delivering = True
        try:
            while (end := self.links.broken()) is not None:
                server = self._server_of(end[0])
                if server is not None:
                    server.lost(*end)
            while (packet := self.links.take()) is not None:
                server = self._at.get((packet.transport, packet.destination))
                if server is None and packet.transport.is_reliable:
                    # On a stream opened by a server that listens on UDP only.
                    server = self._at.get((UDP, packet.destination))
                if packet.transport == "TCP" and not self.links.is_open(
                    packet.destination, packet.source
                ):
                    self._reset(packet)
                elif server is not None:
                    server.receive(packet)
                else:
                    inbox = self._inboxes.setdefault(packet.destination, [])
                    inbox.append(packet.data)
        finally:
            self._delivering = False


def _host(of: WireServer | str) -> str:
    return of if isinstance(of, str) else of.address[0]
