"""The contacts of a publication of ours are stored one by one."""

from __future__ import annotations

from typing import Any

from reginfo.events.publish import Publication
from reginfo.location.binding import Binding
from reginfo.reg.document import ContactEvent
from reginfo.roles.published import CONTACT_KIND, KIND, PublishedRow, PublishedShelf

from ..make import NOW, binding, load
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
