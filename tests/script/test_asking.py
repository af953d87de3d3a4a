"""The functions of a script that ask for passwords."""

from __future__ import annotations

import pytest

from reginfo.script.asking import FAILURE, MAIN, REPLY
from reginfo.sip.message import Response

from ..make import request
from .fake import Core, message

REGISTER = request("REGISTER")


@pytest.mark.parametrize(
    ("name", "status"), [("www_authorize", 401), ("proxy_authorize", 407)]
)
@pytest.mark.parametrize("code", [1, -1, -2, -4, -5])
def test_what_the_server_finds_is_returned(name: str, status: int, code: int) -> None:
    """8760-18"""
    core = Core(authorize=code)
    msg = message(core, REGISTER)
    result = getattr(msg, name)("$td", "subscriber")
    assert result == code
    assert bool(result) is (code > 0)
    assert core.asked == [("authorize", msg.to.parsed.host, status)]


@pytest.mark.parametrize(
    ("name", "status"), [("www_challenge", 401), ("proxy_challenge", 407)]
)
def test_a_challenge_is_an_answer(name: str, status: int) -> None:
    """8760-18: qop as Kamailio writes it, or by name"""
    for qop, offered in (
        (0, ""),
        ("1", ""),
        ("auth", "auth"),
        ("auth-int", "auth-int"),
    ):
        core = Core()
        msg = message(core, REGISTER)
        assert getattr(msg, name)("here", qop) == 1
        assert core.asked[0] == ("challenge", "here", status, offered)
        assert core.response.status == status
        assert getattr(msg, name)("here", qop) == -1
    with pytest.raises(ValueError, match="qop is auth or auth-int"):
        getattr(message(Core(), REGISTER), name)("here", "both")


def test_credentials_are_consumed() -> None:
    """8760-18"""
    assert message(Core(), REGISTER).consume_credentials() == 1
    assert (
        message(Core(consume_credentials=False), REGISTER).consume_credentials() == -1
    )


def test_who_has_shown_a_password_is_known() -> None:
    """8760-18"""
    msg = message(Core(), REGISTER)
    assert (msg.auth_user, msg._text("$au")) == ("", "")
    msg.request.user = "alice@example.com"
    assert msg.auth_user == "alice@example.com"
    assert msg._text("$au") == "alice"


@pytest.mark.parametrize(
    "name",
    [
        "www_authorize",
        "www_challenge",
        "proxy_authorize",
        "proxy_challenge",
        "consume_credentials",
    ],
)
def test_a_reply_has_no_password(name: str) -> None:
    getattr(message(Core(), REGISTER, kind=MAIN), name)()
    getattr(message(Core(), REGISTER, kind=FAILURE, reply=Response(404, "")), name)()
    with pytest.raises(ValueError, match="is not available in a reply route"):
        getattr(message(Core(), REGISTER, kind=REPLY, reply=Response(404, "")), name)()
