"""The protocol between a script and its server for one request."""

from __future__ import annotations

from typing import Protocol

from ..routing.target import Target
from ..sip.flow import Flow
from ..sip.message import Request, Response


class Call(Protocol):
    """
    One request that a script handles, as the server implements it.
    """

    request: Request
    "A copy of the request. The script may change it, and it is what is relayed."

    flow: Flow
    "The flow that the request was received on."

    targets: list[Target]
    "The targets to relay the request to; if empty, its Request-URI is the target."

    on_reply: str | None
    "The name of the reply route."

    on_failure: str | None
    "The name of the failure route."

    reply_headers: list[tuple[str, str]]
    "Header fields to add to the response of this server."

    answered: bool
    "Whether a final response has been sent."

    relayed: bool
    "Whether the request was relayed, or left to the server's default."

    publishes: bool
    "Whether changes made by the request are published."

    refusal: Response | None
    "The response to a NOTIFY that :meth:`handle_notify` refused."

    reason: str
    "Why the last :meth:`handle_notify` returned -1."

    @property
    def texts(self) -> frozenset[str]:
        """All strings that are written in the script."""

    def respond(self, response: Response) -> None:
        """
        Answer the request.

        Raises:
            TypeError, ValueError: the response cannot be written.
        """

    def relay(self) -> bool:
        """Relay the request to its targets; False if it was answered instead."""

    def save(self, table: str) -> int:
        """Bind the contacts of a REGISTER, and answer it; 1 to 4, or -1."""

    def lookup(self, table: str) -> int:
        """Make the contacts of the Request-URI the targets; 1, -1 or -2."""

    def handle_subscribe(self) -> bool:
        """Serve a SUBSCRIBE, and answer it; False if it was refused."""

    def handle_publish(self) -> bool:
        """Process a PUBLISH, and answer it; False if it was refused."""

    def handle_notify(self, table: str) -> int:
        """Process a NOTIFY without answering it; 2, 1 or -1."""

    def authorize(self, realm: str, status: int) -> int:
        """
        Check the credentials of the request; 1, or -1 to -5.

        Args:
            realm: empty for the domain of the user.
            status: 401 for Authorization, 407 for Proxy-Authorization.

        Raises:
            Refusal: 403 after many failures; 503 if users cannot be looked up.
        """

    def challenge(self, realm: str, status: int, qop: str) -> Response:
        """Return a response with challenges."""

    def consume_credentials(self) -> bool:
        """Remove the credentials that were checked here; False if there are none."""

    def default(self) -> None:
        """Handle the request as the server does without a script."""
