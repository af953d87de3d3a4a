"""Requests that a script sends, and their responses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from ..location.binding import Binding
from ..routing.target import Target
from ..sip import grammar
from ..sip.endpoint import Endpoint
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Flow
from ..sip.message import Draft, Response, canonical
from ..sip.moment import Moment
from ..sip.uri import Uri

logger = logging.getLogger("reginfo.script")

OURS = frozenset(
    {
        "CSeq", "Call-ID", "Content-Length", "From", "Max-Forwards", "Route", "To",
        "Via",
    }
)  # fmt: skip
"""Header fields that are written here; a script may add others."""

NOT_SENT = frozenset({"ACK", "CANCEL", "INVITE"})
"""Methods that need more than one request and its response."""


class OwnRequest:
    """One request, and the future of its response."""

    __slots__ = ("answer",)

    def __init__(self, answer: asyncio.Future[Response]) -> None:
        self.answer = answer

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive a response; provisional ones are ignored."""
        if response.is_final:
            self.answered(response)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Complete the request with a local response, because none arrived."""
        if cause == "timeout":
            self.answered(Response(408, "Request Timeout"))
        else:
            self.answered(Response(503, "Service Unavailable"))

    def answered(self, response: Response) -> None:
        """Complete the request with its final response, once."""
        if not self.answer.done():
            self.answer.set_result(response)

    def never_sent(self) -> None:
        """Complete the request with 503: it was undone before it was sent."""
        self.answered(Response(503, "Service Unavailable"))


class Sender:
    """
    Sends requests outside dialogs.

    Args:
        targets: returns the targets of a URI or of a binding, best first; none for a
            user of this server without contacts.
        flow: finds the flow to a target, and calls back with the flow or an error text.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        targets: Callable[[Uri, Binding | None], list[Target]],
        flow: Callable[[Target, Callable[[Flow | str], None]], None],
        new_id: Callable[[], str],
        user_agent: str,
    ) -> None:
        self._endpoint = endpoint
        self._targets = targets
        self._flow = flow
        self._new_id = new_id
        self._user_agent = user_agent

    def send(
        self,
        method: str,
        to: str,
        binding: Binding | None,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        from_: str | None,
    ) -> asyncio.Future[Response]:
        """
        Send a request, and return the future of its final response.

        Raises:
            ValueError: it cannot be written.
        """
        if not grammar.token.fullmatch(method) or method in NOT_SENT:
            raise ValueError(f"{method!r} cannot be sent by a script")
        uri, sender = _uri(to), to if from_ is None else _uri(from_).text
        head = (
            "Max-Forwards: 70\r\n"
            f"From: <{sender}>;tag={self._new_id()}\r\n"
            f"To: <{uri.text}>\r\n"
            f"Call-ID: {self._new_id()}\r\n"
            f"CSeq: 1 {method}\r\n"
            f"User-Agent: {self._user_agent}\r\n"
            f"{_lines(headers)}"
        )
        sent = OwnRequest(asyncio.get_running_loop().create_future())
        targets = self._targets(uri, binding)
        if not targets:
            sent.answered(Response(480, "Temporarily Unavailable"))
            return sent.answer
        target = targets[0]
        route = f"Route: {', '.join(target.route)}\r\n" if target.route else ""
        draft = Draft(method, target.uri.text, route + head, body)

        def found(flow: Flow | str) -> None:
            if isinstance(flow, str):
                logger.warning("! %s to %s: %s", method, target.uri.text, flow)
                sent.answered(Response(503, "Service Unavailable"))
            else:
                self._endpoint.send_request(draft, flow, sent)

        self._flow(target, found)
        return sent.answer


def _uri(text: str) -> Uri:
    try:
        uri = Uri.parse(text)
    except RemoteProtocolError as exc:
        raise ValueError(str(exc)) from exc
    if any(c in text for c in "<>\r\n"):
        raise ValueError(f"not a URI: {text!r}")
    return uri


def _lines(headers: Sequence[tuple[str, str]]) -> str:
    lines = []
    for name, value in headers:
        if not grammar.token.fullmatch(name) or canonical(name) in OURS:
            raise ValueError(f"a script cannot set {name!r}")
        if any(c in value for c in "\r\n\0"):
            raise ValueError(f"not a header value: {value!r}")
        lines.append(f"{canonical(name)}: {value}\r\n")
    return "".join(lines)
