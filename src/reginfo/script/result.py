"""Return values and errors of script functions, and their common decorator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

from ..sip.errors import RemoteProtocolError

F = TypeVar("F", bound=Callable[..., Any])

EXPANDED: dict[str, Expanded] = {}
"""
The functions that accept strings with pseudo-variables, by name, as :func:`expands`
marks them. `reginfo check` checks these.
"""


class Expanded(NamedTuple):
    """The arguments of a function that may contain pseudo-variables."""

    order: tuple[str, ...]
    "The names of all parameters, in order, without `self`."

    names: frozenset[str]
    "The names of the parameters that may contain pseudo-variables."


class Result(int):
    """
    A return code like those of the modules: positive for success, negative for failure.

    A positive code is true, so that `if msg.lookup("location"):` works as in the
    original scripts. It can be awaited, which returns at once: calls look the same in a
    coroutine and in a plain handler.
    """

    def __bool__(self) -> bool:
        return self > 0

    def __await__(self) -> Generator[None, None, Result]:
        return self
        yield  # makes this a generator


OK, ERROR = Result(1), Result(-1)


class UnusableText(RemoteProtocolError, ValueError):
    """
    Text from a message that a script function cannot use.

    This is the sender's fault, not the script's: unless the script catches the
    ValueError, the request is answered 400.
    """


def expands(*names: str) -> Callable[[F], F]:
    """Mark the arguments of a function in which pseudo-variables are replaced."""

    def mark(function: F) -> F:
        order = tuple(inspect.signature(function).parameters)[1:]
        assert set(names) <= set(order)
        EXPANDED[function.__name__] = Expanded(order, frozenset(names))
        return function

    return mark
