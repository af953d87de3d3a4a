"""The rim: joins the turns of a server to its sockets, the disk and the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from ..ledger.turn import Application, Committer, Turns
from ..sip.flow import Flow, Local
from ..sip.transaction import Datagram

logger = logging.getLogger("reginfo.turn")

LONGEST_SLEEP = 0.5
"""
Seconds after which the clock is looked at, whatever is due. The loop's clock stands
still while the machine sleeps: without this, what became due meanwhile would be late by
that time.
"""


class SocketTransport(Protocol):
    """Carries datagrams; see :class:`reginfo.io.udp.UdpSocket`."""

    local: Local

    def start(self) -> None:
        """Begin to call :attr:`Rim.receive` and :attr:`Rim.settle`."""

    def stop(self) -> None:
        """Receive no more; what is to be sent still can be."""

    def send(self, datagram: Datagram) -> None:
        """Send, or report the failure by :meth:`Rim.failed`."""

    def close(self) -> None:
        """Close all sockets."""


class StoppableCommitter(Committer, Protocol):
    """A committer that can be stopped; see :class:`reginfo.io.commit.Writer`."""

    def stop(self) -> None:
        """Finish what was given, and end."""


class Rim:
    """
    Drives the turns of a server by an event loop.

    Args:
        clock: seconds on the boot-time clock.
        writer: commits; None keeps nothing, and sends at once.
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
        "Receives a datagram; :attr:`settle` follows, when no more are waiting."

        self.settle = turns.settle
        "Has a turn made of what has come in."

        self.attempt = turns.attempt
        "Begins something that happens as a whole or not at all."

        self.wake = turns.wake
        "Settles soon: something was decided that no datagram and no timer caused."

        turns.connect(
            application,
            send=self._send,
            settle_soon=self._settle_soon,
            set_timer=self._set_timer,
            committer=writer,
        )

    @property
    def locals(self) -> list[Local]:
        """The addresses that we listen at, in the order of the configuration."""
        return list(self._transports)

    def add(self, transport: SocketTransport) -> None:
        """Send by ``transport`` what is to go out from its address."""
        self._transports[transport.local] = transport

    def start(self) -> None:
        """Begin to receive."""
        for transport in self._transports.values():
            transport.start()
        self.settle()

    def failed(self, datagram: Datagram, cause: str) -> None:
        """Receive the news that a transport could not send ``datagram``, and why."""
        self._turns.transport_failed(datagram, cause)
        # Not at once: this may be in the middle of sending others.
        self._settle_soon()

    def unreachable(self, quoted: bytes, flow: Flow, cause: str) -> None:
        """Receive an ICMP error (RFC 3261 §18.4); :attr:`settle` follows."""
        self._turns.unreachable(quoted, flow, cause)

    def lost(self, flow: Flow) -> None:
        """Receive the news that a stream is closed; :attr:`settle` follows."""
        self._turns.flow_lost(flow)

    async def stop(self) -> None:
        """Receive no more, commit what was decided, send it, and close."""
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
            # The timer that is set is early enough, or the one that looks at the clock
            # will set it anew.
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
            # The loop's clock is another one, and coarser: it may be early by a little.
            if at is not None and at <= self._clock():
                self._turns.timer_due()
        finally:
            # Else an error would be the end of all timers.
            if self._timer is None:
                self._set_timer()


async def durable(turns: Turns) -> bool:
    """
    Wait until all that has been decided so far is durable.

    Returns:
        False if it was taken back instead: what was read meanwhile was not true.
    """
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def waiter(is_durable: bool) -> None:
        if not future.done():
            future.set_result(is_durable)

    return await future if turns.when_durable(waiter) else True


_NEVER = float("inf")
