"""
Registration events of SIP (RFC 3680): who is registered, and who is notified of it.

The names in ``__all__`` are public, and so is :mod:`reginfo.testing`; everything else
may change in any version. A name is loaded when it is first used.
"""

from __future__ import annotations as _annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .version import __version__

if _TYPE_CHECKING:
    from .agent.errors import NoAnswer, RequestRefused, WatchEnded
    from .agent.publish import PublishResult
    from .agent.register import RegisteredContact
    from .config.config import Config, ConfigError
    from .io.network import StartError
    from .library.requests import publish, register
    from .library.server import Server
    from .library.watch import RegistrationChange, RegistrationWatch, watch
    from .reg.contact import (
        ClaimElement,
        Contact,
        ContactEvent,
        ContactState,
        RecordKey,
        Registration,
        RegistrationState,
        TempGruu,
    )
    from .reg.document import Reginfo
    from .reg.table import Table
    from .reg.xml import parse, serialize
    from .script.event import ContactChanged, Event, SubscriptionChanged
    from .script.load import ScriptError
    from .script.message import Message
    from .script.route import Route
    from .sip.errors import (
        LocalProtocolError,
        Refusal,
        ReginfoError,
        RemoteProtocolError,
    )
    from .sip.message import Response
    from .sip.uri import Uri

_MODULES = {
    ".agent.errors": ("NoAnswer", "RequestRefused", "WatchEnded"),
    ".agent.publish": ("PublishResult",),
    ".agent.register": ("RegisteredContact",),
    ".config.config": ("Config", "ConfigError"),
    ".io.network": ("StartError",),
    ".library.requests": ("publish", "register"),
    ".library.server": ("Server",),
    ".library.watch": ("RegistrationChange", "RegistrationWatch", "watch"),
    ".reg.contact": (
        "ClaimElement",
        "Contact",
        "ContactEvent",
        "ContactState",
        "RecordKey",
        "Registration",
        "RegistrationState",
        "TempGruu",
    ),
    ".reg.document": ("Reginfo",),
    ".reg.table": ("Table",),
    ".reg.xml": ("parse", "serialize"),
    ".script.event": ("ContactChanged", "Event", "SubscriptionChanged"),
    ".script.load": ("ScriptError",),
    ".script.message": ("Message",),
    ".script.route": ("Route",),
    ".sip.errors": (
        "LocalProtocolError",
        "Refusal",
        "ReginfoError",
        "RemoteProtocolError",
    ),
    ".sip.message": ("Response",),
    ".sip.uri": ("Uri",),
}

_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "__version__",
    "ClaimElement",
    "Config",
    "ConfigError",
    "Contact",
    "ContactChanged",
    "ContactEvent",
    "ContactState",
    "Event",
    "LocalProtocolError",
    "Message",
    "NoAnswer",
    "PublishResult",
    "RecordKey",
    "Refusal",
    "Reginfo",
    "ReginfoError",
    "RegisteredContact",
    "Registration",
    "RegistrationChange",
    "RegistrationState",
    "RegistrationWatch",
    "RemoteProtocolError",
    "RequestRefused",
    "Response",
    "Route",
    "ScriptError",
    "Server",
    "StartError",
    "SubscriptionChanged",
    "Table",
    "TempGruu",
    "Uri",
    "WatchEnded",
    "parse",
    "publish",
    "register",
    "serialize",
    "watch",
]


def __getattr__(name: str) -> _Any:
    # The command line, for example, starts without any of these.
    if name in _WHERE:
        value = getattr(_import_module(_WHERE[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    own = [name for name in globals() if name.startswith("__")]
    return sorted({*own, *__all__})
