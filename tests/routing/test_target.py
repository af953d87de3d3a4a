"""Targets, and the order in which they are tried."""

from __future__ import annotations

from reginfo.routing.target import Target, by_preference
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
