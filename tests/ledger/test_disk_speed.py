"""How long commits take (3261-178)."""

from __future__ import annotations

import pytest

from reginfo.ledger.disk_speed import DiskSpeed


def commit(disk: DiskSpeed, at: float, took: float) -> None:
    disk.begin(at)
    disk.end(at + took)


def test_a_commit_is_slow_if_clients_retransmit_meanwhile() -> None:
    """3261-178"""
    disk = DiskSpeed()
    commit(disk, 0.0, 0.4)
    assert disk.problem(0.4) is None and disk.slow == 0
    commit(disk, 1.0, 0.5)
    assert disk.problem(1.5) == "the disk is slow: a commit took 0.5 s"
    assert disk.slow == 1


def test_the_slowest_commit_is_reported_for_a_minute() -> None:
    """3261-178"""
    disk = DiskSpeed()
    for at, took in ((0.0, 1.0), (10.0, 3.0), (20.0, 2.0)):
        commit(disk, at, took)
    assert disk.problem(81.9) == "the disk is slow: a commit took 3.0 s"
    assert disk.problem(82.0) is None
    commit(disk, 100.0, 0.6)
    assert disk.problem(101.0) == "the disk is slow: a commit took 0.6 s"


def test_a_commit_that_does_not_end_is_reported_meanwhile() -> None:
    """3261-178"""
    disk = DiskSpeed()
    disk.begin(0.0)
    assert disk.problem(0.4) is None
    assert disk.problem(7.0) == "a commit has not ended after 7.0 s"


def test_the_log_has_a_line_a_minute_and_one_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """3261-178"""
    disk = DiskSpeed()
    for second in range(0, 100, 2):
        commit(disk, float(second), 1.0)
    commit(disk, 120.0, 0.001)
    assert "fast" not in caplog.text
    for at in (160.0, 161.0):
        commit(disk, at, 0.001)
    assert [record.getMessage() for record in caplog.records] == [
        "! the disk is slow: a commit took 1.0 s",
        "! the disk is slow: a commit took 1.0 s",
        "= the disk is fast again: a commit took 0.001 s",
    ]
