"""
The rim: handle events, close the batch, commit it, send, set the timer.

Always in this order. What a batch decides can be observed by nobody, neither on the
wire nor in the log nor by the administrator, before it is on disk; if it cannot be put
there, memory is taken back to where it was, and whoever waited is told 500.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from ..ledger.journal import Batch, Entry, Journal
from ..sip.endpoint import Endpoint
from ..sip.event import EndpointEvent
from ..sip.flow import Flow, Local
from ..sip.message import Response
from ..sip.moment import Moment
from ..sip.transaction import Datagram
from .clock import Clock

logger = logging.getLogger("reginfo.rim")

LAZY = 1.0
"""Seconds after which what is not urgent is committed by itself."""

RETRY_AFTER = 5
"""Seconds after which those who got a 500 for want of a disk may try again."""


class Application(Protocol):
    """What decides; see :class:`reginfo.server.app.App`."""

    def handle(self, event: EndpointEvent, moment: Moment) -> None:
        """Answer a request, or take in a response."""

    def flow_lost(self, flow: Flow, moment: Moment) -> None:
        """Take note that a connection was closed."""

    def timer_due(self, moment: Moment) -> None:
        """Let time pass."""

    def undone(self, moment: Moment) -> None:
        """What was decided last has been taken back."""

    @property
    def timer_at(self) -> float | None: ...


class Transport(Protocol):
    """Carries datagrams; see :class:`reginfo.io.udp.UdpSocket`."""

    local: Local

    def start(self) -> None:
        """Begin to call :meth:`Rim.receive` and :meth:`Rim.settle`."""

    def stop(self) -> None:
        """Receive no more; what is to be sent still can be."""

    def send(self, datagram: Datagram) -> None: ...
    def close(self) -> None: ...


Done = Callable[[Exception | None], None]


class Committer(Protocol):
    """Makes entries durable; see :class:`reginfo.io.commit.Writer`."""

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None: ...

    def stop(self) -> None: ...


class _Open:
    """A batch and what depends on it: datagrams, and those who want to know."""

    def __init__(self) -> None:
        self.batch = Batch(entries=[], undo=[], after=[], urgent=False)
        self.outbox: list[Datagram] = []
        self.waiters: list[asyncio.Future[bool]] = []


class Rim:
    """
    Joins an endpoint and an application to transports, the disk and the clock.

    Args:
        writer: commits; None keeps nothing, and sends at once.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        application: Application,
        journal: Journal,
        clock: Clock,
        *,
        writer: Committer | None,
    ) -> None:
        self._endpoint = endpoint
        self._application = application
        self._journal = journal
        self._clock = clock
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._transports: dict[Local, Transport] = {}
        self._open = _Open()
        self._committing: _Open | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_for = float("inf")
        self._lazy_at: float | None = None
        self._settling = self._woken = False

        self.commits = 0
        "Batches that were made durable, so far."

        self.degraded: str | None = None
        "Why nothing can be made durable at the moment; None when all is well."

    @property
    def locals(self) -> list[Local]:
        """Where we listen, in the order of the configuration."""
        return list(self._transports)

    def add(self, transport: Transport) -> None:
        """Send by ``transport`` what is to go out from its address."""
        self._transports[transport.local] = transport

    def start(self) -> None:
        for transport in self._transports.values():
            transport.start()
        self.settle()

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take in a datagram; :meth:`settle` follows, when no more are waiting."""
        self._endpoint.receive_datagram(data, flow, self._clock.now())

    def failed(self, datagram: Datagram) -> None:
        """A transport could not send ``datagram``."""
        self._endpoint.transport_failed(datagram, self._clock.now())
        # Not at once: this may be in the middle of sending others.
        self._loop.call_soon(self.settle)

    def lost(self, flow: Flow) -> None:
        """A stream is gone; :meth:`settle` follows."""
        moment = self._clock.moment()
        self._endpoint.flow_lost(flow, moment.now)
        self._application.flow_lost(flow, moment)

    async def stop(self) -> None:
        """Take in no more, commit what was decided, send it, and close."""
        for transport in self._transports.values():
            transport.stop()
        if self._timer is not None:
            self._timer.cancel()
        self.settle()
        self._open.batch.urgent = bool(self._open.batch.entries)
        self._advance()
        await self.committed()
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is not None:
            self._writer.stop()
        for transport in self._transports.values():
            transport.close()

    async def committed(self) -> bool:
        """
        Wait until all that has been decided so far is durable.

        Returns:
            False if it was taken back instead: what was read meanwhile was not true.
        """
        if self._open.batch.urgent:
            holder = self._open
        elif self._committing is not None:
            holder = self._committing
        else:
            return True
        waiter: asyncio.Future[bool] = self._loop.create_future()
        holder.waiters.append(waiter)
        return await waiter

    def wake(self) -> None:
        """Settle soon: something was decided that no datagram and no timer caused."""
        if not self._settling and not self._woken:
            self._woken = True
            self._loop.call_soon(self.settle)

    def settle(self) -> None:
        """Handle events, close the batch, commit, send, set the timer."""
        moment = self._clock.moment()
        endpoint, handle = self._endpoint, self._application.handle
        self._settling = True
        while events := endpoint.events():
            for event in events:
                handle(event, moment)
        self._settling = self._woken = False
        open_ = self._open
        open_.outbox += endpoint.datagrams_to_send()
        open_.batch.add(self._journal.close())
        self._advance()
        self._set_timer(moment.now)

    def _advance(self) -> None:
        """Give the open batch to the disk if that is idle; send what need not wait."""
        if self._committing is not None:
            return
        open_ = self._open
        batch = open_.batch
        if batch.urgent and self._writer is not None:
            self._committing, self._open = open_, _Open()
            self._lazy_at = None
            self._writer.commit(
                batch.entries,
                boot=self._clock.now(),
                wall=self._clock.wall(),
                done=self._committed,
            )
            return
        self._send(open_)
        if self._writer is None or not batch.entries:
            self._open = _Open()
        elif self._lazy_at is None:
            self._lazy_at = self._clock.now() + LAZY

    def _committed(self, failure: Exception | None) -> None:
        done = self._committing
        assert done is not None
        self._committing = None
        if failure is None:
            self.commits += 1
            if self.degraded is not None:
                logger.warning("= the store is back: %s", self.degraded)
                self.degraded = None
            self._send(done)
            self._advance()
        else:
            self._take_back(done, failure)
        self._set_timer(self._clock.now())

    def _send(self, done: _Open) -> None:
        outbox, done.outbox = done.outbox, []
        if outbox:
            transports = self._transports
            for datagram in outbox:
                transports[datagram.flow.local].send(datagram)
            self._endpoint.sent(outbox, self._clock.now())
        done.batch.announce()
        done.batch.after.clear()
        for waiter in done.waiters:
            if not waiter.done():
                waiter.set_result(True)
        done.waiters.clear()

    def _take_back(self, failed: _Open, failure: Exception) -> None:
        """A commit has failed: nothing that was decided since has happened."""
        if self.degraded is None:
            logger.error("! the store cannot commit, registrations fail: %s", failure)
        self.degraded = str(failure)
        later, self._open = self._open, _Open()
        later.batch.take_back()
        failed.batch.take_back()
        response = Response(500, "Server Internal Error")
        response.headers["Retry-After"] = [str(RETRY_AFTER)]
        self._endpoint.discard(failed.outbox + later.outbox, response)
        self._application.undone(self._clock.moment())
        for waiter in failed.waiters + later.waiters:
            if not waiter.done():
                waiter.set_result(False)
        # What is sent now decides nothing, and waits for no disk. What was written on
        # the way here is worth no commit of its own.
        self._open.outbox += self._endpoint.datagrams_to_send()
        self._open.batch.add(self._journal.close())
        self._open.batch.urgent = False
        self._send(self._open)

    def _set_timer(self, now: float) -> None:
        at = min(
            self._endpoint.timer_at or _NEVER,
            self._application.timer_at or _NEVER,
            self._lazy_at or _NEVER,
        )
        if at == self._timer_for:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_for = at
        self._timer = None
        if at < _NEVER:
            self._timer = self._loop.call_later(max(0.0, at - now), self._timer_due)

    def _timer_due(self) -> None:
        self._timer, self._timer_for = None, _NEVER
        # The loop's clock is another one, and coarser: it may be early by a little.
        moment = self._clock.moment()
        now = moment.now
        self._endpoint.timer_due(now)
        self._application.timer_due(moment)
        if self._lazy_at is not None and now >= self._lazy_at:
            self._lazy_at = None
            self._open.batch.urgent = True
        self.settle()


_NEVER = float("inf")
