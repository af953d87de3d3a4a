"""The administrator's functions; see `reginfo.web.api.Administration`."""

from __future__ import annotations

from ..config.sections import PeerSection
from ..io.rim import durable
from ..location.binding import Binding
from ..location.place import Aor, Place
from ..reg.document import ContactEvent
from ..roles.health import ClockHealth, DrainHealth, ServerHealth, StoreHealth
from ..roles.subscriber import Mirror
from ..roles.watch import Watch
from ..version import __version__
from .build import Assembly


class Admin:
    """The administration of one server."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self.listening: list[str] = []
        "The listening addresses, as the configuration writes them."

    @property
    def sip_addresses(self) -> list[str]:
        """The listening addresses, as the configuration writes them."""
        return list(self.listening)

    def now(self) -> float:
        """Return the time in seconds, on the clock that bindings use."""
        return self._assembly.clock.now()

    def aors(self) -> list[Aor]:
        """Return the addresses-of-record that have or had a contact, in any order."""
        return list(self._assembly.store.aors(self._assembly.table))

    def bindings(self, aor: Aor) -> list[Binding]:
        """Return the bindings of ``aor``; see :meth:`committed`."""
        place = Place(self._assembly.table, aor)
        return self._assembly.store.bindings(place, self.now())

    def watches(self) -> list[Watch]:
        """Return the subscriptions that we serve; see :meth:`committed`."""
        return list(self._assembly.notifier.watches())

    def serves(self, watch: Watch) -> bool:
        """Whether a subscription has not ended."""
        return self._assembly.notifier.serves(watch)

    def peers(self) -> list[PeerSection]:
        """Return the configured peers."""
        return list(self._assembly.config.peers)

    def mirrors(self) -> list[Mirror]:
        """Return the subscriptions that we hold; see :meth:`committed`."""
        return list(self._assembly.subscriber.mirrors())

    async def committed(self) -> bool:
        """
        Wait until everything that was read in this turn is on disk.

        Returns:
            False if it was undone instead, and must be read again.
        """
        return await durable(self._assembly.turns)

    def drain(self, rate: float) -> None:
        """
        End all subscriptions that we serve, and refuse new ones.

        Args:
            rate: the maximum number of subscriptions to end per second.
        """
        with self._assembly.turns.attempt():
            self._assembly.notifier.drain(rate, self.now())
        self._assembly.turns.settle()

    def remove(
        self,
        aor: str,
        *,
        contact: str | None = None,
        event: ContactEvent = ContactEvent.DEACTIVATED,
        retry_after: int | None = None,
    ) -> int:
        """
        Remove contacts of ``aor``, and report ``event``.

        Args:
            contact: the contact to remove; all if None.
            retry_after: seconds; required with `probation`, not allowed otherwise.

        Returns:
            The number of removed contacts; see :meth:`committed`.

        Raises:
            LocalProtocolError, RemoteProtocolError: an argument is invalid.
        """
        with self._assembly.turns.attempt():
            removed = self._assembly.remove(
                self._assembly.table, aor, contact, event, retry_after
            )
        self._assembly.turns.settle()
        return removed

    def health(self) -> ServerHealth:
        """Return the health of the server: its status, and figures since the start."""
        assembly = self._assembly
        turns, clock, config = assembly.turns, assembly.clock, assembly.config
        problems = []
        if turns.degraded is not None:
            problems.append(f"store: {turns.degraded}")
        if clock.behind:
            problems.append(f"wall clock: {clock.behind:.1f} s behind the last commit")
        path = config.store.path
        return ServerHealth(
            status=self._status(problems),
            problems=problems,
            server=config.server.id,
            version=__version__,
            sip=self.sip_addresses,
            store=StoreHealth(
                url="memory:" if path is None else f"sqlite:{path}",
                problem=turns.degraded,
            ),
            clock=ClockHealth(
                time=clock.wall(), behind=clock.behind, stepped=clock.stepped
            ),
            draining=self._draining(),
            commits=turns.commits,
            watchers=len(assembly.notifier),
            malformed=assembly.endpoint.malformed,
            parts=assembly.parts.describe(),
        )

    # How.

    def _status(self, problems: list[str]) -> str:
        notifier = self._assembly.notifier
        if notifier.leaving is not None:
            return "draining" if len(notifier) else "drained"
        return "degraded" if problems else "ok"

    def _draining(self) -> DrainHealth | None:
        notifier = self._assembly.notifier
        leaving = notifier.leaving
        if leaving is None:
            return None
        return DrainHealth(
            watchers=leaving.total,
            left=len(notifier),
            gave_up=leaving.gave_up,
            rate=leaving.rate,
        )
