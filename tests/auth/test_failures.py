"""Failed passwords are counted by source and user."""

from __future__ import annotations

from reginfo.auth.failures import FREE, LONGEST, Failures

NOW = 1000.0


def failed(times: int, failures: Failures | None = None) -> Failures:
    failures = Failures() if failures is None else failures
    for _ in range(times):
        failures.add("192.0.2.66", "alice", NOW)
    return failures


def test_a_few_failures_cost_nothing_and_more_cost_more() -> None:
    """7616-07"""
    waits = [failed(n).wait("192.0.2.66", "alice", NOW) for n in range(FREE + 5)]
    assert waits == [0.0] * (FREE + 1) + [2.0, 4.0, 8.0, 16.0]
    assert failed(100).wait("192.0.2.66", "alice", NOW) == LONGEST
    assert failed(FREE + 1).wait("192.0.2.66", "alice", NOW + 2) == 0.0


def test_nobody_can_lock_out_somebody_else() -> None:
    """7616-07: neither a user from elsewhere nor others from there"""
    failures = failed(100)
    assert failures.wait("192.0.2.1", "alice", NOW) == 0.0
    assert failures.wait("192.0.2.66", "bob", NOW) == 0.0


def test_the_right_password_and_an_hour_make_it_forgotten() -> None:
    """7616-07"""
    failures = failed(10)
    failures.clear("192.0.2.66", "alice")
    assert failures.wait("192.0.2.66", "alice", NOW) == 0.0
    failures = failed(10)
    failures.add("192.0.2.66", "alice", NOW + LONGEST + 1)
    assert failures.wait("192.0.2.66", "alice", NOW + LONGEST + 1) == 0.0


def test_memory_is_bounded() -> None:
    """7616-07: what failed longest ago is forgotten first"""
    failures = Failures(capacity=10)
    failed(10, failures)
    for number in range(9):
        failures.add(f"192.0.2.{number}", "bob", NOW)
    assert failures.wait("192.0.2.66", "alice", NOW) > 0
    failed(1, failures)
    for number in range(9):
        failures.add(f"198.51.100.{number}", "bob", NOW)
    assert len(failures) == 10
    assert failures.wait("192.0.2.66", "alice", NOW) > 0
    failures.add("192.0.2.99", "bob", NOW)
    assert failures.wait("192.0.2.66", "alice", NOW) == 0.0
    assert (failures.total, failures.blocked) == (30, 2)
