"""The rim: connects the turns of a server to sockets, disk and event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from ..ledger.application import Application, Committer
from ..ledger.turn import Turns
from ..sip.flow import Flow, Local
from ..sip.transaction import Datagram

logger = logging.getLogger("reginfo.turn")

LONGEST_SLEEP = 0.5
"""
The maximum time between two readings of the clock, in seconds. The loop's clock stands
still while the machine sleeps: without this, timers that expired meanwhile would be
late by the time of the sleep.
"""


class SocketTransport(Protocol):
    """Carries datagrams; see :class:`reginfo.io.udp.UdpSocket`."""

    local: Local

    def start(self) -> None:
        """Begin to call :attr:`Rim.receive` and :attr:`Rim.settle`."""

    def stop(self) -> None:
        """Stop receiving; sending still works."""

    def send(self, datagram: Datagram) -> None:
        """Send a datagram, or report the failure with :meth:`Rim.failed`."""

    def close(self) -> None:
        """Close all sockets."""


class StoppableCommitter(Committer, Protocol):
    """A committer that can be stopped; see :class:`reginfo.io.commit.Writer`."""

    def stop(self) -> None:
        """Finish all commits, and end."""


class Rim:
    """
    Drives the turns of a server with an event loop.

    Args:
        clock: returns the seconds on the boot-time clock.
        writer: the committer; None to store nothing, and to send at once.
    """

    def __init__(
        self,
        turns: Turns,
        application: Application,
        clock: Callable[[], float],
        *,
        writer: StoppableCommitter | None,
    ) -> None:
        self._turns = turns
        self._clock = clock
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._transports: dict[Local, SocketTransport] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_for = _NEVER
        self.receive = turns.receive
        "Receives a datagram; call :attr:`settle` when no more are waiting."

        self.settle = turns.settle
        "Makes a turn from everything that was received."

        self.attempt = turns.attempt
        "Begins an atomic operation."

        self.wake = turns.wake
        "Arranges a call of :attr:`settle`, after a decision outside of it."

        turns.connect(
            application,
            send=self._send,
            settle_soon=self._settle_soon,
            set_timer=self._set_timer,
            committer=writer,
        )

    @property
    def locals(self) -> list[Local]:
        """The listening addresses, in the order of the configuration."""
        return list(self._transports)

    def add(self, transport: SocketTransport) -> None:
        """Use ``transport`` for datagrams from its address."""
        self._transports[transport.local] = transport

    def start(self) -> None:
        """Start receiving."""
        for transport in self._transports.values():
            transport.start()
        self.settle()

    def failed(self, datagram: Datagram, cause: str) -> None:
        """Receive the news that a transport could not send ``datagram``."""
        self._turns.transport_failed(datagram, cause)
        # Not at once, because others may be being sent.
        self._settle_soon()

    def unreachable(self, quoted: bytes, flow: Flow, cause: str) -> None:
        """Receive an ICMP error (RFC 3261 §18.4); call :attr:`settle` afterwards."""
        self._turns.unreachable(quoted, flow, cause)

    def lost(self, flow: Flow) -> None:
        """Receive the news that a stream is closed; call :attr:`settle` afterwards."""
        self._turns.flow_lost(flow)

    async def stop(self) -> None:
        """Stop receiving, commit all decisions, send, and close."""
        for transport in self._transports.values():
            transport.stop()
        self._cancel_timer()
        self._turns.flush()
        await durable(self._turns)
        self._cancel_timer()
        if self._writer is not None:
            self._writer.stop()
        for transport in self._transports.values():
            transport.close()

    def _send(self, outbox: list[Datagram]) -> None:
        transports = self._transports
        for datagram in outbox:
            try:
                transports[datagram.flow.local].send(datagram)
            except Exception as exc:
                # The others are to be sent all the same.
                logger.exception("! cannot send by %s", datagram.flow)
                self.failed(datagram, str(exc))

    def _settle_soon(self) -> None:
        self._loop.call_soon(self._turns.settle)

    # The timer.

    def _set_timer(self) -> None:
        at = self._turns.timer_at
        if at is None:
            self._cancel_timer()
            return
        now = self._clock()
        wake_at = min(max(at, now), now + LONGEST_SLEEP)
        if self._timer is not None:
            # The current timer is early enough, or will be set again when it fires.
            if self._timer_for <= wake_at:
                return
            self._timer.cancel()
        self._timer_for = wake_at
        self._timer = self._loop.call_later(wake_at - now, self._timer_due)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_for = None, _NEVER

    def _timer_due(self) -> None:
        self._timer, self._timer_for = None, _NEVER
        at = self._turns.timer_at
        try:
            # The loop uses another, coarser clock: the timer may fire slightly early.
            if at is not None and at <= self._clock():
                self._turns.timer_due()
        finally:
            # Else an error would be the end of all timers.
            if self._timer is None:
                self._set_timer()


async def durable(turns: Turns) -> bool:
    """
    Wait until all decisions so far are durable.

    Returns:
        False if they were undone instead; then what was read meanwhile is wrong.
    """
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def waiter(is_durable: bool) -> None:
        if not future.done():
            future.set_result(is_durable)

    return await future if turns.when_durable(waiter) else True


_NEVER = float("inf")
