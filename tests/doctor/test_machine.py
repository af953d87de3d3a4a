"""The machine is judged by what its kernel says, and by nothing else."""

from __future__ import annotations

import resource

import pytest

from reginfo.doctor.finding import Level
from reginfo.doctor.machine import (
    FILES,
    UNSYNCHRONISED,
    buffers,
    clock,
    clock_status,
    examine,
    files,
)
from reginfo.io.udp import BUFFER


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (0, Level.OK),
        (0x2001, Level.OK),
        (UNSYNCHRONISED, Level.WARNING),
        (0x2041, Level.WARNING),
        (None, Level.WARNING),
    ],
)
def test_a_clock_that_nobody_sets_is_a_warning(
    status: int | None, level: Level
) -> None:
    assert clock(status).level is level


def test_the_kernel_says_whether_its_clock_is_set() -> None:
    status = clock_status()
    assert status is None or 0 <= status < 0x10000


@pytest.mark.parametrize(
    ("soft", "hard", "level"),
    [
        (1024, FILES - 1, Level.WARNING),
        (1024, FILES, Level.OK),
        (1024, resource.RLIM_INFINITY, Level.OK),
    ],
)
def test_few_files_are_few_connections(soft: int, hard: int, level: Level) -> None:
    """The soft limit does not matter: a server raises it."""
    found = files(soft, hard)
    assert found.level is level
    assert (str(hard) in found.text) == (hard != resource.RLIM_INFINITY)


@pytest.mark.parametrize(
    ("limit", "level"),
    [(BUFFER - 1, Level.WARNING), (BUFFER, Level.OK), (None, Level.OK)],
)
def test_a_small_buffer_loses_a_burst(limit: int | None, level: Level) -> None:
    found = buffers(limit)
    assert found.level is level
    assert (f"rmem_max={BUFFER}" in found.text) == (level is Level.WARNING)


def test_this_machine_can_be_examined() -> None:
    assert [one.subject for one in examine()] == ["clock", "files", "buffers"]
