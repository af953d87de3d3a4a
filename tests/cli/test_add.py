"""``reginfo add``: a contact without a REGISTER."""

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


def test_a_contact_is_added_and_watchers_are_told(server: Server) -> None:
    """3680-140: with a real process; what was answered is there after a kill."""
    with Phone(server.address) as phone:
        assert phone.subscribe("alice").status == 200
        phone.notify()
        arguments = ["--expires", "600", "--q", "0.5", "--admin", server.admin]
        done = run("add", f"alice@{DOMAIN}", "sip:desk@192.0.2.7", *arguments)
        said = f"sip:desk@192.0.2.7 is bound to sip:alice@{DOMAIN} for 600 s\n"
        assert (done.exit_code, done.stdout) == (0, said)
        body = phone.notify().body
        assert b'event="created"' in body and b'q="0.5"' in body
        server.kill()
        server.start()
        assert server.contacts("alice") == {"sip:desk@192.0.2.7"}


@pytest.mark.parametrize(
    ("aor", "contact", "error"),
    [
        (
            "alice@elsewhere.example",
            "sip:x@192.0.2.7",
            "not in a domain",
        ),
        (f"alice@{DOMAIN}", "nobody", "nobody"),
    ],
)
def test_an_invalid_argument_exits_with_2_and_adds_nothing(
    server: Server, aor: str, contact: str, error: str
) -> None:
    done = run("add", aor, contact, "--admin", server.admin)
    assert done.exit_code == 2
    assert error in done.stderr
    assert server.all_bindings() == []


def test_without_a_server_it_is_3() -> None:
    done = run("add", "al@example.com", "sip:x@y", "--admin=127.0.0.1:9")
    assert done.exit_code == 3
