"""Registration events of SIP (RFC 3680): who is registered, and who wants to know."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .script.event import ContactChanged, Event, SubscriptionChanged
    from .script.message import Message
    from .script.route import Route
    from .sip.errors import Refusal
    from .sip.message import Response
    from .sip.uri import Uri

__all__ = [
    "__version__",
    "ContactChanged",
    "Event",
    "Message",
    "Refusal",
    "Response",
    "Route",
    "SubscriptionChanged",
    "Uri",
]

_WHERE = {
    "ContactChanged": ".script.event",
    "Event": ".script.event",
    "Message": ".script.message",
    "Refusal": ".sip.errors",
    "Response": ".sip.message",
    "Route": ".script.route",
    "SubscriptionChanged": ".script.event",
    "Uri": ".sip.uri",
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the command line, for one, needs none of it to start.
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
