"""``reginfo unregister``: contacts are removed, and those who watch are told why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..interop.phone import DOMAIN, Phone
from ..interop.server import Server
from .run import run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "a", min_interval=60.0) as running:
        yield running


def test_a_phone_that_watches_itself_is_notified_at_once(server: Server) -> None:
    """Whatever the interval is, who is removed does not wait for it."""
    with Phone(server.address) as phone:
        phone.register("alice", expires=600)
        assert phone.subscribe("alice").status == 200
        assert b'event="registered"' in phone.notify().body
        arguments = ("--event", "probation", "--retry-after", "30")
        done = run("unregister", f"alice@{DOMAIN}", "--admin", server.admin, *arguments)
        assert (done.exit_code, done.stdout) == (0, "1 contact removed\n")
        body = phone.notify().body
        assert b'event="probation"' in body
        assert b'retry-after="30"' in body
        assert server.all_bindings() == []
        again = run("unregister", f"alice@{DOMAIN}", "--admin", server.admin)
        assert again.exit_code == 1
        assert again.stderr == f"reginfo: nobody is registered as sip:alice@{DOMAIN}\n"


def test_an_invalid_argument_exits_with_2_and_removes_nothing(server: Server) -> None:
    with Phone(server.address) as phone:
        phone.register("alice", expires=600)
    done = run(
        "unregister", f"alice@{DOMAIN}", "--admin", server.admin, "--event=probation"
    )
    assert done.exit_code == 2
    assert "probation, and only probation, needs retry-after" in done.stderr
    assert len(server.all_bindings()) == 1


def test_without_a_server_it_is_3() -> None:
    assert run("unregister", "al@example.com", "--admin=127.0.0.1:9").exit_code == 3
