"""What stands in a publication: all that is registered here, and how the rest ended."""

from __future__ import annotations

import re

import pytest

from reginfo.events.publish import Publication
from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding
from reginfo.location.store import LocationStore
from reginfo.reg import xml
from reginfo.reg.document import Contact, Reginfo
from reginfo.reg.legacy import Profile
from reginfo.roles.envelope import SPEAKER
from reginfo.roles.publication_body import PublicationBodies
from reginfo.roles.published import PresenceServer, PublishedState

from ..make import ALICE, NOW, binding, place

DESK = "sip:alice@192.0.2.51"


class Nobody:
    """Keeps no publication alive."""

    def receive_response(self, *_: object) -> None: ...
    def receive_failure(self, *_: object) -> None: ...


def written(
    *claims: Binding,
    told: tuple[Binding, ...] = (),
    profile: Profile = Profile.STANDARD,
) -> tuple[Contact, ...]:
    """The contacts of the document when a store has these claims."""
    store = LocationStore("a", Journal())
    store.apply(place(ALICE), claims, NOW)
    publication = Publication(uri=ALICE, call_id="c", tag="t")
    target = PresenceServer(uri="sip:192.0.2.9", profile=profile)
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


# To a `reginfo` server: claims.


def claimed(
    *claims: Binding, told: tuple[Binding, ...] = (), sent: tuple[Binding, ...] = ()
) -> Reginfo:
    """The document for a server that takes claims."""
    store = LocationStore("a", Journal())
    for claim in claims:
        store.apply(place(ALICE), [claim], NOW)
    target = PresenceServer(uri="sip:192.0.2.9", takes_claims=True)
    publication = Publication(uri=ALICE, call_id="c", tag="t")
    published = PublishedState(ALICE, target, publication, Nobody())
    published.told = {one.key: one for one in told}
    published.sent = {one.key: one for one in sent}
    published.is_plain = True
    own = {b.key: b for b in store.bindings(place(ALICE), NOW) if b.owner == "a"}
    bodies = PublicationBodies(store, "a", "location")
    body, written = bodies.write(published, own, NOW, 1 << 19)
    assert written == own
    assert not published.is_plain
    assert re.search(rb"</contact>[^<]", body) is None  # no text between them
    return xml.parse(body)


def test_a_server_that_takes_claims_is_sent_all_claims_for_each_contact() -> None:
    """Also those that lost: the claim that they lost to may not be known there."""
    path, agent = ("<sip:p;lr>",), "Phone/1"
    lost = binding(1, call_id="old", stamp=1, registered_at=NOW - 9)
    holds = binding(5, call_id="new", begin=5, stamp=5, path=path, user_agent=agent)
    document = claimed(lost, holds)
    assert document.full and document.version == 0
    (registration,) = document.registrations
    assert (registration.aor, registration.state) == (ALICE, "active")
    assert [key.kind for key in registration.keys] == [SPEAKER]
    first, second = registration.contacts
    assert [(one.callid, one.cseq) for one in (first, second)] == [
        ("new", 5),
        ("old", 1),
    ]
    assert first.id != second.id
    assert (first.expires, first.duration_registered) == (600, 0)
    assert (second.expires, second.duration_registered) == (600, 9)
    assert first.claim is not None and second.claim is not None
    assert (first.claim.begin, first.claim.stamp, first.claim.left) == (5, 5, 600_000)
    assert (first.claim.path, first.claim.user_agent) == (path, agent)
    assert (second.claim.stamp, second.claim.owner) == (1, "a")


@pytest.mark.parametrize("where", ["told", "sent"])
def test_a_claim_that_a_contact_has_gone_is_sent_to_whom_it_was_told(
    where: str,
) -> None:
    known = binding(1, contact=DESK)
    gone = binding(2, "unregistered", contact=DESK)
    other = binding(1, contact="sip:alice@192.0.2.52", owner="b")
    told = {where: (known,)}
    (registration,) = claimed(
        binding(1), gone, other, told=told.get("told", ()), sent=told.get("sent", ())
    ).registrations
    assert {one.uri: one.claim.gone for one in registration.contacts if one.claim} == {
        "sip:alice@192.0.2.50": False,
        DESK: True,
    }


def test_nothing_is_claimed_of_a_contact_that_was_never_told_and_has_gone() -> None:
    gone = binding(2, "unregistered", contact=DESK)
    (registration,) = claimed(gone).registrations
    assert (registration.contacts, registration.state) == ((), "terminated")


# How long a contact has been registered, and what a legacy server is told.


@pytest.mark.parametrize(
    ("registered_at", "seconds"),
    [(NOW - 9.9, 9), (NOW - 1, 1), (NOW - 0.9, 0), (NOW, 0), (NOW + 5, 0)],
)
def test_a_contact_says_for_how_many_whole_seconds_it_is_registered(
    registered_at: float, seconds: int
) -> None:
    """3680-69: never less than none, whatever a clock of another server says."""
    (contact,) = written(binding(1, registered_at=registered_at))
    assert (contact.duration_registered, contact.expires) == (seconds, 600)


def test_a_legacy_server_is_told_the_events_that_it_knows() -> None:
    known = binding(1, contact=DESK, params=(("+x", "y"),))
    gone = binding(2, "rejected", contact=DESK, params=(("+x", "y"),))
    told = {
        one.uri: (one.event.value, one.expires, one.params)
        for one in written(
            binding(1, params=(("+x", "y"),)),
            gone,
            told=(known,),
            profile=Profile.LEGACY,
        )
    }
    assert told == {
        "sip:alice@192.0.2.50": ("registered", 600, ()),
        DESK: ("unregistered", 0, ()),
    }
