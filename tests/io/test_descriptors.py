"""Connections leave file descriptors for everything else (3261-156)."""

from __future__ import annotations

import resource

import pytest

from reginfo.io.descriptors import RESERVE, connections_at_most, raise_limit


@pytest.mark.parametrize(
    ("limit", "wanted", "connections"),
    [
        (1024, 10_000, 1024 - RESERVE),
        (1024, 0, 1024 - RESERVE),
        (65_536, 10_000, 10_000),
        (64, 10, 1),
        (resource.RLIM_INFINITY, 10_000, 10_000),
        (resource.RLIM_INFINITY, 0, 0),
    ],
)
def test_there_are_no_more_connections_than_descriptors(
    monkeypatch: pytest.MonkeyPatch, limit: int, wanted: int, connections: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
    assert connections_at_most(wanted) == connections


def test_the_limit_is_raised_as_far_as_the_system_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda *call: told.append(call))
    raise_limit()
    assert told == [(resource.RLIMIT_NOFILE, (4096, 4096))]
