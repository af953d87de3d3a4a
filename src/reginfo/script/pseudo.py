"""Pseudo-variables: `$ru`, `$hdr(name)` and others in the strings of a script."""

from __future__ import annotations

import re
from collections.abc import Callable

VARIABLES = {
    "ru": "the Request-URI",
    "rU": "the user part of the Request-URI",
    "rd": "the host of the Request-URI",
    "rp": "the port of the Request-URI",
    "rm": "the method",
    "tu": "the URI in To",
    "tU": "the user part of the URI in To",
    "td": "the host of the URI in To",
    "tt": "the tag in To",
    "fu": "the URI in From",
    "fU": "the user part of the URI in From",
    "fd": "the host of the URI in From",
    "ft": "the tag in From",
    "ci": "Call-ID",
    "cs": "the number in CSeq",
    "ua": "User-Agent",
    "rb": "the body, as text",
    "rs": "the status of the reply",
    "rr": "the reason phrase of the reply",
    "si": "the address that the message came from",
    "sp": "the port that it came from",
}
"""Those without an argument. What a message does not have is the empty string."""

WITH_ARGUMENT = {
    "hdr": "a header of the message, all its lines with commas between them",
    "var": "a variable of the script, as `msg.var` has it",
}

Value = Callable[[str, str], str]
"""The value of a variable, by its name and its argument."""


class Data(str):
    """Text that came in a message: a `$` in it is a dollar sign, and nothing more."""

    __slots__ = ()


# A name ends where letters end; `$(rU)` is for where more letters follow.
_FOUND = re.compile(
    r"\$(?:"
    r"(?P<dollar>\$)"
    r"|(?P<open>\()?(?P<name>[A-Za-z]+)(?:\((?P<argument>[^()]*)\))?(?(open)\))"
    r"|(?P<rest>.{0,12})"
    r")",
    re.DOTALL,
)


def expand(text: str, value: Value) -> str:
    """
    ``text`` with its pseudo-variables replaced; `$$` is a dollar sign.

    Raises:
        ValueError: a `$` begins none of them.
    """
    if "$" not in text or isinstance(text, Data):
        return text

    def replaced(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        _check(match)
        return value(match["name"], (match["argument"] or "").strip())

    return _FOUND.sub(replaced, text)


def quote(text: str) -> str:
    """``text`` for a string that is expanded, and where it is to stay as it is."""
    return text.replace("$", "$$")


def check(text: str) -> None:
    """
    See that every `$` of ``text`` begins a pseudo-variable.

    Raises:
        ValueError: one does not.
    """
    for match in _FOUND.finditer(text):
        if not match["dollar"]:
            _check(match)


def _check(match: re.Match[str]) -> None:
    name, argument = match["name"], match["argument"]
    if name in VARIABLES and argument is None:
        return
    if name in WITH_ARGUMENT and argument and argument.strip():
        return
    if name in WITH_ARGUMENT:
        raise ValueError(f"${name} needs a name: ${name}(name)")
    if name in VARIABLES:
        raise ValueError(f"${name} takes no argument: write $({name})")
    names = " ".join(f"${known}" for known in VARIABLES)
    args = " ".join(f"${known}(name)" for known in WITH_ARGUMENT)
    raise ValueError(
        f"{match[0]}: no such pseudo-variable; there are {names} {args}, and $$"
    )
