"""``reginfo show``: what a server knows, for people and for programs."""

from __future__ import annotations

import gc
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from reginfo.config.address import UnixPath
from reginfo.config.sections import PeerSection

from ..web.fake import ALICE, BOB, FakeApp, binding, mirror, watch
from .admin import served
from .run import configured, run


@pytest.fixture
def admin() -> Iterator[str]:
    app = FakeApp(
        (ALICE, binding("alice", q="0.5", params=(("ob", None), ("[b]", "x")))),
        (BOB, binding("bob")),
        watches=(watch(ALICE, "one"), watch(BOB, "two", peer="b")),
        peers=(PeerSection(name="b", uri="sip:192.0.2.2"), PeerSection(name="c")),
        mirrors=(mirror("b", BOB, "sip:bob@192.0.2.9"),),
    )
    with served(app) as address:
        yield address


def cells(text: str) -> list[list[str]]:
    """What stands in a table."""
    return [
        [cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")]
        for line in text.splitlines()
        if line[0] in "┃│"
    ]


def test_bindings_are_shown_to_people(admin: str) -> None:
    result = run("show", "--admin", admin)
    assert result.exit_code == 0
    head, alice, bob = cells(result.stdout)
    # What no binding has, has no column.
    assert head == "aor uri owner expires callid cseq q params event".split()
    assert alice == [
        "sip:alice@example.com", "sip:alice@192.0.2.1", "a", "60", "call-alice", "7",
        "0.5", "ob;[b]=x", "registered",
    ]  # fmt: skip
    assert bob[0] == "sip:bob@example.com"


def test_bindings_are_shown_to_programs(admin: str) -> None:
    result = run("show", "--json", "--admin", admin)
    assert result.exit_code == 0
    rows = json.loads(result.stdout)["bindings"]
    assert [(row["aor"], row["expires"]) for row in rows] == [(ALICE, 60), (BOB, 60)]
    assert list(rows[0]) == [
        "aor", "uri", "owner", "source", "expires", "callid", "cseq", "q", "params",
        "path", "received", "event",
    ]  # fmt: skip


def test_one_aor_is_shown(admin: str) -> None:
    result = run("show", "bob@example.com", "--json", "--admin", admin)
    assert [row["aor"] for row in json.loads(result.stdout)["bindings"]] == [BOB]


def test_watchers_are_shown_to_people(admin: str) -> None:
    result = run("show", "--watchers", "--admin", admin)
    assert result.exit_code == 0
    head, alice, bob = cells(result.stdout)
    assert (
        head
        == (
            "aor watcher contact peer state expires version callid min_interval profile"
        ).split()
    )
    assert alice == [
        ALICE, "sip:bob@example.org", "sip:bob@192.0.2.50", "", "active", "600", "0",
        "one", "5", "standard",
    ]  # fmt: skip
    assert (bob[0], bob[3]) == (BOB, "b")


def test_watchers_are_shown_to_programs(admin: str) -> None:
    result = run("show", "bob@example.com", "--watchers", "--json", "--admin", admin)
    (row,) = json.loads(result.stdout)["watchers"]
    assert (row["aor"], row["callid"], row["unanswered"]) == (BOB, "two", False)


def test_peers_are_shown_to_people(admin: str) -> None:
    result = run("show", "--peers", "--admin", admin)
    assert result.exit_code == 0
    head, first, second, links, link, publications, publication = cells(result.stdout)
    assert publications == ["server", "state", "publications", "waiting"]
    assert publication[1] == "publishing 2 of 100"
    assert links[:4] == ["peer", "group", "role", "state"]
    assert link[3] == "syncing 41 200 of about 100 000"
    assert head == "name uri aor state expires next missed contacts".split()
    assert first == [
        "b", "sip:192.0.2.2", BOB, "active", "600", "300", "0", "sip:bob@192.0.2.9"
    ]  # fmt: skip
    assert second == ["c", "", "", "", "", "", "0", ""]


def test_peers_are_shown_to_programs(admin: str) -> None:
    result = run("show", "--peers", "--json", "--admin", admin)
    [link] = json.loads(result.stdout)["links"]
    [publication] = json.loads(result.stdout)["publications"]
    assert (publication["publications"], publication["waiting"]) == (100, 2)
    assert (link["peer"], link["behind"]) == ("b", 58_800)
    rows = json.loads(result.stdout)["peers"]
    assert [(row["name"], row["aor"]) for row in rows] == [("b", BOB), ("c", None)]


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ([], "nobody is registered as sip:dave@example.com"),
        (["--watchers"], "no watchers of dave@example.com"),
        (["--peers"], "no subscription to dave@example.com at any peer"),
    ],
)
def test_an_unknown_aor_is_1(admin: str, option: list[str], error: str) -> None:
    result = run("show", "dave@example.com", *option, "--admin", admin)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert error in result.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ([], "nobody is registered"),
        (["--watchers"], "no watchers"),
        (["--peers"], "no peers"),
    ],
)
def test_an_empty_result_is_no_error(
    tmp_path: Path, option: list[str], said: str
) -> None:
    with served(FakeApp(), UnixPath(tmp_path / "admin")) as address:
        result = run("show", *option, "--admin", address)
    assert (result.exit_code, result.stdout) == (0, f"{said}\n")


def test_the_configuration_says_where_to_ask(tmp_path: Path) -> None:
    file = configured(tmp_path, 'admin = "unix:admin"\n')
    with served(FakeApp((BOB, binding("bob"))), UnixPath(tmp_path / "admin")):
        assert BOB in run("show", "-c", file).stdout


@pytest.mark.parametrize(
    ("option", "name"),
    [([], "bindings"), (["--watchers"], "watchers"), (["--peers"], "peers")],
)
def test_all_pages_are_shown(
    monkeypatch: pytest.MonkeyPatch, admin: str, option: list[str], name: str
) -> None:
    monkeypatch.setattr("reginfo.web.client.PAGE", 1)
    result = run("show", *option, "--json", "--admin", admin)
    assert len(json.loads(result.stdout)[name]) == 2


def test_it_shows_one_kind_of_thing(admin: str) -> None:
    result = run("show", "--watchers", "--peers", "--admin", admin)
    assert result.exit_code == 2
    assert "one of --watchers, --peers and --barred" in result.stderr


# httpcore leaves a Unix socket to the collector if it cannot connect it.
@pytest.mark.filterwarnings("ignore:.*<socket.socket")
def test_a_server_that_does_not_answer_is_3(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"unix:{tmp_path / 'none'}"):
        result = run("show", "--admin", address)
        assert result.exit_code == 3
        assert f"no server answers at {address}" in result.stderr
    del result
    gc.collect()


def test_another_server_is_3() -> None:
    class Other(FakeApp):
        def now(self) -> float:
            raise RuntimeError("broken")

    with served(Other((ALICE, binding("alice")))) as address:
        result = run("show", "--admin", address)
    assert result.exit_code == 3
    assert "500" in result.stderr
