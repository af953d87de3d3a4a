"""Limits and names of the configured peers."""

from __future__ import annotations

import pytest

from reginfo.config.sections import PeerSection
from reginfo.server.peers import IMS_MAX_EXPIRES, Peers


@pytest.mark.parametrize(
    ("peer", "longest"),
    [
        (PeerSection(name="p"), 7200),
        (PeerSection(name="p", profile="legacy"), 7200),
        (PeerSection(name="p", profile="ims"), IMS_MAX_EXPIRES),
        (PeerSection(name="p", profile="ims", max_expires=60), 60),
        (PeerSection(name="p", max_expires=1_000_000), 1_000_000),
        (PeerSection(name="other", max_expires=60), 7200),
    ],
)
def test_a_contact_of_a_peer_lasts_as_long_as_its_configuration_says(
    peer: PeerSection, longest: int
) -> None:
    """
    A contact of a peer lasts at most as long as the peer's configuration allows
    (3680-110).
    """
    assert Peers((peer,), 5.0, 7200).longest("p") == longest
