"""Where our SUBSCRIBE and PUBLISH go."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.server.build import Assembly
from reginfo.sip.uri import Uri

from ..make import numbers

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

PEER = """
[[peer]]
name = "b"
uri = "sip:192.0.2.2"
watch = []
"""


@pytest.mark.parametrize(
    ("more", "uris"),
    [
        ("", []),
        (PEER, [("sip:192.0.2.2", "peer b")]),
        ('publish_to = ["sip:192.0.2.3"]\n', [("sip:192.0.2.3", "publish_to")]),
        ('publish_to = ["sip:example.com"]\n', []),  # that is us
        ('outbound_proxy = "sip:192.0.2.4"\n', [("sip:192.0.2.4", "outbound_proxy")]),
        ('outbound_proxy = "sip:192.0.2.4"\npublish_reginfo = false\n', []),
    ],
)
def test_peers_and_presence_servers_are_what_has_to_be_found(
    more: str, uris: list[tuple[str, str]]
) -> None:
    config = Config.parse(CONFIG + more)
    assembly = Assembly(config, clock=Clock(), new_id=numbers(), jitter=lambda: 0.5)
    assert assembly.outgoing.uris() == uris


@pytest.mark.parametrize(
    ("uri", "owner"),
    [("sip:x@192.0.2.2", "b"), ("sip:x@192.0.2.9", "192.0.2.9")],
)
def test_who_is_asked_owns_what_is_told(uri: str, owner: str) -> None:
    config = Config.parse(CONFIG + PEER)
    assembly = Assembly(config, clock=Clock(), new_id=numbers(), jitter=lambda: 0.5)
    assert assembly.outgoing.owner(Uri.parse(uri)) == owner
