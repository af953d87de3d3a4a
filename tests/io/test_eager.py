"""A handler runs at once, and is a task only if it waits."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from typing import Any

import pytest

from reginfo.io import eager
from reginfo.io.eager import HandlerResult, Handlers, Interrupted
from reginfo.ledger.journal import Journal
from reginfo.script.result import OK

Ended = tuple[Any, BaseException | None]
"""What a handler has returned, and what it has raised."""


class Runner:
    """Runs handlers, and notes how they end."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.slow: list[str] = []
        self.handlers = Handlers(self.journal.attempt, self.note_slow)
        self.ends: list[Ended] = []

    def run(self, handler: Callable[[int], Any], argument: int = 1) -> bool:
        return self.handlers.run(handler, argument, self.ended)

    def ended(self, end: HandlerResult) -> None:
        self.ends.append((end.result, end.error))
        if end.error is not None:
            end.attempt.take_back()

    def note_slow(self, handler: Callable[[Any], Any], took: float) -> None:
        assert took > eager.SLOW
        self.slow.append(handler.__name__)


def in_loop(
    handler: Callable[[int], Any], argument: int = 1
) -> tuple[bool, list[Ended], list[Ended]]:
    """Whether it ended at once, and how; then how it has ended when all is quiet."""

    async def main() -> tuple[bool, list[Ended], list[Ended]]:
        runner = Runner()
        at_once = runner.run(handler, argument)
        first = list(runner.ends)
        assert len(runner.handlers) == (not at_once)
        await asyncio.gather(*runner.handlers._tasks)
        return at_once, first, runner.ends

    return asyncio.run(main())


def test_a_plain_handler_has_ended_when_it_returns() -> None:
    assert in_loop(lambda x: x + 1) == (True, [(2, None)], [(2, None)])


def test_a_return_code_is_no_coroutine_although_it_can_be_awaited() -> None:
    assert in_loop(lambda _: OK)[1] == [(1, None)]


def test_a_coroutine_that_does_not_wait_has_ended_at_once() -> None:
    async def handler(x: int) -> int:
        return x + await OK

    assert in_loop(handler) == (True, [(2, None)], [(2, None)])


def test_a_handler_that_waits_runs_up_to_there_and_resumes_later() -> None:
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
        runner = Runner()
        outer = asyncio.current_task()
        assert not runner.run(handler, 5)
        assert (steps, runner.ends) == (["before"], [])
        assert asyncio.current_task() is outer
        await next(iter(runner.handlers._tasks))
        assert (steps, runner.ends) == (["before", "after"], [(5, None)])
        assert len(runner.handlers) == 0

    asyncio.run(main())


def test_any_awaitable_will_do() -> None:
    async def waits() -> int:
        await asyncio.sleep(0)
        return 3

    def handler(x: int) -> Any:
        return asyncio.gather(waits(), waits())

    assert in_loop(handler)[2] == [([3, 3], None)]


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
        assert in_loop(handler)[2] == [(None, error)]


def test_a_handler_that_is_cancelled_has_ended() -> None:
    async def handler(_: int) -> None:
        await asyncio.sleep(3600)

    async def main() -> list[Ended]:
        runner = Runner()
        runner.run(handler)
        runner.handlers.stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return runner.ends

    ((_, error),) = asyncio.run(main())
    assert isinstance(error, asyncio.CancelledError)


def test_what_a_handler_sets_in_its_context_stays_there() -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def handler(_: int) -> None:
        variable.set(1)

    async def main() -> int:
        Runner().run(handler)
        return variable.get()

    assert asyncio.run(main()) == 0


def test_without_a_loop_a_coroutine_may_not_wait() -> None:
    async def quick(x: int) -> int:
        return x

    async def waits(x: int) -> None:
        await asyncio.sleep(0)

    async def fails(x: int) -> None:
        raise ValueError

    runner = Runner()
    for handler in (quick, waits, fails):
        assert runner.run(handler)
    assert runner.ends[0] == (1, None)
    assert isinstance(runner.ends[1][1], RuntimeError)
    assert isinstance(runner.ends[2][1], ValueError)


def test_what_a_step_has_done_is_taken_back_and_not_what_was_done_before() -> None:
    done: list[str] = []

    async def main() -> None:
        runner = Runner()

        async def handler(_: int) -> None:
            for name in ("first", "second"):
                done.append(name)
                runner.journal.write("kind", name, 1, done.remove, name)
                if name == "first":
                    await asyncio.sleep(0)
            raise ValueError

        assert not runner.run(handler)
        assert [key for _, key, _ in runner.journal.close().entries] == ["first"]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert runner.journal.close().entries == []

    asyncio.run(main())
    assert done == ["first"]


