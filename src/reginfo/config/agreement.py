"""Checks between the keys of a configuration: each value against the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ..sip.flow import is_numeric
from ..sip.transport import SIP_PORT, TLS, WS, WSS, Transport
from ..sip.uri import Uri
from .auth_section import AuthSection
from .lines import KeyPath
from .sections import (
    DnsSection,
    GroupSection,
    LimitsSection,
    NatSection,
    PeerMatch,
    PeerSection,
    ProxySection,
    PuaReginfoSection,
    PuaSection,
    ServerSection,
    UsrlocSection,
)
from .secure_sections import TlsSection, WebSocketSection
from .toml import Reading


class _Sections(Protocol):
    @property
    def server(self) -> ServerSection: ...

    @property
    def pua_reginfo(self) -> PuaReginfoSection: ...

    @property
    def peers(self) -> tuple[PeerSection, ...]: ...


def check_sections_agree(reading: Reading) -> None:
    """Note in ``reading`` every value that contradicts another one."""
    for path, server in reading.all(ServerSection):
        fixed = [address for address in server.listen if address.port]
        reading.require(
            len(set(fixed)) == len(fixed),
            "an address is listed twice",
            (*path, "listen"),
        )
        reading.require(
            len(server.advertise) in (0, 1, len(server.listen)),
            f"needs one value, or one for each of the {len(server.listen)} in listen",
            (*path, "advertise"),
            (*path, "listen"),
        )
    for path, limits in reading.all(LimitsSection):
        least, most = (*path, "min_expires"), (*path, "max_expires")
        usual = (*path, "default_expires")
        reading.require(
            limits.min_expires <= limits.max_expires,
            f"is less than min_expires, {limits.min_expires}",
            most,
            least,
        )
        reading.require(
            limits.min_expires <= limits.default_expires <= limits.max_expires,
            f"{limits.default_expires} is not within min_expires and max_expires",
            usual,
            least,
            most,
        )
    for path, pua in reading.all(PuaSection):
        reading.require(
            pua.min_expires <= pua.max_expires,
            f"is less than min_expires, {pua.min_expires}",
            (*path, "max_expires"),
            (*path, "min_expires"),
        )
    for path, proxy in reading.all(ProxySection):
        # §16.6 step 11: "MUST be larger than 3 minutes".
        reading.require(
            proxy.timer_c > 180, "is not more than 180 seconds", (*path, "timer_c")
        )
    for path, nat in reading.all(NatSection):
        reading.require(
            nat.ping_interval >= 1, "is less than a second", (*path, "ping_interval")
        )
    for path, dns in reading.all(DnsSection):
        reading.require(
            dns.timeout > 0, "is not more than 0 seconds", (*path, "timeout")
        )
    pua_reginfo = next(
        (s for _, s in reading.all(PuaReginfoSection)), PuaReginfoSection()
    )
    for path, usrloc in reading.all(UsrlocSection):
        reading.require(
            usrloc.use_domain or pua_reginfo.default_domain is not None,
            "false needs pua_reginfo.default_domain, the domain of all users",
            (*path, "use_domain"),
            ("pua_reginfo", "default_domain"),
        )
    for path, auth in reading.all(AuthSection):
        reading.require(
            auth.users is not None or not auth.required,
            "needs `users`, the file that `reginfo user` writes; or `required = false`"
            " for a closed network",
            path,
            (*path, "users"),
            (*path, "required"),
        )
        reading.require(
            auth.nonce_lifetime > 0, "is not more than 0 s", (*path, "nonce_lifetime")
        )
    _check_tls(reading)
    _check_groups(reading)
    _check_peers(reading, pua_reginfo)


def _check_tls(reading: Reading) -> None:
    tls = next((one for _, one in reading.all(TlsSection)), TlsSection())
    web = next((one for _, one in reading.all(WebSocketSection)), WebSocketSection())
    reading.require(
        len(tls.key) in (0, len(tls.certificate)),
        f"needs one file for each of the {len(tls.certificate)} in certificate",
        ("tls", "key"),
        ("tls", "certificate"),
    )
    for path, server in reading.all(ServerSection):
        transports = [address.transport for address in server.listen]
        secure = next((one.token for one in transports if one.is_secure), "")
        reading.require(
            not secure or bool(tls.certificate),
            f'"{secure}:" needs tls.certificate',
            (*path, "listen"),
            ("tls", "certificate"),
        )
        reading.require(
            bool(web.origins) or not {WS, WSS}.intersection(transports),
            "WebSocket needs websocket.origins, the web pages that may connect:"
            ' ["https://HOST"], or ["*"] for all',
            (*path, "listen"),
            ("websocket", "origins"),
        )


def _check_groups(reading: Reading) -> None:
    ours = {d for _, server in reading.all(ServerSection) for d in server.domains}
    known: list[Uri] = []
    for path, group in reading.all(GroupSection):
        uri = Uri.parse(group.uri)
        reading.require(
            not any(uri.matches(other) for other in known),
            "is the URI of another group",
            (*path, "uri"),
        )
        known.append(uri)
        listed = ", ".join(sorted(ours))
        reading.require(
            uri.host in ours,
            f"is in none of server.domains: {listed}",
            (*path, "uri"),
            ("server", "domains"),
        )
        others = [domain for domain in group.domains if domain not in ours]
        reading.require(
            not others,
            f"{', '.join(others)}: none of server.domains: {listed}",
            (*path, "domains"),
            ("server", "domains"),
        )


def _check_peers(reading: Reading, pua_reginfo: PuaReginfoSection) -> None:
    names = {server.id: "this server" for _, server in reading.all(ServerSection)}
    transports = {
        address.transport
        for _, server in reading.all(ServerSection)
        for address in server.listen
    }
    listeners = {
        (address.host, address.port, address.transport)
        for _, server in reading.all(ServerSection)
        for address in server.listen
    }
    for path, peer in reading.all(PeerSection):
        reading.require(
            peer.name not in names,
            f'"{peer.name}" is the name of {names.get(peer.name)}',
            (*path, "name"),
        )
        names.setdefault(peer.name, "another peer")
        reading.require(
            peer.uri is None or _address(peer.uri) not in listeners,
            f"peer {peer.name} is this server",
            (*path, "uri"),
            ("server", "listen"),
        )
        reading.require(
            peer.uri is not None or not peer.watch,
            "needs the `uri` of the peer, to subscribe there",
            (*path, "watch"),
            (*path, "uri"),
        )
        reading.require(
            peer.uri is not None or peer.match is not None,
            "has neither a `uri` to subscribe at nor a `match` to recognise it by",
            path,
            (*path, "uri"),
            (*path, "match"),
            (*path, "watch"),
        )
        reading.require(
            not (peer.uri and peer.watch) or pua_reginfo.server_address is not None,
            "needs pua_reginfo.server_address, the From of SUBSCRIBE",
            (*path, "watch"),
            ("pua_reginfo", "server_address"),
        )
        stream = _stream(peer.uri) if peer.watch else None
        reading.require(
            stream is None or stream in transports,
            f'needs a "{stream.token if stream else ""}:" address in server.listen:'
            f" a peer that is reached by {stream} sends NOTIFY by {stream}",
            (*path, "uri"),
            ("server", "listen"),
        )
    tls = next((one for _, one in reading.all(TlsSection)), TlsSection())
    uris = {path: peer.uri for path, peer in reading.all(PeerSection)}
    for path, match in reading.all(PeerMatch):
        reading.require(
            any((match.address, match.from_, match.certificate)),
            "needs an `address`, a `from`, a `certificate`, or several of them",
            path,
            (*path, "address"),
            (*path, "from"),
            (*path, "certificate"),
        )
        uri = uris.get(path[:-1])
        transport = None if uri is None else Transport.of(Uri.parse(uri))
        reading.require(
            match.certificate is None
            or tls.verify_clients != "none"
            or transport is TLS,
            'needs tls.verify_clients = "optional" or "required", or a `uri` that is'
            " reached by TLS",
            (*path, "certificate"),
            ("tls", "verify_clients"),
        )


def warnings_of(config: _Sections) -> Iterator[tuple[KeyPath, str]]:
    """What is valid, but probably not meant: the path of a key, and a message."""
    address = config.pua_reginfo.server_address
    if address is not None:
        uri = Uri.parse(address)
        hosts = {listener.host for listener in config.server.listen}
        if is_numeric(host := uri.host.strip("[]")) and not hosts & {
            host,
            "::" if ":" in host else "0.0.0.0",
        }:
            yield (
                ("pua_reginfo", "server_address"),
                "no listener has this address; answers may not reach this server",
            )
    for number, peer in enumerate(config.peers):
        if peer.match is not None and not peer.match.is_strong:
            yield (
                ("peer", number, "match"),
                f"{peer.name} is known by its From alone, which anybody can write: its"
                " requests are believed only with the password of that user; add an"
                " `address`",
            )


def _address(uri: str) -> tuple[str, int, Transport | None]:
    """The host, the port and the transport of a SIP URI."""
    parsed = Uri.parse(uri)
    transport = Transport.of(parsed)
    port = SIP_PORT if transport is None else transport.default_port
    return parsed.host.strip("[]"), parsed.port or port, transport


def _stream(uri: str | None) -> Transport | None:
    """The transport that a URI names, if that is a stream."""
    transport = None if uri is None else Transport.of(Uri.parse(uri))
    return transport if transport is not None and transport.is_reliable else None
