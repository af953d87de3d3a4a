"""The lines of the keys and of the syntax errors of a TOML file."""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Iterator
from typing import Any

KeyPath = tuple[str | int, ...]
"""Names of tables and of the key; after the name of an array of tables, an index."""


class Lines:
    """
    The lines of the keys and tables of a text that :mod:`tomllib` can read.

    The text is read again, one statement at a time, by tomllib itself, which knows
    about quoted keys, strings over several lines and everything else.
    """

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {(): 1}
        self._lengths: dict[KeyPath, int] = {}
        table: KeyPath = ()
        for number, statement, values in _statements(text):
            if statement.startswith("[["):
                table = self._append(_names(values))
                self._lines[table] = number
            elif statement.startswith("["):
                table = self._resolve(_names(values))
                self._lines.setdefault(table, number)
            else:
                self._note(table, values, number)

        self.current = table
        "The table that the next key would belong to."

    def line_of(self, path: KeyPath) -> int | None:
        """The line of ``path`` itself; None if it is not there."""
        return self._lines.get(path)

    def at(self, path: KeyPath) -> int:
        """The line of ``path``, or of the nearest table around it; else 1."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _append(self, names: list[str]) -> KeyPath:
        array = (*self._resolve(names[:-1]), names[-1])
        index = self._lengths.get(array, 0)
        self._lengths[array] = index + 1
        return (*array, index)

    def _resolve(self, names: list[str]) -> KeyPath:
        # `[peer.match]` is a part of the last [[peer]].
        path: KeyPath = ()
        for name in names:
            path = (*path, name)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        return path

    def _note(self, path: KeyPath, value: object, number: int) -> None:
        self._lines.setdefault(path, number)
        if isinstance(value, dict):
            for name, item in value.items():
                self._note((*path, name), item, number)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._note((*path, index), item, number)


_CLOSERS = re.compile(r"[\]}]|\"\"\"|'''")


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The statements of a text, each with its first line and its values."""
    begin, statement = 1, ""
    # Lines as TOML has them; str.splitlines() would split at form feeds, too.
    for number, line in enumerate(io.StringIO(text, newline="\n"), 1):
        begin = begin if statement else number
        statement += line
        # A long array is not tried again at each of its lines.
        if begin < number and not _CLOSERS.search(line):
            continue
        try:
            values = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it continues in the next line
        if values:
            yield begin, statement.lstrip(), values
        statement = ""


def _names(header: dict[str, Any]) -> list[str]:
    """The names in a header: ``[[a.b]]`` reads as ``{"a": {"b": [{}]}}``."""
    names = []
    value: Any = header
    while isinstance(value, dict) and value:
        [(name, value)] = value.items()
        names.append(name)
    return names


def syntax_error(exc: tomllib.TOMLDecodeError, text: str) -> tuple[int, str]:
    """The line of an exception of :mod:`tomllib`, and what is wrong there."""
    message = str(exc)
    lines = text.split("\n")
    if not (found := re.search(r" \(at line (\d+), column (\d+)\)$", message)):
        number = text.rstrip().count("\n") + 1
        message = message.removesuffix(" (at end of document)")
        return number, _unclosed(lines[number - 1]) or message
    number, message = int(found[1]), message[: found.start()]
    line = lines[number - 1]
    if message.startswith("Illegal character"):
        message = _unclosed(line) or message
    elif message.startswith(("Cannot overwrite", "Cannot declare")):
        # tomllib finds a key that is set twice at the end of its value.
        number, message = _twice(lines, number) or (number, message)
    if _TYPOGRAPHIC.search(line) and not message.startswith("the string"):
        message = 'use straight quotes (") around text'
    return number, message


_TYPOGRAPHIC = re.compile("[\u2018-\u201f\u00ab\u00bb]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*|["\']')


def _unclosed(line: str) -> str | None:
    """Say where a string of one line begins that does not end in it."""
    for found in _STRING.finditer(line):
        if found[0] in ('"', "'"):
            return f"the string that begins at column {found.start() + 1} is not closed"
    return None


def _twice(lines: list[str], number: int) -> tuple[int, str] | None:
    """Name the key or the table that an error says is defined twice."""
    # The statement may have begun in a line before.
    for begin in range(number, 0, -1):
        statement = "\n".join(lines[begin - 1 : number])
        try:
            values = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        before = "\n".join(lines[: begin - 1])
        names = _names(values)
        path: KeyPath
        if statement.lstrip().startswith("["):
            known, path, noun = Lines(before), tuple(names), "table"
        else:
            known, noun = Lines(before), "key"
            path = (*known.current, names[0])
        first = known.line_of(path)
        if first is None:
            return None
        return begin, f"{noun} {names[-1] if noun == 'table' else names[0]} is set" + (
            f" twice (first in line {first})"
        )
    return None
