"""Ends bindings whose connection was closed (RFC 5626)."""

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
from ..sip.timer import TimerWheel

logger = logging.getLogger("reginfo.connections")

GRACE = 5.0
"""Seconds that a user agent has to register again over another connection."""

RESTART_GRACE = 60.0
"""The same after a restart of ours, which closes all connections at once."""

BindingKey = tuple[Place, str]
"""A user, and the key of a binding."""


class ClosedConnection:
    """A closed connection, and when its bindings end."""

    __slots__ = ("flow", "scheduled_at", "timer_at")

    def __init__(self, flow: Flow, at: float) -> None:
        self.flow = flow
        self.timer_at: float | None = at
        self.scheduled_at: float | None = None

    def __repr__(self) -> str:
        return f"ClosedConnection({self.flow.remote})"

    def timer_due(self, now: float) -> None:
        # The part handles it.
        self.timer_at = None


class Connections:
    """
    Ends bindings of this server whose connection was closed, with the event `expired`.

    A user agent that registers the same contact again within :data:`GRACE` keeps its
    binding, and watchers are not notified of the interruption. A binding with a Path
    depends on a connection of another element, and is ignored.

    Args:
        origin: returns the flow of the REGISTER of a binding; None if unknown.
        is_open: whether the connection of a flow is open.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        server_id: str,
        origin: Callable[[Binding], Flow | None],
        is_open: Callable[[Flow], bool],
    ) -> None:
        self._store = store
        self._journal = journal
        self._server_id = server_id
        self._origin = origin
        self._is_open = is_open
        self._flows: dict[BindingKey, Flow] = {}
        self._bindings: dict[Flow, dict[BindingKey, None]] = {}
        self._wheel = TimerWheel()
        self._ended = 0

    @property
    def shelves(self) -> tuple[()]:
        """No rows: connections do not survive a restart."""
        return ()

    def hears(self, change: object) -> None:
        """Follow the flow of a contact that was added, refreshed or removed."""
        if isinstance(change, BindingChange):
            key = (change.place, change.binding.key)
            known = self._flows.get(key)
            self._journal.remember(self._set_back, key, known, change.at + GRACE)
            self._set(key, self._flow(change.binding))

    def begin(self, here: Here, moment: Moment) -> None:
        """Give the user agents of stored bindings time to connect again."""
        now = moment.now
        for place in self._store.places():
            for binding in self._store.bindings(place, now):
                self._set((place, binding.key), self._flow(binding))
        for flow in self._bindings:
            self._wheel.schedule(ClosedConnection(flow, now + RESTART_GRACE))

    def lost(self, flow: Flow, moment: Moment) -> None:
        """
        Note that a connection was closed; its bindings end after the grace period.
        """
        if flow in self._bindings:
            self._wheel.schedule(ClosedConnection(flow, moment.now + GRACE))

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, moment: Moment) -> None:
        """End the bindings of connections whose grace period is over."""

        def act(closed: ClosedConnection) -> None:
            if not self._is_open(closed.flow):
                for key in list(self._bindings.get(closed.flow, ())):
                    self._end(key, closed.flow, moment)

        work_off(self._wheel, self._journal, moment.now, act)

    def undone(self, moment: Moment) -> None:
        """Do nothing: the undo of a change schedules the end of its connection."""

    def describe(self) -> Description:
        """Describe how many bindings depend on a connection."""
        count = len(self._flows)
        figures = {"bindings": count, "ended_total": self._ended}
        line = f"bindings on connections: {count}, ended with theirs: {self._ended}"
        return Description("connections", line, figures)

    # How.

    def _flow(self, binding: Binding) -> Flow | None:
        """Return the connection that a binding depends on; None if there is none."""
        if not binding.active or binding.owner != self._server_id or binding.path:
            return None
        try:
            flow = self._origin(binding)
        except Exception as exc:
            logger.warning("! contact %.80r: %s", binding.contact, exc)
            return None
        return flow if flow is not None and flow.local.is_reliable else None

    def _set(self, key: BindingKey, flow: Flow | None) -> None:
        known = self._flows.pop(key, None)
        if known is not None:
            others = self._bindings[known]
            del others[key]
            if not others:
                del self._bindings[known]
        if flow is not None:
            self._flows[key] = flow
            self._bindings.setdefault(flow, {})[key] = None

    def _set_back(self, key: BindingKey, flow: Flow | None, at: float) -> None:
        """Undo a change; if the connection was closed meanwhile, it ends at ``at``."""
        self._set(key, flow)
        if flow is not None and not self._is_open(flow):
            self._wheel.schedule(ClosedConnection(flow, at))

    def _end(self, key: BindingKey, flow: Flow, moment: Moment) -> None:
        place, name = key
        bound = self._store.binding(place, name, moment.now)
        if bound is None or self._flow(bound) != flow:
            return
        claims = self._store.claims(place, name)
        self._ended += 1
        gone = ended(bound, ContactEvent.EXPIRED, claims, moment.wall)
        self._store.apply(place, [gone], moment.now)
