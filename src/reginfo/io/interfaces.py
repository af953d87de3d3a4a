"""The addresses of this machine, of one interface or of all."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

ANY = frozenset({"0.0.0.0", "::"})
"""The wildcard addresses of each family."""

RTM_NEWADDR, RTM_GETADDR = 20, 22
NLMSG_DONE, NLMSG_ERROR = 3, 2
NLM_F_REQUEST, NLM_F_DUMP = 0x1, 0x300
IFA_ADDRESS, IFA_LOCAL = 1, 2
HEADER = struct.Struct("=LHHLL")
"""struct nlmsghdr of netlink(7): length, type, flags, sequence, port."""

ADDRESS = struct.Struct("=BBBBL")
"""struct ifaddrmsg of rtnetlink(7): family, prefix length, flags, scope, index."""

ATTRIBUTE = struct.Struct("=HH")


class InterfaceAddress(NamedTuple):
    """One address of an interface."""

    interface: str
    host: str
    "The address as sockets use it; link-local with its scope, `fe80::1%eth0`."


def expand(
    host: str, addresses: Callable[[], list[InterfaceAddress]] | None = None
) -> list[str]:
    """
    Return the addresses that ``host`` in the configuration stands for.

    Args:
        host: a numeric address, `0.0.0.0` or `::` for all of a family, or the name of
            an interface. Link-local addresses are included only for the name of an
            interface.
        addresses: lists the addresses of the machine.

    Raises:
        OSError: there are none.
    """
    is_name = not (":" in host or host[:1].isdigit())
    if host not in ANY and not is_name:
        return [host]
    known = (addresses or machine_addresses)()
    if is_name:
        found = [one.host for one in known if one.interface == host]
    else:
        found = [
            one.host
            for one in known
            if (":" in one.host) == (host == "::") and "%" not in one.host
        ]
    if not found:
        what = f"no interface {host} with an address" if is_name else "no addresses"
        raise OSError(None, what)
    return found


def machine_addresses() -> list[InterfaceAddress]:
    """
    List the addresses of all interfaces, in the order of the kernel.

    Raises:
        OSError: the kernel does not list them.
    """
    if not hasattr(socket, "AF_NETLINK"):
        return _by_name()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.settimeout(1.0)
        request = ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        size = HEADER.size + len(request)
        flags = NLM_F_REQUEST | NLM_F_DUMP
        kernel.sendto(HEADER.pack(size, RTM_GETADDR, flags, 1, 0) + request, (0, 0))
        found: list[InterfaceAddress] = []
        while True:
            if not parse(kernel.recv(1 << 16), found):
                return found


def parse(data: bytes, found: list[InterfaceAddress]) -> bool:
    """
    Parse netlink messages, and add their addresses to ``found``.

    Returns:
        Whether more messages follow.

    Raises:
        OSError: the kernel reports an error.
    """
    at = 0
    while at + HEADER.size <= len(data):
        size, kind, _, _, _ = HEADER.unpack_from(data, at)
        if kind == NLMSG_DONE:
            return False
        if kind == NLMSG_ERROR or size < HEADER.size:
            raise OSError(None, "the kernel does not list its addresses")
        if kind == RTM_NEWADDR:
            address = _address(data[at + HEADER.size : at + size])
            if address is not None:
                found.append(address)
        at += (size + 3) & ~3
    return True


def _address(data: bytes) -> InterfaceAddress | None:
    family, _, _, _, index = ADDRESS.unpack_from(data)
    if family not in (socket.AF_INET, socket.AF_INET6):
        return None
    attributes: dict[int, bytes] = {}
    at = ADDRESS.size
    while at + ATTRIBUTE.size <= len(data):
        size, kind = ATTRIBUTE.unpack_from(data, at)
        if size < ATTRIBUTE.size:
            break
        attributes[kind] = data[at + ATTRIBUTE.size : at + size]
        at += (size + 3) & ~3
    # On a point-to-point link, IFA_ADDRESS is the other end.
    octets = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS)
    if octets is None:
        return None
    try:
        interface = socket.if_indextoname(index)
    except OSError:
        return None  # it was removed meanwhile
    host = socket.inet_ntop(family, octets)
    if host.startswith("fe80:"):
        host = f"{host}%{interface}"
    return InterfaceAddress(interface, host)


def _by_name() -> list[InterfaceAddress]:
    """Return the addresses of the host's name, and of loopback (not on Linux)."""
    found = [InterfaceAddress("lo", "127.0.0.1")]
    if socket.has_ipv6:
        found.append(InterfaceAddress("lo", "::1"))
    try:
        known = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_DGRAM)
    except OSError:
        known = []
    for _, _, _, _, address in known:
        one = InterfaceAddress("", str(address[0]))
        if one.host not in [other.host for other in found]:
            found.append(one)
    return found


def source_of(host: str) -> str | None:
    """
    Return the local address from which packets to ``host`` are sent.

    This reads the routing table, and sends nothing; None if there is no route.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None
