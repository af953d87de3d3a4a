"""Handlers that may be coroutines: begun at once, and tasks only if they wait."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

A = TypeVar("A")


class HandlerResult(NamedTuple):
    """How a handler has ended."""

    result: Any
    error: BaseException | None = None


Then = Callable[[HandlerResult], None]


def run(handler: Callable[[A], Any], argument: A, then: Then, tasks: set[Any]) -> bool:
    """
    Call ``handler``, and tell ``then`` how it ended: now, or later if it waits.

    A coroutine runs in this very call up to where it really waits. One that never does
    costs no turn of the loop.

    Args:
        tasks: those that wait, so that somebody holds them.

    Returns:
        Whether it has ended.
    """
    try:
        result = handler(argument)
    except (Exception, SystemExit, asyncio.CancelledError) as exc:
        then(HandlerResult(None, exc))
        return True
    if not isinstance(result, Awaitable) or isinstance(result, int):
        then(HandlerResult(result))
        return True
    coroutine = result if inspect.iscoroutine(result) else _awaited(result)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        then(_without_loop(coroutine))
        return True
    task = _begun(_guarded(coroutine), loop)
    if task.done():
        then(_end_of(task))
        return True
    tasks.add(task)

    def ended(task: asyncio.Task[HandlerResult]) -> None:
        tasks.discard(task)
        then(_end_of(task))

    task.add_done_callback(ended)
    return False


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


async def _guarded(coroutine: Coroutine[Any, Any, Any]) -> HandlerResult:
    # SystemExit in a task would end the server.
    try:
        return HandlerResult(await coroutine)
    except (Exception, SystemExit) as exc:
        return HandlerResult(None, exc)


def _end_of(task: asyncio.Task[HandlerResult]) -> HandlerResult:
    if task.cancelled():
        return HandlerResult(None, asyncio.CancelledError())
    return task.result()


def _without_loop(coroutine: Coroutine[Any, Any, Any]) -> HandlerResult:
    """For tests: there is nothing that a handler could wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return HandlerResult(stop.value)
    except (Exception, SystemExit) as exc:
        return HandlerResult(None, exc)
    coroutine.close()
    error = RuntimeError("the handler waits, and no event loop is running")
    return HandlerResult(None, error)


if sys.version_info >= (3, 12):

    def _begun(
        coroutine: Coroutine[Any, Any, HandlerResult], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[HandlerResult]:
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def _begun(
        coroutine: Coroutine[Any, Any, HandlerResult], loop: asyncio.AbstractEventLoop
    ) -> asyncio.Task[HandlerResult]:
        """
        A task whose first step is made already.

        A task asks its loop to call that step soon. Here it is taken out of the loop's
        hands, and called: what the coroutine does needs to find itself in a task from
        the beginning, for its timeouts and the like.
        """
        steps: list[tuple[contextvars.Context, Callable[[], object]]] = []

        def call_soon(
            step: Callable[[], object], *, context: contextvars.Context
        ) -> None:
            steps.append((context, step))

        # An attribute of the loop in front of its method, for one call.
        loop.call_soon = call_soon  # type: ignore[method-assign, assignment]
        try:
            task = asyncio.Task(coroutine, loop=loop)
        finally:
            del loop.call_soon
        outer = asyncio.current_task(loop)
        if outer is not None:
            asyncio.tasks._leave_task(loop, outer)
        try:
            [(context, step)] = steps
            context.run(step)
        finally:
            if outer is not None:
                asyncio.tasks._enter_task(loop, outer)
        return task
