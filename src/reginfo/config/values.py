"""
The functions that read the values of keys: from a TOML value to the one we keep.

Each raises :exc:`ValueError` with a message that says what is needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..sip.errors import RemoteProtocolError
from ..sip.transport import Transport
from ..sip.uri import Uri
from .address import (
    AdminAddress,
    AdvertisedAddress,
    ListenAddress,
    SocketAddress,
    parse_admin,
)


def text(value: object) -> str:
    """Read a string that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"a string is needed, not {shown(value)}")
    return value


def flag(value: object) -> bool:
    """Read true or false; 0 and 1 are accepted."""
    # The modules whose parameters these are write 0 and 1.
    if value not in (True, False):
        raise ValueError(f"true or false is needed, not {shown(value)}")
    return bool(value)


def whole(at_least: int) -> Callable[[object], int]:
    """Make a reader of whole numbers."""

    def read(value: object) -> int:
        if type(value) is not int or value < at_least:
            raise ValueError(
                f"a whole number of at least {at_least} is needed, not {shown(value)}"
            )
        return value

    return read


def seconds(value: object) -> float:
    """Read a duration in seconds, with or without a fraction."""
    # TOML has `inf`, and Python takes true for 1.
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 <= value < math.inf:
            return float(value)
    raise ValueError(f"a number of seconds is needed, not {shown(value)}")


def one_of(*choices: str) -> Callable[[object], str]:
    """Make a reader of one of a few words."""

    def read(value: object) -> str:
        if value not in choices:
            wanted = " or ".join(f'"{choice}"' for choice in choices)
            raise ValueError(f"{wanted} is needed, not {shown(value)}")
        return str(value)

    return read


def several(
    read_one: Callable[[object], Any], *, at_least: int = 0
) -> Callable[[object], tuple[Any, ...]]:
    """Make a reader of a list of values that ``read_one`` reads."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"a list is needed, not {shown(value)}")
        if len(value) < at_least:
            raise ValueError("the list is empty")
        return tuple(read_one(item) for item in value)

    return read


def token(value: object) -> str:
    """Read a `token` of RFC 3261, which is valid anywhere in a message."""
    if not re.fullmatch(r"[\w.!%*+`'~-]+", text(value), re.ASCII):
        raise ValueError(f"{shown(value)} is not a token (RFC 3261 §25.1)")
    return text(value)


def host_name(value: object) -> str:
    """Read a host name or an IPv4 address, in lower case."""
    name = text(value).lower().removesuffix(".")
    label = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})*", name):
        raise ValueError(f"{shown(value)} is not a host name")
    return name


def sip_uri(value: object) -> str:
    """Read a SIP or SIPS URI, as written."""
    try:
        uri = Uri.parse(text(value))
    except RemoteProtocolError as exc:
        raise ValueError(f"{shown(value)} is not a SIP URI") from exc
    if uri.scheme not in ("sip", "sips"):
        raise ValueError(f"{shown(value)} is not a SIP URI")
    return text(value)


def watched(value: object) -> str:
    """Read an address-of-record, or the URI of a group, to subscribe to."""
    if Uri.parse(sip_uri(value)).user == "*":
        raise ValueError(
            "`*` is not a user: name each address-of-record, or the `uri` of a"
            " [[group]], which has all users of its domains"
        )
    return text(value)


def group_uri(value: object) -> str:
    """Read the URI of a group."""
    uri = Uri.parse(sip_uri(value))
    if not uri.user or uri.user == "*":
        raise ValueError(f"{shown(value)} does not name a group: write sip:NAME@DOMAIN")
    return text(value)


def duration(value: object) -> float:
    """Read seconds, as a number or as text with a unit: ``30s``, ``5m``, ``12h``."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,9})\s*([smhd])", value)
        if found is None:
            raise ValueError(
                f'a duration such as "30s", "5m", "12h" or "1d" is needed,'
                f" not {shown(value)}"
            )
        return float(int(found[1]) * units[found[2]])
    return seconds(value)