def test_a_step_that_takes_long_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))

    def plain(_: int) -> None: ...

    async def waits(_: int) -> None:
        await asyncio.sleep(0)

    async def main() -> list[str]:
        runner = Runner()
        runner.run(plain)
        runner.run(waits)
        await asyncio.gather(*runner.handlers._tasks)
        return runner.slow

    # A call that makes a coroutine, its first step, and its second.
    assert asyncio.run(main()) == ["plain", "waits", "waits", "waits"]


def test_whether_a_handler_is_in_a_step_is_known() -> None:
    async def main() -> None:
        runner = Runner()
        seen: list[bool] = []

        async def handler(_: int) -> None:
            seen.append(runner.handlers.is_running)
            await asyncio.sleep(0)
            seen.append(runner.handlers.is_running)

        runner.run(handler)
        assert not runner.handlers.is_running
        await asyncio.gather(*runner.handlers._tasks)
        assert not runner.handlers.is_running
        assert seen == [True, True]

    asyncio.run(main())


def test_an_interrupted_step_has_ended_with_that() -> None:
    def plain(_: int) -> None:
        raise Interrupted

    async def later(_: int) -> None:
        await asyncio.sleep(0)
        raise Interrupted

    for handler in (plain, later):
        ((_, error),) = in_loop(handler)[2]
        assert isinstance(error, Interrupted)


def test_a_timeout_of_a_handler_is_its_own() -> None:
    async def handler(_: int) -> str:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(10)
        except TimeoutError:
            return "late"
        return "never"

    assert in_loop(handler)[2] == [("late", None)]


def test_a_handler_may_have_a_task_group() -> None:
    async def handler(x: int) -> int:
        async with asyncio.TaskGroup() as group:
            one = group.create_task(asyncio.sleep(0, x))
            other = group.create_task(asyncio.sleep(0.001, x))
        return one.result() + other.result()

    assert in_loop(handler)[2] == [(2, None)]


def test_a_handler_that_is_cancelled_before_it_resumes_ends_at_its_next_step() -> None:
    async def handler(_: int) -> None:
        await asyncio.sleep(0)

    async def main() -> list[Ended]:
        runner = Runner()
        runner.run(handler)
        (task,) = runner.handlers._tasks
        assert task.cancel()
        await asyncio.gather(task)
        assert not task.cancel()
        assert task.cancelling() == 1
        return runner.ends

    ((_, error),) = asyncio.run(main())
    assert isinstance(error, asyncio.CancelledError)


def test_what_cannot_be_waited_for_is_an_error_in_the_handler() -> None:
    class Odd:
        def __await__(self) -> Any:
            yield 1

    async def handler(_: int) -> None:
        await Odd()

    ((_, error),) = in_loop(handler)[2]
    assert isinstance(error, RuntimeError)


def test_a_debugger_sees_a_handler_that_waits() -> None:
    async def handler(_: int) -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        runner = Runner()
        runner.run(handler)
        (task,) = runner.handlers._tasks
        everything: set[Any] = asyncio.all_tasks()
        assert task in everything
        assert task.get_name() == "handler handler"
        assert task.get_stack()[0].f_code is handler.__code__
        assert task.get_coro() is task._coroutine
        assert task.get_context() is not None
        await asyncio.gather(task)
        assert task.get_stack() == []

    asyncio.run(main())


@pytest.mark.parametrize("waits", [False, True])
def test_a_handler_that_causes_another_to_run_is_still_running(waits: bool) -> None:
    """A reply route ends before its request route: that may be interrupted still."""
    seen: list[bool] = []

    async def main() -> None:
        runner = Runner()

        def inner(argument: int) -> None:
            seen.append(runner.handlers.is_running)

        async def outer(argument: int) -> None:
            if waits:
                await asyncio.sleep(0)
            runner.run(inner)
            seen.append(runner.handlers.is_running)

        runner.run(outer)
        await asyncio.gather(*runner.handlers._tasks)
        seen.append(runner.handlers.is_running)

    asyncio.run(main())
    assert seen == [True, True, False]


def test_what_was_reported_as_slow_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the watchdog does not report it again."""
    monkeypatch.setattr(eager, "SLOW", 0.0)
    runner = Runner()
    runner.run(lambda argument: None)
    assert runner.handlers.reported > 0.0
