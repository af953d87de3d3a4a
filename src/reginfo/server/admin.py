"""The administrator's functions; see `reginfo.web.api.Administration`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ..config.sections import PeerSection
from ..io.rim import durable
from ..location.binding import Binding
from ..location.contacts import is_same
from ..location.place import Aor, Place
from ..location.record import Record
from ..reg.document import ContactEvent
from ..roles.administrator import ActResult
from ..roles.drain import Drain
from ..roles.health import ClockHealth, DrainHealth, ServerHealth, StoreHealth
from ..roles.published_item import PublicationItem, items
from ..roles.subscriber import Mirror
from ..roles.watch import Watch
from ..sip.errors import LocalProtocolError
from ..sip.uri import Uri
from ..sync.item import LinkItem, held_item, served_item
from ..version import __version__
from .build import Assembly

logger = logging.getLogger("reginfo.notifier")

T = TypeVar("T")


class Serving(Protocol):
    """A part that serves subscriptions."""

    def __len__(self) -> int:
        """Count the subscriptions that have not ended."""

    @property
    def leaving(self) -> Drain[Any] | None:
        """The progress of :meth:`drain`; None before it is called."""

    def drain(self, rate: float, now: float) -> None:
        """End all subscriptions, at most ``rate`` per second."""


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

    def named(self, name: str) -> Aor:
        """
        Return the address-of-record that an operator names; see :meth:`.Domains.named`.

        Raises:
            RemoteProtocolError: it is not an address-of-record.
        """
        return self._assembly.domains.named(name)

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

    def peer_problems(self) -> dict[str, str]:
        """Why peers cannot be reached at all, by name; those that can are left out."""
        assembly = self._assembly
        return {
            peer.name: problem
            for peer in assembly.config.peers
            if (problem := assembly.outgoing.problem(peer)) is not None
        }

    def mirrors(self) -> list[Mirror]:
        """Return the subscriptions that we hold; see :meth:`committed`."""
        return list(self._assembly.subscriber.mirrors())

    def links(self) -> list[LinkItem]:
        """Describe the links that we hold, and those that we serve."""
        assembly, now = self._assembly, self.now()
        last = assembly.store.changes.last
        return [
            *(held_item(link, now) for link in assembly.sink.links()),
            *(served_item(link, last, now) for link in assembly.source.links()),
        ]

    def publications(self) -> list[PublicationItem]:
        """Describe our publications, by presence server."""
        publisher = self._assembly.publisher
        return items(publisher.servers(), publisher.publications(), self.now())

    async def committed(self) -> bool:
        """
        Wait until everything that was read in this turn is on disk.

        Returns:
            False if it was undone instead, and must be read again.
        """
        return await durable(self._assembly.turns)

    def drain(self, rate: float) -> None:
        """
        End all subscriptions and links that we serve, and refuse new ones.

        Args:
            rate: the maximum number of subscriptions to end per second.
        """
        with self._assembly.turns.attempt():
            for part in self._serving:
                part.drain(rate, self.now())
        count = sum(map(len, self._serving))
        logger.warning("= draining: %d watchers, %g per second", count, rate)
        self._assembly.turns.settle()

    def remove(
        self,
        aor: str,
        *,
        contact: str | None = None,
        event: ContactEvent = ContactEvent.DEACTIVATED,
        retry_after: int | None = None,
    ) -> ActResult:
        """
        Remove contacts of ``aor``, and report ``event``.

        Args:
            contact: the contact to remove; all if None.
            retry_after: seconds; required with `probation`, not allowed otherwise.

        Returns:
            What has changed; see :meth:`committed`.

        Raises:
            LocalProtocolError, RemoteProtocolError: an argument is invalid.
        """
        assembly = self._assembly
        return self._done(
            lambda: assembly.acts.remove(
                assembly.table, aor, contact, event, retry_after
            )
        )

    def shorten(
        self, aor: str, *, expires: int, contact: str | None = None
    ) -> ActResult:
        """
        Let contacts of ``aor`` end in ``expires`` seconds at the latest.

        Args:
            contact: which one; all if left out.

        Raises:
            RemoteProtocolError: the request is invalid.
        """
        assembly = self._assembly
        return self._done(
            lambda: assembly.acts.shorten(assembly.table, aor, contact, expires)
        )

    def create(
        self, aor: str, contact: str, *, expires: int, q: str | None = None
    ) -> Binding:
        """
        Bind ``contact`` without a REGISTER; see :meth:`.Acts.create`.

        Raises:
            LocalProtocolError, RemoteProtocolError: the request is invalid.
        """
        assembly = self._assembly
        try:
            return self._done(
                lambda: assembly.acts.create(assembly.table, aor, contact, expires, q)
            )
        except ValueError as exc:
            raise LocalProtocolError(str(exc)) from exc

    def is_bound(self, aor: str, contact: str | None) -> bool:
        """
        Whether ``aor`` is bound to ``contact``, or to any if that is None.

        Raises:
            RemoteProtocolError: ``contact`` is no URI.
        """
        place = Place(self._assembly.table, self._assembly.domains.named(aor))
        bound = self._assembly.store.bindings(place, self.now())
        if contact is None:
            return bool(bound)
        uri = Uri.parse(contact)
        return any(is_same(one.contact, uri) for one in bound)

    def barred(self) -> list[tuple[Aor, Record]]:
        """Users that are kept from registering, and the record that says so."""
        return self._assembly.store.barred(self._assembly.table, self.now())

    def admit(self, aor: str) -> ActResult:
        """
        Let a user register again that was rejected or is on probation.

        Raises:
            RemoteProtocolError: the request is invalid.
        """
        assembly = self._assembly
        return self._done(lambda: assembly.acts.admit(assembly.table, aor))

    def health(self) -> ServerHealth:
        """Return the health of the server: its status, and figures since the start."""
        assembly = self._assembly
        turns, clock, config = assembly.turns, assembly.clock, assembly.config
        problems = []
        if turns.degraded is not None:
            problems.append(f"store: {turns.degraded}")
        if (slow := turns.disk.problem(clock.now())) is not None:
            problems.append(f"store: {slow}")
        if clock.behind:
            problems.append(f"wall clock: {clock.behind:.1f} s behind the last commit")
        problems += assembly.outgoing.problems()
        problems += assembly.sink.problems(clock.now())
        if assembly.store.is_crowded:
            problems.append(
                "store: contacts that have ended are forgotten early: [sync] tombstones"
                f" is {config.sync.tombstones}"
            )
        return ServerHealth(
            status=self._status(problems),
            problems=problems,
            server=config.server.id,
            version=__version__,
            sip=self.sip_addresses,
            store=StoreHealth(
                url=config.store.url,
                problem=turns.degraded,
            ),
            clock=ClockHealth(
                time=clock.wall(), behind=clock.behind, stepped=clock.stepped
            ),
            draining=self._draining(),
            commits=turns.commits,
            watchers=sum(map(len, self._serving)),
            malformed=assembly.endpoint.malformed,
            parts=[
                *assembly.parts.describe(),
                *(describe() for describe in assembly.describers),
            ],
        )

    # How.

    def _done(self, act: Callable[[], T]) -> T:
        """Do an act in a turn of its own, and return its result."""
        with self._assembly.turns.attempt():
            result = act()
        self._assembly.turns.settle()
        return result

    @property
    def _serving(self) -> tuple[Serving, ...]:
        """The parts that serve subscriptions."""
        assembly = self._assembly
        return (assembly.notifier, assembly.source, assembly.links.watchers)

    def _status(self, problems: list[str]) -> str:
        draining = self._draining()
        if draining is not None:
            return "draining" if draining.left else "drained"
        return "degraded" if problems else "ok"

    def _draining(self) -> DrainHealth | None:
        drains = [one.leaving for one in self._serving if one.leaving is not None]
        if not drains:
            return None
        return DrainHealth(
            watchers=sum(one.total for one in drains),
            left=sum(map(len, self._serving)),
            gave_up=sum(one.gave_up for one in drains),
            rate=drains[0].rate,
        )
