"""The protocol between a script and its server, apart from single requests."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from ..location.binding import Binding
from ..reg.document import ContactEvent
from ..sip.message import Response


class Core(Protocol):
    """
    The server that a script runs in.

    Addresses-of-record are passed as `bob@example.com` or as a URI. If a method raises,
    nothing has changed.
    """

    def subscribe(self, uri: str, expires: int) -> bool:
        """Subscribe to the registrations of ``uri``; ``expires=0`` unsubscribes."""

    def update(self, aor: str) -> bool:
        """Notify and publish the current state; False if there is no such record."""

    def remove(
        self,
        table: str,
        aor: str,
        contact: str | None,
        event: ContactEvent,
        retry_after: int | None,
        publishes: bool,
    ) -> bool:
        """
        Remove contacts as an administrator does; False if that changes nothing.

        Args:
            publishes: whether to publish the change.
        """

    def shorten(
        self, table: str, aor: str, contact: str | None, expires: int, publishes: bool
    ) -> bool:
        """Let contacts end in ``expires`` seconds; False if that changes nothing."""

    def create(
        self,
        table: str,
        aor: str,
        contact: str,
        expires: int,
        q: str | None,
        publishes: bool,
    ) -> bool:
        """
        Bind a contact without a REGISTER.

        Raises:
            LocalProtocolError: the user is not one of ours, or is barred.
            ValueError: ``q`` is not a number from 0 to 1.
        """

    def admit(self, table: str, aor: str) -> bool:
        """Let a user register again that is barred; False if it is not."""

    def key(self, table: str, aor: str, key: str) -> str | None:
        """Return the value of a key in the record of ``aor``."""

    def set_key(
        self, table: str, aor: str, key: str, value: str | None, publishes: bool
    ) -> bool:
        """
        Set a key, or remove it; False if there is none to remove.

        Args:
            publishes: whether to publish the change.
        """

    def bindings(self, aor: str, table: str) -> Sequence[Binding]:
        """Return the bindings of ``aor``."""

    def send_request(
        self,
        method: str,
        to: str,
        binding: Binding | None,
        headers: Sequence[tuple[str, str]],
        body: str | bytes,
        from_: str | None,
    ) -> Awaitable[Response]:
        """
        Send a new request to ``to``, or to ``binding`` if it is given.

        Raises:
            ValueError: the request cannot be written.
        """
