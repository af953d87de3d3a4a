"""A publication has as many contacts as there is room for (RFC 3903 §4.1)."""

from __future__ import annotations

import logging

import pytest

from reginfo.reg import xml
from reginfo.reg.document import ContactEvent
from reginfo.roles.published import (
    LONGEST_BODY,
    LONGEST_DATAGRAM_BODY,
    SHORTEST_BODY,
    PresenceServer,
)
from reginfo.sip.clients import LONGEST_DATAGRAM, UDP_ONLY
from reginfo.sip.message import Draft

from ..make import moment, place
from .test_publisher import AOR, FLOW, NOW, Server, binding

VIA = "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK0123456789abcdef;rport"


def registered(number: int, *, datagram_only: bool = True) -> Server:
    """A server at which a user has so many contacts, the last ones the newest."""
    server = Server()
    server.datagram_only = datagram_only
    claims = [
        binding(
            contact=f"sip:a{one}@192.0.2.1",
            key=f"sip:a{one}@192.0.2.1",
            call_id=f"c{one}",
            stamp=one + 1,
        )
        for one in range(number)
    ]
    server.store.apply(place(AOR), claims, NOW)
    return server


def published(server: Server) -> tuple[int, list[str]]:
    """How long the last body is, and who is registered by it."""
    draft, document = server.last()
    (registration,) = document.registrations
    active = [c.uri for c in registration.contacts if c.event.state == "active"]
    return len(draft.body), active


def user_of(number: int) -> str:
    return f"sip:a{number}@192.0.2.1"


@pytest.mark.parametrize("datagram_only", [True, False])
def test_what_there_is_room_for_is_whole(datagram_only: bool) -> None:
    """3903-14: over a stream, and in one datagram, however fragmented."""
    server = registered(100, datagram_only=datagram_only)
    length, active = published(server)
    assert SHORTEST_BODY < length <= LONGEST_DATAGRAM_BODY
    assert active == [user_of(one) for one in range(100)]


def test_over_a_stream_there_is_room_for_more() -> None:
    """3903-60."""
    server = registered(500, datagram_only=False)
    length, active = published(server)
    assert LONGEST_DATAGRAM_BODY < length <= LONGEST_BODY
    assert len(active) == 500


def test_what_no_datagram_holds_is_left_out_oldest_first_and_that_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """3903-60: a PUBLISH replaces the state, and cannot be sent in pieces."""
    with caplog.at_level(logging.WARNING):
        server = registered(500)
        length, active = published(server)
        assert length <= LONGEST_DATAGRAM_BODY
        assert LONGEST_DATAGRAM_BODY - length < 500
        first = 500 - len(active)
        assert active == [user_of(one) for one in range(first, 500)]
        server.answer()
        server.bind(cseq=2, contact=user_of(7), key=user_of(7), call_id="c7", stamp=900)
    length, active = published(server)
    assert user_of(7) in active  # which has just been refreshed
    assert [record.getMessage() for record in caplog.records] == [
        f"! PUBLISH of {AOR} at sip:presence@127.0.0.1 is too long: "
        f"it has {500 - first} of 500 contacts"
    ]


def test_a_contact_that_was_left_out_is_not_told_to_have_gone() -> None:
    """3903-60: it is still bound, and nobody has said otherwise."""
    server = registered(500)
    server.answer()
    server.bind(cseq=2, contact=user_of(7), key=user_of(7), call_id="c7", stamp=900)
    _, document = server.last()
    (registration,) = document.registrations
    assert {c.event.state for c in registration.contacts} == {"active"}


def test_those_that_are_gone_are_told_as_far_as_there_is_room() -> None:
    """3903-60: after those that are there."""
    server = registered(3)
    server.answer()
    gone = binding(
        contact=user_of(0), key=user_of(0), call_id="c0", cseq=2, stamp=800,
        event=ContactEvent.UNREGISTERED,
    )  # fmt: skip
    server.target.longest = SHORTEST_BODY
    server.target.longest_until = NOW + 1
    server.store.apply(place(AOR), [gone], NOW)
    draft, document = server.last()
    assert len(draft.body) <= SHORTEST_BODY
    (registration,) = document.registrations
    assert [c.event for c in registration.contacts][:1] == ["unregistered"]


def test_one_contact_is_published_however_long_it_is() -> None:
    server = Server()
    server.datagram_only = True
    server.target.longest, server.target.longest_until = 10, NOW + 1
    server.bind()
    assert len(published(server)[1]) == 1


def fails(server: Server, cause: str) -> None:
    _, state = server.sent[-1]
    server.publisher.receive_failure(state, cause, NOW)
    server.publisher.timer_due(moment(NOW + 60))


def test_a_server_that_no_fragments_reach_gets_what_one_packet_holds() -> None:
    """3903-61, 3261-18: after one PUBLISH by UDP that got no answer."""
    server = registered(20)
    assert len(published(server)[1]) == 20
    fails(server, "timeout")
    _, active = published(server)
    assert 0 < len(active) < 20
    assert active[-1] == user_of(19)
    draft: Draft = server.sent[-1][0]
    assert len(draft.write(VIA)) <= LONGEST_DATAGRAM


@pytest.mark.parametrize("cause", ["timeout", "connection refused", "no route to host"])
def test_a_server_that_is_not_there_is_published_all_again(cause: str) -> None:
    """3903-61: where there is TCP, silence says nothing of the length."""
    server = registered(20, datagram_only=False)
    fails(server, cause)
    assert len(published(server)[1]) == 20


@pytest.mark.parametrize(
    "cause", ["connection lost", "connection reset", "message too long"]
)
def test_a_stream_that_breaks_in_the_middle_may_have_been_too_long(cause: str) -> None:
    """3903-61."""
    server = registered(500, datagram_only=False)
    whole, _ = published(server)
    fails(server, cause)
    length, active = published(server)
    assert length <= whole // 4
    assert 0 < len(active) < 500


def test_message_too_large_is_taken_at_its_word() -> None:
    """3903-61: RFC 3261 §21.5.14."""
    server = registered(100, datagram_only=False)
    whole, _ = published(server)
    server.answer(513)
    server.publisher.timer_due(moment(NOW + 60))
    assert published(server)[0] <= whole // 4


def test_a_short_one_that_fails_is_not_shortened() -> None:
    server = registered(1)
    fails(server, "timeout")
    assert server.target.longest == LONGEST_BODY


def test_what_was_left_out_is_published_again_after_a_while() -> None:
    """3903-61: a refresh of a publication that is not whole has a body."""
    server = registered(20)
    fails(server, "timeout")
    server.answer(now=NOW + 60)
    later = NOW + 60 + UDP_ONLY
    server.store.apply(
        place(AOR),
        [
            binding(
                contact=user_of(one), key=user_of(one), call_id=f"c{one}", cseq=2,
                stamp=1000 + one, expires_at=later + 600,
            )
            for one in range(20)
        ],
        NOW + 61,
    )  # fmt: skip
    server.answer(now=NOW + 61)
    sent = len(server.sent)
    server.publisher.timer_due(moment(later + 300))
    assert len(server.sent) > sent
    assert len(published(server)[1]) == 20


def test_after_a_restart_all_is_tried_again() -> None:
    """3903-61: how long a body may be is not stored."""
    server = registered(20)
    fails(server, "timeout")
    server.answer(now=NOW + 60)
    again = PresenceServer(uri=server.target.uri, flow=FLOW)
    server.restart(0.0, again)
    draft = server.sent[-1][0]
    (registration,) = xml.parse(draft.body).registrations
    assert len(registration.contacts) == 20
