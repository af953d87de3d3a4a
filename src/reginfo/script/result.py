"""What the functions of a script return."""

from __future__ import annotations

from collections.abc import Generator


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
