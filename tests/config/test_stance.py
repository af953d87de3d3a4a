"""Whether a server may stand where it listens."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config, ConfigError
from reginfo.config.stance import (
    exposed,
    is_loopback,
    require_stance,
    said_at_start,
)


def text(*listen: str, auth: str = "") -> str:
    listed = ", ".join(f'"{one}"' for one in listen)
    return f"""
[server]
id = "a"
domains = ["example.com"]
listen = [{listed}]
{auth}
"""


HERE = ("udp:127.0.0.1:5060", "tcp:[::1]:5060", "udp:127.8.9.1:0", "udp:lo:5060")
OUT = ("udp:0.0.0.0:5060", "tcp:[::]:5060", "udp:192.0.2.1:5060", "udp:eth0:5060")


def test_on_its_own_machine_a_server_needs_no_passwords() -> None:
    """8760-14"""
    assert exposed(Config.parse(text(*HERE))) is None


@pytest.mark.parametrize("address", OUT)
def test_elsewhere_it_says_what_it_wants(address: str) -> None:
    """8760-14: the error has its line, and names both ways on"""
    written = text(HERE[0], address)
    with pytest.raises(ConfigError) as caught:
        require_stance(Config.parse(written), written, "f.toml")
    message = str(caught.value)
    assert message.startswith(f"f.toml:5: server.listen: {address} is reached by")
    assert "users = PATH" in message
    assert "required = false" in message


@pytest.mark.parametrize(
    "auth", ['[auth]\nusers = "users"', "[auth]\nrequired = false"]
)
def test_both_ways_lead_on(auth: str) -> None:
    """8760-14"""
    written = text(*OUT, auth=auth)
    require_stance(Config.parse(written), written, "f.toml")


def test_a_server_that_asks_nobody_says_so() -> None:
    """8760-13: at each start, on loopback too"""
    open_ = Config.parse(text(*HERE, auth="[auth]\nrequired = false"))
    assert "nobody is asked" in " ".join(said_at_start(open_))
    for auth in ("", '[auth]\nusers = "users"'):
        assert said_at_start(Config.parse(text(*HERE, auth=auth))) == []


def test_a_peer_by_its_from_alone_is_said() -> None:
    """8760-12: at each start, and by `check`"""
    peer = "[[peer]]\nname = 'p'\nmatch = {from = 'sip:p@example.net'}"
    assert "peer p is known" in " ".join(
        said_at_start(Config.parse(text(*HERE, auth=peer)))
    )
    peer = peer.replace("from", "address = '192.0.2.2', from")
    assert said_at_start(Config.parse(text(*HERE, auth=peer))) == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("fe80::1%eth0", False), ("lo0", False)],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
