"""The pinger: keeps the flows of contacts open, and detects unreachable contacts."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..location.binding import Binding, BindingChange
from ..location.lives import ended
from ..location.place import Place
from ..location.store import LocationStore
from ..reg.document import ContactEvent
from ..sip.flow import Flow
from ..sip.message import Draft, Response
from ..sip.timer import TimerWheel
from ..sip.user import Send
from ..sip.value import Value

logger = logging.getLogger("reginfo.pinger")

EMPTY = b"\r\n\r\n"
"""A keep-alive without an answer (RFC 5626 §3.5.1)."""

Found = Callable[[Flow | str], None]


class PingPolicy(Value, frozen=True, kw_only=True):
    """Which contacts are pinged, and how; see ``[nat]`` of the configuration."""

    options: bool
    "Whether a ping is an OPTIONS, which is answered; otherwise it is an empty line."

    interval: float
    "Seconds between two pings of a contact."

    all: bool
    "Whether contacts that are not behind a NAT are pinged as well."

    sender: str
    "The From of OPTIONS."

    failures: int
    "The number of consecutive unanswered OPTIONS that count as a failure."

    removal: ContactEvent | None
    "The event of the removal after a failure; None to keep the contact."


class Ping:
    """One contact that is pinged."""

    __slots__ = (
        "failures", "key", "pinger", "place", "scheduled_at", "timer_at",
    )  # fmt: skip

    def __init__(self, pinger: Pinger, place: Place, key: str, at: float) -> None:
        self.pinger = pinger
        self.place = place
        self.key = key
        self.failures = 0
        self.timer_at: float | None = at
        self.scheduled_at: float | None = None

    def timer_due(self, now: float) -> None:
        # The pinger handles it.
        self.timer_at = None

    # The user of each OPTIONS (:class:`reginfo.sip.user.User`).

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Note that the contact answers, with whatever response."""
        self.failures = 0

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Count an unanswered OPTIONS."""
        self.pinger.receive_failure(self, moment)

    def never_sent(self) -> None:
        """Do nothing: the next ping is scheduled in any case."""


class Pinger:
    """
    Pings the contacts that are registered at this server.

    A contact with a Path is left to the element in its Path, which knows its flow.

    Args:
        flow: returns the only flow that reaches a binding; None to follow its URI.
        find: finds the flow to any binding, now or later.
        send: sends a request for a user, which receives the answer.
        send_empty: sends a datagram without a transaction.
        jitter: returns a random number from 0 to 1, which spreads pings over the
            interval.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        policy: PingPolicy,
        server_id: str,
        flow: Callable[[Binding], Flow | None],
        find: Callable[[Binding, Found], None],
        send: Send,
        send_empty: Callable[[bytes, Flow], None],
        new_id: Callable[[], str],
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._journal = journal
        self._policy = policy
        self._server_id = server_id
        self._flow = flow
        self._find = find
        self._send = send
        self._send_empty = send_empty
        self._new_id = new_id
        self._jitter = jitter
        self._pings: dict[tuple[Place, str], Ping] = {}
        self._wheel = TimerWheel()

    @property
    def shelves(self) -> tuple[()]:
        """No rows: pings begin again with each start."""
        return ()

    def __len__(self) -> int:
        return len(self._pings)

    def hears(self, change: object) -> None:
        """Follow a contact that was added, refreshed or removed."""
        if isinstance(change, BindingChange):
            self._follow(change.place, change.binding, change.at)

    def begin(self, here: Here, moment: Moment) -> None:
        """Ping the loaded contacts; a row that cannot be used is skipped."""
        now = moment.now
        for place in self._store.places():
            for binding in self._store.bindings(place, now):
                try:
                    self._follow(place, binding, now)
                except Exception as exc:
                    logger.warning(
                        "! contact %.80r of %s is not pinged: %s",
                        binding.contact, place, exc,
                    )  # fmt: skip

    def receive_failure(self, ping: Ping, moment: Moment) -> None:
        """Count a ping without an answer; after enough of them, remove the contact."""
        now = moment.now
        ping.failures += 1
        policy = self._policy
        binding = self._bound(ping, now)
        if binding is None or ping.failures < policy.failures:
            return
        if ping.failures == policy.failures:
            logger.info(
                "%% %s of %s did not answer %d pings", binding.contact, ping.place,
                ping.failures,
            )  # fmt: skip
        if policy.removal is not None:
            claims = self._store.claims(ping.place, ping.key)
            gone = ended(binding, policy.removal, claims, moment.wall)
            self._store.apply(ping.place, [gone], now)

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, moment: Moment) -> None:
        """
        Send the pings that are due; one that fails is retried at the next interval.
        """
        now = moment.now

        def act(ping: Ping) -> None:
            try:
                with self._journal.attempt():
                    self._due(ping, now)
            except Exception as exc:
                logger.warning(
                    "! %s of %s is not pinged: %s", ping.key, ping.place, exc
                )
                if ping.timer_at is None:
                    ping.timer_at = now + self._policy.interval
                    self._wheel.schedule(ping)

        work_off(self._wheel, self._journal, now, act)

    def undone(self, moment: Moment) -> None:
        """Do nothing: pings continue at their interval."""

    def describe(self) -> Description:
        """Describe how many contacts are pinged."""
        count = len(self)
        return Description("pinger", f"contacts pinged: {count}", {"pinged": count})

    # How.

    def _due(self, ping: Ping, now: float) -> None:
        binding = self._bound(ping, now)
        if binding is None:
            self._pings.pop((ping.place, ping.key), None)
            return
        ping.timer_at = now + self._policy.interval
        self._wheel.schedule(ping)
        self._ping(ping, binding)

    def _follow(self, place: Place, binding: Binding, now: float) -> None:
        key = (place, binding.key)
        known = self._pings.get(key)
        if not self._wants(binding):
            if known is not None:
                del self._pings[key]
                known.timer_at = None
                self._wheel.schedule(known)
                self._journal.remember(self._put_back, key, known, now)
            return
        if known is not None:
            known.failures = 0
            return
        at = now + self._policy.interval * self._jitter()
        ping = self._pings[key] = Ping(self, *key, at)
        self._wheel.schedule(ping)

    def _put_back(self, key: tuple[Place, str], ping: Ping, now: float) -> None:
        self._pings[key] = ping
        ping.timer_at = now + self._policy.interval
        self._wheel.schedule(ping)

    def _wants(self, binding: Binding) -> bool:
        if not binding.active or binding.owner != self._server_id or binding.path:
            return False
        return self._policy.all or self._flow(binding) is not None

    def _bound(self, ping: Ping, now: float) -> Binding | None:
        """Return the pinged binding, unless it has ended."""
        bound = self._store.binding(ping.place, ping.key, now)
        return bound if bound is not None and self._wants(bound) else None

    def _ping(self, ping: Ping, binding: Binding) -> None:
        def found(flow: Flow | str) -> None:
            if isinstance(flow, str):
                logger.debug("! ping of %s: %s", binding.contact, flow)
            elif self._policy.options:
                self._send(self._draft(binding), flow, ping)
            else:
                self._send_empty(EMPTY, flow)

        self._find(binding, found)

    def _draft(self, binding: Binding) -> Draft:
        head = (
            "Max-Forwards: 70\r\n"
            f"From: <{self._policy.sender}>;tag={self._new_id()}\r\n"
            f"To: <{binding.contact}>\r\n"
            f"Call-ID: {self._new_id()}\r\n"
            "CSeq: 1 OPTIONS\r\n"
        )
        return Draft("OPTIONS", binding.contact, head)
