"""The parts of a server are built from its configuration."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.server.build import Assembly
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport

from ..make import PHONE, numbers

CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[pua_reginfo]
server_address = "sip:reginfo@192.0.2.1"
"""


def built(more: str = "") -> Assembly:
    config = Config.parse(CONFIG + more)
    return Assembly(config, clock=Clock(), new_id=numbers(), jitter=lambda: 0.5)


@pytest.mark.parametrize(
    ("more", "last"),
    [
        ("", "destinations"),
        ('[nat]\nping = "options"\n', "pinger"),
        ('[registrar]\nconnection_lost = "expire"\n', "connections"),
    ],
)
def test_a_part_is_there_if_the_configuration_wants_it(more: str, last: str) -> None:
    names = [part.describe().name for part in built(more).parts]
    assert names[:6] == [
        "proxy", "store", "compositor", "notifier", "subscriber", "publisher",
    ]  # fmt: skip
    assert names[-1] == last


def test_every_kind_of_row_belongs_to_one_part() -> None:
    kinds = [rows.kind for rows in built().parts.shelves]
    assert len(kinds) == len(set(kinds))


def test_before_the_sockets_are_bound_no_stream_is_open() -> None:
    assembly = built()
    assert assembly.is_open(Flow(Local(Transport.UDP, "192.0.2.1", 5060), PHONE))
    stream = Flow(Local(Transport.TCP, "192.0.2.1", 5060), PHONE)
    assert not assembly.is_open(stream)
    assembly.hang_up(stream)
    assert assembly.flow_lost == []
