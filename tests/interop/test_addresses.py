"""A server at all addresses of its machine answers from the one that was asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import pytest

from .namespace import Network, NoNetwork

PORT = 5060
FOUR = ("127.0.0.1", "127.0.0.2", "192.0.2.1")
SIX = ("::1", "2001:db8::1", "2001:db8::2")
ASKER = Path(__file__).parent / "asker.py"

CONFIG = f"""
[server]
id = "a"
listen = ["udp:0.0.0.0:{PORT}", "tcp:0.0.0.0:{PORT}",
          "udp:[::]:{PORT}", "tcp:[::]:{PORT}"]
domains = ["example.com"]
[store]
url = "memory:"
[auth]
required = false
"""


@pytest.fixture(scope="module")
def network(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Network, str] | None]:
    """A server at all addresses of a network, and its log; None without a network."""
    directory = tmp_path_factory.mktemp("addresses")
    try:
        network = Network()
    except (NoNetwork, OSError):
        yield None
        return
    (directory / "reginfo.toml").write_text(CONFIG)
    log = directory / "log"
    with network, log.open("wb") as stream:
        process = subprocess.Popen(
            [
                *network.command, sys.executable, "-m", "reginfo", "serve",
                "-c", str(directory / "reginfo.toml"),
            ],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 20
            while "ready " not in log.read_text() and time.monotonic() < deadline:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield network, log.read_text()
        finally:
            process.terminate()
            process.wait(20)


def ask(
    network: tuple[Network, str] | None,
    do_without: Callable[[str], Never],
    transport: str,
    host: str,
) -> dict[str, Any]:
    if network is None:
        do_without("a network namespace")
    command = [*network[0].command, sys.executable, str(ASKER)]
    found = subprocess.run(
        [*command, transport, host, str(PORT)],
        check=True, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(found.stdout)
    return result


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("host", [*FOUR, *SIX])
def test_an_answer_leaves_from_the_address_that_was_asked(
    network: tuple[Network, str] | None,
    do_without: Callable[[str], Never],
    host: str,
    transport: str,
) -> None:
    """
    3261-103: RFC 3581 §4, also behind a NAT, which lets nothing in from elsewhere.

    What follows in the dialog does so, too: its Contact and its NOTIFY.
    """
    found = ask(network, do_without, transport, host)
    assert found == {"response": host, "contact": host, "notify": host}


def test_it_says_at_which_addresses_it_listens(
    network: tuple[Network, str] | None, do_without: Callable[[str], Never]
) -> None:
    """3261-61: each of them, and none that nobody can reach."""
    if network is None:
        do_without("a network namespace")
    ready = re.search(r"ready sip=(\S+)", network[1])
    assert ready is not None
    addresses = ready[1].split(",")
    expected = {
        f"{transport}:{host}:{PORT}"
        for transport in ("udp", "tcp")
        for host in (*FOUR, *(f"[{six}]" for six in SIX))
    }
    assert set(addresses) == expected
