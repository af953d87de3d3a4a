"""Words of a configuration, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.moving.words import Word, words


def of(text: str) -> list[str]:
    return [word.text for word in words(text) if word.kind != "line"]


def test_words_strings_and_marks() -> None:
    assert list(words("modparam(\"pua\", 'x', 3600)\n")) == [
        Word("modparam", 1, "word"),
        Word("(", 1, "mark"),
        Word("pua", 1, "string"),
        Word(",", 1, "mark"),
        Word("x", 1, "string"),
        Word(",", 1, "mark"),
        Word("3600", 1, "word"),
        Word(")", 1, "mark"),
        Word("", 1, "line"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a # b\nc", ["a", "c"]),
        ("a // b\nc", ["a", "c"]),
        ("a /* b\n * c */ d", ["a", "d"]),
        ("a /* b", ["a"]),
        ("listen=udp:[::1]:5060", ["listen", "=", "udp:[::1]:5060"]),
        ('"a \\"b\\" c"', ['a "b" c']),
        ('"sip://x # y"', ["sip://x # y"]),
        ('"never ends', ["never ends"]),
        ('"', [""]),
        ("/usr/lib/x.so", ["/usr/lib/x.so"]),
        ("\x00\ufffd \u00e9", ["\x00\ufffd", "\u00e9"]),
    ],
)
def test_what_is_a_word(text: str, found: list[str]) -> None:
    assert of(text) == found


def test_a_word_has_its_line_also_after_one_of_several() -> None:
    assert [(w.text, w.line) for w in words('/*\n*/ a\n"x\ny" b')] == [
        ("a", 2), ("", 2), ("x\ny", 3), ("b", 4),
    ]  # fmt: skip


def test_a_directive_stands_where_a_line_begins() -> None:
    kinds = [word.kind for word in words("#!define A 1\n a #!define B\n!!ifdef A\n")]
    assert kinds == ["directive", "line", "word", "line", "directive", "line"]


@given(st.text())
def test_any_text_has_words_in_the_order_of_their_lines(text: str) -> None:
    lines = [word.line for word in words(text)]
    assert lines == sorted(lines)
    assert not lines or lines[-1] <= text.count("\n") + 1
