"""A phone calls another through the server: real ones, of people who know no RFC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .baresip import LIMIT, Baresip
from .phone import DOMAIN, becomes
from .server import Server

pytestmark = pytest.mark.peers("baresip")

SCRIPT = """\
from reginfo import Message, Route

route = Route()


@route.request("INVITE")
def invite(msg: Message) -> None:
    msg.t_on_reply("seen")
    msg.append_hf("X-Script: yes\\r\\n")
    if msg.lookup("location"):
        msg.t_relay()
    else:
        msg.send_reply(480, "Temporarily Unavailable")


@route.reply("seen")
def seen(msg: Message) -> None:
    print("reply", msg.status, flush=True)
"""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def phones(
    directory: Path, stack: ExitStack, server: Server, *users: str
) -> list[Baresip]:
    """Phones of these users, all registered."""
    found = [
        stack.enter_context(Baresip(directory / f"{user}-{n}", server.address, user))
        for n, user in enumerate(users)
    ]

    def registered() -> list[int]:
        return [len(server.bindings(user)) for user in users]

    becomes(registered, [users.count(user) for user in users], within=LIMIT)
    return found


@pytest.mark.parametrize("script", [None, SCRIPT])
def test_a_phone_calls_another_which_answers_and_hangs_up(
    tmp_path: Path, stack: ExitStack, script: str | None
) -> None:
    """3261-43, 3261-53: what belongs to the call comes this way, to the end."""
    server = stack.enter_context(Server(tmp_path / "a", script=script))
    alice, bob = phones(tmp_path, stack, server, "alice", "bob")
    alice.command("dial", bob.aor)
    assert bob.sees("CALL_INCOMING")["peeruri"] == alice.aor
    alice.sees("CALL_RINGING")
    bob.command("accept")
    alice.sees("CALL_ESTABLISHED")
    bob.sees("CALL_ESTABLISHED")
    bob.command("hangup")
    alice.sees("CALL_CLOSED")

    us = f"<sip:127.0.0.1:{server.port};lr>"
    (invite,) = bob.messages("INVITE sip:bob")
    assert f"Record-Route: {us}" in invite
    assert ("X-Script: yes" in invite) == (script is not None)
    assert f"Route: {us}" in bob.messages("BYE sip:alice")[0]
    assert "Max-Forwards: 69" in alice.messages("BYE sip:alice")[0]
    assert ("reply 200" in server.log) == (script is not None)


def test_a_caller_who_gives_up_stops_the_ringing(
    tmp_path: Path, stack: ExitStack
) -> None:
    """3261-48"""
    server = stack.enter_context(Server(tmp_path / "a"))
    alice, bob = phones(tmp_path, stack, server, "alice", "bob")
    alice.command("dial", bob.aor)
    bob.sees("CALL_INCOMING")
    alice.sees("CALL_RINGING")
    alice.command("hangup")
    bob.sees("CALL_CLOSED")
    becomes(lambda: len(alice.messages("SIP/2.0 487")), 1, within=LIMIT)


def test_who_declines_is_heard_and_who_is_not_there_is_told(
    tmp_path: Path, stack: ExitStack
) -> None:
    """3261-42, 3261-45"""
    server = stack.enter_context(Server(tmp_path / "a"))
    alice, bob = phones(tmp_path, stack, server, "alice", "bob")
    alice.command("dial", bob.aor)
    bob.sees("CALL_INCOMING")
    bob.command("hangup")
    assert alice.sees("CALL_CLOSED")["param"].startswith("486")
    alice.command("dial", f"sip:carol@{DOMAIN}")
    assert alice.sees("CALL_CLOSED")["param"].startswith("404")


def test_the_phone_that_answers_first_has_the_call_and_the_other_stops_ringing(
    tmp_path: Path, stack: ExitStack
) -> None:
    """3261-46"""
    server = stack.enter_context(Server(tmp_path / "a"))
    alice, one, two = phones(tmp_path, stack, server, "alice", "bob", "bob")
    alice.command("dial", one.aor)
    one.sees("CALL_INCOMING")
    two.sees("CALL_INCOMING")
    two.command("accept")
    alice.sees("CALL_ESTABLISHED")
    two.sees("CALL_ESTABLISHED")
    one.sees("CALL_CLOSED")
    assert len(one.messages("CANCEL sip:bob")) == 1
    assert not two.messages("CANCEL sip:bob")
    # And the call that is established goes on, and ends as any other.
    alice.command("hangup")
    two.sees("CALL_CLOSED")
