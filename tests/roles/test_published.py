"""The contacts of a publication of ours are stored one by one."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.events.publish import Publication
from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding
from reginfo.reg.document import ContactEvent
from reginfo.roles.published import (
    CONTACT_KIND,
    KIND,
    LONGEST_BODY,
    LONGEST_DATAGRAM_BODY,
    SHORTEST_BODY,
    PresenceServer,
    PublishedRow,
    PublishedShelf,
    PublishedState,
)
from reginfo.sip.clients import UDP_ONLY

from ..make import NOW, binding, load, moment
from .test_publisher import AOR, Server

PHONE, DESK = "sip:a@192.0.2.1", "sip:alice@192.0.2.51"


def contacts_of(server: Server) -> dict[str, Any]:
    """The contacts that are written with this batch; None for one that is removed."""
    return {
        key.rpartition("\0")[2]: None if value is None else value.cseq
        for kind, key, value in server.journal.close().entries
        if kind == CONTACT_KIND
    }


def test_only_a_contact_that_changes_is_written() -> None:
    server = Server()
    server.bind()
    server.bind(contact=DESK, key=DESK, call_id="desk")
    server.answer()
    server.answer()
    phone, desk = PHONE, DESK
    assert contacts_of(server) == {phone: 1, desk: 1}
    server.bind(2)
    assert contacts_of(server) == {phone: 2}
    server.answer()
    assert contacts_of(server) == {}
    server.bind(3, event=ContactEvent.UNREGISTERED)
    server.answer()
    assert contacts_of(server) == {phone: None}


def test_what_is_taken_back_is_written_again() -> None:
    server = Server()
    server.bind()
    server.answer()
    server.journal.close()
    server.bind(2)
    server.journal.close().take_back()
    (published,) = server.publisher.publications()
    assert [one.cseq for one in published.stored.values()] == [1]


def test_moments_are_on_the_clock_of_the_new_start() -> None:
    server = Server()
    shelf = PublishedShelf(server.journal)
    publication = Publication(uri=AOR, call_id="c", tag="t", expires_at=NOW)
    key = f"sip:presence\0{AOR}"
    contact: Binding = binding()
    load(
        shelf.rows,
        [
            (CONTACT_KIND, f"{key}\0{contact.key}", contact),
            (KIND, key, PublishedRow(publication=publication)),
        ],
        7.0,
    )
    assert shelf.stored_at("sip:presence") == [key]
    assert shelf.stored_at("sip:other") == []
    row, contacts = shelf.take(key)
    assert row.publication.expires_at == NOW + 7
    assert contacts[contact.key].expires_at == contact.expires_at + 7


def test_a_publication_says_what_it_is() -> None:
    server = Server()
    server.bind()
    (published,) = server.publisher.publications()
    assert repr(published) == f"<PublishedState of {AOR} at {server.target.uri}>"


# The stored rows.


def test_a_publication_without_contacts_is_loaded_with_none() -> None:
    shelf = PublishedShelf(Journal())
    row = PublishedRow(publication=Publication(uri=AOR, call_id="c", tag="t"))
    load(shelf.rows, [(KIND, "sip:presence\0" + AOR, row)])
    assert shelf.take("sip:presence\0" + AOR) == (row, {})
    assert shelf.stored_at("sip:presence") == []


def test_the_key_of_a_contact_may_have_any_character() -> None:
    """It is made by the server that accepted the contact, whatever that uses."""
    shelf = PublishedShelf(Journal())
    row = PublishedRow(publication=Publication(uri=AOR, call_id="c", tag="t"))
    contact: Binding = binding()
    load(
        shelf.rows,
        [(KIND, "s\0a", row), (CONTACT_KIND, "s\0a\0sip:x\0y\0z", contact)],
    )
    assert shelf.take("s\0a") == (row, {"sip:x\0y\0z": contact})


def test_all_three_times_of_a_publication_are_moved_to_the_new_clock() -> None:
    shelf = PublishedShelf(Journal())
    publication = Publication(
        uri=AOR,
        call_id="c",
        tag="t",
        expires_at=NOW,
        refresh_at=NOW + 1,
        unheard_until=NOW + 2,
    )
    load(shelf.rows, [(KIND, "s\0a", PublishedRow(publication=publication))], 7.0)
    moved = shelf.take("s\0a")[0].publication
    assert (moved.expires_at, moved.refresh_at) == (NOW + 7, NOW + 8)
    assert moved.unheard_until == NOW + 9


def test_a_publication_is_erased_with_each_of_its_contacts() -> None:
    server = Server()
    server.bind()
    server.bind(contact=DESK, key=DESK, call_id="desk")
    server.answer()
    server.answer()
    server.journal.close()
    (published,) = server.publisher.publications()
    shelf = PublishedShelf(server.journal)
    shelf.erase("s\0a", published)
    batch = server.journal.close()
    assert batch.entries == [
        (KIND, "s\0a", None),
        (CONTACT_KIND, f"s\0a\0{PHONE}", None),
        (CONTACT_KIND, f"s\0a\0{DESK}", None),
    ]
    batch.take_back()  # the caller has the undo: here is none to fail


# How long a body may be.


def presence_server(length: int) -> PublishedState:
    """A publication whose PUBLISH under way has a body of ``length`` octets."""
    publication = Publication(uri=AOR, call_id="c", tag="t")
    target = PresenceServer(uri="sip:presence")
    published = PublishedState(AOR, target, publication, Server().publisher)
    published.length = length
    return published


@pytest.mark.parametrize(
    ("length", "cause", "by_datagram", "longest"),
    [
        (1000, "message too long", True, LONGEST_BODY),
        (1001, "message too long", True, SHORTEST_BODY),
        (10_007, "message too long", True, 2501),
        (10_007, "connection lost", False, 2501),
        (10_007, "connection reset", False, 2501),
        (10_007, "timeout", True, SHORTEST_BODY),
        (10_007, "timeout", False, LONGEST_BODY),
        (10_007, "refused", True, LONGEST_BODY),
    ],
)
def test_a_body_that_may_be_too_long_makes_the_next_ones_shorter_for_a_while(
    length: int, cause: str, by_datagram: bool, longest: int
) -> None:
    published = presence_server(length)
    published.note_failure(cause, by_datagram, NOW)
    target = published.target
    assert target.longest == longest
    is_shorter = longest < LONGEST_BODY
    assert target.longest_until == (NOW + UDP_ONLY if is_shorter else 0.0)
    assert target.room(False, NOW) == longest
    assert target.room(True, NOW) == min(longest, LONGEST_DATAGRAM_BODY)
    assert target.room(False, NOW + UDP_ONLY - 1) == longest
    assert target.room(False, NOW + UDP_ONLY) == LONGEST_BODY


def test_a_publish_without_an_answer_is_logged_with_its_cause(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()
    server.bind()
    (published,) = server.publisher.publications()
    published.receive_failure("connection lost", moment(NOW))
    assert caplog.messages == [
        f"! PUBLISH of {AOR} at {server.target.uri} got no answer: connection lost"
    ]
