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
    "rs": "the status of the response",
    "rr": "the reason phrase of the response",
    "au": "the user that has shown a password, without the domain",
    "si": "the source address of the message",
    "sp": "the source port of the message",
}
"""Pseudo-variables without an argument. A missing value is an empty string."""

WITH_ARGUMENT = {
    "hdr": "the values of a header field, separated by commas",
    "var": "a variable of the script, in `msg.var`",
}

Value = Callable[[str, str], str]
"""Returns the value of a variable, by its name and its argument."""


class Data(str):
    """Text from a message: a `$` in it does not begin a pseudo-variable."""

    __slots__ = ()


# A name ends where the letters end; `$(rU)` is used if more letters follow.
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
    Replace the pseudo-variables in ``text``; `$$` becomes a dollar sign.

    Raises:
        ValueError: a `$` does not begin a pseudo-variable.
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
    """Quote ``text`` so that :func:`expand` does not change it."""
    return text.replace("$", "$$")


def check(text: str) -> None:
    """
    Check that every `$` in ``text`` begins a pseudo-variable.

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
