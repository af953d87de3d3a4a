"""Turns: decisions made together become durable together, or are undone together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from ..sip.endpoint import Endpoint
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.event import RequestReceived
from ..sip.flow import Flow
from ..sip.message import Request, Response
from ..sip.moment import Moment, TurnClock
from ..sip.responding import refused
from ..sip.transaction import Datagram
from .application import Application, Committer
from .application import Done as Done
from .disk_speed import DiskSpeed
from .journal import Attempt, Journal
from .open_batch import OpenBatch, Waiter, is_independent

logger = logging.getLogger("reginfo.turn")

LAZY = 1.0
"""Seconds after which entries that nobody waits for are committed on their own."""

LAZY_ENTRIES = 1_000
"""Such entries that are committed at once: to pack very many would stop the loop."""

RETRY_AFTER = 5
"""Retry-After, in seconds, of a request that gets 500 because a commit has failed."""

SLICE = 0.005
"""Seconds spent on timers before datagrams are handled again."""

DEPENDENT = frozenset({404, 410, 412, 480, 481})
"""
Responses that say what is stored, or that something is not: they wait for the changes
before them. No other response from 400 to 499 reveals a change that may be undone.
"""

PASSES = 32
"""
Passes over the endpoint and the parts in one slice, at most. A part works off up to 16
items in a pass, and 512 items take longer than :data:`SLICE` on any machine: one costs
more than 10 µs. So this limits a slice where the clock stands still or is coarse, and
nowhere else.
"""

TRANSACTIONS = 32
"""Transactions whose timers are worked off in one pass; they cost less than items."""

T = TypeVar("T")


class Turns:
    """
    The turns of one server, one after the other.

    Every event, be it a datagram, a timer, an answer from the DNS, an administrator's
    request or a handler that resumes, is handled inside :meth:`attempt` and followed by
    :meth:`settle`. The order is always the same: handle events, close the batch, commit
    it, send, set the timer.

    No decision can be observed before its batch is durable. If a commit fails, all
    decisions since then are undone, and requests that would have got a 2xx get 500.

    One batch is committed while the next one is decided. A batch that nobody waits for
    is committed with a later one.

    The rim (:class:`reginfo.io.rim.Rim`), the wire of the tests and the benchmark drive
    this object.
    """

    def __init__(self, endpoint: Endpoint, journal: Journal, clock: TurnClock) -> None:
        self._endpoint = endpoint
        self._journal = journal
        self._clock = clock
        self.prove = endpoint.prove
        "Validates the address of a peer, such as that of an authenticated request."

        self.validation = endpoint.validation
        self._application: Application | None = None
        self._committer: Committer | None = None
        self._send: Callable[[list[Datagram]], None] = _nowhere
        self._settle_soon: Callable[[], None] = _nothing
        self._set_timer: Callable[[], None] = _nothing
        self._open = OpenBatch()
        self._committing: OpenBatch | None = None
        self.disk = DiskSpeed()
        "How long commits take."

        self._lazy_at: float | None = None
        self._settling = self._woken = False

        self.commits = 0
        "The number of batches that were made durable, so far."

        self.degraded: str | None = None
        "Why commits fail at the moment; None if they succeed."

    def connect(
        self,
        application: Application,
        *,
        send: Callable[[list[Datagram]], None],
        settle_soon: Callable[[], None],
        set_timer: Callable[[], None],
        committer: Committer | None,
    ) -> None:
        """
        Connect the application with the functions that carry out its decisions.

        Args:
            send: passes datagrams to the network.
            settle_soon: arranges a call of :meth:`settle`, but not from within this
                call.
            set_timer: called when :attr:`timer_at` may have changed.
            committer: None to store nothing, and to send at once.
        """
        self._application = application
        self._send = send
        self._settle_soon = settle_soon
        self._set_timer = set_timer
        self._committer = committer

    def disconnect(self) -> None:
        """Commit and send nothing more, like a process that was killed."""
        self._send, self._committer = _nowhere, None
        self._settle_soon = self._set_timer = _nothing

    # Deciding.

    def reaches(self, flow: Flow) -> bool:
        """Whether a flow leads to a validated address."""
        return self.validation.is_validated(flow, self._clock.now())

    def moment(self) -> Moment:
        """Return the readings of both clocks."""
        return self._clock.moment()

    def attempt(self) -> Attempt:
        """
        Begin an atomic operation, in a `with` block.

        An exception that leaves the block undoes what was decided inside: changes, and
        requests to send. :meth:`settle` must follow.
        """
        return Attempt(self._journal)

    def answer(
        self,
        event: RequestReceived,
        act: Callable[[RequestReceived, Moment], Response | None],
        moment: Moment,
    ) -> None:
        """
        Have ``act`` decide about a request, and send the response that it returns.

        An error becomes a response, and the changes of ``act`` are undone.

        Args:
            act: returns None if the response is sent elsewhere or later.
        """
        attempt = Attempt(self._journal)
        try:
            response = act(event, moment)
            if response is not None:
                event.transaction.respond(response)
        except Exception as exc:
            attempt.take_back()
            transaction = event.transaction
            known = transaction.response
            if known is not None and known.is_final:
                logger.exception("! %s failed after its response", event.request.method)
                return
            event.transaction.respond(refused(event.request, event.flow, exc))
        latest = event.transaction.response
        if (
            latest is not None
            and (latest.status >= 400 or event.request.method == "OPTIONS")
            and latest.status < 500
            and latest.status not in DEPENDENT
            and not attempt.has_changes
        ):
            event.transaction.is_independent = True

    def response_of(
        self, request: Request, flow: Flow, act: Callable[[], T]
    ) -> T | Response:
        """
        Return the result of ``act``, or the response to its refusal.

        After a refusal or any other error, the changes of ``act`` are undone. Errors
        that are not refusals are raised.
        """
        attempt = Attempt(self._journal)
        try:
            return act()
        except (Refusal, RemoteProtocolError) as exc:
            attempt.take_back()
            return refused(request, flow, exc)
        except BaseException:
            attempt.take_back()
            raise

    # Driving.

    def receive(self, data: bytes, flow: Flow) -> None:
        """Receive a datagram; call :meth:`settle` when no more are waiting."""
        self._endpoint.receive_datagram(data, flow, self._clock.now())

    def transport_failed(self, datagram: Datagram, cause: str = "transport") -> None:
        """Receive the news that ``datagram`` could not be sent (RFC 3261 §18.4)."""
        self._endpoint.transport_failed(datagram, self._clock.now(), cause)

    def unreachable(self, quoted: bytes, flow: Flow, cause: str) -> None:
        """
        Receive an ICMP error (RFC 3261 §18.4); call :meth:`settle` afterwards.

        Args:
            quoted: the datagram that it is about, or its beginning.
        """
        self._endpoint.unreachable(quoted, flow, cause)

    def flow_lost(self, flow: Flow) -> None:
        """Receive the news that a stream is closed; call :meth:`settle` afterwards."""
        moment = self._clock.moment()
        self._endpoint.flow_lost(flow, moment.now)
        if self._application is not None:
            try:
                with self.attempt():
                    self._application.flow_lost(flow, moment)
            except Exception:
                logger.exception("! the end of the stream to %s:%d", *flow.remote)

    def wake(self) -> None:
        """Arrange a call of :meth:`settle`, after a decision outside of it."""
        if not self._settling and not self._woken:
            self._woken = True
            self._settle_soon()

    def settle(self) -> None:
        """Handle events, close the batch, commit it, and send what may be sent."""
        application = self._application
        assert application is not None
        self._settling = True
        try:
            self._handle_events(application)
        finally:
            self._settling = self._woken = False
        self._close()
        self._advance()
        self._set_timer()

    @property
    def timer_at(self) -> float | None:
        """When to call :meth:`timer_due`, on the boot-time clock; None for never."""
        at = self._due_at
        lazy = self._lazy_at
        if at is None or (lazy is not None and lazy < at):
            at = lazy
        return at

    def timer_due(self) -> None:
        """
        Handle due timers for up to :data:`SLICE` seconds, and settle.

        If some are left, :attr:`timer_at` remains in the past: datagrams that arrived
        meanwhile are handled first (RFC 3261 requires no order between the two).
        """
        application = self._application
        assert application is not None
        moment = self._clock.moment()
        now = moment.now
        self._settling = True
        try:
            for _ in range(PASSES):
                self._endpoint.timer_due(now, TRANSACTIONS)
                # Requests that nobody has answered fail: that is work of this slice.
                self._handle_events(application)
                application.timer_due(moment)
                at = self._due_at
                if at is None or at > now or self._clock.now() - now >= SLICE:
                    break
        finally:
            self._settling = False
        if self._lazy_at is not None and now >= self._lazy_at:
            self._lazy_at = None
            self._open.batch.urgent = True
        self.settle()

    def flush(self) -> None:
        """
        Commit the open batch even if nobody waits for it, because the server stops.
        """
        self.settle()
        self._open.batch.urgent = bool(self._open.batch.entries)
        self._advance()

    def when_durable(self, waiter: Waiter) -> bool:
        """
        Call ``waiter`` when all decisions so far are durable or undone.

        Returns:
            False if they are already durable; then ``waiter`` is not called.
        """
        if self._open.batch.urgent:
            self._open.waiters.append(waiter)
        elif self._committing is not None:
            self._committing.waiters.append(waiter)
        else:
            return False
        return True

    # How.

    @property
    def _due_at(self) -> float | None:
        """When a transaction or a part has something to do."""
        at = self._endpoint.timer_at
        application = self._application
        due = None if application is None else application.timer_at
        if at is None or (due is not None and due < at):
            return due
        return at

    def _handle_events(self, application: Application) -> None:
        endpoint = self._endpoint
        events = endpoint.events()
        while events:
            moment = self._clock.moment()
            for event in events:
                try:
                    application.handle(event, moment)
                except Exception:
                    # A bug of ours must not stop the service for the others.
                    logger.exception("! %s cannot be handled", type(event).__name__)
            events = endpoint.events()

    def _close(self) -> None:
        open_ = self._open
        outbox = self._endpoint.datagrams_to_send()
        open_.batch.add(self._journal.close())
        if self._committing is not None or open_.batch.urgent:
            outbox = self._send_independent(outbox)
        open_.outbox += outbox

    def _send_independent(self, outbox: list[Datagram]) -> list[Datagram]:
        """Send what reveals no change of ours, even if the disk is slow."""
        free = [one for one in outbox if is_independent(one)]
        if not free:
            return outbox
        self._transmit(free)
        return [one for one in outbox if not is_independent(one)]

    def _advance(self) -> None:
        """Commit the open batch if no commit is in progress; send what may be sent."""
        if self._committing is not None:
            return
        open_ = self._open
        batch = open_.batch
        urgent = batch.urgent or len(batch.entries) >= LAZY_ENTRIES
        if urgent and self._committer is not None:
            self._committing, self._open = open_, OpenBatch()
            self._lazy_at = None
            moment = self._clock.moment()
            self.disk.begin(moment.now)
            self._committer.commit(
                batch.entries, boot=moment.now, wall=moment.wall, done=self._committed
            )
            return
        self._release(open_)
        if self._committer is None or not batch.entries:
            self._open = OpenBatch()
        elif self._lazy_at is None:
            self._lazy_at = self._clock.now() + LAZY

    def _committed(self, failure: Exception | None) -> None:
        committed = self._committing
        assert committed is not None
        self._committing = None
        self.disk.end(self._clock.now())
        if failure is None:
            self.commits += 1
            if self.degraded is not None:
                logger.warning("= the store commits again, after: %s", self.degraded)
                self.degraded = None
            self._release(committed)
            self._advance()
        else:
            self._take_back(committed, failure)
        self._set_timer()

    def _release(self, durable: OpenBatch) -> None:
        """Send the datagrams of a batch, and announce its changes."""
        outbox = durable.outbox
        if outbox:
            durable.outbox = []
            self._transmit(outbox)
        batch = durable.batch
        if batch.after:
            batch.announce()
            batch.after.clear()
        durable.inform(is_durable=True)

    def _transmit(self, outbox: list[Datagram]) -> None:
        now = self._clock.now()
        self._send(self._endpoint.admitted(outbox, now))
        self._endpoint.sent(outbox, now)

    def _take_back(self, failed: OpenBatch, failure: Exception) -> None:
        """Undo all decisions since the batch whose commit failed."""
        if self.degraded is None:
            logger.error("! the store cannot commit, registrations fail: %s", failure)
        self.degraded = str(failure)
        # A handler that resumed, or a DNS answer, may have made decisions that are in
        # no batch yet. They are based on state that is undone.
        self._close()
        later, self._open = self._open, OpenBatch()
        later.batch.take_back()
        failed.batch.take_back()
        response = Response(500, "Server Internal Error")
        response.headers["Retry-After"] = [str(RETRY_AFTER)]
        self._endpoint.discard(failed.outbox + later.outbox, response)
        assert self._application is not None
        self._application.undone(self._clock.moment())
        failed.inform(is_durable=False)
        later.inform(is_durable=False)
        # These datagrams depend on no decision, and need no commit. The entries written
        # meanwhile do not justify a commit of their own.
        self._close()
        self._open.batch.urgent = False
        self._release(self._open)


def _nowhere(outbox: list[Datagram]) -> None:
    """Send nothing: placeholder until :meth:`Turns.connect`."""


def _nothing() -> None:
    """Settle nothing: placeholder until :meth:`Turns.connect`."""
