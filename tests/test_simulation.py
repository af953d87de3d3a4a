"""Servers that watch each other agree at rest, whatever happened before."""

from __future__ import annotations

import pytest

from . import simulation
from .simulation import (
    ALICE,
    ALL,
    CALM,
    FAULTS,
    HOSTS,
    LossyWire,
    Simulation,
    configuration,
    register,
    run,
    sequence,
    shortest,
)


def faults(topology: str, names: tuple[str, ...], seeds: range) -> list[str]:
    """Play a sequence of 30 operations for each seed; all that is wrong at the ends."""
    return [
        f"seed {seed}: {fault}"
        for seed in seeds
        for fault in run(seed, topology, sequence(seed, topology, 30, names))
    ]


@pytest.mark.parametrize("topology", ["mesh", "ring"])
def test_servers_agree_without_faults(topology: str) -> None:
    assert faults(topology, CALM, range(10)) == []


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="step 6: a phone that moves within a star is forgotten",
)
def test_servers_of_a_star_agree_without_faults() -> None:
    assert faults("star", CALM, range(10)) == []


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="step 6: a full document ends, by omission, a contact that has moved",
)
@pytest.mark.parametrize(
    ("topology", "names"),
    [("star", FAULTS), ("mesh", FAULTS), ("ring", FAULTS), ("star", ALL)],
)
def test_servers_agree_after_faults(topology: str, names: tuple[str, ...]) -> None:
    """
    Lost, doubled and delayed datagrams, cut links, servers that are killed; and, of
    ``ALL``, servers that have lost their database.
    """
    assert faults(topology, names, range(20)) == []


# What the simulation itself promises.


def test_a_run_is_repeated_by_its_seed() -> None:
    first, second = Simulation(5, "mesh"), Simulation(5, "mesh")
    for one in (first, second):
        one.wait(5)
        one.play(sequence(5, "mesh", 20, ALL))
    packets = [
        [packet.first_line for packet in one.wire.packets] for one in (first, second)
    ]
    assert packets[0] == packets[1]
    assert sequence(6, "mesh", 20, ALL) != sequence(5, "mesh", 20, ALL)


def test_every_operation_can_be_chosen() -> None:
    chosen = {operation[0] for operation in sequence(0, "ring", 300, ALL)}
    assert chosen == set(ALL)


def test_servers_that_differ_are_found() -> None:
    one = Simulation(0, "mesh")
    one.wait(5)
    one.play([("cut", "a", "b", True), ("register", 0, "a", False)])
    one.play([("cut", "b", "c", True)])
    assert any("the servers differ" in fault for fault in _differing(one))


def _differing(one: Simulation) -> list[str]:
    one.cut("a", "c", True)
    one.register(1, "a", False)
    return one.faults()


def test_a_phone_that_is_forgotten_is_found() -> None:
    one = Simulation(0, "mesh")
    one.wait(5)
    one.register(0, "a", False)
    one.phones[1].server, one.phones[1].until = "b", one.wire.now + 600
    assert any("the phones believe" in fault for fault in one.faults())


def test_the_shortest_sequence_with_a_fault_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(
        seed: int, topology: str, operations: object, **options: int
    ) -> list[str]:
        assert isinstance(operations, list)
        names = [operation[0] for operation in operations]
        return ["a fault"] if names.count("restart") > 1 else []

    operations = sequence(0, "mesh", 60, ALL)
    monkeypatch.setattr(simulation, "run", broken)
    assert [one[0] for one in shortest(0, "mesh", operations)] == 2 * ["restart"]


def test_a_link_that_is_cut_carries_nothing_until_it_is_mended() -> None:
    wire = LossyWire()
    a = wire.serve(configuration("a", []))
    b = wire.serve(configuration("b", ["a"]))
    wire.cut_one_way(b.address, a.address)
    wire.pass_time(40)
    assert {packet.destination for packet in wire.packets} == {a.address}
    wire.mend()
    wire.pass_time(600)
    register(wire, a)
    assert b.contacts(ALICE) == a.contacts(ALICE) != []


def test_delayed_and_doubled_datagrams_arrive() -> None:
    wire = LossyWire()
    wire.delaying = 1.0
    a = wire.serve(configuration("a", []))
    b = wire.serve(configuration("b", ["a"]))
    assert len(a.app.notifier) == 0
    wire.pass_time(10)
    assert len(a.app.notifier) == 1
    wire.delaying, wire.doubling = 0.0, 1.0
    register(wire, a)
    wire.pass_time(40)
    assert b.contacts(ALICE) == a.contacts(ALICE) != []


def test_each_server_watches_those_of_its_topology() -> None:
    for topology, watched in simulation.PEERS.items():
        one = Simulation(0, topology)
        one.wait(5)
        for name in HOSTS:
            mirrors = one.servers[name].app.subscriber.mirrors()
            assert sorted(mirror.peer for mirror in mirrors) == list(watched[name])
