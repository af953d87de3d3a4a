"""What an event package does for the subscriptions that we serve and hold."""

from __future__ import annotations

from typing import Protocol

from ..location.place import Aor
from .mirror import HeldRow, Mirror


class ServedPackage(Protocol):
    """The event package of the subscriptions that we serve."""

    name: str
    media_type: str

    def names(self, resource: Aor) -> tuple[str, ...]:
        """
        Return a resource, and what else it is known by.

        Raises:
            Refusal: 404: there is no such resource.
        """


class HeldPackage(Protocol):
    """The event package of the subscriptions that we hold: it takes their documents."""

    name: str

    def load(self, mirror: Mirror, row: HeldRow) -> None:
        """Give ``mirror`` back what it had learned before a restart."""

    def drop(self, mirror: Mirror) -> None:
        """Forget what ``mirror`` has learned: its subscription is over."""

    def put_back(self, mirror: Mirror) -> None:
        """Undo :meth:`drop`."""
