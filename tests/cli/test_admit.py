"""``reginfo admit``: a user that was rejected registers again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..interop.phone import DOMAIN, Phone, becomes, eventually
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


def linked(directory: Path, name: str) -> Server:
    """A server that keeps the whole domain in sync with another one."""
    group = f'[[group]]\nuri = "sip:all@{DOMAIN}"\ndomains = ["{DOMAIN}"]'
    return Server(directory / name, name=name, tcp=True, sections=[group])


def test_what_is_done_at_one_server_holds_at_the_other(tmp_path: Path) -> None:
    """3680-140 to 3680-144: two real processes with a link; each act at the other."""
    a, b = linked(tmp_path, "a"), linked(tmp_path, "b")
    for one, other in ((a, b), (b, a)):
        uri = f"sip:127.0.0.1:{other.port};transport=tcp"
        watch = f'watch = "sip:all@{DOMAIN}"'
        one.peers = (f'name = "{other.name}"\nuri = "{uri}"\n{watch}',)
    alice, desk = f"alice@{DOMAIN}", "sip:desk@192.0.2.7"
    with a, b, Phone(b.address) as phone:
        eventually(lambda: a.health()["status"] == b.health()["status"] == "ok")
        assert run("add", alice, desk, "--admin", a.admin).exit_code == 0
        becomes(lambda: b.contacts("alice"), {desk})
        options = ["--expires", "60", "--admin", b.admin]
        assert run("shorten", alice, *options).exit_code == 0
        eventually(lambda: a.bindings("alice")[0]["expires"] <= 60)
        options = ["--event", "rejected", "--admin", a.admin]
        assert run("unregister", alice, *options).exit_code == 0
        becomes(lambda: b.contacts("alice"), set())
        refused = phone.ask(phone.build_register("alice", expires=600))
        assert refused.status == 403
        assert run("admit", alice, "--admin", a.admin).exit_code == 0
        eventually(
            lambda: phone.ask(phone.build_register("alice", expires=600)).status == 200
        )
        becomes(lambda: a.contacts("alice"), {phone.contact("alice")})
        assert run("unregister", alice, "--admin", a.admin).exit_code == 0
        becomes(lambda: b.contacts("alice"), set())
