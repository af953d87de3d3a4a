"""Reads parameters, addresses and function calls from such a configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from .words import Word, words

MODULES = frozenset(
    {"pua_reginfo", "presence_reginfo", "presence", "pua", "usrloc", "registrar"}
)
"""The modules whose parameters are read."""

MAX_DEPTH = 10
"""Levels of included files; deeper than this, files include each other."""

MAX_LENGTH = 4_000_000
"""Characters read from all files together; configurations are shorter."""

Include = Callable[[str], str | None]
"""Returns the text of an included file by its name; None if it cannot be read."""


_NAME = re.compile(r"\w+")


class SourceLine(NamedTuple):
    """A file and a line in it."""

    file: str
    "Empty for the main file."

    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else f"line {self.line}"


class Parameter(NamedTuple):
    """One `modparam`, for one module."""

    module: str
    name: str
    value: str
    line: SourceLine


class Setting(NamedTuple):
    """A line such as `listen = udp:192.0.2.1`; its value may have several words."""

    name: str
    values: tuple[str, ...]
    line: SourceLine


class FunctionCall(NamedTuple):
    """A function call in a route."""

    function: str
    line: SourceLine


class SourceConfig:
    """The parts of a configuration that are converted, in the order of its lines."""

    def __init__(self) -> None:
        self.parameters: list[Parameter] = []
        self.settings: list[Setting] = []
        self.calls: list[FunctionCall] = []
        self.left: list[tuple[SourceLine, str]] = []
        "What could not be read, with the reason."

        self.others: dict[str, int] = {}
        "Modules whose parameters are ignored, and how many parameters each has."

        self.loaded: set[str] = set()
        "The modules that the configuration loads."

        self.is_kamailio = False
        "Whether a directive says so."


def read(
    text: str, include: Include, defined: Mapping[str, str] | None = None
) -> SourceConfig:
    """
    Read a configuration; :attr:`SourceConfig.left` has what could not be read.

    Args:
        defined: names and values that Kamailio is given with `-A`.
    """
    source = SourceConfig()
    _SourceReader(source, include, dict(defined or {})).read(text, "", 0)
    return source


class _SourceReader:
    def __init__(
        self, source: SourceConfig, include: Include, defined: dict[str, str]
    ) -> None:
        self._source = source
        self._include = include
        self._defined = defined
        self._left = MAX_LENGTH
        self._depth = 0  # of braces; greater than 0 inside a route
        # For each open `#!ifdef`: whether the current branch is read.
        self._reads: list[bool] = []

    def read(self, text: str, file: str, depth: int) -> None:
        if len(text) > self._left:
            self._leave(SourceLine(file, 1), "too long for a configuration")
            return
        self._left -= len(text)
        statement: list[Word] = []
        parentheses = 0
        for word in words(text):
            if word.kind == "directive":
                self._direct(word, file, depth)
                continue
            if not all(self._reads):
                continue
            if word.kind == "line" and parentheses:
                continue
            if word.kind == "mark" and word.text in "(":
                parentheses += 1
            elif word.kind == "mark" and word.text == ")":
                parentheses = max(0, parentheses - 1)
            if word.kind == "line" or (word.kind == "mark" and word.text in "{};"):
                self._state(statement, file, depth)
                statement = []
                parentheses = 0
                if word.text == "{":
                    self._depth += 1
                elif word.text == "}":
                    self._depth = max(0, self._depth - 1)
            else:
                statement.append(self._replaced(word))
        self._state(statement, file, depth)

    # Statements.

    def _state(self, statement: list[Word], file: str, depth: int) -> None:
        if not statement:
            return
        first = statement[0]
        line = SourceLine(file, first.line)
        if self._depth:
            self._source.calls += _calls(statement, file)
            return
        name = first.text.lower()
        if first.kind != "word":
            return
        if name == "modparam":
            self._modparam(statement, line)
        elif name == "loadmodule":
            path = statement[1].text if len(statement) > 1 else ""
            self._source.loaded.add(path.rpartition("/")[2].removesuffix(".so"))
        elif name in ("include_file", "import_file"):
            self._read_file(statement, line, depth, name == "include_file")
        elif name in ("listen", "socket", "alias"):
            values = tuple(
                w.text for w in statement[1:] if w.kind != "mark" or w.text != "="
            )
            self._source.settings.append(Setting(name, values, line))

    def _modparam(self, statement: list[Word], line: SourceLine) -> None:
        arguments = list(_arguments(statement[1:]))
        if len(arguments) != 3:
            self._leave(line, "this modparam cannot be parsed")
            return
        modules, name, value = arguments
        for module in modules.split("|"):
            module = module.strip()
            if module in MODULES:
                parameter = Parameter(module, name.strip(), value, line)
                self._source.parameters.append(parameter)
            else:
                others = self._source.others
                others[module] = others.get(module, 0) + 1

    def _read_file(
        self, statement: list[Word], line: SourceLine, depth: int, must: bool
    ) -> None:
        name = statement[1].text if len(statement) > 1 else ""
        if depth >= MAX_DEPTH:
            self._leave(line, f"{name}: files include each other")
            return
        text = self._include(name)
        if text is not None:
            self.read(text, name, depth + 1)
        elif must:
            self._leave(line, f"{name} cannot be read")

    # Directives of Kamailio's preprocessor.

    def _direct(self, word: Word, file: str, depth: int) -> None:
        name, _, rest = word.text.partition(" ")
        name, rest = name.lower(), rest.strip()
        line = SourceLine(file, word.line)
        if name in ("kamailio", "ser", "maxcompat", "all"):
            self._source.is_kamailio = True
        elif name in ("ifdef", "ifndef", "ifexp"):
            if name == "ifexp":
                self._leave(line, "#!ifexp is assumed to be true")
                self._reads.append(True)
            else:
                self._reads.append((rest in self._defined) == (name == "ifdef"))
        elif name == "else" and self._reads:
            self._reads[-1] = not self._reads[-1]
        elif name == "endif" and self._reads:
            self._reads.pop()
        elif not all(self._reads):
            return
        elif name in ("define", "trydef", "redefine"):
            key, _, value = rest.partition(" ")
            if name != "trydef" or key not in self._defined:
                self._defined[key] = value.strip().strip("\"'")
        elif name in ("subst", "substdef", "substdefs", "defenv"):
            self._leave(line, f"#!{name} is not supported")
        elif name in ("include_file", "import_file"):
            file_name = Word(rest.strip("\"'"), word.line, "string")
            self._read_file([word, file_name], line, depth, name == "include_file")

    def _replaced(self, word: Word) -> Word:
        if word.kind != "word" or not self._defined:
            return word
        value = self._defined.get(word.text)
        if value:
            return Word(value, word.line, "string")
        # Kamailio treats the parts of udp:HOST:PORT as words of their own.
        text = _NAME.sub(lambda part: self._defined.get(part[0]) or part[0], word.text)
        return Word(text, word.line, "word")

    def _leave(self, line: SourceLine, why: str) -> None:
        self._source.left.append((line, why))


def _arguments(statement: list[Word]) -> Iterator[str]:
    """The arguments in parentheses; an argument may consist of several words."""
    current: list[str] = []
    for word in statement:
        if word.kind != "mark":
            if word.text not in (".", "+") or word.kind == "string":
                current.append(word.text)
        elif word.text in ",)":
            if current:
                yield "".join(current)
            current = []
            if word.text == ")":
                return


def _calls(statement: list[Word], file: str) -> Iterator[FunctionCall]:
    for word, after in zip(statement, statement[1:], strict=False):
        if word.kind == "word" and after.kind == "mark" and after.text == "(":
            # As in `!reginfo_handle_notify(...)`.
            yield FunctionCall(word.text.lstrip("!"), SourceLine(file, word.line))
