"""Who sent a request of ours: the transaction user (RFC 3261 §5, §17.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .flow import Flow
from .message import Draft, Response
from .moment import Moment


class User(Protocol):
    """
    Sends a request and receives what becomes of it.

    :meth:`Endpoint.send_request` keeps it with the transaction. Exactly one of a final
    response, :meth:`receive_failure` and :meth:`never_sent` ends a request; an INVITE
    may have more than one 2xx.
    """

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive a response; of an INVITE also each provisional one."""

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """
        Receive the news that there is no final response.

        Args:
            cause: `timeout`, or why the request could not be delivered, as text:
                `connection refused`, for example.
        """

    def never_sent(self) -> None:
        """
        Receive the news that the request was taken back before it was sent.

        The journal's undo list restores what was decided with the request, so a user
        whose state is in the journal has nothing to do.
        """


class Nobody:
    """The user of a request whose response nobody waits for, such as a CANCEL."""

    def receive_response(self, response: Response, moment: Moment) -> None: ...
    def receive_failure(self, cause: str, moment: Moment) -> None: ...
    def never_sent(self) -> None: ...


Send = Callable[[Draft, Flow, User], object]
"""Sends a request by a flow for a user; see :meth:`Endpoint.send_request`."""
