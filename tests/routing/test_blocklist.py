"""Places that have failed are tried last, for a while."""

from __future__ import annotations

from reginfo.routing.blocklist import AVOIDED, KEPT, LONGEST, Blocklist
from reginfo.sip.destination import Destination
from reginfo.sip.transport import Transport

ONE, TWO, THREE = (
    Destination(Transport.UDP, (f"192.0.2.{n}", 5060)) for n in (1, 2, 3)
)


class Clock:
    now = 1000.0


def blocklist() -> tuple[Blocklist, Clock]:
    clock = Clock()
    return Blocklist(lambda: clock.now), clock


def test_what_has_failed_comes_last_and_the_rest_stays_in_its_order() -> None:
    """3263-07"""
    failed, _ = blocklist()
    assert failed.order([ONE, TWO, THREE]) == [ONE, TWO, THREE]
    failed.add(ONE)
    assert failed.order([ONE, TWO, THREE]) == [TWO, THREE, ONE]
    failed.add(TWO)
    assert failed.order([ONE, TWO, THREE]) == [THREE, ONE, TWO]


def test_where_all_have_failed_all_are_tried() -> None:
    """3263-07"""
    failed, _ = blocklist()
    failed.add(ONE)
    assert failed.order([ONE]) == [ONE]


def test_another_port_or_transport_is_another_place() -> None:
    failed, _ = blocklist()
    failed.add(ONE)
    assert ONE in failed
    assert Destination(Transport.TCP, ONE.address) not in failed
    assert Destination(Transport.UDP, (ONE.address[0], 5070)) not in failed


def test_that_ends_with_its_time_or_with_an_answer() -> None:
    """3263-07"""
    failed, clock = blocklist()
    failed.add(ONE)
    clock.now += AVOIDED - 0.1
    assert failed.order([ONE, TWO]) == [TWO, ONE]
    clock.now += 0.1
    assert failed.order([ONE, TWO]) == [ONE, TWO]
    failed.add(ONE)
    failed.remove(ONE)
    failed.remove(TWO)
    assert (len(failed), failed.order([ONE, TWO])) == (0, [ONE, TWO])


def test_who_fails_again_is_avoided_from_then_on() -> None:
    failed, clock = blocklist()
    failed.add(ONE)
    clock.now += 50.0
    failed.add(ONE)
    clock.now += AVOIDED - 0.1
    assert ONE in failed


def test_it_may_be_for_longer_and_not_for_ever() -> None:
    failed, clock = blocklist()
    failed.add(ONE, 100.0)
    failed.add(TWO, 1e9)
    clock.now += 99.9
    assert ONE in failed
    clock.now += 0.1
    assert ONE not in failed and TWO in failed
    clock.now = 1000.0 + LONGEST
    assert TWO not in failed


def test_there_is_an_end_to_what_is_remembered() -> None:
    failed, _ = blocklist()
    for port in range(KEPT + 1):
        failed.add(Destination(Transport.UDP, ("192.0.2.1", port)))
    assert len(failed) == KEPT
    assert Destination(Transport.UDP, ("192.0.2.1", 0)) not in failed
    assert Destination(Transport.UDP, ("192.0.2.1", 1)) in failed
