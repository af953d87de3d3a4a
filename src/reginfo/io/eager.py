"""Runs handlers that may be coroutines: they start at once, and each step is a turn."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from types import CoroutineType
from typing import Any, NamedTuple, TypeVar

from ..ledger.journal import Attempt

A = TypeVar("A")

SLOW = 0.1
"""Seconds after which a step is reported as slow, because it blocks the server."""


class Interrupted(BaseException):
    """Ends a step that takes too long while the process is stopping."""


class HandlerResult(NamedTuple):
    """The outcome of a handler."""

    result: Any
    error: BaseException | None

    attempt: Attempt
    "Undoes what the handler has done since it last waited."


Then = Callable[[HandlerResult], None]
Slow = Callable[[Callable[[Any], Any], float], None]


class Handlers:
    """
    Runs handlers, and keeps those that wait.

    Args:
        attempt: begins a turn; each step of a handler, from one wait to the next, is a
            turn.
        slow: receives a handler with a step longer than :data:`SLOW`, and its duration.
    """

    def __init__(self, attempt: Callable[[], Attempt], slow: Slow) -> None:
        self._attempt = attempt
        self._slow = slow
        self._tasks: set[HandlerTask] = set()
        self.is_running = False
        "Whether a handler is running a step now; for a signal handler."

        self.reported = 0.0
        "Seconds of the steps that :attr:`slow` has received, in all."

    def __len__(self) -> int:
        """Count the handlers that are waiting."""
        return len(self._tasks)

    def stop(self) -> None:
        """Cancel all handlers."""
        for task in list(self._tasks):
            task.cancel()

    def run(self, handler: Callable[[A], Any], argument: A, then: Then) -> bool:
        """
        Call ``handler``, and ``then`` with its outcome: now, or later if it waits.

        A coroutine runs within this call until it really waits. A coroutine that never
        waits costs no iteration of the loop.

        Returns:
            Whether it has ended.
        """
        attempt = self._attempt()
        result: Any = None
        error: BaseException | None = None
        # One handler may cause another to run: a reply route, for example.
        outer, self.is_running = self.is_running, True
        began = time.perf_counter()
        try:
            result = handler(argument)
        except (Exception, SystemExit, asyncio.CancelledError, Interrupted) as exc:
            error = exc
        self.end(handler, time.perf_counter() - began, outer)
        coroutine: Coroutine[Any, Any, Any]
        if type(result) is CoroutineType:
            coroutine = result
        elif (
            result is None
            or isinstance(result, int)
            or not isinstance(result, Awaitable)
        ):
            then(HandlerResult(result, error, attempt))
            return True
        else:
            coroutine = result if inspect.iscoroutine(result) else _awaited(result)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            then(_without_loop(coroutine, attempt))
            return True
        task = HandlerTask(self, handler, coroutine, then, loop)
        self._tasks.add(task)
        task.start(attempt)
        return task.done()

    # Called by a task.

    def begin(self) -> Attempt:
        """Begin a step."""
        return self._attempt()

    def end(self, handler: Callable[[Any], Any], took: float, outer: bool) -> None:
        """
        End a step of ``handler``, which took so many seconds.

        Args:
            outer: :attr:`is_running` when the step began.
        """
        self.is_running = outer
        if took > SLOW:
            self.reported += took
            self._slow(handler, took)

    def forget(self, task: HandlerTask) -> None:
        """Remove a handler that has ended."""
        self._tasks.discard(task)


class HandlerTask(asyncio.Future[None]):
    """
    Runs a coroutine like `asyncio.Task`, but makes its first step at once.

    A task of asyncio makes its first step in the next iteration of the loop, after the
    batch is closed. (`eager_start` came with Python 3.12.) The code of a coroutine must
    be in a task from its first step, because timeouts and task groups require it.
    asyncio supports custom tasks through the four functions that are used here
    ("Extending asyncio: Task lifetime support" in its documentation).
    """

    def __init__(
        self,
        handlers: Handlers,
        handler: Callable[[Any], Any],
        coroutine: Coroutine[Any, Any, Any],
        then: Then,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(loop=loop)
        self._handlers = handlers
        self._handler = handler
        self._coroutine = coroutine
        self._then = then
        self._context = contextvars.copy_context()
        self._cancels = 0
        # The attribute names of asyncio's tasks, which other code expects.
        self._fut_waiter: asyncio.Future[Any] | None = None
        self._must_cancel = False
        asyncio._register_task(self)  # type: ignore[arg-type]

    # The interface of asyncio's tasks.

    def get_coro(self) -> Coroutine[Any, Any, Any]:
        """Return the coroutine."""
        return self._coroutine

    def get_context(self) -> contextvars.Context:
        """Return the context of its variables."""
        return self._context

    def get_name(self) -> str:
        """Return its name, for debuggers."""
        return f"handler {getattr(self._handler, '__name__', self._handler)}"

    def get_stack(self, *, limit: int | None = None) -> list[Any]:
        """Return the frame at which it waits."""
        frame = self._coroutine.cr_frame  # type: ignore[attr-defined]
        return [] if frame is None else [frame]

    def cancel(self, msg: Any | None = None) -> bool:
        """Raise `CancelledError` where it waits."""
        if self.done():
            return False
        self._cancels += 1
        if self._fut_waiter is not None and self._fut_waiter.cancel(msg=msg):
            return True
        self._must_cancel = True
        return True

    def cancelling(self) -> int:
        """Return the number of cancellations, less those of :meth:`uncancel`."""
        return self._cancels

    def uncancel(self) -> int:
        """Undo one :meth:`cancel`, as a timeout does that caused it."""
        self._cancels = max(0, self._cancels - 1)
        return self._cancels

    # Steps.

    def start(self, attempt: Attempt) -> None:
        """Make the first step, in the turn of ``attempt``."""
        self._context.run(self._step, None, attempt)

    def _step(
        self, error: BaseException | None = None, attempt: Attempt | None = None
    ) -> None:
        if self._must_cancel:
            self._must_cancel = False
            if not isinstance(error, asyncio.CancelledError):
                error = asyncio.CancelledError()
        self._fut_waiter = None
        if attempt is None:
            attempt = self._handlers.begin()
        inside, self._handlers.is_running = self._handlers.is_running, True
        loop = self.get_loop()
        outer = asyncio.current_task(loop)
        if outer is not None:
            asyncio._leave_task(loop, outer)
        asyncio._enter_task(loop, self)  # type: ignore[arg-type]
        began = time.perf_counter()
        end: HandlerResult | None = None
        waits_for: Any = None
        try:
            if error is None:
                waits_for = self._coroutine.send(None)
            else:
                waits_for = self._coroutine.throw(error)
        except StopIteration as stop:
            end = HandlerResult(stop.value, None, attempt)
        except (Exception, SystemExit, asyncio.CancelledError, Interrupted) as exc:
            # In a task of asyncio, SystemExit would stop the server.
            end = HandlerResult(None, exc, attempt)
        finally:
            asyncio._leave_task(loop, self)  # type: ignore[arg-type]
            if outer is not None:
                asyncio._enter_task(loop, outer)
            took = time.perf_counter() - began
            self._handlers.end(self._handler, took, inside)
        if end is None:
            self._wait_for(waits_for)
            return
        asyncio._unregister_task(self)  # type: ignore[arg-type]
        self._handlers.forget(self)
        # Called now, and not by a callback of the future, which the loop would call
        # later: changes must be undone in the turn in which they were made.
        self.set_result(None)
        self._then(end)

    def _wait_for(self, future: Any) -> None:
        loop = self.get_loop()
        if future is None:  # a bare `yield`, as of `asyncio.sleep(0)`
            loop.call_soon(self._step, context=self._context)
        elif getattr(future, "_asyncio_future_blocking", False):
            future._asyncio_future_blocking = False
            self._fut_waiter = future
            future.add_done_callback(self._woken, context=self._context)
            if self._must_cancel and future.cancel():
                self._must_cancel = False
        else:
            wrong = RuntimeError(f"a handler cannot wait for {future!r}")
            loop.call_soon(self._step, wrong, context=self._context)

    def _woken(self, future: asyncio.Future[Any]) -> None:
        try:
            future.result()
        except BaseException as exc:
            self._step(exc)
        else:
            self._step()


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _without_loop(
    coroutine: Coroutine[Any, Any, Any], attempt: Attempt
) -> HandlerResult:
    """For tests without an event loop, in which a handler cannot wait."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return HandlerResult(stop.value, None, attempt)
    except (Exception, SystemExit) as exc:
        return HandlerResult(None, exc, attempt)
    coroutine.close()
    error = RuntimeError("the handler waits, and no event loop is running")
    return HandlerResult(None, error, attempt)
