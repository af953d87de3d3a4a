"""Text from the network, as it is shown."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.sip.text import json_text, printable, visible

CONTROLS = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0))]
KEPT = "\t\n\r"


@given(st.text(st.characters()))
def test_nothing_that_is_shown_controls_a_terminal(text: str) -> None:
    """3261-91"""
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)
    assert visible(text).isprintable()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain é 大", "plain é 大"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb\r", r"a\nb\r"),
        ("é\n大", r"é\n大"),
        ("\x9b\x7f\0", r"\x9b\x7f\x00"),
        ("\u2028\u202e", r"\u2028\u202e"),
        ("\udc9b", r"\udc9b"),
    ],
)
def test_a_character_that_cannot_be_shown_is_an_escape(text: str, written: str) -> None:
    """3261-91"""
    assert visible(text) == written


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain é 大", "plain é 大"),
        ("é\x1b[2J大", "é\ufffd[2J大"),
        ("\na b\r", "\ufffda b\ufffd"),
        ("\x9b\x7f\0\udc9b", "\ufffd\ufffd\ufffd\ufffd"),
    ],
)
def test_only_a_character_that_cannot_be_shown_is_replaced(
    text: str, shown: str
) -> None:
    """3261-91"""
    assert printable(text) == shown


@pytest.mark.parametrize("char", CONTROLS)
@pytest.mark.parametrize("around", ["", "\\", "\\\\", "é", '"', "u0007"])
def test_a_control_character_is_replaced_in_json(char: str, around: str) -> None:
    """3261-90: in JSON as in XML, whatever stands before it."""
    value = {"x": f"{around}{char}{around}"}
    shown = json.loads(json_text(msgspec.json.encode(value)))
    expected = char if char in KEPT else "\ufffd"
    assert shown == {"x": f"{around}{expected}{around}"}


@given(st.recursive(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.lists))
def test_json_without_control_characters_stays_as_it_is(value: object) -> None:
    data = msgspec.json.encode(value)
    assert json_text(data) == data
