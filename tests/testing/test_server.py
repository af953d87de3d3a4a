"""A server at a wire: the product's own turns and administration."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.uri import Uri
from reginfo.testing import Wire, WireServer
from reginfo.testing.server import _Names

from ..make import ALICE, PHONE

CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5070"]
domains = ["example.com"]
[store]
url = "memory:"
"""


def register(wire: Wire, server: WireServer, number: int = 1) -> list[bytes]:
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        f"Via: SIP/2.0/UDP {PHONE[0]};branch=z9hG4bKr{number}",
        f"From: <{ALICE}>;tag=1",
        f"To: <{ALICE}>",
        "Call-ID: phone",
        f"CSeq: {number} REGISTER",
        "Contact: <sip:alice@192.0.2.50>",
        "Expires: 600",
    ]
    wire.send("\r\n".join([*lines, "", ""]).encode(), PHONE, server.address)
    return wire.received(PHONE)


def test_the_functions_of_the_administrator_work() -> None:
    wire = Wire()
    server = wire.serve(Config.parse(CONFIG), MemoryStorage())
    app = server.app
    register(wire, server)
    assert app.sip_addresses == ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5070"]
    assert app.health().status == "ok"
    assert app.health().commits == 1
    assert app.aors() == [ALICE]
    assert app.remove(ALICE).contacts == 1
    assert server.contacts(ALICE) == []
    assert app.health().commits == 2
    assert asyncio.run(app.committed())
    app.drain(10.0)
    assert app.health().status == "drained"


def test_a_disk_that_is_full_is_told_of_and_answered_500(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wire = Wire()
    storage = MemoryStorage()
    server = wire.serve(Config.parse(CONFIG), storage)
    storage.failures = 1
    with caplog.at_level(logging.ERROR):
        (answer,) = register(wire, server)
    assert answer.startswith(b"SIP/2.0 500 ")
    assert server.contacts(ALICE) == []
    assert server.app.health().status == "degraded"
    (answer,) = register(wire, server, 2)
    assert answer.startswith(b"SIP/2.0 200 ")
    assert server.app.health().status == "ok"


def test_a_backup_is_of_what_has_been_committed(tmp_path: Path) -> None:
    wire = Wire()
    server = wire.serve(Config.parse(CONFIG), MemoryStorage())
    register(wire, server)
    backup = server.backup(tmp_path / "backup")
    register(wire, server, 2)
    restored = wire.restore(server, backup)
    assert [one.cseq for one in restored.bindings(ALICE)] == [1]


def test_a_backup_of_another_storage_is_opened_by_the_test(tmp_path: Path) -> None:
    wire = Wire()
    server = wire.serve(Config.parse(CONFIG))
    with pytest.raises(AssertionError, match="keeps nothing"):
        server.backup(tmp_path / "backup")
    with pytest.raises(TypeError, match="open the database yourself"):
        server.opened(tmp_path / "backup")


@pytest.mark.parametrize(
    ("uri", "transport", "address"),
    [
        ("sip:192.0.2.9", "UDP", ("192.0.2.9", 5060)),
        ("sip:[2001:db8::9]:5070;transport=tcp", "TCP", ("2001:db8::9", 5070)),
        ("sip:known.example.com", "UDP", ("192.0.2.7", 5066)),
    ],
)
def test_names_are_found_as_the_wire_knows_them(
    uri: str, transport: str, address: tuple[str, int]
) -> None:
    found: list[object] = []
    names = _Names({"known.example.com": ("192.0.2.7", 5066)})
    names.find(Uri.parse(uri), found.append)
    assert found == [[(transport, address, "")]]


def test_a_name_that_nobody_knows_is_an_error() -> None:
    found: list[object] = []
    _Names({}).find(Uri.parse("sip:nowhere.example.com"), found.append)
    assert isinstance(found[0], RemoteProtocolError)
