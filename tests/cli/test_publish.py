"""``reginfo publish``, at a presence server that plays its part (RFC 3903 §6)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..interop.document import read
from ..interop.presence import Answer, PresenceServer
from ..interop.server import Server
from .run import run

CONTACT = "sip:phone@192.0.2.9;x=y"
DOCUMENT = """\
<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="full">\
<registration aor="sip:al@example.test" id="r" state="terminated"/></reginfo>"""


@pytest.fixture
def presence() -> Iterator[PresenceServer]:
    with PresenceServer() as running:
        yield running


def to(presence: PresenceServer) -> tuple[str, ...]:
    return ("--server", f"127.0.0.1:{presence.port}")


def test_a_publication_is_refreshed_changed_and_removed(
    presence: PresenceServer,
) -> None:
    publish = ("publish", "al@example.test")
    first = run(*publish, CONTACT, "--expires", "600", *to(presence))
    assert (first.exit_code, first.stderr) == (0, "reginfo: published for 600 s\n")
    second = run(*publish, "--etag", first.stdout.strip(), *to(presence))
    assert second.stderr == "reginfo: published for 3600 s\n"
    tag = second.stdout.strip()
    third = run(*publish, "sip:other@192.0.2.9", "--etag", tag, *to(presence))
    assert third.exit_code == 0
    tag = third.stdout.strip()
    fourth = run(*publish, "--etag", tag, "--remove", *to(presence))
    assert (fourth.exit_code, fourth.stdout) == (0, "")
    assert fourth.stderr == "reginfo: removed\n"

    initial, refresh, modify, remove = presence.publishes("al")
    document = read(initial.message.body)
    assert document.aor == "sip:al@example.test"
    assert {uri: told.expires for uri, told in document.contacts.items()} == {
        CONTACT: 600
    }
    assert refresh.message["sip-if-match"] == first.stdout.strip()
    assert refresh.message.body == b""
    assert read(modify.message.body).active == {"sip:other@192.0.2.9"}
    assert (remove.message["expires"], remove.message.body) == ("0", b"")


@pytest.mark.parametrize("stdin", [True, False])
def test_a_document_is_published_as_it_is(
    presence: PresenceServer, tmp_path: Path, stdin: bool
) -> None:
    body = DOCUMENT.encode()
    file = tmp_path / "doc.xml"
    file.write_bytes(body)
    from_ = "-" if stdin else str(file)
    done = run(
        *("publish", "al@example.test", "--file", from_, "--json", *to(presence)),
        input=body if stdin else None,
    )
    assert json.loads(done.stdout) == {"etag": "al1", "expires": 3600}
    (publish,) = presence.publishes("al")
    assert publish.message.body == body


def test_warnings_about_a_document_are_reported(
    presence: PresenceServer, tmp_path: Path
) -> None:
    file = tmp_path / "doc.xml"
    contact = '<contact id="c" event="created"><uri>sip:al@h</uri></contact>'
    active = DOCUMENT.replace('"terminated"/>', f'"active">{contact}</registration>')
    file.write_text(active)
    done = run("publish", "al@example.test", "--file", file, *to(presence))
    assert done.exit_code == 0
    assert f"reginfo: {file}: <contact> without state" in done.stderr


def test_a_refusal_is_1_and_says_why(presence: PresenceServer) -> None:
    """
    A refused PUBLISH ends the command with 1, and its message gives the response
    (3903-09).
    """
    dead = run("publish", "al@example.test", "--etag", "dead", *to(presence))
    assert (dead.exit_code, dead.stdout) == (1, "")
    assert "412 Conditional Request Failed" in dead.stderr
    presence.answer("al", Answer(423, "Interval Too Brief", ["Min-Expires: 7200"]))
    brief = run("publish", "al@example.test", CONTACT, *to(presence))
    assert brief.exit_code == 1
    assert "423 Interval Too Brief (Min-Expires: 7200)" in brief.stderr


def test_an_answer_without_an_entity_tag_is_1(presence: PresenceServer) -> None:
    presence.answer("al", Answer(200, "OK"))
    done = run("publish", "al@example.test", CONTACT, *to(presence))
    assert done.exit_code == 1
    assert "without a SIP-ETag" in done.stderr


def test_no_answer_is_3(silent: str) -> None:
    done = run("publish", "al@h", CONTACT, "--server", silent, "--timeout", "0.2")
    assert done.exit_code == 3
    assert "PUBLISH got no answer within 0.2 s" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "nothing to publish"),
        (["--remove"], "--remove needs --etag"),
        (["--remove", "--etag", "e", CONTACT], "--remove needs --etag"),
        (["--etag", "a b"], "--etag: 'a b' is no entity-tag"),
        (["--file", "none.xml"], "--file none.xml: No such file"),
        (["--file", "none.xml", CONTACT], "CONTACT or --file, not both"),
        (["a b"], "CONTACT: not a URI"),
        ([CONTACT, "--expires", "0"], "--expires"),
    ],
)
def test_a_wrong_command_exits_with_2_and_a_hint(
    arguments: list[str], error: str
) -> None:
    done = run("publish", "al@example.com", *arguments, "--server", "h")
    assert done.exit_code == 2
    assert error in done.stderr


def test_a_file_that_is_no_document_exits_with_2(tmp_path: Path) -> None:
    file = tmp_path / "doc.xml"
    file.write_text("<reginfo>")
    done = run("publish", "al@example.com", "--file", file, "--server", "h")
    assert done.exit_code == 2
    assert f"--file {file}: " in done.stderr


@pytest.fixture
def trusting(tmp_path: Path) -> Iterator[Server]:
    """Our own server, and a peer on this machine: only peers may publish there."""
    peer = 'name = "here"\nmatch = { address = "127.0.0.1" }'
    with Server(tmp_path / "a", peers=[peer]) as running:
        yield running


def test_our_own_server_accepts_it(trusting: Server) -> None:
    server = trusting
    publish = ("publish", "own@example.test")
    at = ("--server", f"127.0.0.1:{server.port}")
    first = run(*publish, CONTACT, "--expires", "600", *at)
    assert first.exit_code == 0, first.stderr
    assert server.contacts("own") == {CONTACT}
    second = run(*publish, "--etag", first.stdout.strip(), *at)
    assert second.exit_code == 0, second.stderr
    third = run(*publish, "--etag", second.stdout.strip(), "--remove", *at)
    assert (third.exit_code, third.stderr) == (0, "reginfo: removed\n")
    assert server.contacts("own") == set()
    dead = run(*publish, "--etag", first.stdout.strip(), *at)
    assert dead.exit_code == 1
    assert "412 " in dead.stderr
