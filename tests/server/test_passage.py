"""Bad input through a script: the sender is answered 4xx, and one line is logged."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from reginfo.sip.message import Response
from reginfo.testing import Script
from reginfo.testing.script import CONFIG, PHONE

from .scripted import BOB, written


def answers(
    path: Path, line: str, head: str, *headers: str, body: str = ""
) -> list[int]:
    """
    Send a request, which a handler passes to one function.

    Args:
        head: method and Request-URI.
    """
    script = Script(
        written(path / "routes.py", f"""
            @route.request("MESSAGE|NOTIFY|INVITE|OPTIONS")
            def message(msg: Message) -> None:
                {line}
            """),
        CONFIG,
    )  # fmt: skip
    script.register(BOB, "sip:bob@192.0.2.60")
    script.sent()
    method = head.partition(" ")[0]
    lines = {
        "Via": "SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKodd",
        "Max-Forwards": "70",
        "From": "<sip:alice@example.com>;tag=a",
        "To": f"<{BOB}>",
        "Call-ID": "odd",
        "CSeq": f"1 {method}",
    }
    for header in headers:
        name, _, value = header.partition(": ")
        lines[name] = value
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    data = f"{head} SIP/2.0\r\n{text}Content-Length: {len(body)}\r\n\r\n{body}"
    script.wire.send(data.encode("utf-8"), PHONE, script.server.address)
    return [
        one.message.status
        for one in script.sent()
        if isinstance(one.message, Response) and one.to == PHONE
    ]


@pytest.mark.parametrize(
    ("line", "head", "headers"),
    [
        # What cannot be relayed.
        ("msg.t_relay()", "MESSAGE sip:bob@192.0.2.60", ("Max-Forwards: 0",)),
        ("msg.t_relay()", "MESSAGE sip:bob@192.0.2.60", ("Route: <mailto:x@y>",)),
        ("msg.t_relay()", "MESSAGE sip:bob@192.0.2.60", ("Route: <sip:[::g]>",)),
        ("msg.t_relay()", "MESSAGE sip:bob@192.0.2.60", ("Proxy-Require: x",)),
        ("msg.t_relay()", "MESSAGE sip:bob@192.0.2.60", ("Max-Breadth: x",)),
        ("msg.t_relay()", "MESSAGE sip:bob@192.0.2.60", ("Max-Breadth: 0",)),
        ("msg.t_relay()", "MESSAGE tel:+1555", ()),
        ("msg.t_relay()", "MESSAGE sip:nobody@example.com", ()),
        ("msg.lookup() or msg.t_relay()", "MESSAGE tel:+1555", ()),
        ('msg.uri = f"sip:{msg.hdr(\'X-A\')}"; msg.t_relay()', f"MESSAGE {BOB}",
         ("X-A: [::g",)),
        # Texts that cannot be written.
        ('msg.append_hf("X-B", f"{msg.hdr(\'X-A\')}")', f"MESSAGE {BOB}",
         ("X-A: a$zz b",)),
        ('msg.append_to_reply("X-B", f"{msg.hdr(\'X-A\')}")', f"MESSAGE {BOB}",
         ("X-A: a$zz b",)),
        ('msg.append_hf(f"X-{msg.hdr(\'X-A\')}")', f"MESSAGE {BOB}",
         ("X-A: $(",)),
        ('msg.send_reply(200, f"{msg.hdr(\'X-A\')}")', f"MESSAGE {BOB}",
         ("X-A: $ru$",)),
        # A From that is no URI.
        ("msg.reginfo_handle_notify(); msg.reply_for_notify()",
         "NOTIFY sip:reginfo@192.0.2.1", ("From: <nonsense>;tag=a",)),
        ("msg.t_relay()", "MESSAGE sip:bob@192.0.2.60", ("From: <nonsense>;tag=a",)),
        ('msg.append_hf("X-B", "$fU")', f"MESSAGE {BOB}", ("From: <:>;tag=a",)),
        ('msg.append_to_reply("X-B", "$td")', f"MESSAGE {BOB}", ("To: <[>",)),
        ('msg.send_reply(200, "$fd")', f"MESSAGE {BOB}", ("From: <x y>;tag=a",)),
        ("msg.default()", f"MESSAGE {BOB}", ("From: <nonsense>;tag=a",)),
    ],
)  # fmt: skip
def test_input_that_cannot_be_used_is_no_error_of_the_script(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    line: str,
    head: str,
    headers: tuple[str, ...],
) -> None:
    with caplog.at_level(logging.WARNING):
        codes = answers(tmp_path, line, head, *headers)
    relayed = [200] if "default" in line or "t_relay" in line else []
    final = [code for code in codes if code >= 200]
    assert all(400 <= code < 500 for code in final), codes
    if not relayed:
        assert final
    assert not [one for one in caplog.records if one.levelno > logging.WARNING]
    assert not [one for one in caplog.records if one.exc_info]
    assert len(caplog.records) <= 1, caplog.text


@pytest.mark.parametrize("char", ["\r", "\0", "\x01"])
@pytest.mark.parametrize(
    "line",
    [
        'msg.append_to_reply("X-B", msg.hdr("X-A")); msg.send_reply(200, "OK")',
        'msg.append_to_reply("X-B", "$hdr(X-A)"); msg.send_reply(200, "OK")',
        'msg.append_hf("X-B", "$hdr(X-A)"); msg.t_relay()',
        'msg.send_reply(200, msg.hdr("X-A"))',
        "msg.t_relay()",
    ],
)
def test_a_control_character_of_a_message_is_400_or_passed_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, char: str
) -> None:
    with caplog.at_level(logging.WARNING):
        codes = answers(tmp_path, line, "MESSAGE sip:bob@192.0.2.60", f"X-A: a{char}b")
    assert all(code < 500 for code in codes), codes
    assert not [one for one in caplog.records if one.exc_info]
    assert len(caplog.records) <= 1, caplog.text


def test_what_is_wrong_in_the_script_itself_stays_a_500(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codes = answers(tmp_path, 'msg.append_hf("X-B", "a\\r\\nb")', f"MESSAGE {BOB}")
    assert codes == [500]
    assert caplog.records[-1].exc_info
