"""
Servers joined without sockets, for tests: time passes when the test says so.

A :class:`Wire` carries the datagrams of its servers, and of phones that the test
plays, from one to the other at once; and loses those that it is told to lose::

    wire = Wire()
    a, b = wire.serve(CONFIG_OF_A), wire.serve(CONFIG_OF_B)
    wire.send(REGISTER, PHONE, a.address)
    assert b.contacts("sip:alice@example.com") == ["sip:alice@192.0.2.1"]

Whatever is decided is so by the server's own parts, in the order of its rim: handle
events, commit, send, set the timer. Random tokens are numbers, so that each run of a
test is like the other.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import deque
from collections.abc import Callable

import msgspec

from ..config.config import Config
from ..io.clock import Clock
from ..ledger.storage import Storage
from ..location.binding import Binding
from ..server.app import App
from ..sip.destination import Destination
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address, Flow, Local
from ..sip.moment import Moment
from ..sip.uri import Uri

EPOCH = 1_700_000_000.0
"""The calendar, in seconds since the epoch, when a wire's clock shows 0."""


ROUNDS = 100
"""How often timers may be due at one moment before that is taken for an error."""


class Packet(msgspec.Struct, frozen=True):
    """One datagram on its way."""

    source: Address
    destination: Address
    data: bytes

    @property
    def first_line(self) -> str:
        """What it is: ``NOTIFY sip:b@192.0.2.2 SIP/2.0``, ``SIP/2.0 200 OK``."""
        return self.data.partition(b"\r\n")[0].decode("utf-8", "replace")


