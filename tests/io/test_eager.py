"""A handler runs at once, and is a task only if it waits."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pytest

from reginfo.io.eager import HandlerResult, run
from reginfo.script.result import OK


def in_loop(
    handler: Callable[[int], Any], argument: int = 1
) -> tuple[bool, list[HandlerResult], list[HandlerResult]]:
    """Whether it ended at once, and how; then how it has ended when all is quiet."""

    async def main() -> tuple[bool, list[HandlerResult], list[HandlerResult]]:
        ends: list[HandlerResult] = []
        tasks: set[Any] = set()
        at_once = run(handler, argument, ends.append, tasks)
        first = list(ends)
        assert len(tasks) == (not at_once)
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)
        return at_once, first, ends

    return asyncio.run(main())


def test_a_plain_handler_has_ended_when_it_returns() -> None:
    assert in_loop(lambda x: x + 1) == (True, [HandlerResult(2)], [HandlerResult(2)])


def test_a_return_code_is_no_coroutine_although_it_can_be_awaited() -> None:
    assert in_loop(lambda _: OK)[1] == [HandlerResult(1)]


def test_a_coroutine_that_does_not_wait_has_ended_at_once() -> None:
    async def handler(x: int) -> int:
        return x + await OK

    assert in_loop(handler) == (True, [HandlerResult(2)], [HandlerResult(2)])


def test_one_that_waits_runs_up_to_there_and_goes_on_later() -> None:
    steps = []

    async def handler(x: int) -> int:
        steps.append("before")
        assert asyncio.current_task() is not None
        # These need to be in one task from the beginning to the end.
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        steps.append("after")
        return x

    async def main() -> None:
        ends: list[HandlerResult] = []
        outer = asyncio.current_task()
        tasks: set[Any] = set()
        assert not run(handler, 5, ends.append, tasks)
        assert (steps, ends) == (["before"], [])
        assert asyncio.current_task() is outer
        await next(iter(tasks))
        await asyncio.sleep(0)
        assert (steps, ends, tasks) == (["before", "after"], [HandlerResult(5)], set())

    asyncio.run(main())


def test_any_awaitable_will_do() -> None:
    async def waits() -> int:
        await asyncio.sleep(0)
        return 3

    def handler(x: int) -> Any:
        return asyncio.gather(waits(), waits())

    assert in_loop(handler)[2] == [HandlerResult([3, 3])]


def test_a_handler_that_says_it_was_cancelled_stops_nobody_else() -> None:
    def cancelled(_: int) -> None:
        raise asyncio.CancelledError

    ((_, error),) = in_loop(cancelled)[2]
    assert isinstance(error, asyncio.CancelledError)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)])
def test_an_error_is_told_and_goes_nowhere_else(error: BaseException) -> None:
    def plain(_: int) -> None:
        raise error

    async def at_once(_: int) -> None:
        raise error

    async def later(_: int) -> None:
        await asyncio.sleep(0)
        raise error

    for handler in (plain, at_once, later):
        assert in_loop(handler)[2] == [HandlerResult(None, error)]


def test_a_handler_that_is_cancelled_has_ended() -> None:
    async def handler(_: int) -> None:
        await asyncio.sleep(3600)

    async def main() -> list[HandlerResult]:
        ends: list[HandlerResult] = []
        tasks: set[Any] = set()
        run(handler, 1, ends.append, tasks)
        next(iter(tasks)).cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return ends

    (end,) = asyncio.run(main())
    assert isinstance(end.error, asyncio.CancelledError)


def test_what_a_handler_sets_in_its_context_stays_there() -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def handler(_: int) -> None:
        variable.set(1)

    async def main() -> int:
        run(handler, 1, lambda _: None, set())
        return variable.get()

    assert asyncio.run(main()) == 0


def test_without_a_loop_a_coroutine_may_not_wait() -> None:
    async def quick(x: int) -> int:
        return x

    async def waits(x: int) -> None:
        await asyncio.sleep(0)

    async def fails(x: int) -> None:
        raise ValueError

    ends: list[HandlerResult] = []
    for handler in (quick, waits, fails):
        assert run(handler, 1, ends.append, set())
    assert ends[0] == HandlerResult(1)
    assert isinstance(ends[1].error, RuntimeError)
    assert isinstance(ends[2].error, ValueError)
