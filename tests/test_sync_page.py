"""The configurations in docs/sync.md can be used as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reginfo.config.config import Config
from reginfo.moving.parameters import PARAMETERS

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "sync.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


SERVER = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060"]
domains = ["example.com"]
[pua_reginfo]
server_address = "sip:reginfo@192.0.2.1"
"""
"""What stands around a part of a configuration."""


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_configuration_is_valid_and_means_what_it_says(text: str) -> None:
    """3680-148: and there is nothing in it to be warned of."""
    if "[server]" not in text:
        text = SERVER + text  # a part of one
    config = Config.parse(text)
    for peer in config.peers:
        assert peer.uri is not None or peer.match is not None


@pytest.mark.parametrize("text", blocks("toml"))
def test_no_configuration_causes_a_warning(text: str, tmp_path: Path) -> None:
    file = tmp_path / "reginfo.toml"
    file.write_text(text if "[server]" in text else SERVER + text)
    assert Config.read(file).warnings(file) == []


@pytest.mark.parametrize("text", blocks("cfg"))
def test_every_parameter_of_the_module_exists(text: str) -> None:
    lines = re.findall(r'^modparam\("(\w+)", "(\w+)"', text, re.MULTILINE)
    assert lines
    for module, name in lines:
        assert name in PARAMETERS[module]


def test_the_how_to_of_kamailio_has_an_address_for_notifies() -> None:
    """As the test with a real one has: tests/interop/test_kamailio.py."""
    (kamailio,) = [text for text in blocks("cfg") if "listen=" in text]
    ports = re.findall(r"^listen=udp:192\.0\.2\.2:(\d+)", kamailio, re.MULTILINE)
    (asks,) = re.findall(r'"server_address", "sip:\S+:(\d+)"', kamailio)
    (proxy,) = re.findall(r'"outbound_proxy", "sip:\S+:(\d+)"', kamailio)
    assert ports == [proxy, asks]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)", PAGE))
def test_every_link_has_a_target(link: str) -> None:
    assert (DOCS / link).exists()
