"""The routes of an operator's script: which handler is for what."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from ..reg.document import ContactEvent
from ..sip import grammar
from ..sip.message import Response
from .event import Event
from .message import Message

Answer = Response | None
"""What a handler may return: a response is sent as it is."""

Handler = Callable[[Message], Answer | Awaitable[Answer]]
EventHandler = Callable[[Event], object]

H = TypeVar("H", bound=Callable[..., Any])

SUBSCRIPTION = "subscription"
"""The event that tells what became of a subscription of ours."""

EVENTS = (*(event.value for event in ContactEvent), SUBSCRIPTION)
"""What :meth:`Route.event` can be asked for: RFC 3680 §4.7.1, and one more."""


class Route:
    """
    The routes of a script, which makes one of these and calls it `route`::

        from reginfo import Message, Route

        route = Route()

        @route.request("REGISTER")
        def register(msg: Message) -> None:
            msg.save("location")

    A handler takes what it handles as its only argument, and may be a coroutine
    function. It may return a :class:`~reginfo.sip.message.Response`, which is sent, or
    raise a :class:`~reginfo.sip.errors.Refusal`, which becomes one.
    """

    def __init__(self) -> None:
        self.requests: dict[str, Handler] = {}
        "By method; that of all others under the empty string."

        self.replies: dict[str, Handler] = {}
        self.failures: dict[str, Handler] = {}
        self.events: dict[str, EventHandler] = {}

    def __repr__(self) -> str:
        kinds: dict[str, Iterable[str]] = {
            "request": self.requests,
            "reply": self.replies,
            "failure": self.failures,
            "event": self.events,
        }
        shown = [
            f"{kind} {name or 'of any method'}"
            for kind, names in kinds.items()
            for name in sorted(names)
        ]
        return f"<Route: {', '.join(shown) or 'empty'}>"

    def request(self, *methods: str) -> Callable[[H], H]:
        """
        Handle requests: of ``methods``, or all that have no route of their own.

        Args:
            methods: names, each alone or several with `|` between them.

        Raises:
            ValueError: one is no method, or has a handler already.
        """
        names = [name.strip() for text in methods for name in text.split("|")]
        for name in names:
            if not grammar.token.fullmatch(name):
                raise ValueError(f"{name!r} is no method")

        def add(handler: H) -> H:
            for name in names or [""]:
                kind = f"route for {name}" if name else "route for all methods"
                _add(self.requests, name, handler, kind)
            return handler

        return add

    def reply(self, name: str) -> Callable[[H], H]:
        """Handle the replies to requests that were relayed after `t_on_reply(name)`."""
        return _adder(self.replies, name, f"reply route {name!r}")

    def failure(self, name: str) -> Callable[[H], H]:
        """Handle that all branches of a request failed after `t_on_failure(name)`."""
        return _adder(self.failures, name, f"failure route {name!r}")

    def event(self, name: str) -> Callable[[H], H]:
        """
        Handle what happens to a contact, here or at a peer; or to a subscription.

        Args:
            name: one of :data:`EVENTS`.

        Raises:
            ValueError: there is no such event, or it has a handler already.
        """
        if name not in EVENTS:
            raise ValueError(f"no event {name!r}; there are: {', '.join(EVENTS)}")
        return _adder(self.events, name, f"route for the event {name!r}")

    def handler_of(self, method: str) -> Handler | None:
        """Return the handler for ``method``; None for the server's default."""
        return self.requests.get(method) or self.requests.get("")


def _adder(handlers: dict[str, Any], name: str, kind: str) -> Callable[[H], H]:
    if not isinstance(name, str) or not name:
        raise ValueError(f"a name is needed, not {name!r}")

    def add(handler: H) -> H:
        _add(handlers, name, handler, kind)
        return handler

    return add


def _add(handlers: dict[str, Any], name: str, handler: Any, kind: str) -> None:
    try:
        inspect.signature(handler).bind(object())
    except TypeError as exc:
        raise ValueError(f"the {kind} does not take one argument: {exc}") from exc
    if name in handlers:
        raise ValueError(f"there is a {kind} already")
    handlers[name] = handler
