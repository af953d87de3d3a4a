"""Splits a configuration of OpenSIPS or Kamailio into words with line numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Word(NamedTuple):
    """A word, a string, or a punctuation mark."""

    text: str
    "For a string, what is between its quotes."

    line: int
    kind: str
    "`word`, `string`, `mark`, `line` (the end of a line) or `directive` (`#!define`)."


# Each alternative consumes what it begins with, so the time is linear.
_TOKEN = re.compile(
    r"""
    (?P<line>\n)
  | (?P<blank>[ \t\r\f\v]+)
  | (?P<directive>(?:\#!|!!)[^\n]*)
  | (?P<comment>\#[^\n]* | //[^\n]* | /\*(?:[^*]|\*(?!/))*(?:\*/)?)
  | (?P<string>"(?:[^"\\]|\\.)*"? | '[^']*'?)
  | (?P<mark>[(){};,=])
  | (?P<word>(?:[^\s"'(){};,=\#/]|/(?![/*]))+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def words(text: str) -> Iterator[Word]:
    """
    Split ``text`` into words, in linear time; any text is accepted.

    A directive is recognised only at the beginning of a line.
    """
    line, begins = 1, True
    for match in _TOKEN.finditer(text):
        kind, found = match.lastgroup or "other", match[0]
        if kind == "line":
            yield Word("", line, "line")
        elif kind == "directive" and begins:
            yield Word(found[2:].strip(), line, "directive")
        elif kind == "string":
            inner = found[1:]
            if len(found) > 1 and found.endswith(found[0]):
                inner = found[1:-1]
            if found[0] == '"':
                inner = _ESCAPE.sub(r"\1", inner)
            yield Word(inner, line, "string")
        elif kind in ("mark", "word"):
            yield Word(found, line, kind)
        line += found.count("\n")
        if kind != "blank":
            begins = kind == "line"
