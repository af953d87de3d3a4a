"""Numeric addresses in URIs, and whether they are globally reachable."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple

CACHE = 65_536
"""The number of cached hosts: the same watchers are notified repeatedly."""


class NumericHost(NamedTuple):
    """The host of a URI, in the form that sockets use."""

    address: str
    "The address without brackets; empty if the host is a name."

    is_global: bool
    "Whether packets to it reach the same host, wherever they are sent from."


LONGEST = 64
"""The maximum length of a numeric address, with a scope."""


def numeric(host: str) -> NumericHost:
    """
    Parse the host of a URI: an IPv4 address, or an IPv6 address in brackets.

    An address is global if RFC 6890 (with RFC 8190 and the IANA registries) calls it
    globally reachable. The documentation blocks (RFC 5737, RFC 3849, RFC 9637) count as
    global, because examples and tests use them as public addresses.
    """
    return _numeric(host) if len(host) <= LONGEST else NumericHost("", True)


@lru_cache(CACHE)
def _numeric(host: str) -> NumericHost:
    try:
        if host.startswith("["):
            six = ipaddress.IPv6Address(host[1:-1])
            return NumericHost(str(six), _is_global(six, _SPECIAL_6, _GLOBAL_6))
        four = ipaddress.IPv4Address(host)
    except ValueError:
        return NumericHost("", True)
    return NumericHost(str(four), _is_global(four, _SPECIAL_4, _GLOBAL_4))


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _is_global(
    address: Address, special: list[Network], exceptions: list[Network]
) -> bool:
    if any(address in network for network in exceptions):
        return True
    return not any(address in network for network in special)


_SPECIAL_4: list[Network] = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # private use (RFC 1918)
        "100.64.0.0/10",  # shared address space (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122)
        "169.254.0.0/16",  # link local (RFC 3927)
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890 §2.1)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "224.0.0.0/4",  # multicast (RFC 5771): no single host
        "240.0.0.0/4",  # reserved (RFC 1112), with the limited broadcast (RFC 8190)
    )
]  # fmt: skip
_GLOBAL_4: list[Network] = [
    ipaddress.IPv4Network(text)
    for text in (
        "192.0.0.9/32",  # port control protocol anycast (RFC 7723)
        "192.0.0.10/32",  # TURN anycast (RFC 8155)
    )
]
_SPECIAL_6: list[Network] = [
    ipaddress.IPv6Network(text)
    for text in (
        "::/128", "::1/128",  # unspecified, loopback (RFC 4291)
        "::ffff:0:0/96",  # IPv4-mapped (RFC 4291): the sockets of IPv4 are others
        "64:ff9b:1::/48",  # local IPv4/IPv6 translation (RFC 8215)
        "100::/64", "100:0:0:1::/64",  # discard-only, dummy (RFC 6666, RFC 9780)
        "2001::/23",  # IETF protocol assignments (RFC 2928), with Teredo (RFC 4380)
        "5f00::/16",  # segment routing (RFC 9602)
        "fc00::/7",  # unique local (RFC 4193)
        "fe80::/10",  # link local (RFC 4291)
        "fec0::/10",  # site local, deprecated (RFC 3879)
        "ff00::/8",  # multicast (RFC 4291): no single host
    )
]  # fmt: skip
_GLOBAL_6: list[Network] = [
    ipaddress.IPv6Network(text)
    for text in (
        "2001:1::1/128",  # port control protocol anycast (RFC 7723)
        "2001:1::2/128",  # TURN anycast (RFC 8155)
        "2001:1::3/128",  # DNS-SD service registration anycast (RFC 9665)
        "2001:3::/32",  # AMT (RFC 7450)
        "2001:4:112::/48",  # AS112-v6 (RFC 7535)
        "2001:20::/28",  # ORCHIDv2 (RFC 7343)
        "2001:30::/28",  # drone remote ID (RFC 9374)
    )
]
