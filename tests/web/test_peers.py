"""Peers, and the subscriptions there, as the API shows them."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.config.sections import PeerSection
from reginfo.events.states import SubscriberState
from reginfo.web.peers import held, row

from .fake import ALICE, BOB, NOW, mirror

B = PeerSection(name="b", uri="sip:192.0.2.2")
C = PeerSection(name="c")


def test_every_peer_and_every_subscription_has_a_row() -> None:
    """docs/api.md: a peer without a subscription has a row, too."""
    rows = held([B, C], [mirror("b", ALICE), mirror("b", BOB), mirror("gone", BOB)], {})
    assert [(one.name, one.aor, one.peer) for one in rows] == [
        ("b", ALICE, B),
        ("b", BOB, B),
        ("gone", BOB, None),
        ("c", "", C),
    ]
    assert [one.key for one in rows][0] == f"b {ALICE}"


def test_a_peer_without_a_subscription_has_no_state() -> None:
    (one,) = held([C], [], {})
    shown = row(one, NOW)
    assert (shown.name, shown.uri, shown.aor, shown.state) == ("c", None, None, None)
    assert (shown.contacts, shown.missed) == ([], 0)


def test_a_subscription_is_shown_with_what_the_peer_reports() -> None:
    (one,) = held([B], [mirror("b", BOB, "sip:z@h", "sip:a@h")], {})
    shown = row(one, NOW)
    assert (shown.uri, shown.aor, shown.state) == ("sip:192.0.2.2", BOB, "active")
    assert shown.contacts == ["sip:a@h", "sip:z@h"]
    assert (shown.next, shown.notified, shown.problem) == (300, None, None)


@pytest.mark.parametrize(
    ("fields", "expires", "next"),
    [
        ({"state": SubscriberState.ENDED, "timer_at": None}, None, None),
        ({"timer_at": NOW - 5}, None, 0),
    ],
)
def test_a_time_that_has_passed_is_never_shown_negative(
    fields: dict[str, Any], expires: int | None, next: int | None
) -> None:
    shown = row(held([B], [mirror("b", BOB, **fields)], {})[0], NOW)
    assert shown.next == next
    if fields.get("state") is SubscriberState.ENDED:
        assert shown.expires is expires


def test_the_time_since_the_last_notify_is_shown() -> None:
    one = mirror("b", BOB)
    one.notified_at, one.missed, one.problem = NOW - 7.9, 2, "timeout"
    shown = row(held([B], [one], {})[0], NOW)
    assert (shown.notified, shown.missed, shown.problem) == (7, 2, "timeout")
