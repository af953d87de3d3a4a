"""``reginfo admit``: a user that was rejected registers again."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("event", "status"),
    [(["rejected"], 403), (["probation", "--retry-after", "600"], 500)],
)
def test_a_barred_user_is_refused_until_admitted(
    server: Server, event: list[str], status: int
) -> None:
    """3680-142, 3680-143, 3680-144: with a real process, and over a kill of it."""
    alice = f"alice@{DOMAIN}"
    with Phone(server.address) as phone:

        def register() -> int:
            return phone.ask(phone.build_register("alice", expires=600)).status

        assert register() == 200
        done = run("unregister", alice, "--admin", server.admin, "--event", *event)
        assert done.exit_code == 0
        assert register() == status
        server.kill()
        server.start()
        assert register() == status
        shown = run("show", "--barred", "--json", "--admin", server.admin)
        (row,) = json.loads(shown.stdout)["barred"]
        assert (row["aor"], row["event"]) == (f"sip:{alice}", event[0])
        only = run("show", "--barred", f"bob@{DOMAIN}", "--admin", server.admin)
        assert only.exit_code == 1
        assert "neither rejected nor on probation" in only.stderr
        done = run("admit", alice, "--admin", server.admin)
        assert (done.exit_code, done.stdout) == (0, f"sip:{alice} may register\n")
        assert register() == 200
        assert run("admit", alice, "--admin", server.admin).exit_code == 1
        shown = run("show", "--barred", "--admin", server.admin)
        assert shown.stdout == "nobody is rejected or on probation\n"
