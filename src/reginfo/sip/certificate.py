"""The SIP domains that a certificate is for (RFC 5922)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from .errors import RemoteProtocolError
from .uri import Uri


def identities(certificate: Mapping[str, Any]) -> frozenset[str]:
    """
    Return the SIP domain identities in a certificate (RFC 5922 §7.1), in lower case.

    These are the hosts of its `sip:` URIs without a user; if there are none, its DNS
    names. Its IP addresses are added, for URIs that have one in the place of a domain.
    A common name is ignored: §7.1 step 2 only permits it.

    Args:
        certificate: as :meth:`ssl.SSLSocket.getpeercert` returns it, verified.
    """
    names: Mapping[str, list[str]] = {"URI": [], "DNS": [], "IP Address": []}
    for kind, value in certificate.get("subjectAltName", ()):
        if kind in names:
            names[kind].append(value)
    domains = {host for uri in names["URI"] if (host := _domain(uri))}
    if not domains:
        domains = {canonical(name) for name in names["DNS"]}
    domains |= {canonical(address) for address in names["IP Address"]}
    return frozenset(domains)


def is_for(name: str, certified: frozenset[str]) -> bool:
    """
    Whether identities include a domain, in its entirety (RFC 5922 §7.2).

    A wildcard in a certificate matches no name.
    """
    return canonical(name) in certified


def canonical(host: str) -> str:
    """Return the canonical spelling of a domain, or of an address without brackets."""
    host = host.strip().strip("[]")
    try:
        return ip_address(host).compressed
    except ValueError:
        return host.lower().rstrip(".")


def _domain(uri: str) -> str:
    """Return the host of a `sip:` URI without a user; empty for any other."""
    if "@" in uri:
        return ""
    try:
        parsed = Uri.parse(uri)
    except RemoteProtocolError:
        return ""
    return canonical(parsed.host) if parsed.scheme == "sip" else ""
