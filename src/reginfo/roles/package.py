"""The protocols of an event package, for subscriptions served and held."""

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
        Return a resource, and its other names.

        Raises:
            Refusal: 404; there is no such resource.
        """


class HeldPackage(Protocol):
    """The event package of the subscriptions that we hold; it gets their documents."""

    name: str

    def load(self, mirror: Mirror, row: HeldRow) -> None:
        """Restore what ``mirror`` had learned before a restart."""

    def drop(self, mirror: Mirror) -> None:
        """Forget what ``mirror`` has learned: its subscription is over."""

    def put_back(self, mirror: Mirror) -> None:
        """Undo :meth:`drop`."""