def watcher(value: object) -> str:
    """Read an item of `notifier.allow`: a word, a domain or a SIP URI."""
    name = text(value)
    if name in ("all", "self", "peers"):
        return name
    return sip_uri(name) if ":" in name else host_name(name)


def listen_address(value: object) -> ListenAddress:
    """Read the address of a listener: ``udp:HOST:PORT``, or another transport."""
    name, colon, address = text(value).partition(":")
    transport = Transport.named(name)
    if transport is None:
        forms = " or ".join(f'"{one.token}:HOST:PORT"' for one in Transport)
        raise ValueError(f"{forms} is needed, not {shown(value)}")
    interface, _, port = address.rpartition(":")
    if INTERFACE.fullmatch(interface) and interface != "localhost":
        if not port.isdecimal() or int(port) > 65_535:
            raise ValueError(f"{address!r} is not INTERFACE:PORT")
        return ListenAddress(interface, int(port), transport)
    parsed = SocketAddress.parse(address)
    return ListenAddress(parsed.host, parsed.port, transport)


INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,14}(\.[0-9]+)?")
"""The name of a network interface: `eth0`, or `eth0.100` for a VLAN."""


def advertised_address(value: object) -> AdvertisedAddress:
    """Read an advertised address, ``HOST`` or ``HOST:PORT``; empty for none."""
    if value == "":
        return AdvertisedAddress("")
    return AdvertisedAddress.parse(text(value))


def web_origin(value: object) -> str:
    """Read the origin of a web page, as a browser writes it (RFC 6454); or ``*``."""
    origin = text(value).lower()
    if origin != "*" and not re.fullmatch(
        r"[a-z][a-z0-9+.-]*://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]+)?", origin
    ):
        raise ValueError(f'"https://HOST" or "*" is needed, not {shown(value)}')
    return origin


def one_or_several(
    read_one: Callable[[object], Any],
) -> Callable[[object], tuple[Any, ...]]:
    """Make a reader of one value that ``read_one`` reads, or of a list."""
    read_list = several(read_one)

    def read(value: object) -> tuple[Any, ...]:
        return read_list(value) if isinstance(value, list) else (read_one(value),)

    return read


def admin_address(value: object) -> AdminAddress:
    """Read the address of the API: ``HOST:PORT`` or ``unix:PATH``."""
    return parse_admin(text(value))


def store_path(value: object) -> Path | None:
    """Read ``sqlite:PATH``; None for ``memory:``."""
    if value == "memory:":
        return None
    scheme, _, path = text(value).partition(":")
    if scheme != "sqlite" or not path:
        raise ValueError(f'"sqlite:PATH" or "memory:" is needed, not {shown(value)}')
    return Path(path)


def file_path(value: object) -> Path:
    """Read a path, relative to the directory of the configuration."""
    return Path(text(value))


def users_place(value: object) -> Path | str:
    """Read where the users are: the path of a file, or ``script``."""
    return SCRIPT if value == SCRIPT else Path(text(value))


SCRIPT = "script"
"""The routing script knows the users."""


def realm(value: object) -> str:
    """Read a realm: text that needs no escapes within quotes."""
    name = text(value)
    if not name.isascii() or not name.isprintable() or set(name) & set('"\\'):
        raise ValueError(f"{shown(value)} is not a realm: printable ASCII is needed")
    return name


def socket_address(value: object) -> SocketAddress:
    """Read a name server: ``HOST`` or ``HOST:PORT``; the default port is 53."""
    host, port = source_address(value)
    return SocketAddress(host, 53 if port is None else port)


def source_address(value: object) -> tuple[str, int | None]:
    """Read the source of requests: ``HOST`` or ``HOST:PORT``."""
    address = text(value)
    if ":" not in address or address.endswith("]"):
        return SocketAddress.parse(f"{address}:0").host, None
    parsed = SocketAddress.parse(address)
    return parsed.host, parsed.port


def shown(value: object) -> str:
    """Write a value for an error message."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
