"""One request in a script: its state, and what the server does when a handler asks."""

from __future__ import annotations

from typing import Protocol

from ..routing.target import Target
from ..sip.flow import Flow
from ..sip.message import Request, Response


class Call(Protocol):
    """
    One request that passes the script, as the server has it.

    Where a method says that it raises nothing, an error has become a response.
    """

    request: Request
    "A copy of the request, which the script may change, and which is relayed."

    flow: Flow
    "The flow that the request came by."

    targets: list[Target]
    "The targets that the request is relayed to; empty for its Request-URI."

    on_reply: str | None
    "The reply route."

    on_failure: str | None
    "The failure route."

    reply_headers: list[tuple[str, str]]
    "Headers for the response that is sent from here."

    answered: bool
    "Whether a final response has been sent."

    relayed: bool
    "Whether the request was relayed, or given to the server."

    publishes: bool
    "Whether what the request changes is published."

    refusal: Response | None
    "The response to a NOTIFY that :meth:`handle_notify` did not take in."

    reason: str
    "Why the last :meth:`handle_notify` returned -1."

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
        """Take in a PUBLISH, and answer it; False if it was refused."""

    def handle_notify(self, table: str) -> int:
        """Take in a NOTIFY without answering it; 2, 1 or -1."""

    def default(self) -> None:
        """Handle the request as the server does without a script."""
