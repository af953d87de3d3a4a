"""
One server on a :class:`~reginfo.testing.wire.Wire`: the real one, without sockets.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

from ..config.config import Config
from ..io.clock import Clock
from ..ledger.application import Done
from ..ledger.journal import Entry
from ..ledger.memory import MemoryStorage
from ..ledger.storage import Storage
from ..location.binding import Binding
from ..location.place import TABLE, Aor, Place
from ..server.app import App
from ..sip.destination import Destination
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address, Flow, Local
from ..sip.transaction import Datagram
from ..sip.transport import TCP, UDP, Transport
from ..sip.uri import Uri
from .links import Links, Packet

BOOT_ID = "wire"
"""The boot id of the kernel: the clock of a wire never restarts."""


class WireServer:
    """
    A server whose turns are driven by a wire instead of a rim with sockets.

    Args:
        listening: whether somebody accepts TCP connections at an address.
        hang_up: closes a stream, by its two addresses as we see them.
        deliver: arranges the delivery of packets, for a handler that has waited.
        storage: the storage of the server; None to store nothing.
        skew: seconds by which its calendar is ahead of that of the wire.
        limits: whether it limits what it sends to addresses that are not validated.
    """

    def __init__(
        self,
        config: Config,
        links: Links,
        *,
        hosts: dict[str, Address | list[Address]],
        new_id: Callable[[], str],
        listening: Callable[[Address], bool],
        hang_up: Callable[[Address, Address], None],
        deliver: Callable[[], None],
        storage: Storage | None,
        skew: float = 0.0,
        limits: bool = False,
    ) -> None:
        self.config = config
        self.storage = storage
        self.app = App(
            config, clock=_Clock(links, skew), new_id=new_id, jitter=lambda: 0.5
        )
        self.turns = self.app.turns
        if not limits:
            self.app.endpoint.validation.validate_all()
        self._links = links
        self._hosts = hosts
        self._listening = listening
        self._close = hang_up
        self._deliver = deliver
        self._unsettled = self._delivering = False
        self.locals = [
            Local(
                one.transport,
                one.host,
                one.port,
                config.server.advertised(number, one.port),
            )
            for number, one in enumerate(config.server.listen)
        ]
        self.address: Address = (self.locals[0].host, self.locals[0].port)
        "Its first listening address."

        # As in the rim: connections can be opened even though nobody can connect to us.
        self._able = list(self.locals)
        for local in self.locals:
            stream = Local(TCP, local.host, local.port, local.advertised)
            if not local.is_reliable:
                known = [one for one in self._able if one.is_reliable]
                fitting = [one for one in known if one.host == local.host]
                if not fitting:
                    self._able.append(stream)
                self.app.endpoint.use_streams(local, (fitting or [stream])[0])

    def contacts(self, aor: str) -> list[str]:
        """Return the contact URIs of ``aor`` at this server."""
        return [binding.contact for binding in self.bindings(aor)]

    def bindings(self, aor: str) -> list[Binding]:
        """Return the bindings of ``aor`` at this server."""
        return self.app.store.bindings(Place(TABLE, Aor(aor)), self._links.now)

    def backup(self, path: Path) -> Path:
        """
        Copy the database of the server into a file, while it runs.

        Raises:
            StoreError: there is no copy.
        """
        assert self.storage is not None, "the server keeps nothing"
        self.storage.backup(path)
        return path

    def opened(self, backup: Path) -> Storage:
        """Open a copy made by :meth:`backup`."""
        if isinstance(self.storage, MemoryStorage):
            return MemoryStorage.open(backup)
        raise TypeError("open the database yourself, and pass it to `Wire.restart`")

    @property
    def addresses(self) -> list[tuple[Transport, Address]]:
        """The transport and address of each listener."""
        return [(one.transport, (one.host, one.port)) for one in self.locals]

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`; None for never."""
        return self.turns.timer_at

    # Driven by the wire.

    def start(self) -> None:
        """Start, and continue with the rows in the database."""
        if self.storage is not None:
            self.app.load(self.storage)
        self.app.load_users()
        self.app.load_script()
        self.app.set_open(self._is_open, self._hang_up)
        self.app.listening = [
            f"{one.transport.token}:{one.sent_by}" for one in self.locals
        ]
        self.turns.connect(
            self.app,
            send=self._send,
            settle_soon=self._settle_soon,
            set_timer=lambda: None,  # the wire reads `timer_at` itself
            committer=None if self.storage is None else self,
        )
        self.app.begin(self._able, _Names(self._hosts))
        self.settle()

    def stop(self) -> None:
        """
        Cancel all handlers of the script; everything that is not committed is lost.
        """
        self.turns.disconnect()
        self.app.stop_script()

    def receive(self, packet: Packet) -> None:
        """Receive a packet at one of our addresses."""
        address = packet.destination
        local = self._local(packet.transport, address)
        self.turns.receive(packet.data, Flow(local, packet.source))
        self.settle()

    def lost(self, local: Address, remote: Address) -> None:
        """Receive the news that the other end closed a stream."""
        self.turns.flow_lost(Flow(self._local(TCP, local), remote))
        self.settle()

    def _local(self, transport: Transport, address: Address) -> Local:
        """Return the listener at an address."""
        local = Local(transport, *address)
        return next((one for one in self._able if str(one) == str(local)), local)

    def timer_due(self) -> None:
        """Handle the due timers."""
        self._delivering = True
        self.turns.timer_due()
        self.settle()

    def settle(self) -> None:
        """Settle until nothing is left to settle."""
        self._delivering, self._unsettled = True, True
        while self._unsettled:
            self._unsettled = False
            self.turns.settle()
        self._delivering = False

    # Called by the turns.

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None:
        """Make ``entries`` durable, at once."""
        assert self.storage is not None
        failure: Exception | None = None
        try:
            self.storage.append(entries, boot=boot, wall=wall)
        except Exception as exc:
            failure = exc
        done(failure)

    def _settle_soon(self) -> None:
        self._unsettled = True
        if not self._delivering:
            # A handler resumes, so there is an event loop.
            asyncio.get_running_loop().call_soon(self._woken)

    def _woken(self) -> None:
        if self._unsettled:
            self.settle()
            self._deliver()

    def _send(self, outbox: list[Datagram]) -> None:
        for datagram in outbox:
            local, remote = datagram.flow.local, datagram.flow.remote
            here = (local.host, local.port)
            if not local.is_reliable:
                self._links.carry(Packet(here, remote, datagram.data))
                continue
            listening = self._listening(remote)
            stream = self._links.connect(here, remote, listening)
            if stream is None:
                self.turns.transport_failed(datagram)
                self._settle_soon()
                continue
            packet = Packet(stream.source, stream.destination, datagram.data, TCP)
            self._links.carry(packet)

    def _is_open(self, flow: Flow) -> bool:
        local = flow.local
        if not local.is_reliable:
            return True
        return self._links.is_open((local.host, local.port), flow.remote)

    def _hang_up(self, flow: Flow) -> None:
        if self._is_open(flow):
            self._close((flow.local.host, flow.local.port), flow.remote)
            self.turns.flow_lost(flow)


