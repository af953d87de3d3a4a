"""What the tests with real peers share: processes that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .phone import Address, Phone
from .server import Server


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
