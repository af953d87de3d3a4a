"""Turns that take long are logged, with what they did."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reginfo.io.eager import SLOW
from reginfo.io.watchdog import HUNG, LOOK, Watchdog, WatchedSelector


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


class Dog(Watchdog):
    """A watchdog whose looks the test makes, in this very thread."""

    def __init__(self, script: Path | None = None) -> None:
        self.selector = WatchedSelector()
        super().__init__(self.selector, script=script)
        self.elsewhere = 0.0
        self.serving(lambda: self.elsewhere)

    serving_since = 1000.0

    def begin(self) -> None:
        self.selector.busy_since = self.serving_since

    def look(self, after: float) -> None:
        self._look_at(self.serving_since + after)

    def end(self, took: float) -> None:
        assert self.selector.ended is not None
        self.selector.ended(self.serving_since, took)


@pytest.fixture
def dog() -> Dog:
    return Dog()


def test_a_long_turn_is_logged_with_the_innermost_line_of_the_script(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dog = Dog(script=Path(__file__))
    dog.begin()
    dog.look(2 * LOOK)  # called from this very file
    dog.end(0.25)
    (line,) = said(caplog)
    assert line.startswith("! test_watchdog.py:")
    assert line.endswith(": look blocked the server for 250 ms")


def test_without_a_line_of_the_script_it_is_the_innermost_of_the_server(
    dog: Dog, caplog: pytest.LogCaptureFixture
) -> None:
    dog.begin()
    dog.look(2 * LOOK)
    dog.end(0.25)
    (line,) = said(caplog)
    assert line.startswith("! io/watchdog.py:")


@pytest.mark.parametrize("look", [None, LOOK / 2])
def test_what_no_look_has_seen_is_logged_without_a_line(
    dog: Dog, look: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    dog.begin()
    if look is not None:
        dog.look(look)
    dog.end(0.11)
    assert said(caplog) == ["! a turn blocked the server for 110 ms"]


def test_the_line_of_an_earlier_turn_is_not_named(
    dog: Dog, caplog: pytest.LogCaptureFixture
) -> None:
    dog.begin()
    dog.look(2 * LOOK)
    dog.serving_since = 2000.0
    dog.begin()
    dog.end(0.2)
    assert said(caplog) == ["! a turn blocked the server for 200 ms"]


@pytest.mark.parametrize(
    ("logged", "line"), [(0.25, None), (0.15, "150 ms"), (0.0, "300 ms")]
)
def test_what_a_handler_has_logged_is_not_logged_again(
    dog: Dog, logged: float, line: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):  # and of the second turn, only what it adds
        dog.begin()
        dog.elsewhere = number * logged
        dog.end(0.3)
    if line is None:
        assert said(caplog) == []
    else:
        assert [line in one for one in said(caplog)] == [True, True]


def test_the_stack_of_a_turn_that_hangs_is_logged_once_and_that_it_goes_on(
    dog: Dog, caplog: pytest.LogCaptureFixture
) -> None:
    dog.begin()
    dog.look(HUNG - 0.1)
    assert said(caplog) == []
    for after in (HUNG, HUNG + 1, HUNG + 2):
        dog.look(after)
    (stack,) = said(caplog)
    assert stack.startswith("! nothing has been served for 2.0 s; ")
    assert "in test_the_stack_of_a_turn_that_hangs_is_logged_once" in stack
    dog.end(5.0)
    assert said(caplog)[1] == "= after 5.0 s the server goes on"
    dog.serving_since = 2000.0
    dog.begin()
    dog.look(HUNG)
    assert len(said(caplog)) == 4  # another hang is another line


def test_a_loop_that_waits_is_not_looked_at(
    dog: Dog, caplog: pytest.LogCaptureFixture
) -> None:
    dog.selector.busy_since = 0.0
    dog.look(3600.0)
    assert said(caplog) == []


def test_the_start_may_take_long(caplog: pytest.LogCaptureFixture) -> None:
    selector = WatchedSelector()
    dog = Watchdog(selector)
    selector.busy_since = time.monotonic() - 60
    dog._look_at(time.monotonic())
    selector.select(0)
    assert said(caplog) == []
    dog.serving()
    selector.busy_since = time.monotonic() - 60
    selector.select(0)
    assert len(said(caplog)) == 1
    selector.close()


def test_a_look_that_fails_does_not_end_the_watchdog(
    caplog: pytest.LogCaptureFixture,
) -> None:
    looks = threading.Semaphore(0)

    def look(now: float) -> None:
        looks.release()
        raise ZeroDivisionError

    selector = WatchedSelector()
    with Watchdog(selector, look=look):
        assert looks.acquire(timeout=10)
        assert looks.acquire(timeout=10)
    selector.close()
    assert "! the watchdog" in said(caplog)


def by_call_soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    loop.call_soon(act)


def by_timer(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    loop.call_later(0.001, act)


def by_thread(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    loop.run_in_executor(None, loop.call_soon_threadsafe, act)


def by_task(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    async def task() -> None:
        act()

    kept.append(loop.create_task(task()))


kept: list[asyncio.Task[None]] = []


@pytest.mark.parametrize("cause", [by_call_soon, by_timer, by_thread, by_task])
def test_any_turn_of_a_loop_is_watched_whatever_has_caused_it(
    cause: Callable[[asyncio.AbstractEventLoop, Callable[[], None]], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A timer, an answer from a name server, a request of the administrator."""
    selector = WatchedSelector()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        watchdog.serving()
        done = loop.create_future()

        def slow() -> None:
            time.sleep(SLOW + 2 * LOOK)
            done.set_result(None)

        cause(loop, slow)
        await done
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with (
        caplog.at_level(logging.WARNING, "reginfo.turn"),
        Watchdog(selector, script=Path(__file__)) as watchdog,
        asyncio.Runner(
            loop_factory=lambda: asyncio.SelectorEventLoop(selector)
        ) as runner,
    ):
        runner.run(main())
    (line,) = [one for one in said(caplog) if "blocked the server" in one]
    assert line.startswith("! test_watchdog.py:")
    assert ": slow blocked the server for 2" in line