class _Names:
    """Resolves the names that a wire knows, and numeric addresses."""

    def __init__(self, hosts: dict[str, Address | list[Address]]) -> None:
        self._hosts = hosts

    def find(
        self,
        uri: Uri,
        found: Callable[[list[Destination] | RemoteProtocolError], None],
    ) -> None:
        transport = Transport.of(uri) or UDP
        known = self._hosts.get(uri.host, (uri.host.strip("[]"), 5060))
        addresses = known if isinstance(known, list) else [known]
        if uri.host not in self._hosts and not _NUMERIC.fullmatch(uri.host):
            found(RemoteProtocolError(f"{uri.host}: no such host", status=404))
            return
        found(
            [
                Destination(transport, (host, uri.port or port))
                for host, port in addresses
            ]
        )


_NUMERIC = re.compile(r"[\d.]+|\[[\da-fA-F:.]+\]")


class _Clock(Clock):
    """Both clocks of a server, driven by its wire."""

    def __init__(self, links: Links, skew: float) -> None:
        self._links = links
        self._skew = skew
        super().__init__()
        self.boot_id = BOOT_ID

    def now(self) -> float:
        return self._links.now

    def wall(self) -> float:
        return self._links.epoch + self._links.now + self._skew

    def not_before(self, wall: float) -> None:
        """Do nothing: the clock of a wire never goes back."""
