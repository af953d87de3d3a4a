"""``reginfo shorten``: contacts end soon, and the phone is told so at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..interop.phone import DOMAIN, Phone
from ..interop.server import Server
from .run import run


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "a") as running:
        yield running


def test_the_phone_that_watches_itself_is_told(server: Server) -> None:
    """3680-141: with a real process, by its API."""
    with Phone(server.address) as phone:
        phone.register("alice", expires=600)
        assert phone.subscribe("alice").status == 200
        phone.notify()
        options = ["--expires", "30", "--admin", server.admin]
        done = run("shorten", f"alice@{DOMAIN}", *options)
        assert (done.exit_code, done.stdout) == (0, "1 contact shortened to 30 s\n")
        body = phone.notify().body
        assert b'event="shortened"' in body
        assert [b["expires"] <= 30 for b in server.bindings("alice")] == [True]
        again = run("shorten", f"alice@{DOMAIN}", *options)
        assert (again.exit_code, again.stdout) == (0, "0 contacts shortened to 30 s\n")
        nobody = run("shorten", f"nobody@{DOMAIN}", *options)
        assert nobody.exit_code == 1
        assert (
            nobody.stderr == f"reginfo: nobody is registered as sip:nobody@{DOMAIN}\n"
        )


def test_the_interval_is_required() -> None:
    assert run("shorten", "al@example.com", "--admin=127.0.0.1:9").exit_code == 2
