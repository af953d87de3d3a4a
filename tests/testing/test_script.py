"""A routing script under test: the messages that a test sends and receives."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.script.load import ScriptError
from reginfo.sip.message import Draft
from reginfo.testing import Script

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
AT_BOB, ELSEWHERE = ("192.0.2.60", 5060), ("192.0.2.80", 5060)
ROUTES = """
from reginfo import Message, Route

route = Route()

@route.request("REGISTER")
def register(msg: Message) -> None:
    msg.save("location")

@route.request("MESSAGE")
def message(msg: Message) -> None:
    if msg.lookup("location"):
        msg.t_relay()
    else:
        msg.send_reply(404, "Not Here")
"""


@pytest.fixture
def script(tmp_path: Path) -> Script:
    path = tmp_path / "routes.py"
    path.write_text(ROUTES)
    return Script(path, hosts={"example.org": ELSEWHERE})


def test_a_phone_registers_and_is_bound_until_it_expires(script: Script) -> None:
    assert script.register(BOB, "sip:bob@192.0.2.60", expires=60) == 200
    assert [b.contact for b in script.bindings(BOB)] == ["sip:bob@192.0.2.60"]
    assert script.bindings(BOB, "other") == []
    script.pass_time(61)
    assert script.bindings(BOB) == []


def test_the_last_response_is_returned_and_none_if_there_is_none(
    script: Script,
) -> None:
    response = script.send("MESSAGE", BOB, body="Hi")
    assert response is not None and response.status == 404
    assert script.send("ACK", BOB) is None


@pytest.mark.parametrize("body", ["Hi", b"\xff\x00"])
def test_each_message_sent_is_seen_once_with_its_destination(
    script: Script, body: str | bytes
) -> None:
    script.register(BOB, "sip:bob@192.0.2.60")
    script.sent()
    script.send("MESSAGE", BOB, "Subject: x", body=body)
    (relayed,) = script.sent()
    assert (relayed.method, relayed.uri, relayed.status) == (
        "MESSAGE", "sip:bob@192.0.2.60", 0,
    )  # fmt: skip
    assert relayed.to == AT_BOB and relayed.header("Subject") == "x"
    assert relayed.message.body == (body.encode() if isinstance(body, str) else body)
    assert script.sent() == []
    script.answer(relayed, 202, "Accepted", [("X", "1")], b"ok")
    (passed_on,) = script.sent()
    assert (passed_on.method, passed_on.uri, passed_on.status) == ("MESSAGE", "", 202)
    assert passed_on.header("X") == "1" and passed_on.message.body == b"ok"


def test_a_response_is_not_answered(script: Script) -> None:
    script.send("MESSAGE", BOB)
    (response,) = script.sent()
    with pytest.raises(AssertionError, match="a response"):
        script.answer(response, 200)


def test_a_request_can_be_sent_as_it_is(script: Script) -> None:
    head = (
        f"From: <{ALICE}>;tag=a\r\nTo: <{BOB}>;tag=b\r\nCall-ID: c\r\n"
        "CSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n"
    )
    script.request(Draft("MESSAGE", BOB, head), ELSEWHERE)
    (response,) = script.sent()
    assert (response.status, response.to) == (404, ELSEWHERE)


def test_a_script_is_read_again_and_a_wrong_one_changes_nothing(
    script: Script, tmp_path: Path
) -> None:
    path = tmp_path / "routes.py"
    path.write_text(ROUTES.replace("404", "480"))
    script.reload()
    path.write_text("route = 7")
    with pytest.raises(ScriptError):
        script.reload()
    response = script.send("MESSAGE", BOB)
    assert response is not None and response.status == 480
