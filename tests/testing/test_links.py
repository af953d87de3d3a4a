"""The network of a wire: what arrives, when, and over which stream."""

from __future__ import annotations

import pytest

from reginfo.sip.transport import Transport
from reginfo.testing.links import EPHEMERAL, Links, Packet

A, B = ("192.0.2.1", 5060), ("192.0.2.2", 5060)
PACKET = Packet(A, B, b"OPTIONS sip:b SIP/2.0\r\n\r\n")


def arrived(links: Links) -> list[Packet]:
    found = []
    while (packet := links.take()) is not None:
        found.append(packet)
    return found


@pytest.mark.parametrize(
    ("delays", "at_once", "later"),
    [
        ((), 0, 0),
        ((0.0,), 1, 1),
        ((0.0, 0.0), 2, 2),
        ((0.5,), 0, 1),
        ((0.0, 0.5), 1, 2),
    ],
)
def test_a_fault_says_how_often_and_when_a_packet_arrives(
    delays: tuple[float, ...], at_once: int, later: int
) -> None:
    links = Links(10.0)
    links.add_fault(lambda packet: packet.destination == B, delays, 1)
    links.carry(PACKET)
    found = arrived(links)
    assert len(found) == at_once
    links.now = 10.5
    assert len(found + arrived(links)) == later
    links.carry(PACKET)
    assert arrived(links) == [PACKET]  # one fault is one packet's
    assert links.packets == [PACKET, PACKET]


def test_the_next_arrival_is_a_timer() -> None:
    links = Links(10.0)
    assert links.next_at is None
    links.add_fault(lambda packet: True, (0.5,), 1)
    links.carry(PACKET)
    assert links.next_at == 10.5


def test_a_cut_link_loses_all_in_both_directions_until_it_is_healed() -> None:
    links = Links(10.0)
    links.cut(B[0], A[0])
    for packet in (PACKET, Packet(B, A, b""), Packet(A, B, b"", Transport.TCP)):
        links.carry(packet)
    assert arrived(links) == []
    assert links.connect(A, B, True) is None
    links.heal(A[0], B[0])
    links.carry(PACKET)
    assert arrived(links) == [PACKET]
    links.cut(A[0], B[0])
    links.heal_all()
    links.carry(PACKET)
    assert arrived(links) == [PACKET]


def test_fate_is_of_datagrams_only() -> None:
    links = Links(10.0)
    links.fate = lambda packet: []
    links.carry(PACKET)
    on_stream = Packet(A, B, b"", Transport.TCP)
    links.carry(on_stream)
    assert arrived(links) == [on_stream]


def test_a_stream_has_a_port_of_its_own_and_carries_both_ways() -> None:
    links = Links(10.0)
    opened = links.connect(A, B, True)
    assert opened is not None
    assert opened.destination == B
    assert opened.source == (A[0], EPHEMERAL)
    back = links.connect(B, opened.source, False)
    assert back is not None
    assert (back.source, back.destination) == (B, A)
    again = links.connect(A, B, False)
    assert again == opened
    assert links.streams_of(A) == [B]


def test_nobody_accepts_where_nobody_listens() -> None:
    links = Links(10.0)
    assert links.connect(A, B, False) is None
    assert not links.is_open(A, B)


def test_a_closed_stream_is_closed_at_both_ends() -> None:
    links = Links(10.0)
    opened = links.connect(A, B, True)
    assert opened is not None
    assert links.is_open(B, opened.source)
    assert links.close(A, B) == (B, opened.source)
    assert not links.is_open(B, opened.source)
    assert links.close(A, B) is None
