"""What a script stands on: what the server does when a handler asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Protocol

from ..location.binding import Binding
from ..reg.document import ContactEvent
from ..sip.message import Response

if TYPE_CHECKING:
    from .message import Message


class Core(Protocol):
    """
    The server, to a script.

    An address-of-record is named as `bob@example.com` or as a URI. Where a function
    says that it raises, nothing has changed.
    """

    def reply(self, msg: Message, response: Response) -> None:
        """Answer the request."""

    def relay(self, msg: Message) -> bool:
        """Send the request to its targets; False if it was answered instead."""

    def save(self, msg: Message, table: str) -> int:
        """Bind the contacts of a REGISTER, and answer it; 1 to 4, or -1."""

    def lookup(self, msg: Message, table: str) -> int:
        """Make the contacts of the Request-URI the targets; 1, -1 or -2."""

    def handle_subscribe(self, msg: Message) -> bool:
        """Serve a SUBSCRIBE, and answer it."""

    def handle_publish(self, msg: Message) -> bool:
        """Take in a PUBLISH, and answer it."""

    def handle_notify(self, msg: Message, table: str) -> int:
        """Take in a NOTIFY, and do not answer it: 2, 1 or -1."""

    def default(self, msg: Message) -> None:
        """Do what is done without a script."""

    def subscribe(self, uri: str, expires: int) -> bool:
        """Ask for the registrations at ``uri`` from now on; 0 to stop it."""

    def update(self, aor: str) -> bool:
        """Tell and publish the present state; False if there is no such record."""

    def remove(
        self,
        table: str,
        aor: str,
        contact: str | None,
        event: ContactEvent,
        retry_after: int | None,
    ) -> int:
        """Remove contacts as the administrator does; how many."""

    def key(self, table: str, aor: str, key: str) -> str | None:
        """A key in the record of ``aor``."""

    def set_key(self, table: str, aor: str, key: str, value: str | None) -> bool:
        """Set a key, or remove it; False if there is none to remove."""

    def bindings(self, aor: str, table: str) -> Sequence[Binding]:
        """The contacts that ``aor`` is bound to."""

    def send_request(
        self,
        method: str,
        to: str,
        binding: Binding | None,
        headers: Sequence[tuple[str, str]],
        body: str | bytes,
        from_: str | None,
    ) -> Awaitable[Response]:
        """Send a request of our own to ``to``, at ``binding`` if it is given."""
