"""Control characters in a request, and all that they come to."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config
from reginfo.reg import xml
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire

ALICE = "sip:alice@example.com"
PHONE, SERVER = ("192.0.2.50", 5060), ("192.0.2.1", 5060)
CONFIG = """
[server]
id = "a"
listen = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
"""

# RFC 4475 §3.1.1.2: each in a quoted-pair.
CONTROLS = '"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f ESC:\\\x1b[2J"'
SHOWN = "BEL:\ufffd NUL:\ufffd DEL:\ufffd ESC:\ufffd[2J"


def ask(wire: Wire, method: str, uri: str, *lines: str) -> list[Request | Response]:
    """Send a request, and return the response to it and all that follows."""
    head = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bK{method}",
        f"From: {CONTROLS} <{ALICE}>;tag=1;x={CONTROLS}",
        f"To: {CONTROLS} <{ALICE}>",
        f"Call-ID: {method}",
        f"CSeq: 1 {method}",
    ]
    wire.send("\r\n".join([*head, *lines, "", ""]).encode(), PHONE, SERVER)
    return [parse(data) for data in wire.received(PHONE)]


@pytest.mark.parametrize(
    "value",
    [
        f"{CONTROLS} <sip:alice@192.0.2.50>;x={CONTROLS}",
        f"<sip:alice@192.0.2.50>;x={CONTROLS}",
        f"sip:alice@192.0.2.50;x={CONTROLS}",
    ],
)
def test_an_escaped_control_character_stays_so_and_is_replaced_in_xml(
    value: str,
) -> None:
    """3261-90: escaped in all that is sent by SIP, U+FFFD in documents."""
    wire = Wire()
    server = wire.serve(Config.parse(CONFIG))
    (response,) = ask(wire, "REGISTER", "sip:example.com", f"Contact: {value}")
    assert isinstance(response, Response)
    assert response.status == 200
    (listed,) = response.headers["Contact"]
    assert listed.startswith(value.partition("<")[0] if value[0] == '"' else "<")
    assert listed.endswith(f";x={CONTROLS}")
    assert response.headers["From"] == [f"{CONTROLS} <{ALICE}>;tag=1;x={CONTROLS}"]

    contact = "Contact: <sip:w@192.0.2.50>"
    response, notify = ask(wire, "SUBSCRIBE", ALICE, "Event: reg", contact)
    assert isinstance(notify, Request)
    assert notify.headers["To"] == [f"{CONTROLS} <{ALICE}>;tag=1;x={CONTROLS}"]
    (shown,) = xml.parse(notify.body).registrations[0].contacts
    assert shown.display_name == (SHOWN if value[0] == '"' else None)
    assert shown.params == (
        ("x", CONTROLS.translate(dict.fromkeys(b"\0\7\x1b\x7f", 0xFFFD))),
    )
    assert not set(notify.body) & set(b"\0\7\x1b\x7f")
    (binding,) = server.bindings(ALICE)
    assert binding.contact == "sip:alice@192.0.2.50"


@pytest.mark.parametrize("octet", ["\r", "\n", "\0", "\\\r", "\\\n"])
@pytest.mark.parametrize("around", ["{}", '"{}"', "<sip:a@b>;x={}", '<sip:a@b>;x="{}"'])
def test_a_line_end_or_a_bare_nul_changes_nothing(octet: str, around: str) -> None:
    """3261-80: 400, and nobody is registered."""
    wire = Wire()
    server = wire.serve(Config.parse(CONFIG))
    contact = f"Contact: {around.format(f'a{octet}X-Evil: 1')}"
    if octet == "\0" and '"' in around:
        contact = f"Contact: {around.format('a' + octet)}"
    (response,) = ask(wire, "REGISTER", "sip:example.com", contact)
    assert isinstance(response, Response)
    assert response.status == 400
    assert "X-Evil" not in response.headers
    assert server.bindings(ALICE) == []