class Wire:
    """
    Joins servers by one clock, and loses the datagrams it is told to.

    Args:
        now: what the clock shows at first, in seconds.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now
        self.packets: list[Packet] = []
        "All that were sent so far, the lost ones too."

        self.servers: dict[Address, WireServer] = {}
        self.hosts: dict[str, Address] = {}
        "Names that can be found, and where they are."

        self._numbers = itertools.count()
        self._inboxes: dict[Address, list[bytes]] = {}
        self._queue: deque[Packet] = deque()
        self._losses: list[Callable[[Packet], bool]] = []

    def serve(self, config: Config, database: Storage | None = None) -> WireServer:
        """
        Start a server at the first address of ``config``.

        Args:
            database: where it keeps what it knows, whatever ``config`` says of a store.
        """
        server = WireServer(self, config, database)
        self.servers[server.address] = server
        server.start()
        self._deliver()
        return server

    def kill(self, server: WireServer) -> None:
        """Have ``server`` be no more; what it has committed is in its database."""
        del self.servers[server.address]

    def send(self, data: bytes, source: Address, destination: Address) -> None:
        """Send a datagram as a phone at ``source`` does, and all that comes of it."""
        self._carry(Packet(source, destination, data))
        self._deliver()

    def received(self, address: Address) -> list[bytes]:
        """What has come to a phone at ``address`` since this was last asked."""
        return self._inboxes.pop(address, [])

    def lose(self, which: Callable[[Packet], bool], times: int = 1) -> None:
        """Lose the next ``times`` datagrams that ``which`` is true of."""
        self._losses += [which] * times

    def pass_time(self, seconds: float) -> None:
        """Let time pass, one timer after the other."""
        end = self.now + seconds
        rounds = 0
        while (at := self._timer_at()) is not None and at <= end:
            rounds = 0 if at > self.now else rounds + 1
            if rounds > ROUNDS:
                raise AssertionError(f"a timer for {at} is due again and again")
            self.now = max(self.now, at)
            for server in list(self.servers.values()):
                server.timer_due(self.now)
            self._deliver()
        self.now = end

    def _timer_at(self) -> float | None:
        times = (server.timer_at for server in self.servers.values())
        return min((at for at in times if at is not None), default=None)

    def new_id(self) -> str:
        """A token that no other is like."""
        return f"{next(self._numbers):016d}"

    def _carry(self, packet: Packet) -> None:
        self.packets.append(packet)
        for which in self._losses:
            if which(packet):
                self._losses.remove(which)
                return
        self._queue.append(packet)

    def _deliver(self) -> None:
        while self._queue:
            packet = self._queue.popleft()
            server = self.servers.get(packet.destination)
            if server is not None:
                server.receive(packet.data, packet.source, self.now)
            else:
                self._inboxes.setdefault(packet.destination, []).append(packet.data)


class WireServer:
    """One server at a wire: its parts, and what a rim does for them."""

    def __init__(self, wire: Wire, config: Config, database: Storage | None) -> None:
        listen = config.server.listen[0]
        self.address: Address = (listen.host, listen.port)
        self.app = App(
            config, clock=_Clock(wire), new_id=wire.new_id, jitter=lambda: 0.5
        )
        self.app.wake = self._wake
        self._wire = wire
        self._config = config
        self._database = database
        self._settling = self._woken = False
        self._local = Local("UDP", listen.host, listen.port)

    def contacts(self, aor: str) -> list[str]:
        """The contacts that ``aor`` is bound to here."""
        return [binding.contact for binding in self.bindings(aor)]

    def bindings(self, aor: str) -> list[Binding]:
        """What is known here of the contacts that ``aor`` is bound to."""
        return self.app.store.bindings(aor, self._wire.now)

    @property
    def timer_at(self) -> float | None:
        times = (self.app.endpoint.timer_at, self.app.timer_at)
        return min((at for at in times if at is not None), default=None)

    # What the wire drives.

    def start(self) -> None:
        """Go on with what is in the database."""
        places: dict[str, Destination] = {}
        for text in self.app.uris():
            uri = Uri.parse(text)
            transport = (uri.param("transport") or "udp").upper()
            places[text] = Destination(transport, (uri.host, uri.port or 5060))
        if self._database is not None:
            self.app.load(self._database)
        self.app.load_script()
        self.app.begin([self._local], places, _Names(self._wire.hosts))
        self._settle(self._wire.now)

    def receive(self, data: bytes, source: Address, now: float) -> None:
        self.app.endpoint.receive_datagram(data, Flow(self._local, source), now)
        self._settle(now)

    def timer_due(self, now: float) -> None:
        self._settling = True
        self.app.endpoint.timer_due(now)
        self.app.timer_due(Moment(now, EPOCH + now))
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Handle events, commit, send: always, in this order."""
        self._settling = True
        try:
            self._turn(now)
            while self._woken:
                self._woken = False
                self._turn(now)
        finally:
            self._settling = False

    def _turn(self, now: float) -> None:
        endpoint = self.app.endpoint
        while events := endpoint.events():
            for event in events:
                self.app.handle(event, Moment(now, EPOCH + now))
        batch = self.app.journal.close()
        if batch.entries and self._database is not None:
            self._database.append(batch.entries, boot=now, wall=EPOCH + now)
        outbox = endpoint.datagrams_to_send()
        endpoint.sent(outbox, now)
        for datagram in outbox:
            flow = datagram.flow
            source = (flow.local.host, flow.local.port)
            self._wire._carry(Packet(source, flow.remote, datagram.data))
        batch.announce()

    def _wake(self) -> None:
        """Something was decided that no datagram and no timer has caused."""
        if self._settling:
            self._woken = True
        elif not self._woken:
            # A handler that has waited goes on: it has a loop to do so.
            self._woken = True
            asyncio.get_running_loop().call_soon(self._woke)

    def _woke(self) -> None:
        self._woken = False
        self._settle(self._wire.now)
        self._wire._deliver()


class _Names:
    """Finds names as a wire knows them, and numbers as they are."""

    def __init__(self, hosts: dict[str, Address]) -> None:
        self._hosts = hosts

    def find(
        self,
        uri: Uri,
        found: Callable[[list[Destination] | RemoteProtocolError], None],
    ) -> None:
        transport = (uri.param("transport") or "udp").upper()
        host, port = self._hosts.get(uri.host, (uri.host, 5060))
        if uri.host not in self._hosts and not _NUMERIC.fullmatch(host):
            found(RemoteProtocolError(f"{uri.host}: no such host", status=404))
            return
        found([Destination(transport, (host, uri.port or port))])


_NUMERIC = re.compile(r"[\d.]+|\[[\da-fA-F:.]+\]")


class _Clock(Clock):
    """Both clocks of a server, as its wire has them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        super().__init__()

    def now(self) -> float:
        return self._wire.now

    def wall(self) -> float:
        return EPOCH + self._wire.now

    def not_before(self, wall: float) -> None:
        """A wire's clock never goes back."""
