"""The end of a process: asked for by a signal, and reached whatever the loop does."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from .eager import Interrupted

logger = logging.getLogger("reginfo.server")

GRACE = 2.0
"""Seconds from a signal until a handler of the script that does not return is ended."""

LONGEST = 30.0
"""Seconds from a signal until the process is ended, although it is not done yet."""

FORCED = 6
"""Exit code of a process that was ended because it did not end by itself."""


class Shutdown:
    """
    Has a server stop at SIGTERM and SIGINT.

    A loop that comes round sets :attr:`asked`. If it does not, because a handler of the
    script does not return, the handler is interrupted, and the server stops as ever. If
    that is of no use either, the process is ended. Nothing that was confirmed is lost:
    it is on disk.

    Enter it as a context, and call :meth:`listen` in the loop.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        "Whether the server is to stop; set in the loop."

        self.is_in_script: Callable[[], bool] = lambda: False
        "Whether a handler of the script is in a step at this moment."

        self.place: Callable[[], str] = str
        "Says what the main thread is doing."

        self.end: Callable[[int], object] = os._exit
        "Ends the process at once."

        self._main = threading.get_ident()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._before: dict[int, Any] = {}
        self._asked_at: float | None = None
        self._stopped_at: float | None = None
        self._is_logged = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Begin to receive the signals."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._receive)

    def stopped(self) -> None:
        """Note that the server has stopped; now the process has to end soon."""
        self._stopped_at = time.monotonic()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # Between two bytecodes of the main thread, also where the loop waits for it.
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self.asked.set)
        elif not self.asked.is_set() and self.is_in_script() and not _is_product(frame):
            raise Interrupted("the process is to end")

    def look(self, now: float) -> None:
        """See to it that the process ends; called by the watchdog, in its thread."""
        if self._stopped_at is not None:
            if now - self._stopped_at >= GRACE:
                self._force("a task of the script does not end")
            return
        if self._asked_at is None:
            return
        waited = now - self._asked_at
        if self.asked.is_set():
            if waited >= LONGEST:
                self._force("it is still stopping")
        elif waited >= 2 * GRACE:
            self._force(f"it hangs: {self.place()}")
        elif waited >= GRACE:
            if not self._is_logged:
                self._is_logged = True
                place = self.place()
                logger.error("! to end, the script is interrupted: %s", place)
            signal.pthread_kill(self._main, signal.SIGTERM)

    def _force(self, why: str) -> None:
        logger.error("! the process is ended with exit code %d: %s", FORCED, why)
        sys.stderr.flush()
        self.end(FORCED)


def _is_product(frame: FrameType | None) -> bool:
    """Whether a frame is code of ours, which must not be left in its middle."""
    name = "" if frame is None else frame.f_globals.get("__name__", "")
    return str(name).partition(".")[0] == "reginfo"
