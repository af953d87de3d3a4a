"""The server to talk to, as people write it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from reginfo.agent.errors import NoAnswer
from reginfo.agent.target import ServerAddress, own_host
from reginfo.sip.transport import Transport


@pytest.mark.parametrize(
    ("text", "transport", "expected"),
    [
        ("192.0.2.1", None, ServerAddress("192.0.2.1", 5060, Transport.UDP)),
        (
            "192.0.2.1:5070",
            Transport.TCP,
            ServerAddress("192.0.2.1", 5070, Transport.TCP),
        ),
        (
            "sip.example.com",
            None,
            ServerAddress("sip.example.com", 5060, Transport.UDP),
        ),
        ("[2001:db8::1]:5070", None, ServerAddress("2001:db8::1", 5070, Transport.UDP)),
        (
            "sip:192.0.2.1:5070;transport=TCP",
            None,
            ServerAddress("192.0.2.1", 5070, Transport.TCP),
        ),
        (
            "sip:[::1];transport=udp",
            Transport.UDP,
            ServerAddress("::1", 5060, Transport.UDP),
        ),
    ],
)
def test_a_server_has_host_port_and_transport(
    text: str, transport: str | None, expected: ServerAddress
) -> None:
    assert ServerAddress.parse(text, transport) == expected


@pytest.mark.parametrize(
    ("text", "transport", "error"),
    [
        ("", None, "is not HOST:PORT"),
        ("::1", None, "is not HOST:PORT"),
        ("host:0", None, "is not HOST:PORT"),
        ("a b", None, "is not HOST:PORT"),
        ("sips:example.com;transport=udp", None, "transport udp is none of udp, tcp"),
        ("sips:example.com", "tcp", "has another transport than tcp"),
        ("sip:example.com;transport=ws", None, "transport ws is none of udp, tcp, tls"),
        ("sip:example.com;transport=sctp", None, "transport sctp is none of udp, tcp"),
        ("tls:", None, "is not HOST:PORT"),
        ("sip:example.com;transport=tcp", "udp", "has another transport than udp"),
    ],
)
def test_an_invalid_server_is_reported(
    text: str, transport: str | None, error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        ServerAddress.parse(text, transport)


def test_it_is_shown_as_it_is_spoken_to() -> None:
    assert str(ServerAddress("::1", 5070, Transport.TCP)) == "[::1]:5070 (TCP)"


def found(
    monkeypatch: pytest.MonkeyPatch, *addresses: tuple[Any, ...]
) -> tuple[str, int]:
    async def find() -> tuple[str, int]:
        async def getaddrinfo(*arguments: Any, **others: Any) -> list[Any]:
            return [
                (family, socket.SOCK_DGRAM, 17, "", address)
                for family, address in addresses
            ]

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        return await ServerAddress("a.example").find()

    return asyncio.run(find())


def test_of_several_addresses_the_first_ipv4_one_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    six = (socket.AF_INET6, ("2001:db8::1", 5060, 0, 0))
    four = (socket.AF_INET, ("192.0.2.1", 5060))
    other = (socket.AF_INET, ("192.0.2.2", 5060))
    assert found(monkeypatch, six, four, other) == ("192.0.2.1", 5060)
    assert found(monkeypatch, six) == ("2001:db8::1", 5060)


def test_a_name_that_is_nobodys_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find() -> None:
        async def getaddrinfo(*arguments: Any, **others: Any) -> list[Any]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        await ServerAddress("no.example").find()

    with pytest.raises(NoAnswer, match="no.example: Name or service not known"):
        asyncio.run(find())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", pytest.param("::1", marks=pytest.mark.ipv6)]
)
def test_our_own_address_is_the_one_that_the_route_begins_at(host: str) -> None:
    assert own_host((host, 9)) == host


def test_a_server_without_a_route_does_not_answer() -> None:
    # A broadcast address, which a socket has to ask for.
    with pytest.raises(NoAnswer, match="255.255.255.255: "):
        own_host(("255.255.255.255", 9))
