"""Targets, and the order in which they are tried."""

from __future__ import annotations

import pytest

from reginfo.routing.target import Target, by_preference
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri


def target(user: str, q: float = 1.0) -> Target:
    return Target(Uri.parse(f"sip:{user}@192.0.2.1"), q)


def test_a_bare_target_is_resolved_by_its_uri() -> None:
    """RFC 3261 §16.6 step 7."""
    one = target("a")
    assert (one.q, one.route, one.flow, one.local) == (1.0, (), None, None)


def test_targets_of_equal_preference_are_one_group_highest_first() -> None:
    """RFC 3261 §16.6: the target set is processed by decreasing q."""
    groups = by_preference(
        [target("a", 0.5), target("b"), target("c", 0.5), target("d", 0.0)]
    )
    assert [[one.uri.user for one in group] for group in groups] == [
        ["b"],
        ["a", "c"],
        ["d"],
    ]
    assert by_preference([]) == []


def test_a_target_is_brief_in_a_log() -> None:
    assert repr(target("a", 0.5)) == "Target('sip:a@192.0.2.1', q=0.5)"


@pytest.mark.parametrize("transport", Transport)
def test_a_secure_target_is_reached_by_a_secure_flow_only(transport: Transport) -> None:
    """5630-01, 5630-03"""
    flow = Flow(Local(transport, "192.0.2.1", 5061), ("192.0.2.7", 41000))
    secure = Target(Uri.parse("sips:a@192.0.2.7"), flow=flow)
    assert secure.is_secure_enough is transport.is_secure
    secure.downgrade()
    assert secure.uri.text == "sip:a@192.0.2.7"
    assert secure.is_secure_enough


def test_without_a_flow_the_uri_says_how_a_target_is_reached() -> None:
    """5630-03"""
    secure = Target(Uri.parse("sips:a@192.0.2.7"))
    assert secure.is_secure_enough
    secure.downgrade()
    assert secure.uri.scheme == "sips"
