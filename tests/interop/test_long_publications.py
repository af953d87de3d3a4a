"""
A user with hundreds of contacts, published at servers with TCP and without.

RFC 3903 §4.1: a PUBLISH replaces the whole state of its publication, so it cannot be
sent in pieces. RFC 3261 §18.1.1: a long request goes by TCP, and by UDP to a server
that takes no TCP.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .document import read
from .peer import KINDS, Kind, Peer
from .phone import Phone, eventually
from .server import Server

EACH, TIMES = 20, 15
CONTACTS = EACH * TIMES


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_gets_as_many_contacts_as_its_transport_carries(
    kind: Kind, tmp_path: Path
) -> None:
    """3903-60, 3261-63: and the log says how many are missing."""
    with (
        Peer(kind) as peer,
        Server(
            tmp_path,
            publish_to=[peer.uri],
        ) as ours,
        Phone(ours.address) as phone,
    ):
        for turn in range(TIMES):
            devices = range(turn * EACH, (turn + 1) * EACH)
            lines = [f"Contact: <{phone.contact('many', one)}>" for one in devices]
            phone.register("many", expires=600, contacts=lines, device=turn)
        newest = phone.contact("many", CONTACTS - 1)

        def has_come() -> bool:
            arrivals = peer.arrivals("PUBLISH")
            return bool(arrivals) and newest.encode() in arrivals[-1].message.body

        eventually(has_come, within=15.0)
        last = peer.arrivals("PUBLISH")[-1]
        active = read(last.message.body).active
        if kind == "takes":
            assert (last.transport, len(active)) == ("TCP", CONTACTS)
            assert "is too long" not in ours.log
        else:
            assert last.transport == "UDP"
            assert len(last.message.body) <= 48 * 1024
            assert 100 < len(active) < CONTACTS
            assert ours.log.count("is too long: it has") == 1
