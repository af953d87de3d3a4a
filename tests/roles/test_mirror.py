"""The contacts of a subscription that we hold are stored one by one."""

from __future__ import annotations

from typing import Any

from reginfo.events.subscribe import HeldSubscription
from reginfo.reg.document import Contact
from reginfo.roles.held import KIND
from reginfo.roles.listing import Listed
from reginfo.roles.mirror import HeldRow, Mirror, shifted_row
from reginfo.roles.subscriber import CONTACT_KIND
from reginfo.sip.uri import Uri

from ..make import ALICE, NOW, PEER, WALL, flow, here, moment
from .told import DESK, PHONE_URI, SOURCE, WANTED, Server, contact, document, watching


def entries(server: Server) -> dict[tuple[str, str], Any]:
    """What is written with this batch; None for what is removed."""
    return {(kind, key): value for kind, key, value in server.journal.close().entries}


def contacts_of(server: Server) -> dict[str, str | None]:
    """The contacts that are written with this batch, by their ids; None if removed."""
    return {
        key.rpartition("\0")[2]: None if value is None else value.contact.uri
        for (kind, key), value in entries(server).items()
        if kind == CONTACT_KIND
    }


def told(*contacts: Contact) -> Server:
    """A server that has stored what a peer has told it."""
    server = Server()
    server.watch()
    server.notify(document(0, *contacts))
    server.commit()
    return server


def test_only_a_contact_that_changes_is_written() -> None:
    server = watching(contact(), contact(DESK))
    server.journal.close()
    phone, desk = contact(), contact(DESK)
    server.notify(document(1, contact(cseq=2, event="refreshed"), full=False))
    assert contacts_of(server) == {phone.id: PHONE_URI}
    server.notify(document(2, contact(cseq=2, event="refreshed"), full=False))
    assert contacts_of(server) == {}
    server.notify(document(3, contact(cseq=3, event="refreshed")))  # and desk is gone
    assert contacts_of(server) == {phone.id: PHONE_URI, desk.id: None}


def test_the_contacts_go_with_the_subscription() -> None:
    server = Server()
    held = server.subscriber.held
    assert held.request("a", ALICE, WANTED, NOW)
    held.located(server.mirror(), flow(PEER), "", NOW)
    server.notify(document(0, contact(), contact(DESK)))
    server.commit()
    held.cancel("a", ALICE, NOW)
    server.receive(b"", state="terminated;reason=timeout")
    assert entries(server) == {
        (KIND, SOURCE): None,
        (CONTACT_KIND, f"{SOURCE}\0{ALICE}\0{contact().id}"): None,
        (CONTACT_KIND, f"{SOURCE}\0{ALICE}\0{contact(DESK).id}"): None,
    }
    assert not server.subscriber._listing._found


def test_an_end_that_cannot_be_committed_leaves_the_subscription_and_its_list() -> None:
    server = Server()
    held = server.subscriber.held
    assert held.request("a", ALICE, WANTED, NOW)
    held.located(server.mirror(), flow(PEER), "", NOW)
    server.notify(document(0, contact(expires=None)))
    server.commit()
    mirror, uri = server.mirror(), Uri.parse(PHONE_URI)
    before = list(server.subscriber.listings(ALICE, uri, NOW))
    assert before == [Listed("a", SOURCE, ALICE, contact(expires=None), NOW + 3660)]
    held.cancel("a", ALICE, NOW)
    server.receive(b"", state="terminated;reason=timeout")
    assert list(server.subscriber.mirrors()) == []
    server.journal.close().take_back()
    assert list(server.subscriber.mirrors()) == [mirror]
    assert list(server.subscriber.listings(ALICE, uri, NOW)) == before


def test_a_restart_keeps_the_contacts_of_what_the_configuration_may_want() -> None:
    server = told(contact(), contact(DESK))
    after = server.restart()
    after.subscriber.begin(here(), moment(after.now))
    assert entries(after) == {}
    after.watch()
    assert {row.contact.uri for row in after.mirror().table} == {PHONE_URI, DESK}
    assert after.mirror().heard_at == WALL + NOW


def test_what_is_taken_back_is_in_the_table_again() -> None:
    server = watching(contact())
    server.journal.close()
    before = server.mirror().table.dump()
    server.notify(document(1, contact(DESK), contact(cseq=9)))
    server.journal.close().take_back()
    assert server.mirror().table.dump() == before


def test_contacts_of_a_subscription_that_cannot_be_read_are_removed() -> None:
    server = told(contact())
    server.rows[KIND, SOURCE] = {"no": "row"}
    after = server.restart()
    after.subscriber.begin(here(), moment(after.now))
    batch = after.journal.close()
    key = f"{SOURCE}\0{ALICE}\0{contact().id}"
    assert batch.entries == [(CONTACT_KIND, key, None)]
    assert not batch.urgent  # a crash costs nothing: it is removed at the next start
    batch.take_back()
    after.watch()
    assert list(after.mirror().table) == []


def test_moments_of_a_row_are_moved_to_another_clock() -> None:
    subscription = HeldSubscription(wanted=WANTED, expires_at=100.0, began_at=7.0)
    row = shifted_row(HeldRow(subscription=subscription), 50.0)
    assert (row.subscription.expires_at, row.subscription.began_at) == (150.0, 57.0)


def test_a_mirror_says_what_it_is() -> None:
    assert isinstance(mirror := watching().mirror(), Mirror)
    assert repr(mirror) == f"<Mirror a/{ALICE} active>"
