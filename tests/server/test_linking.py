"""The links of a server, built from its configuration."""

from __future__ import annotations

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.server.build import Assembly

from ..make import numbers

CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com", "example.org"]
[store]
url = "memory:"
"""
GROUP = """
[[group]]
uri = "sip:All@Example.com:5060"
domains = ["example.org"]
"""


def built(more: str) -> Assembly:
    config = Config.parse(CONFIG + more)
    return Assembly(config, clock=Clock(), new_id=numbers(), jitter=lambda: 0.5)


def test_a_group_is_found_by_its_uri_as_records_have_it() -> None:
    [aor] = built(GROUP).links.groups
    assert aor == "sip:All@example.com"


def test_without_a_group_a_server_has_neither_part() -> None:
    """Then nothing is added to a REGISTER."""
    without, with_one = built(""), built(GROUP)
    assert not {without.source, without.sink} & set(without.parts)
    assert {with_one.source, with_one.sink} <= set(with_one.parts)
    assert without.flow_lost == []
    assert without.uas._sink is None
