"""The transaction user: the sender of a request (RFC 3261 §5, §17.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .flow import Flow
from .message import Draft, Response
from .moment import Moment


class User(Protocol):
    """
    Sends a request, and receives its response or failure.

    :meth:`Endpoint.send_request` stores it in the transaction. A request ends with
    exactly one of a final response, :meth:`receive_failure` and :meth:`never_sent`; an
    INVITE may have more than one 2xx.
    """

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive a response; for an INVITE also each provisional one."""

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """
        Receive the news that there is no final response.

        Args:
            cause: `timeout`, or the reason of the failure, such as `connection
                refused`.
        """

    def never_sent(self) -> None:
        """
        Receive the news that the request was undone before it was sent.

        The journal's undo list restores the state before the request, so a user whose
        state is in the journal has nothing to do.
        """


class Nobody:
    """The user of a request whose response is ignored, such as a CANCEL."""

    def receive_response(self, response: Response, moment: Moment) -> None: ...
    def receive_failure(self, cause: str, moment: Moment) -> None: ...
    def never_sent(self) -> None: ...


Send = Callable[[Draft, Flow, User], object]
"""Sends a request by a flow for a user; see :meth:`Endpoint.send_request`."""
