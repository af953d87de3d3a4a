"""The routes of a script: registers the handlers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from ..reg.document import ContactEvent
from ..sip import grammar
from ..sip.message import Response
from .event import Event
from .message import Message

Answer = Response | None
"""The possible results of a handler; a response is sent."""

Handler = Callable[[Message], Answer | Awaitable[Answer]]
EventHandler = Callable[[Event], object]

Accounts = Callable[[str], str | Mapping[str, str] | None]
"""Returns the password or the hashes of a user; see :meth:`Route.credentials`."""

A = TypeVar("A", bound=Accounts)
H = TypeVar("H", bound=Callable[..., Any])

SUBSCRIPTION = "subscription"
"""The event for changes of our own subscriptions."""

EVENTS = (*(event.value for event in ContactEvent), SUBSCRIPTION)
"""The names of events: those of RFC 3680 §4.7.1, and one more."""


class Route:
    """
    The routes of a script, which creates one instance and calls it `route`::

        from reginfo import Message, Route

        route = Route()

        @route.request("REGISTER")
        def register(msg: Message) -> None:
            msg.save("location")

    A handler takes one argument, the message or event, and may be a coroutine function.
    It may return a :class:`~reginfo.sip.message.Response`, which is sent, or raise a
    :class:`~reginfo.sip.errors.Refusal`, which becomes a response.
    """

    def __init__(self) -> None:
        self.requests: dict[str, Handler] = {}
        "By method; the empty string stands for all other methods."

        self.replies: dict[str, Handler] = {}
        self.failures: dict[str, Handler] = {}
        self.events: dict[str, EventHandler] = {}
        self.accounts: Accounts | None = None
        "What knows users with passwords; see :meth:`credentials`."

        self.texts: frozenset[str] = frozenset()
        "All strings that are written in the script, but the empty one."

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
        Handle requests with one of ``methods``; by default, with any method that has no
        route of its own.

        Args:
            methods: method names; one string may name several, separated by `|`.

        Raises:
            ValueError: a name is not a method, or already has a handler.
        """
        names = [name.strip() for text in methods for name in text.split("|")]
        for name in names:
            if not grammar.token.fullmatch(name):
                raise ValueError(f"{name!r} is not a method")

        def add(handler: H) -> H:
            for name in names or [""]:
                kind = f"route for {name}" if name else "route for all methods"
                _add(self.requests, name, handler, kind)
            return handler

        return add

    def reply(self, name: str) -> Callable[[H], H]:
        """Handle the responses to requests relayed after `t_on_reply(name)`."""
        return _adder(self.replies, name, f"reply route {name!r}")

    def failure(self, name: str) -> Callable[[H], H]:
        """Handle the failure of all branches, after `t_on_failure(name)`."""
        return _adder(self.failures, name, f"failure route {name!r}")

    def event(self, name: str) -> Callable[[H], H]:
        """
        Handle an event of a contact, here or at a peer, or of a subscription.

        Args:
            name: one of :data:`EVENTS`.

        Raises:
            ValueError: the event is unknown, or already has a handler.
        """
        if name not in EVENTS:
            raise ValueError(f"unknown event {name!r}; there are: {', '.join(EVENTS)}")
        return _adder(self.events, name, f"route for the event {name!r}")

    def credentials(self, accounts: A) -> A:
        """
        Have ``accounts`` know users with passwords, beside those of `[auth] users`.

        It is called with the name of a user, such as `alice@example.com`, in the turn
        of the request, so it must return at once; it cannot be a coroutine function. It
        returns the password; or a mapping from an algorithm to the hash H(A1) of RFC
        7616; or None, if there is no such user. If it raises, the request is answered
        503.

        Raises:
            ValueError: it is a coroutine function, or there is one already.
        """
        if inspect.iscoroutinefunction(accounts):
            raise ValueError("the function for credentials cannot be a coroutine")
        if self.accounts is not None:
            raise ValueError("there is already a function for credentials")
        self.accounts = accounts
        return accounts

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
        raise ValueError(f"there is already a {kind}")
    handlers[name] = handler
