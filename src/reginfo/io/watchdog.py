"""The watchdog: reports turns that keep the server from everything else."""

from __future__ import annotations

import logging
import selectors
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from .eager import SLOW

logger = logging.getLogger("reginfo.turn")

HUNG = 2.0
"""Seconds of one turn after which the stack of the main thread is logged."""

LOOK = 0.05
"""Seconds between two looks at the main thread."""

PACKAGE = Path(__file__).parents[1]


class WatchedSelector(selectors.DefaultSelector):
    """
    A selector that knows since when the loop that uses it has been busy.

    What a loop does between two calls of :meth:`select` is one turn of it: a datagram,
    a timer, an answer of a name server, a request of the administrator.
    """

    busy_since = 0.0
    "On the monotonic clock; 0.0 while the loop waits."

    ended: Callable[[float, float], None] | None = None
    "Receives the beginning of a turn that took more than :data:`SLOW`, and how long."

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        since, self.busy_since = self.busy_since, 0.0
        if since and self.ended is not None:
            took = time.monotonic() - since
            if took > SLOW:
                self.ended(since, took)
        events = super().select(timeout)
        self.busy_since = time.monotonic()
        return events


class Sample(NamedTuple):
    """What the main thread was doing when the watchdog looked."""

    since: float
    "The beginning of the turn."

    text: str
    "Such as `routes.py:12: register`."


class Watchdog:
    """
    Looks at the main thread from a thread of its own, while entered as a context.

    A turn of more than :data:`SLOW` is logged with what it was doing. If a turn takes
    more than :data:`HUNG`, the stack is logged, once, and also when it has ended.

    Args:
        selector: of the loop in this thread.
        script: the operator's script: its lines are named before those of the server.
        look: is called each time, for what else has to happen although the loop does
            not come round.
    """

    def __init__(
        self,
        selector: WatchedSelector,
        *,
        script: Path | None = None,
        look: Callable[[float], None] | None = None,
    ) -> None:
        self._selector = selector
        self._script = None if script is None else str(script)
        self._look = look
        self._main = threading.get_ident()
        self._sample = Sample(0.0, "")
        self._hung_since = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="reginfo-watchdog", daemon=True
        )
        self._logged_elsewhere: Callable[[], float] = lambda: 0.0
        self._logged = 0.0

    def serving(self, logged: Callable[[], float] = lambda: 0.0) -> None:
        """
        Report long turns from now on: the start, which may take long, is over.

        Args:
            logged: seconds of turns that somebody else has logged, in all; handlers of
                a script log their own.
        """
        self._logged_elsewhere, self._logged = logged, logged()
        self._selector.busy_since = time.monotonic()
        self._selector.ended = self._ended

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.ended = None
        self._stop.set()
        self._thread.join()

    def place(self) -> str:
        """Say what the main thread is doing, such as `routes.py:12: register`."""
        frame = sys._current_frames().get(self._main)
        return "" if frame is None else _place(frame, self._script)

    # In the watchdog's thread.

    def _run(self) -> None:
        while not self._stop.wait(LOOK):
            try:
                self._look_at(time.monotonic())
            except Exception:
                logger.exception("! the watchdog")

    def _look_at(self, now: float) -> None:
        since = self._selector.busy_since
        if since and now - since >= LOOK and self._selector.ended is not None:
            if self._sample.since != since:
                self._sample = Sample(since, self.place())
            if now - since >= HUNG and self._hung_since != since:
                self._hung_since = since
                self._log_stack(now - since)
        if self._look is not None:
            self._look(now)

    def _log_stack(self, took: float) -> None:
        frame = sys._current_frames().get(self._main)
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        logger.error(
            "! nothing has been served for %.1f s; the main thread is at\n%s",
            took,
            stack.rstrip(),
        )

    # In the main thread.

    def _ended(self, since: float, took: float) -> None:
        """Log a turn that took long, unless who did it has logged it."""
        if self._hung_since == since:
            logger.error("= after %.1f s the server goes on", took)
        logged = self._logged_elsewhere()
        rest, self._logged = took - (logged - self._logged), logged
        if rest > SLOW:
            place = self._sample.text if self._sample.since == since else ""
            logger.warning(
                "! %s blocked the server for %.0f ms",
                place or "a turn",
                rest * 1000,
            )


def _place(innermost: FrameType, script: str | None) -> str:
    """Name the innermost frame of the script; else the innermost of the server."""
    ours = ""
    frame: FrameType | None = innermost
    while frame is not None:
        file = frame.f_code.co_filename
        if file == script:
            return f"{Path(file).name}:{frame.f_lineno}: {frame.f_code.co_name}"
        if not ours and file.startswith(f"{PACKAGE}/"):
            name = Path(file).relative_to(PACKAGE)
            ours = f"{name}:{frame.f_lineno}: {frame.f_code.co_name}"
        frame = frame.f_back
    return ours
