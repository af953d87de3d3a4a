"""``reginfo watch``, at a real server."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from reginfo.agent.errors import RequestRefused
from reginfo.agent.watching import Notification, Trouble, Unreadable, WatchEvent
from reginfo.cli.watch import report
from reginfo.events.headers import SubscriptionState
from reginfo.reg.document import Reginfo
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.message import Response

from ..interop.phone import Phone, becomes
from ..interop.server import Server
from .run import run, start
from .test_register import WAYS, ways

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def registered(server: Server, user: str) -> str:
    """A contact of a user who has just registered."""
    with Phone(server.address) as phone:
        phone.register(user, expires=600)
        return phone.contact(user)


def lines(text: str) -> list[list[str]]:
    """The columns of each line, without the time."""
    rows = [line.split("  ") for line in text.splitlines()]
    assert all(re.fullmatch(TIME, row[0]) for row in rows)
    return [row[1:] for row in rows]


@pytest.mark.parametrize("way", WAYS)
def test_the_state_is_shown_and_the_watcher_leaves(server: Server, way: int) -> None:
    user = f"watched{way}"
    contact = registered(server, user)
    to = ways(server)[way]
    done = run("watch", f"{user}@example.test", "--count", "1", *to)
    assert (done.exit_code, done.stderr) == (0, "")
    aor = f"sip:{user}@example.test"
    (row,) = lines(done.stdout)
    assert row[:-1] == [aor, contact, "registered", "active"]
    assert 590 < int(row[-1]) <= 600
    becomes(lambda: server.health()["watchers"], 0)


def test_an_unregistered_user_has_a_line_too(server: Server) -> None:
    done = run("watch", "none@example.test", "--expires", "0", *ways(server)[0])
    assert done.exit_code == 0
    assert lines(done.stdout) == [["sip:none@example.test", "-", "-", "init", "-"]]


def test_json_has_one_object_for_each_notify(server: Server) -> None:
    contact = registered(server, "jason")
    done = run("watch", "jason@example.test", "--json", "--count=1", *ways(server)[0])
    (line,) = done.stdout.splitlines()
    told = json.loads(line)
    assert re.fullmatch(TIME, told["time"])
    assert told["uri"] == "sip:jason@example.test"
    assert told["cseq"] == 1
    assert told["subscription"] == {
        "state": "active",
        "expires": 3600,
        "reason": None,
        "retry_after": None,
    }
    assert (told["omitted"], told["missed"]) == ([], False)
    document = told["document"]
    assert (document["version"], document["state"]) == (0, "full")
    (registration,) = document["registrations"]
    assert registration["aor"] == "sip:jason@example.test"
    assert registration["state"] == "active"
    (shown,) = registration["contacts"]
    assert (shown["uri"], shown["event"]) == (contact, "registered")
    assert (shown["state"], shown["cseq"]) == ("active", 1)
    assert "display_name" not in shown


def test_changes_are_shown_until_ctrl_c(server: Server) -> None:
    process = start("watch", "ctrl@example.test", *ways(server)[0])
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert lines(first) == [["sip:ctrl@example.test", "-", "-", "init", "-"]]
        contact = registered(server, "ctrl")
        ((_, uri, event, *_),) = lines(process.stdout.readline())
        assert (uri, event) == (contact, "registered")
        assert server.health()["watchers"] == 1
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=10.0)
    finally:
        process.kill()
    assert (process.returncode, out, said) == (0, "", "")
    assert server.health()["watchers"] == 0


def test_a_long_document_comes_by_tcp(server: Server, tmp_path: Path) -> None:
    # Whoever asks by UDP has to take a stream, too (RFC 3261 §18.1.1).
    with Phone(server.address) as phone:
        contacts = [f"Contact: <sip:big{n}@192.0.2.9;x={'y' * 200}>" for n in range(20)]
        phone.register("big", expires=600, contacts=contacts)
    trace = tmp_path / "trace"
    to = ways(server)[0]
    done = run("watch", "big@example.test", "--count", "1", "--trace", trace, *to)
    assert len(lines(done.stdout)) == 20
    assert b"Via: SIP/2.0/TCP 127.0.0.1" in trace.read_bytes()
    becomes(lambda: server.health()["watchers"], 0)


def test_the_watcher_can_be_named(server: Server, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    done = run(
        *("watch", "al@example.test", "--from", "boss@example.test", "--count=1"),
        *("--trace", str(trace), *ways(server)[0]),
    )
    assert done.exit_code == 0
    assert b"From: <sip:boss@example.test>;tag=" in trace.read_bytes()


def test_a_refusal_is_1(server: Server) -> None:
    done = run("watch", "al@example.org", "--from=w@example.org", *ways(server)[0])
    assert (done.exit_code, done.stdout) == (1, "")
    port = server.port
    assert done.stderr == f"reginfo: 127.0.0.1:{port} (UDP): 404 Not Found\n"


def test_no_answer_is_3(silent: str, nobody: str) -> None:
    late = run("watch", "al@example.com", "--server", silent, "--timeout", "0.2")
    assert late.exit_code == 3
    assert f"{silent} (UDP): SUBSCRIBE got no answer within 0.2 s" in late.stderr
    place = nobody.removeprefix("sip:").partition(";")[0]
    for server in (nobody, place):  # by TCP, and by UDP: an ICMP error says so
        refused = run("watch", "al@example.com", "--server", server)
        assert refused.exit_code == 3
        assert refused.stderr == f"reginfo: {place}: connection refused\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["al@h"], "--server"),
        (["a b", "--server", "h"], "URI: not a URI"),
        (["al@h", "--server", "h", "--count", "0"], "--count"),
        (["al@h", "--server", "h", "--from", "tel:+1"], "--from: tel:+1 is no SIP URI"),
        (["al@h", "--server", "h", "--transport", "ws"], "--transport"),
    ],
)
def test_a_wrong_command_is_2(arguments: list[str], error: str) -> None:
    done = run("watch", *arguments)
    assert done.exit_code == 2
    assert error in done.stderr


def test_a_server_that_comes_back_is_watched_on(tmp_path: Path) -> None:
    with Server(tmp_path / "b", name="b") as server:
        to = f"127.0.0.1:{server.port}"
        process = start("watch", "al@example.test", "--server", to)
        assert process.stdout is not None
        try:
            assert "init" in process.stdout.readline()
            server.terminate()
            server.start()
            contact = registered(server, "al")
            assert contact in process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10.0) == 0
        finally:
            process.kill()
            process.communicate()


def told(**others: object) -> Notification:
    document = Reginfo(version=0, full=True, warnings=("two <uri> on line 7",))
    fields: dict[str, object] = {
        "cseq": 1,
        "state": SubscriptionState("active"),
        "document": document,
    }
    return Notification(**(fields | others))  # type: ignore[arg-type]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("event", "printed", "said"),
    [
        (told(), 1, "the document: two <uri> on line 7"),
        (told(document=None), 1, ""),
        (told(document=None, missed=True), 1, "an earlier NOTIFY was lost"),
        (
            Trouble(RequestRefused(Response(500, "Busy")), 2.4),
            0,
            "500 Busy; subscribing again in 2 s",
        ),
        (
            Unreadable(RemoteProtocolError("malformed reginfo")),
            0,
            "a NOTIFY was refused: malformed reginfo",
        ),
    ],
)
def test_messages_go_to_standard_error(
    capsys: pytest.CaptureFixture[str],
    event: WatchEvent,
    printed: int,
    said: str,
    as_json: bool,
) -> None:
    report(event, "sip:al@example.com", as_json)
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == printed
    assert said in err
    assert bool(said) is err.startswith("reginfo: ")
