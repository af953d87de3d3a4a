"""What the functions of a script return, raise, and have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, TypeVar

from ..sip.errors import RemoteProtocolError

F = TypeVar("F", bound=Callable[..., Any])

EXPANDED: dict[str, Expanded] = {}
"""
By name, the functions that take strings with pseudo-variables, as :func:`expands` marks
them. What `reginfo check` looks at follows from this.
"""


class Expanded(NamedTuple):
    """Which arguments of a function may hold pseudo-variables."""

    order: tuple[str, ...]
    "The names of all parameters, in order, without the first."

    names: frozenset[str]
    "The names of those parameters."


class Result(int):
    """
    A return code as those of the modules are: positive if it went well, else negative.

    True if positive, so that `if msg.lookup("location"):` reads as it does there. It
    can be awaited, and waits for nothing: a function reads the same in a coroutine and
    in a plain handler.
    """

    def __bool__(self) -> bool:
        return self > 0

    def __await__(self) -> Generator[None, None, Result]:
        return self
        yield  # what makes this a generator


OK, ERROR = Result(1), Result(-1)


class UnusableText(RemoteProtocolError, ValueError):
    """
    Text that came in a message, and that a function of a script cannot use.

    The sender is at fault, and not the script: unless the script catches it as a
    ValueError, the request is answered 400.
    """


def expands(*names: str) -> Callable[[F], F]:
    """Mark a function of a script: pseudo-variables are replaced in these arguments."""

    def mark(function: F) -> F:
        order = tuple(inspect.signature(function).parameters)[1:]
        assert set(names) <= set(order)
        EXPANDED[function.__name__] = Expanded(order, frozenset(names))
        return function

    return mark
