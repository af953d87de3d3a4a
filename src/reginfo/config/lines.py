"""On which line a key of a TOML file stands, which :mod:`tomllib` does not tell."""

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

    The text is read again, one statement at a time, by tomllib itself: so quoted
    keys, strings over several lines and whatever else are no concern of ours.
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
    """The statements of a text, each with its first line and what it says alone."""
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
            continue  # it goes on in the next line
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
    """The line and the complaint of an exception of :mod:`tomllib`."""
    message = str(exc)
    if found := re.search(r" \(at line (\d+), column \d+\)$", message):
        return int(found[1]), message[: found.start()]
    return text.rstrip().count("\n") + 1, message.removesuffix(" (at end of document)")
