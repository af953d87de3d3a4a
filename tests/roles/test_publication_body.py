"""What stands in a publication: all that is registered here, and how the rest ended."""

from __future__ import annotations

from reginfo.events.publish import Publication
from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding
from reginfo.location.store import LocationStore
from reginfo.reg import xml
from reginfo.reg.document import Contact
from reginfo.roles.publication_body import PublicationBodies
from reginfo.roles.published import PresenceServer, PublishedState

from ..make import ALICE, NOW, binding, place

DESK = "sip:alice@192.0.2.51"


class Nobody:
    """Keeps no publication alive."""

    def receive_response(self, *_: object) -> None: ...
    def receive_failure(self, *_: object) -> None: ...


def written(*claims: Binding, told: tuple[Binding, ...] = ()) -> tuple[Contact, ...]:
    """The contacts of the document when a store has these claims."""
    store = LocationStore("a", Journal())
    store.apply(place(ALICE), claims, NOW)
    publication = Publication(uri=ALICE, call_id="c", tag="t")
    target = PresenceServer(uri="sip:192.0.2.9")
    published = PublishedState(ALICE, target, publication, Nobody())
    published.told = {one.key: one for one in told}
    own = {b.key: b for b in store.bindings(place(ALICE), NOW) if b.owner == "a"}
    bodies = PublicationBodies(store, "a", "location")
    document = xml.parse(bodies.write(published, own, NOW, 1 << 19)[0])
    assert document.full
    return document.registrations[0].contacts


def events(*claims: Binding, told: tuple[Binding, ...] = ()) -> dict[str, str]:
    return {one.uri: one.event.value for one in written(*claims, told=told)}


def test_what_is_registered_here_is_published_and_nothing_else() -> None:
    other = binding(1, contact=DESK, owner="b")
    assert events(binding(1), other) == {"sip:alice@192.0.2.50": "registered"}


def test_what_was_published_and_has_ended_says_how() -> None:
    known = binding(1, contact=DESK)
    gone = binding(2, "unregistered", contact=DESK)
    assert events(binding(1), gone, told=(known,))[DESK] == "unregistered"


def test_what_has_moved_to_another_server_is_reported_by_that_one() -> None:
    known = binding(1, contact=DESK)
    moved = binding(2, contact=DESK, owner="b")
    assert DESK not in events(binding(1), moved, told=(known,))
