"""A script asks for passwords."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import msgspec
import pytest

from reginfo.auth.credentials import Credentials
from reginfo.auth.digest import ha1
from reginfo.sip.message import Request

from .guarded import ALICE, BOB, BOBS, REGISTER, Guarded, asking
from .scripted import HEAD

SCRIPT = """
    @route.request("REGISTER")
    def register(msg: Message) -> None:
        code = msg.www_authorize("$td")
        if not code:
            msg.append_to_reply("X-Code", str(int(code)))
            msg.www_challenge("$td", "auth")
        elif msg.auth_user != f"{msg.to.parsed.user}@{msg.to.parsed.host}":
            msg.send_reply(403, "$au")
        else:
            msg.save("location")

    @route.request("MESSAGE")
    def message(msg: Message) -> None:
        if not msg.proxy_authorize():
            msg.proxy_challenge()
            return
        msg.consume_credentials()
        msg.lookup("location")
        msg.t_relay()
"""


def scripted(directory: Path, more: str, text: str = SCRIPT) -> Guarded:
    return asking(directory, more, HEAD + textwrap.dedent(text))


def code_of(server: Guarded, *headers: str) -> str:
    response = server.send(*REGISTER, *headers, to=ALICE)
    assert response is not None
    assert response.status == 401
    return response.headers["X-Code"][0]


def test_a_script_asks_itself(tmp_path: Path) -> None:
    """8760-18, 3261-141"""
    server = scripted(tmp_path, "required = false\n")
    assert code_of(server) == "-5"
    assert code_of(server, 'Authorization: Digest realm="example.com"') == "-1"
    assert server.logged_in(*REGISTER, to=ALICE) == 200
    response = server.log_in(*REGISTER, to=ALICE, password="wrong")
    assert response is not None
    assert response.headers["X-Code"] == ["-2"]
    assert 'qop="auth"' in response.headers["WWW-Authenticate"][0]
    response = server.log_in(*REGISTER, to=BOB)
    assert response is not None
    assert (response.status, response.reason) == (403, "alice")


def test_a_stale_nonce_is_said(tmp_path: Path) -> None:
    """8760-05, 8760-18"""
    server = scripted(tmp_path, "required = false\n")
    nonces = []

    for _ in range(2):
        response = server.send(*REGISTER, to=ALICE)
        assert response is not None
        (nonce,) = re.findall(
            'nonce="([^"]*)"', response.headers["WWW-Authenticate"][0]
        )
        nonces.append(nonce)
    given = Credentials(
        "alice", "example.com", nonces[0], "sip:example.com", "", "SHA-256", "auth",
        "c", "00000001",
    )  # fmt: skip
    secret = ha1("SHA-256", "alice", "example.com", "secret")
    proof = given.expected(secret, Request("REGISTER", "sip:example.com"), "SHA-256")
    lines = f"Authorization: {msgspec.structs.replace(given, response=proof).write()}"
    assert server.status(*REGISTER, lines, to=ALICE) == 200
    response = server.send(*REGISTER, lines, to=ALICE)
    assert response is not None
    assert response.headers["X-Code"] == ["-4"]
    assert "stale=true" in response.headers["WWW-Authenticate"][0]


def test_a_script_consumes_the_credentials(tmp_path: Path) -> None:
    """8760-18, 3261-145"""
    server = scripted(tmp_path, "required = false\n")
    said = {"user": "bob", "from_": BOB, "to": BOB}
    contact = f"Contact: <sip:bob@{BOBS[0]}>"
    assert server.logged_in("REGISTER", "sip:example.com", contact, **said) == 200
    assert server.logged_in("MESSAGE", BOB) == 0
    (relayed,) = server.inbox(BOBS)
    assert "Proxy-Authorization" not in relayed.headers


def test_where_the_server_has_asked_a_script_is_content(tmp_path: Path) -> None:
    """8760-18: each count of a nonce is good only once"""
    server = scripted(tmp_path, "")
    assert server.logged_in(*REGISTER, to=ALICE) == 200
    assert server.logged_in(*REGISTER, to=ALICE, password="wrong") == 401


KNOWS = """
    @route.credentials
    def known(user: str):
        if user == "bob@example.com":
            raise OSError("no answer")
        if user == "carol@example.com":
            return {"SHA-256": "%s"}
        return {"dave@example.com": "geheim"}.get(user)
"""


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [
        ("alice", "secret", 200),  # of the file
        ("carol", "secret", 200),
        ("dave", "geheim", 200),
        ("dave", "wrong", 401),
        ("erin", "secret", 401),
        ("bob", "secret", 503),
    ],
)
def test_a_script_knows_users(
    tmp_path: Path, user: str, password: str, status: int
) -> None:
    """8760-18, 3261-143: a function that raises is 503, and no loop of 401"""
    hashed = ha1("SHA-256", "carol", "example.com", "secret")
    server = scripted(tmp_path, "", KNOWS % hashed)
    server.save("alice")
    server.server.app.reload()
    aor = f"sip:{user}@example.com"
    got = server.logged_in(*REGISTER, to=aor, from_=aor, user=user, password=password)
    assert got == status
