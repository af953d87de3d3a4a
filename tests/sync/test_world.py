"""Linked servers agree at rest, whatever has happened before."""

from __future__ import annotations

import os
import random

import pytest

from reginfo.location import store as location_store

from . import world
from .world import ALICE, FAULTS, NAMES, SHAPES, World, peers_of, play, run

STEPS = int(os.environ.get("REGINFO_STEPS", "2000"))
"""Steps in all; `make tests` plays 10 000."""


@pytest.mark.parametrize("part", range(4))
def test_linked_servers_agree_at_rest(part: int) -> None:
    """
    In all shapes, with all faults: 3680-132, -134, -135, -136 and -139.
    """
    steps = STEPS // 4
    played, found = run(steps, part * steps // 50)
    assert found == []
    assert played >= steps


# What the simulation itself promises.


def test_a_world_is_repeated_by_its_seed() -> None:
    traces = []
    for _ in range(2):
        one = World(5, "ring", ["loss", "restart", "skew"])
        steps = [one.choose() for _ in range(30)]
        for step in steps:
            one.play(step)
        traces.append((steps, one.wire.now, one.versions.values()))
    assert list(traces[0][2]) == list(traces[1][2])
    assert traces[0][:2] == traces[1][:2]


def test_every_fault_is_played_and_every_shape() -> None:
    found = [next(world.worlds(seed)) for seed in range(60)]
    assert set().union(*(one.faults for one in found)) == set(FAULTS)
    assert {len(one.names) for one in found} == {3, 5}
    assert {one.transport for one in found} == {"udp", "tcp"}
    assert {tuple(sorted(map(len, one.asks.values()))) for one in found} == {
        tuple(sorted(map(len, peers_of(shape, NAMES[:size]).values())))
        for shape in SHAPES
        for size in (3, 5)
    }


def test_servers_that_differ_are_found() -> None:
    one = World(0, "mesh", [])
    one.play(("register", 0, "a", 3600))
    store = one.servers["b"].app.store
    [row] = [r for user in store._records.values() for r in user.rows.values()]
    store._drop(row, one.wire.now)
    found = one.rest()
    assert any(f"bound to {ALICE}" in fault for fault in found)


def test_a_phone_that_is_lost_is_found() -> None:
    one = World(0, "mesh", [])
    one.play(("register", 0, "a", 3600))
    one.phones[0].until = 0.0
    assert any("believed [], known" in fault for fault in one.rest())


def test_a_gap_in_versions_is_found() -> None:
    one = World(0, "mesh", [])
    [link, *_] = one.servers["a"].app.source.links()
    link.version += 1
    one.play(("register", 0, "a", 3600))
    assert any(fault.startswith("version") for fault in one.rest())


@pytest.mark.skipif(
    not location_store.__file__.endswith(".py"),
    reason="compiled code has methods that cannot be replaced",
)
def test_what_is_wrong_is_told_with_what_led_to_it() -> None:
    one = World(0, "mesh", [])
    one.chance = random.Random(3)
    store = one.servers["b"].app.store
    store.apply = lambda *args, **kwargs: []  # type: ignore[method-assign]
    trace = play(one, 10, rest_each=10)
    assert len([line for line in trace if "register" in line]) > 1
    assert "bound to" in "\n".join(trace)
