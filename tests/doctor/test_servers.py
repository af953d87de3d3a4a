"""The servers of a configuration: found by name, and asked for their options."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

import reginfo
from reginfo.config.config import Config
from reginfo.doctor import servers
from reginfo.doctor.finding import Finding, Level
from reginfo.doctor.servers import answers, examine, named
from reginfo.sip.destination import Destination
from reginfo.sip.transport import TCP, UDP, Transport

LEAST = (
    '[server]\nid = "a"\ndomains = ["example.com"]\nlisten = ["udp:127.0.0.1:5060"]\n'
)


def configured(text: str) -> Config:
    return Config.parse(LEAST + text)


async def all_of(config: Config) -> list[Finding]:
    return [finding async for finding in examine(config)]


def test_every_server_of_the_configuration_is_named() -> None:
    config = configured(
        '[pua_reginfo]\nserver_address = "sip:r@127.0.0.1"\n'
        'outbound_proxy = "sip:proxy.example.com"\n'
        'publish_to = ["sip:one.example.com", "sip:two.example.com"]\n'
        '[[peer]]\nname = "b"\nuri = "sip:b.example.com:5070"\n'
        '[[peer]]\nname = "c"\nmatch = { from = "sip:c@example.com" }\n'
    )
    assert [(subject, uri.text) for subject, uri in named(config)] == [
        ("peer b", "sip:b.example.com:5070"),
        ("publish_to", "sip:one.example.com"),
        ("publish_to", "sip:two.example.com"),
        ("outbound_proxy", "sip:proxy.example.com"),
    ]


@pytest.mark.parametrize("transport", [UDP, TCP])
def test_any_response_shows_that_a_server_is_there(transport: Transport) -> None:
    async def asked() -> Finding:
        async with reginfo.Server() as server:
            by_name = dict(one.split(":", 1) for one in server.addresses)
            host, port = by_name[transport.token].split(":")
            return await answers("peer b", Destination(transport, (host, int(port))))

    found = asyncio.run(asked())
    assert (found.subject, found.level) == ("peer b", Level.OK)
    assert "answers in" in found.text
    assert "(OPTIONS: 200)" in found.text


@pytest.mark.parametrize("transport", [UDP, TCP])
def test_a_server_that_is_not_there_is_an_error(transport: Transport) -> None:
    kind = socket.SOCK_DGRAM if transport is UDP else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = asyncio.run(answers("peer b", Destination(transport, ("127.0.0.1", port))))
    assert found.level is Level.ERROR
    assert "refused" in found.text


def test_a_server_that_says_nothing_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "WAIT", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        found = asyncio.run(answers("peer b", Destination(UDP, mute.getsockname()[:2])))
    assert found.level is Level.ERROR
    assert "OPTIONS got no answer" in found.text


def test_a_name_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        port = mute.getsockname()[1]
        config = configured(
            f'[dns]\nservers = ["127.0.0.1:{port}"]\ntimeout = 0.1\n'
            '[[peer]]\nname = "b"\nuri = "sip:b.example.com"\n'
        )
        [found] = asyncio.run(all_of(config))
    assert (found.subject, found.level) == ("peer b", Level.ERROR)
    assert "b.example.com" in found.text


def test_a_name_that_leads_to_this_server_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "hosts", lambda: {"b.example.com": ["127.0.0.1"]})
    config = configured('[[peer]]\nname = "b"\nuri = "sip:b.example.com:5060"\n')
    found = asyncio.run(all_of(config))[0]
    assert (found.subject, found.level) == ("peer b", Level.WARNING)
    assert found.text == "udp:127.0.0.1:5060 is this server itself"
