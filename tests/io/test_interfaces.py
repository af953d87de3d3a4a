"""The addresses of the machine, of which a listener may want all."""

from __future__ import annotations

import socket
import struct

import pytest

from reginfo.io.interfaces import (
    ADDRESS,
    ATTRIBUTE,
    HEADER,
    IFA_ADDRESS,
    IFA_LOCAL,
    NLMSG_DONE,
    NLMSG_ERROR,
    RTM_NEWADDR,
    InterfaceAddress,
    expand,
    machine_addresses,
    parse,
    source_of,
)

LO = socket.if_nametoindex("lo") if hasattr(socket, "if_nametoindex") else 1
MACHINE = [
    InterfaceAddress("lo", "127.0.0.1"),
    InterfaceAddress("eth0", "192.0.2.7"),
    InterfaceAddress("eth0", "198.51.100.7"),
    InterfaceAddress("lo", "::1"),
    InterfaceAddress("eth0", "2001:db8::7"),
    InterfaceAddress("eth0", "fe80::7%eth0"),
    InterfaceAddress("eth0.100", "203.0.113.7"),
]


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("192.0.2.1", ["192.0.2.1"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("0.0.0.0", ["127.0.0.1", "192.0.2.7", "198.51.100.7", "203.0.113.7"]),
        ("::", ["::1", "2001:db8::7"]),
        ("eth0", ["192.0.2.7", "198.51.100.7", "2001:db8::7", "fe80::7%eth0"]),
        ("eth0.100", ["203.0.113.7"]),
        ("lo", ["127.0.0.1", "::1"]),
    ],
)
def test_a_host_stands_for_addresses(host: str, found: list[str]) -> None:
    assert expand(host, lambda: MACHINE) == found


@pytest.mark.parametrize("host", ["eth9", "0.0.0.0", "::"])
def test_without_an_address_there_is_an_error(host: str) -> None:
    with pytest.raises(OSError, match="address"):
        expand(host, list)


def test_this_machine_has_a_loopback_address() -> None:
    assert "127.0.0.1" in [one.host for one in machine_addresses()]
    assert source_of("127.0.0.1") == "127.0.0.1"
    assert source_of("nonsense") is None


def message(kind: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, 0, 1, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    data = ATTRIBUTE.pack(ATTRIBUTE.size + len(value), kind) + value
    return data + b"\0" * (-len(data) % 4)


def test_the_kernels_messages_are_read() -> None:
    head = ADDRESS.pack(socket.AF_INET, 32, 0, 0, LO)
    mine = socket.inet_aton("192.0.2.7")
    theirs = socket.inet_aton("192.0.2.8")
    point_to_point = head + attribute(IFA_ADDRESS, theirs) + attribute(IFA_LOCAL, mine)
    usual = head + attribute(IFA_ADDRESS, mine)
    other = ADDRESS.pack(99, 0, 0, 0, LO)
    gone = ADDRESS.pack(socket.AF_INET, 32, 0, 0, 999_999) + usual[ADDRESS.size :]
    found: list[InterfaceAddress] = []
    data = b"".join(
        message(RTM_NEWADDR, one) for one in (point_to_point, usual, other, gone, head)
    )
    assert parse(data + message(99, b"ignored!"), found)
    assert [one.host for one in found] == ["192.0.2.7", "192.0.2.7"]
    assert not parse(message(NLMSG_DONE, struct.pack("=L", 0)), found)
    with pytest.raises(OSError, match="kernel"):
        parse(message(NLMSG_ERROR, struct.pack("=L", 1)), found)


def test_a_link_local_address_has_its_scope() -> None:
    octets = socket.inet_pton(socket.AF_INET6, "fe80::7")
    head = ADDRESS.pack(socket.AF_INET6, 64, 0, 0, LO)
    found: list[InterfaceAddress] = []
    parse(message(RTM_NEWADDR, head + attribute(IFA_ADDRESS, octets)), found)
    assert [one.host for one in found] == ["fe80::7%lo"]
