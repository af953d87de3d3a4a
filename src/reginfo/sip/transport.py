"""The transport protocols of SIP, and their properties."""

from __future__ import annotations

import enum
from collections.abc import Container

from .errors import RemoteProtocolError
from .uri import Uri

SIP_PORT = 5060
"""The default port of UDP and TCP (RFC 3261 §19.1.2)."""


class Transport(enum.StrEnum):
    """
    A transport protocol (RFC 3261 §18, RFC 7118); as text, its name in Via.

    It is a string, so that it is stored by its name, and is as fast as a name in keys
    on the hot path.
    """

    UDP = "UDP", SIP_PORT, False, False, "SIP+D2U", "_sip._udp"
    TCP = "TCP", SIP_PORT, False, True, "SIP+D2T", "_sip._tcp"
    TLS = "TLS", 5061, True, True, "SIPS+D2T", "_sips._tcp"
    WS = "WS", 80, False, True, "SIP+D2W", "_sip._ws"
    WSS = "WSS", 443, True, True, "SIPS+D2W", "_sips._ws"

    default_port: int

    is_secure: bool
    "Whether it encrypts."

    is_reliable: bool
    "Whether it retransmits and preserves the order: a stream."

    service: str
    "Its service in NAPTR records (RFC 3263 §4.1, RFC 7118 §5.5)."

    srv: str
    "Its service and protocol in the names of SRV records (RFC 3263 §4.2)."

    sent_protocol: str
    "The beginning of a Via: ``SIP/2.0/UDP``."

    token: str
    "Its name in lower case, as in URIs and in the configuration."

    uri_param: str
    "The parameter of a URI for it: ``;transport=tcp``; empty for UDP, the default."

    def __new__(
        cls,
        name: str,
        default_port: int,
        is_secure: bool,
        is_reliable: bool,
        service: str,
        srv: str,
    ) -> Transport:
        self = str.__new__(cls, name)
        self._value_ = name
        self.default_port = default_port
        self.is_secure = is_secure
        self.is_reliable = is_reliable
        self.service = service
        self.srv = srv
        self.sent_protocol = f"SIP/2.0/{name}"
        self.token = name.lower()
        # `ws` is the parameter of WSS as well (RFC 7118 §5.2).
        param = "ws" if name == "WSS" else self.token
        self.uri_param = "" if name == "UDP" else f";transport={param}"
        return self

    @staticmethod
    def named(name: str) -> Transport | None:
        """Return the transport with a name in any case; None if it is unknown."""
        return _BY_NAME.get(name.upper())

    @staticmethod
    def of(uri: Uri) -> Transport | None:
        """
        Return the transport of a URI: UDP by default, TLS for `sips:`; None if unknown.
        """
        name = uri.param("transport")
        if uri.scheme == "sips":
            return _SECURE.get((name or TCP).upper())
        return Transport.named(name or UDP)

    def serves(self, uri: Uri) -> bool:
        """Whether a URI names this transport, or none; `sips:` names a secure one."""
        name = uri.param("transport")
        if uri.scheme == "sips":
            return self.is_secure and (not name or _SECURE.get(name.upper()) is self)
        if not name or (name := name.upper()) == self:
            return True
        # The parameter `ws` stands for both of them (RFC 7118 §5.2).
        return self is Transport.WSS and name == Transport.WS


_BY_NAME: dict[str, Transport] = {one.value: one for one in Transport}

UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
WS, WSS = Transport.WS, Transport.WSS

_SECURE = {"TCP": TLS, "TLS": TLS, "WS": WSS, "WSS": WSS}
"""
The transports of `sips:` URIs, by their parameter: `tcp` is the right one for TLS (RFC
5630 §3.1.3), `ws` for WSS (RFC 7118 §5.2); the others are widely used.
"""

ACCEPTING_ONLY = frozenset({TLS, WS, WSS})
"""
The transports by which a user agent is reached on no other connection than its own: it
has no certificate for its name, or is a web page (RFC 5626).
"""

PREFERRED = (UDP, TCP, TLS)
"""
The transports by which we reach others, in order of preference. Nobody can connect to a
browser, so WebSocket is not among them.
"""


def asked_for(uri: Uri, ours: Container[Transport]) -> Transport | None:
    """
    Return the transport that a URI names; None if it names none. `sips:` names TLS.

    Args:
        ours: the supported transports.

    Raises:
        RemoteProtocolError: it is not supported.
    """
    name = uri.param("transport")
    if not name and uri.scheme != "sips":
        return None
    transport = Transport.of(uri)
    if transport is None or transport not in ours:
        what = f"{uri.scheme}: by {name.upper()}" if transport is None and name else ""
        raise RemoteProtocolError(f"{what or transport} is not supported", status=503)
    return transport
