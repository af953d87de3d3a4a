"""Checks of a configuration against those of its peers, and against this machine."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from ..sip.flow import Address, is_numeric
from ..sip.transport import SIP_PORT, Transport
from ..sip.uri import Uri
from .lines import KeyPath
from .sections import (
    GroupSection,
    PeerSection,
    PuaReginfoSection,
    ServerSection,
)

Warnings = Iterator[tuple[KeyPath, str]]

ANY = ("0.0.0.0", "::")
"""Hosts that stand for all addresses of their family."""


class _Whole(Protocol):
    @property
    def server(self) -> ServerSection: ...
    @property
    def pua_reginfo(self) -> PuaReginfoSection: ...
    @property
    def peers(self) -> tuple[PeerSection, ...]: ...
    @property
    def groups(self) -> tuple[GroupSection, ...]: ...


def peers_that_are_us(config: _Whole, machine: Collection[str]) -> Warnings:
    """
    Find peers whose URI leads, or may lead, to the server itself.

    Args:
        machine: the numeric addresses of this machine.
    """
    ours = _addresses(config)
    wildcards = {
        (address.host, address.port)
        for address in config.server.listen
        if address.host in ANY
    }
    for number, peer in enumerate(config.peers):
        if peer.uri is None:
            continue
        host, port = _address(Uri.parse(peer.uri))
        path = ("peer", number, "uri")
        is_here = host in machine or host in ("127.0.0.1", "::1", "localhost")
        any_host = "::" if ":" in host else "0.0.0.0"
        if (host, port) in ours or (is_here and (any_host, port) in wildcards):
            yield path, f"peer {peer.name} is this server"
        elif not is_numeric(host) and host in config.server.domains:
            yield (
                path,
                f"{host} is one of server.domains: its name may lead to this server",
            )


def one_way(config: _Whole, other: _Whole) -> Warnings:
    """
    Find what does not fit between two servers that name each other.

    Args:
        other: the configuration of the peer.
    """
    ours, theirs = _addresses(config), _addresses(other)
    here = [(n, p) for n, p in enumerate(config.peers) if _leads(p, theirs)]
    there = [p for p in other.peers if _leads(p, ours)]
    groups = [Uri.parse(group.uri) for group in other.groups]
    for number, peer in here:
        path = ("peer", number)
        if there and not peer.watch and any(p.watch for p in there):
            yield (
                path,
                f"{other.server.id} watches this server, but is not watched itself:"
                " contacts that register there are unknown here",
            )
        if there and peer.watch and not any(p.watch for p in there):
            yield (
                (*path, "watch"),
                f"{other.server.id} names this server, but does not watch it: contacts"
                " that register here are unknown there",
            )
        own = [Uri.parse(group.uri) for group in config.groups]
        for watched in peer.watch:
            uri = Uri.parse(watched)
            if any(uri.matches(one) for one in own) and not any(
                uri.matches(one) for one in groups
            ):
                yield (*path, "watch"), f"{other.server.id} has no group {watched}"


def _addresses(config: _Whole) -> set[Address]:
    """The addresses at which a server can be reached."""
    server = config.server
    found = set()
    for number, address in enumerate(server.listen):
        found.add((address.host, address.port))
        if said := server.advertised(number, address.port):
            found.add(_address(Uri.parse(f"sip:{said}")))
    if config.pua_reginfo.server_address is not None:
        uri = Uri.parse(config.pua_reginfo.server_address)
        if uri.host not in server.domains:
            found.add(_address(uri))
    return found


def _address(uri: Uri) -> Address:
    """The host and port of a URI; without a port, that of its transport."""
    transport = Transport.of(uri)
    port = SIP_PORT if transport is None else transport.default_port
    return uri.host.strip("[]"), uri.port or port


def _leads(peer: PeerSection, addresses: set[Address]) -> bool:
    """Whether a peer is the server at ``addresses``, by its URI or by its requests."""
    if peer.uri is not None and _address(Uri.parse(peer.uri)) in addresses:
        return True
    if peer.match is None or peer.match.address is None:
        return False
    host, port = peer.match.address
    return any(host == one and port in (None, other) for one, other in addresses)
