"""A process ends when it is asked to, whatever its loop does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from types import FrameType

import pytest

import reginfo.sip.uri as product
from reginfo.io.eager import Interrupted
from reginfo.io.shutdown import FORCED, GRACE, LONGEST, Shutdown


class Process(Shutdown):
    """A shutdown whose signals and whose end are lists."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.interrupts = 0
        self.ends: list[int] = []
        self.end = self.ends.append
        self.place = lambda: "routes.py:7: spin"
        monkeypatch.setattr(signal, "pthread_kill", self.kill)
        self._loop = Loop(self)  # type: ignore[assignment]

    def kill(self, thread: int, number: int) -> None:
        assert number == signal.SIGTERM
        self.interrupts += 1

    def ask(self, *, hangs: bool) -> float:
        """Receive a first signal; return when that was."""
        assert isinstance(self._loop, Loop)
        self._loop.hangs = hangs
        self._receive(signal.SIGTERM, sys._getframe())
        assert self._asked_at is not None
        return self._asked_at


class Loop:
    """A loop that may come round or not."""

    def __init__(self, shutdown: Shutdown) -> None:
        self.hangs = False

    def call_soon_threadsafe(self, call: object) -> None:
        assert callable(call)
        if not self.hangs:
            call()


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    return Process(monkeypatch)


def test_a_loop_that_comes_round_is_asked_to_stop_and_left_alone(
    process: Process,
) -> None:
    at = process.ask(hangs=False)
    assert process.asked.is_set()
    process.look(at + 2 * GRACE)
    assert (process.interrupts, process.ends) == (0, [])


def test_a_script_that_does_not_return_is_interrupted_after_the_grace(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    at = process.ask(hangs=True)
    process.look(at + GRACE - 0.1)
    assert process.interrupts == 0
    process.look(at + GRACE)
    process.look(at + GRACE + 0.1)  # it was in the middle of code of ours, perhaps
    assert process.interrupts == 2
    assert [record.getMessage() for record in caplog.records] == [
        "! to end, the script is interrupted: routes.py:7: spin"
    ]


def test_what_cannot_be_interrupted_is_ended(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    at = process.ask(hangs=True)
    process.look(at + 2 * GRACE)
    assert process.ends == [FORCED]
    assert caplog.records[-1].getMessage() == (
        "! the process is ended with exit code 6: it hangs: routes.py:7: spin"
    )


def test_a_stop_that_takes_too_long_is_ended(process: Process) -> None:
    at = process.ask(hangs=False)
    process.look(at + LONGEST - 0.1)
    assert process.ends == []
    process.look(at + LONGEST)
    assert process.ends == [FORCED]


def test_after_the_stop_the_process_has_to_end_soon(process: Process) -> None:
    process.ask(hangs=False)
    process.stopped()
    process.look(time.monotonic() + GRACE - 1)
    assert process.ends == []
    process.look(time.monotonic() + GRACE)
    assert process.ends == [FORCED]


def test_nothing_ends_that_was_not_asked_to(process: Process) -> None:
    process.look(time.monotonic() + 1e6)
    assert (process.interrupts, process.ends) == (0, [])


def frame_of(module: object) -> FrameType:
    """A frame whose code belongs to ``module``."""
    frames: list[FrameType] = []
    code = compile("keep(sys._getframe())", "<x>", "exec")
    scope = {"sys": sys, "keep": frames.append, "__name__": module.__name__}  # type: ignore[attr-defined]
    exec(code, scope)
    return frames[0]


@pytest.mark.parametrize("in_script", [False, True])
@pytest.mark.parametrize("module", [product, sys.modules[__name__]])
def test_only_code_of_the_script_is_interrupted(
    process: Process, module: object, in_script: bool
) -> None:
    """What is decided half would be neither kept nor taken back."""
    process.ask(hangs=True)
    process.is_in_script = lambda: in_script
    if in_script and module is not product:
        with pytest.raises(Interrupted):
            process._receive(signal.SIGTERM, frame_of(module))
    else:
        process._receive(signal.SIGTERM, frame_of(module))


def test_a_second_signal_interrupts_nothing_once_the_server_stops(
    process: Process,
) -> None:
    process.ask(hangs=False)
    process.is_in_script = lambda: True
    process._receive(signal.SIGINT, frame_of(sys.modules[__name__]))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_what_the_server_waits_for(number: int) -> None:
    before = signal.getsignal(number)

    async def main(shutdown: Shutdown) -> None:
        shutdown.listen()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(shutdown.asked.wait(), 10)

    with Shutdown() as shutdown:
        asyncio.run(main(shutdown))
        assert signal.getsignal(number) == shutdown._receive
    assert signal.getsignal(number) == before
