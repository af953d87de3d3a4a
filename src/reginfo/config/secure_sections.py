"""The sections ``[tls]`` and ``[websocket]``, as those in `sections.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Struct

from .values import file_path, one_of, one_or_several, seconds, several, web_origin


class TlsSection(Struct, frozen=True, kw_only=True):
    """``[tls]``: certificates, ours and those that are trusted."""

    certificate: Annotated[tuple[Path, ...], one_or_several(file_path)] = ()
    """
    The certificate of this server in PEM, with those between it and its authority; one
    file, or a list. Of several, a client gets the one that is for the name that it asks
    for, or else the first, which is also shown to servers that ask for one.
    """

    key: Annotated[tuple[Path, ...], one_or_several(file_path)] = ()
    """
    The private key of `certificate`, in PEM; a list if that is one. By default it is in
    the same file. No other user of the machine may read it.
    """

    ca: Annotated[Path | None, file_path] = None
    "The authorities whose certificates are trusted, in PEM; by default the system's."

    verify_clients: Annotated[str, one_of("none", "optional", "required")] = "none"
    """
    Whether clients that connect by TLS are asked for a certificate, and whether they
    must have one. One that is not valid ends the connection. Servers that we connect to
    always need one; clients of WebSocket are never asked.
    """

    @property
    def pairs(self) -> tuple[tuple[Path, Path], ...]:
        """Each certificate with its key."""
        return tuple(zip(self.certificate, self.key or self.certificate, strict=False))


class WebSocketSection(Struct, frozen=True, kw_only=True):
    """``[websocket]``: SIP from web pages (RFC 7118)."""

    origins: Annotated[tuple[str, ...], several(web_origin)] = ()
    """
    The web pages that may connect, by the origin that their browser sends:
    `https://HOST` or `https://HOST:PORT`; `*` for all. Programs that send no origin may
    always connect.
    """

    ping: Annotated[float, seconds] = 30.0
    """
    The time between two pings of a connection; one that has answered none of them until
    the next is closed. 0 for no pings.
    """
