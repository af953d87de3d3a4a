"""No input makes a function of a script raise: it ends as a response, and one line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reginfo.script.functions import Functions
from reginfo.script.message import Message
from reginfo.testing import Script

PHONE = ("192.0.2.50", 5060)
PHONE_6 = ("2001:db8::50", 5060)

CALLS = {
    "reginfo_subscribe": "msg.reginfo_subscribe(text)",
    "reginfo_update": "msg.reginfo_update(text)",
    "ul_add_key": 'msg.ul_add_key("location", text, text, text)',
    "ul_add_key to us": 'msg.ul_add_key("location", ALICE, text, text)',
    "ul_get_key": 'msg.ul_get_key("location", text, text)',
    "ul_rm_key": 'msg.ul_rm_key("location", text, text)',
    "unregister": 'msg.unregister("location", text)',
    "unregister one": 'msg.unregister("location", ALICE, text)',
    "shorten": 'msg.shorten("location", text, 60)',
    "shorten one": 'msg.shorten("location", ALICE, 60, text)',
    "add": 'msg.add("location", text, "sip:alice@192.0.2.9")',
    "add one": 'msg.add("location", ALICE, text)',
    "admit": 'msg.admit("location", text)',
    "bindings": "msg.bindings(text)",
    "bindings in": "msg.bindings(ALICE, text)",
    "send_request": 'msg.send_request("MESSAGE", text)',
    "send_request to a user": (
        'msg.send_request("MESSAGE", ALICE, headers=[("X-A", text)], body=text,'
        " from_=text)"
    ),
    "send_request by": "msg.send_request(text, ALICE)",
    "send_request with": 'msg.send_request("MESSAGE", ALICE, headers=[(text, "x")])',
    "quote": "msg.quote(text)",
    "hdr": "msg.hdr(text)",
    "hdrs": "msg.hdrs(text)",
    "is_method": "msg.is_method(text)",
    "t_check_status": "msg.t_check_status(text)",
    "append_hf": 'msg.append_hf("X-A", text)',
    "append_hf a line": "msg.append_hf(text)",
    "append_hf by name": 'msg.append_hf(text, "x")',
    "remove_hf": "msg.remove_hf(text)",
    "append_to_reply": 'msg.append_to_reply("X-A", text)',
    "append_to_reply a line": "msg.append_to_reply(text)",
    "append_branch": "msg.append_branch(text)",
    "send_reply": "msg.send_reply(200, text)",
    "send_reply with": 'msg.send_reply(200, "OK", (("X-A", text),))',
    "send_reply by name": 'msg.send_reply(200, "OK", ((text, "x"),))',
    "uri": "msg.uri = text",
    "t_relay": "msg.t_relay()",
    "t_relay to": "msg.uri = text; msg.t_relay()",
    "t_relay to a branch": "msg.append_branch(text); msg.t_relay()",
    "t_relay with": 'msg.append_hf("X-A", text); msg.t_relay()',
    "t_on_reply": "msg.t_on_reply(text); msg.t_relay()",
    "t_on_failure": "msg.t_on_failure(text); msg.t_relay()",
    "loose_route": "msg.loose_route()",
    "default": "msg.default()",
    "save": 'msg.save() if msg.method == "REGISTER" else None',
    "save in": 'msg.save(text) if msg.method == "REGISTER" else None',
    "lookup": "msg.lookup(); msg.t_relay()",
    "lookup in": "msg.lookup(text); msg.t_relay()",
    "reginfo_handle_notify": "msg.reginfo_handle_notify(); msg.reply_for_notify()",
    "reginfo_handle_notify in": "msg.reginfo_handle_notify(text)",
    "reply_for_notify": "msg.reply_for_notify()",
    "reginfo_disable_publish": "msg.reginfo_disable_publish(); msg.default()",
    "handle_subscribe": (
        'msg.handle_subscribe() if msg.method == "SUBSCRIBE" else None'
    ),
    "handle_publish": 'msg.handle_publish() if msg.method == "PUBLISH" else None',
    "www_authorize": "msg.www_authorize(text) or msg.www_challenge(text)",
    "proxy_authorize": "msg.proxy_authorize(text) or msg.proxy_challenge(text)",
    "consume_credentials": "msg.consume_credentials()",
    "attributes": (
        "[msg.from_.uri, msg.from_.parsed, msg.to.parsed, msg.uri, msg.call_id,"
        " msg.cseq, msg.source, msg.status, msg.body, repr(msg)]"
    ),
    "pseudo-variables": (
        'msg.append_to_reply("X-A", "$fu $fU $tu $tU $td $ru $rU $rd $ci $hdr(X-Text)")'
    ),
}
"""What is called with a text of the message, by a name for the test."""

METHODS = (
    "MESSAGE", "INVITE", "REGISTER", "SUBSCRIBE", "PUBLISH", "NOTIFY", "OPTIONS"
)  # fmt: skip

SOURCES = {
    "the header": 'msg.hdr("X-Text") or ""',
    "a pseudo-variable": '"$hdr(X-Text)"',
    "a part": 'f"{msg.hdr("X-Text")}"'.replace('"X-Text"', "'X-Text'"),
    "a URI made of it": "f\"sip:{msg.hdr('X-Text')}@example.com\"",
    "the Request-URI": "msg.request.uri",
    "From": 'msg.hdr("From")',
    "the user": "msg.from_.parsed.user",
    "the body": 'msg.body.decode("utf-8", "surrogateescape")',
}
"""Where the text comes from: all that a script of an operator would do."""


def written(path: Path) -> Path:
    """A script that calls whatever the request names."""
    lines = [
        "from reginfo import Message, Route",
        "",
        "route = Route()",
        'ALICE = "sip:alice@example.com"',
        "",
        "",
        "async def handle(msg: Message) -> None:",
        '    name = msg.hdr("X-Call")',
        '    source = msg.hdr("X-Source")',
    ]
    for name, code in SOURCES.items():
        lines += [f"    if source == {name!r}:", f"        text = {code}"]
    for name, code in CALLS.items():
        lines += [f"    if name == {name!r}:", f"        {code}"]
    lines += [
        "    if not (msg.answered or msg.relayed):",
        '        msg.send_reply(200, "OK")',
        "",
        "",
    ]
    for method in METHODS:
        lines += [f'route.request("{method}")(handle)']
    lines += ['route.reply("known")(lambda msg: None)']
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    directory = tmp_path_factory.mktemp("hostile")
    hostile = Script(written(directory / "routes.py"))
    hostile.wire.packets.clear()
    yield hostile


def test_every_function_of_a_message_is_called() -> None:
    """A new function is fuzzed, too, or this fails."""
    functions = {
        name
        for kind in (Functions, Message)
        for name, value in vars(kind).items()
        # mutmut puts its mutants beside them, under names with a letter of its own.
        if callable(value) and not name.startswith("_") and name.isascii()
    }
    called = {name for name in functions for code in CALLS.values() if name in code}
    assert called == functions


ODD = (
    "", " ", "a", "sip:", "sip:@", "sip:a@", "sip:@b", "sip:a@b@c", "sips:a@b",
    "tel:+1", "tel:", "mailto:a@b", "sip:[::1]", "sip:[::1", "sip:a@[::1]:5060",
    "sip:a@b:99999", "sip:a@b:x", "sip:a@b:-1", "sip:a@b;transport=x",
    "sip:a@b;transport=tls", "sip:a@b;maddr=", "sip:a@b;maddr=0.0.0.0",
    "sip:a@0.0.0.0", "sip:a@b?Route=x", "sip:a@b?a=%0d%0aX:y", "sip:%0d%0a@b",
    "sip:%00@b", "sip:a%@b", "sip:a@b;lr;lr", "<sip:a@b>", '"a" <sip:a@b>',
    '"\\"" <sip:a@b>', "<", ">", "<sip:a@b", "a: b", "a:", ": b", "Via: x", "To: x",
    "X-A: b", "X A: b", "$", "$fu", "$hdr(", "$hdr(X)", "$$", "$var(x)", "$nonsense",
    "%s", "{}", "\\", "*", "a,b", "é", "漢字", "\u2028", "sip:é@example.com",
    "sip:alice@example.com", "sip:alice@example.com:5060", "sip:192.0.2.1",
    "sip:a@192.0.2.1:5060", "known", "location", "location\t", "(", "[", "(a+)+$",
    "a" * 3000, "1e999", "-1", "nan", "\x7f", "\udcff", "sip:\udcff@b",
)  # fmt: skip

texts = st.one_of(
    st.sampled_from(ODD),
    st.text(max_size=30),
    st.builds("sip:{}@{}".format, st.text(max_size=8), st.text(max_size=8)),
).map(lambda text: text.replace("\r", "").replace("\n", ""))


def request_of(
    number: int, method: str, call: str, source: str, text: str, place: str
) -> bytes:
    """A request with a text at one place of it."""
    uri = text if place == "uri" else "sip:alice@example.com"
    sender = text if place == "from" else "sip:bob@example.com"
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKh{number}",
        f"From: <{sender}>;tag=f{number}",
        f"To: <{text if place == 'to' else 'sip:alice@example.com'}>",
        f"Call-ID: h{number}",
        f"CSeq: 1 {method}",
        "Max-Forwards: 70",
        f"X-Call: {call}",
        f"X-Source: {source}",
        f"X-Text: {text}",
        "Event: reg",
        "Contact: <" + (text if place == "contact" else "sip:bob@192.0.2.50") + ">",
    ]
    if place == "route":
        lines.append(f"Route: <{text}>")
    if method == "NOTIFY":
        lines.append("Subscription-State: active;expires=600")
    body = text.encode("utf-8", "surrogateescape")
    lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")
    return head + body


async def sent(script: Script, data: bytes, phone: tuple[str, int]) -> None:
    """Send a request, in a loop: a handler may wait."""
    script.wire.send(data, phone, script.server.address)
    for _ in range(3):
        await asyncio.sleep(0)


places = st.sampled_from(["header", "uri", "from", "to", "contact", "route"])
numbers = iter(range(10**9))

UNEXPANDED = {
    "hdr", "hdrs", "is_method", "t_check_status", "send_request by",
    "send_request with", "send_request to a user",
}  # fmt: skip
"""Calls whose argument is no text with pseudo-variables."""


@settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],
)
@given(
    st.sampled_from(sorted(CALLS)), st.sampled_from(METHODS),
    st.sampled_from(sorted(SOURCES)), texts, places, st.sampled_from([PHONE, PHONE_6]),
)  # fmt: skip
def test_no_input_makes_a_function_of_a_script_raise(
    script: Script,
    caplog: pytest.LogCaptureFixture,
    call: str,
    method: str,
    source: str,
    text: str,
    place: str,
    phone: tuple[str, int],
) -> None:
    """It ends as a response of its own or a 4xx, and with one line in the log."""
    assume(not (call in UNEXPANDED and source == "a pseudo-variable"))
    caplog.clear()
    data = request_of(next(numbers), method, call, source, text, place)
    with caplog.at_level(logging.WARNING):
        asyncio.run(sent(script, data, phone))
        received = script.wire.received(phone)
    script.wire.packets.clear()
    wrong = [one for one in caplog.records if one.exc_info or one.levelname == "ERROR"]
    assert [one.getMessage() for one in wrong] == []
    assert len(caplog.records) <= 1
    for data in received:
        if data.startswith(b"SIP/2.0 "):
            status = int(data[8:11])
            # §16.7 step 6: what the next hop could not be sent is 500, too.
            relays = "t_relay" in CALLS[call] or "default" in CALLS[call]
            assert status < 500 or status in (501, 503, 513) or relays
