"""What an administrator asks of a server; see `reginfo.web.api.Administration`."""

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
        "The addresses that we listen at, as the configuration writes them."

    @property
    def sip_addresses(self) -> list[str]:
        """The addresses that we listen at, as the configuration writes them."""
        return list(self.listening)

    def now(self) -> float:
        """Seconds on the clock that bindings use."""
        return self._assembly.clock.now()

    def aors(self) -> list[Aor]:
        """Addresses-of-record that have, or had, a contact; in no order."""
        return list(self._assembly.store.aors(self._assembly.table))

    def bindings(self, aor: Aor) -> list[Binding]:
        """Contacts that ``aor`` is bound to; see :meth:`committed`."""
        place = Place(self._assembly.table, aor)
        return self._assembly.store.bindings(place, self.now())

    def watches(self) -> list[Watch]:
        """Subscriptions that we serve; see :meth:`committed`."""
        return list(self._assembly.notifier.watches())

    def serves(self, watch: Watch) -> bool:
        """Whether a subscription is one of them still."""
        return self._assembly.notifier.serves(watch)

    def peers(self) -> list[PeerSection]:
        """Peers, as they are configured."""
        return list(self._assembly.config.peers)

    def mirrors(self) -> list[Mirror]:
        """Subscriptions that we hold; see :meth:`committed`."""
        return list(self._assembly.subscriber.mirrors())

    async def committed(self) -> bool:
        """
        Wait until what has been read in this turn is on disk.

        Returns:
            False if it was taken back instead: it has to be read again.
        """
        return await durable(self._assembly.turns)

    def drain(self, rate: float) -> None:
        """
        Leave for good: end all subscriptions that we serve, and take no new ones.

        Args:
            rate: how many are ended each second, at the most.
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
        Unbind contacts of ``aor``, for the reason that ``event`` names.

        Args:
            contact: which one; all if left out.
            retry_after: seconds; with `probation`, and only with that.

        Returns:
            How many; see :meth:`committed`.

        Raises:
            LocalProtocolError, RemoteProtocolError: it makes no sense.
        """
        with self._assembly.turns.attempt():
            removed = self._assembly.remove(
                self._assembly.table, aor, contact, event, retry_after
            )
        self._assembly.turns.settle()
        return removed

    def health(self) -> ServerHealth:
        """How the server is: its status, and figures since the start."""
        assembly = self._assembly
        turns, clock, config = assembly.turns, assembly.clock, assembly.config
        problems = []
        if turns.degraded is not None:
            problems.append(f"store: {turns.degraded}")
        if clock.behind:
            problems.append(f"calendar: {clock.behind:.1f} s behind the last commit")
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
