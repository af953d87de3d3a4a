"""What the tests with real peers share: processes that end with their test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .phone import Address, Phone
from .server import Server


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Servers are started hundreds of times, and compile what they import but once.

    Where Python is told not to write that down, each start would take half as long
    again; here it may, in a directory of the tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        if sys.dont_write_bytecode:
            patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            cache = tmp_path_factory.mktemp("compiled")
            patch.setenv("PYTHONPYCACHEPREFIX", str(cache))
        yield


@pytest.fixture
def phones() -> Iterator[Callable[[Address], Phone]]:
    """Makes phones; they are hung up after the test."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(Phone(server))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One of our servers."""
    with Server(tmp_path / "a") as running:
        yield running
