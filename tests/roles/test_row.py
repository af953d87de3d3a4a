"""What of a watch is stored."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.events.notify import ServedSubscription
from reginfo.reg.legacy import Profile
from reginfo.roles.row import WatchRow, is_of_our_kind, shifted_row
from reginfo.sip.dialog import Dialog

from ..make import ALICE, NOW, flow


def row(**others: Any) -> WatchRow:
    dialog = Dialog(
        call_id="call",
        local=f"<{ALICE}>;tag=us",
        remote="<sip:bob@example.com>;tag=from",
        local_tag="us",
        remote_tag="from",
        target="sip:bob@192.0.2.60",
        flow=flow(),
        contact="<sip:192.0.2.1>",
    )
    subscription = ServedSubscription(
        dialog=dialog, event="reg;id=7", expires_at=NOW + 600
    )
    return WatchRow(
        id="call\0us", aor=ALICE, subscription=subscription, min_interval=5.0, **others
    )


def test_a_row_is_the_same_after_a_restart() -> None:
    known = row(version=7, peer="p", profile=Profile.LEGACY, settled=False)
    data = msgspec.msgpack.encode(known)
    assert msgspec.msgpack.decode(data, type=WatchRow) == known


def test_a_row_begins_at_version_0_for_a_watcher_that_follows_the_rfc() -> None:
    """RFC 3680 §5.1: "Versions start at 0"."""
    new = row()
    assert (new.version, new.profile, new.settled) == (0, Profile.STANDARD, True)


@pytest.mark.parametrize("by", [-500.0, 0.0, 60.0])
def test_the_end_is_shifted_with_the_clock(by: float) -> None:
    shifted = shifted_row(row(), by)
    assert shifted.subscription.expires_at == NOW + 600 + by
    assert shifted.min_interval == 5.0


@pytest.mark.parametrize(
    ("peer", "profile", "ours"),
    [
        (None, Profile.STANDARD, False),
        ("p", Profile.STANDARD, True),
        ("p", Profile.LEGACY, False),
        ("p", Profile.IMS, False),
    ],
)
def test_of_our_kind_is_a_configured_peer_that_follows_the_rfc(
    peer: str | None, profile: Profile, ours: bool
) -> None:
    assert is_of_our_kind(row(peer=peer, profile=profile)) is ours
