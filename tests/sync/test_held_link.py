"""One link that we hold."""

from __future__ import annotations

import pytest

from reginfo.events.subscribe import HeldSubscription, Wanted
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport
from reginfo.sync.feed import NEVER
from reginfo.sync.held_link import SILENCE, HeldLink

from ..make import LOCAL, PEER, numbers
from .test_served_link import GROUP

WANTED = Wanted(uri=GROUP.uri, local="sip:a@192.0.2.1", event="reg", accept="*/*")
STREAM = Local(Transport.TCP, "192.0.2.1", 5060)


def held(local: Local) -> HeldLink:
    subscription = HeldSubscription(wanted=WANTED, flow=Flow(local, PEER))
    link = HeldLink("b", GROUP.uri, GROUP, subscription)
    link.heard_at = 100.0
    return link


@pytest.mark.parametrize("local", [LOCAL, STREAM])
def test_a_link_is_lost_after_thirty_seconds_of_silence(local: Local) -> None:
    """6446-21: once it has been heard; and over a stream, if it never is."""
    link = held(local)
    assert link.silent_at == NEVER, "it is not asked for yet"
    link.subscription.begin(100.0, numbers())
    # A datagram is repeated until Timer F: it arrives as soon as it can.
    assert link.silent_at == (100 + SILENCE if local.is_reliable else NEVER)
    assert link.subscription.dialog is not None
    link.subscription.dialog.remote_tag = "b"
    assert link.silent_at == 100 + SILENCE


def test_a_cursor_is_kept_under_peer_uri_and_our_own_policy() -> None:
    link = held(LOCAL)
    assert link.key.split("\0") == ["b", GROUP.uri, GROUP.definition]
    assert link.source == f"b/{GROUP.uri}"
