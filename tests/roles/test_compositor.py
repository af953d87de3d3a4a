"""What others publish is merged with what is known here (checklist §8)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reginfo.events.notify import SubscriptionPolicy
from reginfo.ledger.journal import Journal
from reginfo.ledger.part import Description
from reginfo.location.binding import BindingChange
from reginfo.location.foreign import GRACE
from reginfo.location.keyring import KeyChange
from reginfo.location.place import TABLE, Aor
from reginfo.location.store import LocationStore
from reginfo.reg import xml
from reginfo.reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    Reginfo,
    Registration,
    RegistrationState,
    contact_id,
)
from reginfo.roles.compositor import (
    CONTACT_KIND,
    KIND,
    RETRY_AFTER,
    Compositor,
    PublicationLimits,
)
from reginfo.roles.contribution import Contribution
from reginfo.roles.listing import Listed
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.sip.uri import Uri

from ..make import (
    ALICE,
    BOB,
    NOW,
    WALL,
    binding,
    here,
    load,
    moment,
    numbers,
    place,
    request,
)

PHONE = "sip:alice@192.0.2.50"
DESK = "sip:alice@192.0.2.51"
CAPTURES = Path(__file__).parents[1] / "captures"


def contact(
    uri: str = PHONE,
    event: str = "registered",
    *,
    expires: int | None = 600,
    callid: str = "phone",
    cseq: int = 1,
    **others: Any,
) -> Contact:
    return Contact(
        id=contact_id(ALICE, uri),
        uri=uri,
        event=ContactEvent(event),
        expires=expires,
        callid=callid,
        cseq=cseq,
        **others,
    )


def document(*contacts: Contact, aor: str = ALICE) -> bytes:
    one = Registration(
        aor=aor, id="r", state=RegistrationState.ACTIVE, contacts=contacts
    )
    return xml.serialize(Reginfo(version=0, full=True, registrations=(one,)))


class Server:
    """A compositor over a store; its publishers are the test."""

    def __init__(
        self,
        prefix: str = "id",
        location: str = TABLE,
        now: float = NOW,
        longest: Callable[[str], int] | None = None,
        room: PublicationLimits | None = None,
    ) -> None:
        self.journal = Journal()
        self.store = LocationStore("us", self.journal)
        self.store.listener = self.listen
        self.now = now
        self.changes: list[BindingChange] = []
        self.rows: dict[tuple[str, str], Any] = {}
        self.cseq = 0
        self.compositor = Compositor(
            self.store,
            self.journal,
            new_id=numbers(prefix),
            policy=SubscriptionPolicy(
                min_expires=60, default_expires=3761, max_expires=7200
            ),
            max_expires=86_400,
            longest=longest,
            location=location,
            room=room,
        )

    def listen(self, change: BindingChange | KeyChange) -> None:
        assert change.at == self.now
        if isinstance(change, BindingChange):
            self.changes.append(change)

    def receive(self, message: Request, peer: str = "a", aor: str = ALICE) -> Response:
        return self.compositor.receive_publish(
            message, peer=peer, aor=Aor(aor), now=self.now, wall=WALL + self.now
        )

    def publish(
        self,
        *contacts: Contact,
        etag: str | None = None,
        expires: int | None = 3600,
        peer: str = "a",
        body: bytes | None = None,
        headers: tuple[str, ...] = (),
    ) -> Response:
        self.cseq += 1
        content = document(*contacts) if body is None else body
        return self.receive(publish(self.cseq, etag, expires, content, headers), peer)

    def events(self) -> list[tuple[str, str]]:
        """What watchers were told since this was last asked: contact and event."""
        changes, self.changes = self.changes, []
        return [(c.binding.contact, c.binding.event.value) for c in changes]

    def listed(self, uri: str = PHONE) -> list[Listed]:
        """The publications that list a contact, each with its end there."""
        return [*self.compositor.listings(ALICE, Uri.parse(uri), self.now)]

    def contacts(self, aor: str = ALICE) -> list[str]:
        return [b.contact for b in self.store.bindings(place(aor), self.now)]

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = [t for t in (self.store.timer_at, self.compositor.timer_at) if t]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            self.store.timer_due(moment(self.now))
            self.compositor.timer_due(moment(self.now))
        self.now = end

    def commit(self) -> None:
        batch = self.journal.close()
        for kind, key, value in batch.entries:
            written = msgspec.msgpack.decode(msgspec.msgpack.encode(value))
            if written is None:
                self.rows.pop((kind, key), None)
            else:
                self.rows[kind, key] = written

    def restart(self, away: float = 0.0, shift: float = 0.0) -> Server:
        """Another server, of what is on disk."""
        self.commit()
        after = Server(prefix="later", now=self.now + away + shift)
        after.cseq = self.cseq
        shelves = [*after.compositor.shelves, *after.store.shelves]
        load(shelves, [(*key, value) for key, value in self.rows.items()], shift)
        after.store.begin(here(), moment(after.now))
        after.compositor.begin(here(), moment(after.now))
        return after


def publish(
    cseq: int,
    etag: str | None = None,
    expires: int | None = 3600,
    body: bytes = b"",
    headers: tuple[str, ...] = (),
) -> Request:
    lines = ["Event: reg", *headers] if "Event" not in str(headers) else [*headers]
    if etag is not None:
        lines.append(f"SIP-If-Match: {etag}")
    if expires is not None:
        lines.append(f"Expires: {expires}")
    if body and "Content-Type" not in str(headers):
        lines.append(f"Content-Type: {xml.MEDIA_TYPE}")
    return request("PUBLISH", *lines, uri=ALICE, cseq=cseq, body=body)


def etag(response: Response) -> str:
    assert response.status == 200
    found = response.header("SIP-ETag")
    assert found
    return found


def refused(server: Server, *args: Any, **kwargs: Any) -> Refusal:
    mark = server.journal.mark()
    with pytest.raises(Refusal) as caught:
        server.publish(*args, **kwargs)
    assert server.journal.mark() == mark  # nothing has changed
    return caught.value


@pytest.mark.parametrize("room", [PublicationLimits(2, 0), PublicationLimits(0, 2)])
def test_there_is_room_for_so_many_publications(room: PublicationLimits) -> None:
    """3261-155: a known one is replaced, and one that ends makes room."""
    server = Server(room=room)
    first = server.receive(publish(1, body=document(contact())))
    server.receive(publish(2, body=document(contact())), peer="b")
    again = publish(3, etag(first), body=document(contact()))
    first = server.receive(again)
    with pytest.raises(Refusal) as caught:
        server.receive(publish(4, body=document(contact())))
    refusal = caught.value
    assert (refusal.status, refusal.headers) == (503, (("Retry-After", "60"),))
    server.receive(publish(5, etag(first), expires=0))
    server.commit()
    third = server.receive(publish(6, body=document(contact())))
    with pytest.raises(Refusal):
        server.receive(publish(7, body=document(contact())))
    assert len(server.compositor) == 2
    server.journal.close().take_back()
    assert len(server.compositor) == 1
    assert server.receive(publish(8, body=document(contact()))).status == 200
    assert third.status == 200


# -- One publisher


def test_what_is_published_is_known_and_told() -> None:
    server = Server()
    response = server.publish(contact(), contact(DESK, callid="desk"))
    assert (response.status, response.header("Expires")) == (200, "3600")
    assert server.contacts() == [PHONE, DESK]
    assert server.events() == [(PHONE, "registered"), (DESK, "registered")]
    (first, _) = server.store.bindings(place(ALICE), NOW)
    assert (first.owner, first.call_id, first.cseq) == ("a", "phone", 1)
    assert (first.expires_at, first.source) == (NOW + 600, "a/PUBLISH")


def test_what_is_published_is_kept_in_the_table_that_is_meant() -> None:
    server = Server(location="elsewhere")

    def bound() -> list[str]:
        assert server.contacts() == []
        found = server.store.bindings(place(ALICE, "elsewhere"), server.now)
        return [one.contact for one in found]

    other = "sip:alice@EXAMPLE.net;x=1"
    first = server.publish(contact("sip:alice@example.net"), peer="b")
    second = server.publish(contact(other, cseq=2), contact(DESK, callid="desk"))
    assert bound() == [other, DESK]
    third = server.publish(contact(other, cseq=2), etag=etag(second))
    assert bound() == [other]
    server.publish(etag=etag(first), expires=0, body=b"", peer="b")
    assert bound() == [other]
    server.publish(etag=etag(third), expires=0, body=b"")
    assert bound() == []


def test_each_success_has_an_entity_tag_of_its_own() -> None:
    """3903-34"""
    server = Server()
    seen = [etag(server.publish(contact()))]
    for body in (None, b"", document(contact(cseq=2))):
        seen.append(etag(server.publish(contact(), etag=seen[-1], body=body)))
    seen.append(etag(server.publish(etag=seen[-1], expires=0, body=b"")))
    seen.append(etag(server.publish(contact())))
    assert len(set(seen)) == len(seen)


def test_a_new_document_replaces_the_one_before() -> None:
    server = Server()
    first = server.publish(contact(), contact(DESK, callid="desk"))
    server.events()
    server.publish(contact(cseq=2, event="refreshed"), etag=etag(first))
    assert server.events() == [(DESK, "expired"), (PHONE, "refreshed")]
    assert server.contacts() == [PHONE]


def test_a_publication_is_the_whole_state_whatever_its_document_is_called() -> None:
    server = Server()
    first = server.publish(contact(), contact(DESK, callid="desk"))
    part = document(contact()).replace(b'state="full"', b'state="partial"')
    server.publish(etag=etag(first), body=part)
    assert server.contacts() == [PHONE]


def test_what_a_document_says_is_gone_is_gone_for_that_reason() -> None:
    server = Server()
    first = server.publish(contact())
    server.events()
    gone = contact(event="unregistered", cseq=2, expires=0)
    server.publish(gone, etag=etag(first))
    assert server.events() == [(PHONE, "unregistered")]
    assert server.contacts() == []


def test_what_was_left_out_comes_back_when_it_is_listed_again() -> None:
    """3903-40: it is of the same REGISTER, and has been gone only by omission."""
    server = Server()
    etag = server.publish(contact()).headers["SIP-ETag"][0]
    etag = server.publish(contact(DESK), etag=etag).headers["SIP-ETag"][0]
    server.events()
    etag = server.publish(contact(), contact(DESK), etag=etag).headers["SIP-ETag"][0]
    assert server.events() == [(PHONE, "registered")]
    server.publish(etag=etag, expires=0, body=b"")
    assert {event for _, event in server.events()} == {"expired"}
    server.publish(contact(cseq=2), peer="c")  # another publisher knows of more
    assert server.events() == [(PHONE, "registered")]
    assert [b.call_id for b in server.store.bindings(place(ALICE), server.now)] == [
        "phone"
    ]


def test_what_was_said_to_be_gone_does_not_come_back_by_the_same_register() -> None:
    server = Server()
    etag = server.publish(contact()).headers["SIP-ETag"][0]
    server.publish(contact(event="unregistered"), etag=etag)
    server.events()
    server.publish(contact(), peer="c")
    assert server.events() == []


def test_the_same_document_again_is_no_news() -> None:
    """3903-35"""
    server = Server()
    first = server.publish(contact())
    server.events()
    server.publish(contact(), etag=etag(first))
    assert server.events() == []


def test_a_refresh_without_a_body_lets_it_stand_longer() -> None:
    """3903-35"""
    server = Server()
    first = server.publish(contact(expires=7000), expires=60)
    server.events()
    server.pass_time(50)
    server.publish(etag=etag(first), expires=60, body=b"")
    server.pass_time(50)
    assert (server.events(), server.contacts()) == ([], [PHONE])
    server.pass_time(11)
    assert (server.events(), server.contacts()) == ([(PHONE, "expired")], [])


@pytest.mark.parametrize("expires", [86_401, 10**6, 2**32 - 1])
def test_a_contact_that_is_published_is_not_believed_for_years(expires: int) -> None:
    """The expires of a published contact is limited (3680-110)."""
    server = Server()
    server.publish(contact(expires=expires))
    (bound,) = server.store.bindings(place(ALICE), NOW)
    assert bound.expires_at == NOW + 86_400


def test_a_contact_without_an_end_lives_as_long_as_its_publication() -> None:
    """3680-103"""
    server = Server()
    first = server.publish(contact(expires=None), expires=60)
    server.pass_time(50)
    server.publish(etag=etag(first), expires=60, body=b"")
    server.pass_time(50)
    assert server.contacts() == [PHONE]
    server.pass_time(11)
    assert server.contacts() == []


def test_what_is_removed_is_gone() -> None:
    """3903-36"""
    server = Server()
    first = server.publish(contact())
    assert len(server.compositor) == 1
    (bound,) = server.store.bindings(place(ALICE), NOW)
    server.now += 1
    server.events()
    removed = server.publish(etag=etag(first), expires=0, body=b"")
    assert (removed.status, removed.header("Expires")) == (200, "0")
    assert server.events() == [(PHONE, "expired")]
    assert len(server.compositor) == 0
    # To others that we tell, this is later than what they know.
    (gone,) = server.store.claims(place(ALICE), bound.key)
    assert gone.gone and gone.stamp == bound.stamp and gone.edition > bound.edition
    assert not server.compositor._listing._found
    assert len(server.restart().compositor) == 0
    server.pass_time(8000)
    assert server.events() == []


def test_what_cannot_be_read_of_a_publication_takes_nothing_else_with_it() -> None:
    server = Server()
    first = server.publish(contact("sip:@@"), contact(DESK, callid="desk"))
    assert server.contacts() == [DESK]
    server.publish(etag=etag(first), expires=0, body=b"")
    assert server.contacts() == []


def test_a_publication_may_outlive_what_is_known_of_its_contacts() -> None:
    server = Server()
    first = server.publish(contact(expires=10), expires=7200)
    server.pass_time(1000)
    server.store._drop(server.store._rows_of(place(ALICE))[0], NOW + 1000)
    server.events()
    assert server.publish(etag=etag(first), expires=0, body=b"").status == 200
    assert server.events() == []


def test_nothing_stays_of_what_is_published_for_no_time() -> None:
    server = Server()
    assert server.publish(contact(), expires=0).status == 200
    assert (server.contacts(), len(server.compositor)) == ([], 0)


def test_without_expires_a_publication_lasts_as_long_as_is_usual_here() -> None:
    """3903-33"""
    server = Server()
    assert server.publish(contact(), expires=None).header("Expires") == "3761"


def test_a_publication_never_lasts_longer_than_is_allowed_here() -> None:
    """3903-33"""
    assert Server().publish(contact(), expires=453976160).header("Expires") == "7200"


# -- Refusals


@pytest.mark.parametrize("event", [(), ("Event: presence",)])
def test_another_package_is_refused(event: tuple[str, ...]) -> None:
    """3903-30"""
    lines = [*event, f"Content-Type: {xml.MEDIA_TYPE}"]
    message = request("PUBLISH", *lines, uri=ALICE, body=document(contact()))
    with pytest.raises(Refusal) as caught:
        Server().receive(message)
    assert caught.value.status == 489
    assert ("Allow-Events", "reg") in caught.value.headers


@pytest.mark.parametrize("tag", ["unknown", '"quoted"', "a b", "é"])
def test_an_entity_tag_that_is_not_known_is_412(tag: str) -> None:
    """3903-31, 3903-38"""
    assert refused(Server(), contact(), etag=tag).status == 412


def test_an_entity_tag_that_has_ended_is_412() -> None:
    """3903-31"""
    server = Server()
    first = server.publish(contact(), expires=60)
    server.pass_time(61)
    server.journal.close()
    assert refused(server, contact(), etag=etag(first)).status == 412


def test_of_two_with_one_entity_tag_one_wins() -> None:
    """3903-39"""
    server = Server()
    first = etag(server.publish(contact()))
    assert server.publish(contact(cseq=2), etag=first).status == 200
    assert refused(server, contact(cseq=3), etag=first).status == 412
    (bound,) = server.store.bindings(place(ALICE), NOW)
    assert bound.cseq == 2


def test_the_entity_tag_of_another_publisher_is_not_known() -> None:
    server = Server()
    first = etag(server.publish(contact()))
    assert refused(server, contact(cseq=2), etag=first, peer="b").status == 412


@pytest.mark.parametrize("tags", ["a, b", ""])
def test_several_entity_tags_are_a_bad_request(tags: str) -> None:
    """3903-31"""
    with pytest.raises(RemoteProtocolError, match="entity-tags"):
        Server().publish(contact(), headers=(f"SIP-If-Match: {tags}",))


def test_a_new_publication_needs_a_body() -> None:
    """3903-32"""
    with pytest.raises(RemoteProtocolError, match="without a body"):
        Server().publish(body=b"")


def test_a_body_of_another_type_is_refused() -> None:
    """3903-32"""
    caught = refused(Server(), contact(), headers=("Content-Type: text/plain",))
    assert caught.status == 415
    assert ("Accept", xml.MEDIA_TYPE) in caught.headers


def test_too_short_a_time_is_refused_with_the_shortest() -> None:
    """3903-33"""
    caught = refused(Server(), contact(), expires=59)
    assert (caught.status, caught.headers) == (423, (("Min-Expires", "60"),))


def test_an_extension_that_is_required_is_refused() -> None:
    caught = refused(Server(), contact(), headers=("Require: x",))
    assert (caught.status, caught.headers) == (420, (("Unsupported", "x"),))


@pytest.mark.parametrize("body", [b"no xml", b"<reginfo", b"<other/>"])
def test_a_document_that_cannot_be_read_changes_nothing(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server()
    first = server.publish(contact())
    server.journal.close()
    with caplog.at_level(logging.WARNING), pytest.raises(RemoteProtocolError):
        server.publish(etag=etag(first), body=body)
    assert "PUBLISH of a" in caplog.text
    assert server.journal.close().entries == []
    assert server.contacts() == [PHONE]
    # And the tag is still the one.
    assert server.publish(etag=etag(first), body=b"").status == 200


def test_a_document_of_another_user_is_refused() -> None:
    """3903-41"""
    server = Server()
    with pytest.raises(RemoteProtocolError, match="another address-of-record"):
        server.publish(body=document(contact(), aor=BOB))
    assert server.contacts(BOB) == []


def test_of_several_registrations_that_of_the_user_counts() -> None:
    """3903-41"""
    both = document(contact()).replace(
        b"</reginfo>",
        document(contact(DESK), aor=BOB).partition(b"full")[2].partition(b">")[2],
    )
    server = Server()
    server.publish(body=both)
    assert (server.contacts(), server.contacts(BOB)) == ([PHONE], [])


def test_a_registration_of_nobody_does_not_hide_the_others() -> None:
    """3903-41"""
    both = document(contact()).replace(
        b"<registration ",
        b'<registration aor="sip:@@" id="x" state="active"/><registration ',
        1,
    )
    server = Server()
    server.publish(body=both)
    assert server.contacts() == [PHONE]


def test_the_same_user_may_be_spelled_otherwise() -> None:
    """3903-41"""
    server = Server()
    server.publish(body=document(contact(), aor="sip:%61lice@EXAMPLE.com"))
    assert server.contacts() == [PHONE]


def test_what_kamailio_publishes_is_understood() -> None:
    """3903-41"""
    server = Server()
    aor = "sip:alice@example.test"
    messages = {}
    for name in ("20-publish-initial", "22-publish-update"):
        data = (CAPTURES / "kamailio" / f"{name}.sip").read_bytes()
        message = parse(data)
        assert isinstance(message, Request)
        messages[name] = message
    first = etag(server.receive(messages["20-publish-initial"], aor=aor))
    (bound,) = server.store.bindings(place(aor), NOW)
    assert (bound.contact, bound.cseq) == ("sip:alice@127.0.0.1:37611", 1)
    messages["22-publish-update"].headers["SIP-If-Match"] = [first]
    server.receive(messages["22-publish-update"], aor=aor)
    (bound,) = server.store.bindings(place(aor), NOW)
    assert (bound.cseq, bound.expires_at) == (2, NOW + 900)


# -- Several publishers, and ourselves


def test_several_publishers_are_merged_by_contact() -> None:
    """3903-40"""
    server = Server()
    server.publish(contact())
    server.publish(contact(cseq=2), contact(DESK, callid="desk"), peer="b")
    bound = {b.contact: b.cseq for b in server.store.bindings(place(ALICE), NOW)}
    assert bound == {PHONE: 2, DESK: 1}
    server.events()
    # What is older than what is known is not news, whoever says it.
    server.publish(contact(cseq=1), peer="c")
    assert server.events() == []


def test_who_stops_publishing_takes_away_what_it_alone_has_listed() -> None:
    """3903-36"""
    server = Server()
    first = server.publish(contact(), contact(DESK, callid="desk"))
    second = server.publish(contact(), peer="b")
    server.events()
    server.publish(etag=etag(first), expires=0, body=b"")
    assert server.events() == [(DESK, "expired")]
    server.publish(etag=etag(second), expires=0, body=b"", peer="b")
    assert server.events() == [(PHONE, "expired")]


def test_what_another_lists_stays_when_a_document_lists_it_no_more() -> None:
    server = Server()
    first = server.publish(contact())
    server.publish(contact(), peer="b")
    server.events()
    server.publish(etag=etag(first))
    assert (server.events(), server.contacts()) == ([], [PHONE])


@pytest.mark.parametrize("later", [10, 100])
def test_what_another_has_listed_and_has_ended_there_stays_no_more(later: int) -> None:
    server = Server()
    first = server.publish(contact(expires=6000), expires=7200)
    server.publish(contact(expires=10), peer="b", expires=7200)
    second = server.publish(contact(cseq=2, expires=6000), etag=etag(first))
    server.pass_time(later)
    server.events()
    server.publish(etag=etag(second), expires=0, body=b"")
    assert server.events() == [(PHONE, "expired")]


def test_nobody_can_publish_what_is_registered_here() -> None:
    server = Server()
    ours = binding(3, contact=PHONE, call_id="phone", owner="us", stamp=10)
    server.store.apply(place(ALICE), [ours], server.now)
    server.events()
    first = server.publish(contact(cseq=3, expires=60))
    server.publish(etag=etag(first), expires=0, body=b"")
    assert (server.events(), server.contacts()) == ([], [PHONE])


def test_what_was_learned_another_way_does_not_go_with_a_publication() -> None:
    server = Server()
    first = server.publish(contact())
    newer = binding(2, contact=PHONE, call_id="phone", owner="x", source="x/sub")
    newer = msgspec.structs.replace(newer, stamp=int(WALL * 2e6))
    server.store.apply(place(ALICE), [newer], server.now)
    server.events()
    server.publish(etag=etag(first), expires=0, body=b"")
    assert (server.events(), server.contacts()) == ([], [PHONE])


def test_a_publisher_of_our_kind_says_whose_a_contact_is() -> None:
    server = Server()
    whole = ClaimElement(
        owner="x", stamp=77, key=PHONE, begin=77, edition=77, until=99, left=600_000
    )
    first = server.publish(contact(claim=whole))
    (bound,) = server.store.bindings(place(ALICE), NOW)
    assert (bound.owner, bound.stamp, bound.source) == ("x", 77, "a/PUBLISH")
    # Its end removes nothing: only a claim says that a contact is gone.
    server.publish(etag=etag(first), expires=0, body=b"")
    assert server.contacts() == [PHONE]


# -- The disk


def test_publications_stand_over_a_restart() -> None:
    server = Server()
    first = server.publish(contact(expires=7000), expires=100)
    after = server.restart(away=50)
    assert (after.events(), after.contacts()) == ([], [PHONE])
    assert after.publish(etag=etag(first), expires=100, body=b"").status == 200
    after.pass_time(99)
    assert (after.events(), after.contacts()) == ([], [PHONE])
    after.pass_time(2)
    assert (after.events(), after.contacts()) == ([(PHONE, "expired")], [])


@pytest.mark.parametrize("refreshed", [False, True])
def test_what_another_lists_stays_over_a_restart_too(refreshed: bool) -> None:
    server = Server()
    first = server.publish(contact())
    second = server.publish(contact(), peer="b")
    # By the clock of before, it would have ended.
    after = server.restart(shift=1000.0)
    assert len(after.compositor) == 2
    if refreshed:
        after.publish(etag=etag(second), body=b"", peer="b")
    after.publish(etag=etag(first), expires=0, body=b"")
    assert after.contacts() == [PHONE]


def test_one_that_cannot_end_does_not_keep_us_from_starting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server()
    server.publish(contact(), expires=100, peer="a")
    server.publish(contact(DESK), expires=100, peer="b")
    remove = Compositor._remove

    def picky(self: Compositor, which: Contribution, now: float, wall: float) -> None:
        remove(self, which, now, wall)
        if which.row.peer == "a":
            raise ZeroDivisionError

    monkeypatch.setattr(Compositor, "_remove", picky)
    after = server.restart(away=101)
    assert [one.row.peer for one in after.compositor.contributions()] == ["a"]
    assert f"! publication of {ALICE} by a" in caplog.text
    monkeypatch.undo()
    after.compositor.timer_due(moment(after.now))
    assert len(after.compositor) == 1  # not at once
    after.pass_time(RETRY_AFTER + 1)
    assert len(after.compositor) == 0


def test_what_ended_while_we_were_down_is_told() -> None:
    server = Server()
    server.publish(contact(expires=7000), expires=100)
    after = server.restart(away=101)
    assert after.events() == [(PHONE, "expired")]
    assert len(after.compositor) == 0
    assert len(after.restart().compositor) == 0


def test_a_publish_that_comes_again_after_a_restart_is_answered_again() -> None:
    server = Server()
    first = etag(server.publish(contact()))
    message = publish(2, first, 1800, document(contact(cseq=2)))
    second = server.receive(message)
    after = server.restart()
    again = after.receive(message)
    assert (again.headers, again.status) == (second.headers, 200)
    assert after.journal.close().entries == []
    # It is known by its publisher, too: another one may number alike.
    with pytest.raises(Refusal, match="412"):
        after.receive(message, peer="b")


def test_times_are_on_the_clock_of_the_new_start() -> None:
    server = Server()
    server.publish(contact(expires=7000), expires=100)
    server.commit()
    after = Server()
    shelves = [*after.compositor.shelves, *after.store.shelves]
    load(shelves, [(*key, value) for key, value in server.rows.items()], 500.0)
    after.now = NOW + 500
    after.store.begin(here(), moment(after.now, WALL))
    after.compositor.begin(here(), moment(after.now, WALL))
    after.pass_time(99)
    assert after.contacts() == [PHONE]
    after.pass_time(2)
    assert after.contacts() == []


def test_what_could_not_be_committed_has_not_happened() -> None:
    server = Server()
    first = etag(server.publish(contact()))
    server.commit()
    second = etag(server.publish(contact(cseq=2), etag=first))
    server.publish(contact(DESK, callid="d"), peer="b")
    server.journal.close().take_back()
    assert server.contacts() == [PHONE]
    assert len(server.compositor) == 1
    assert refused(server, contact(), etag=second).status == 412
    server.publish(etag=first, expires=0, body=b"")
    assert server.contacts() == []
    server.journal.close().take_back()
    assert server.contacts() == [PHONE]
    assert server.publish(etag=first, body=b"").status == 200


def test_an_end_that_could_not_be_committed_is_due_again_later() -> None:
    server = Server()
    server.publish(contact(expires=7000), expires=60)
    server.commit()
    server.pass_time(60.2)
    assert server.contacts() == []
    server.journal.close().take_back()
    server.pass_time(RETRY_AFTER - 1)
    assert server.contacts() == [PHONE]
    server.pass_time(2)
    assert server.contacts() == []


# A contact that is no URI.

WHOLE = contact("nonsense", expires=None, callid="other")


def test_a_contact_that_is_no_uri_does_not_keep_a_publication_from_changing() -> None:
    """3903-36: it is complained of, and the others are as they are said to be."""
    server = Server()
    first = server.publish(WHOLE, contact())
    assert (first.status, server.contacts()) == (200, [PHONE])
    second = server.publish(WHOLE, contact(DESK, callid="desk"), etag=etag(first))
    assert server.contacts() == [DESK]
    assert server.publish(WHOLE, etag=etag(second)).status == 200
    assert server.contacts() == []


def test_a_contact_that_is_no_uri_does_not_keep_others_from_ending() -> None:
    """3903-36: what ends is looked for in the publications that stand."""
    server = Server()
    server.publish(WHOLE, contact(expires=7000))
    server.publish(contact(DESK, expires=7000, callid="desk"), peer="b", expires=100)
    server.events()
    server.pass_time(101)
    assert server.events() == [(DESK, "expired")]
    assert (server.contacts(), len(server.compositor)) == ([PHONE], 1)
    server.pass_time(3600)
    assert (server.contacts(), len(server.compositor)) == ([], 0)


def test_a_contact_that_is_no_uri_does_not_keep_a_server_from_starting() -> None:
    server = Server()
    server.publish(WHOLE, contact(expires=7000))
    server.publish(contact(DESK, expires=7000, callid="desk"), peer="b", expires=100)
    after = server.restart(away=101)
    assert after.events() == [(DESK, "expired")]
    assert (after.contacts(), len(after.compositor)) == ([PHONE], 1)


# Who lists what.

OWN = ClaimElement(
    owner="x", stamp=77, key=PHONE, begin=77, edition=77, until=99, left=600_000
)


def test_a_contact_without_an_end_is_listed_until_its_publication_is_long_over() -> (
    None
):
    server = Server()
    server.publish(contact(claim=OWN), peer="r")  # this one is in the store
    server.publish(contact(expires=None), expires=60)
    ends = NOW + 60 + GRACE
    listed = [Listed("a", "a/PUBLISH", ALICE, contact(expires=None), ends)]
    assert server.listed() == listed
    server.now = ends - 0.001
    assert server.listed() == listed
    server.now = ends
    assert server.listed() == []


def test_a_publisher_is_believed_as_long_as_it_may_be() -> None:
    server = Server(longest={"a": 90, "b": 7200}.__getitem__)
    server.publish(contact())
    assert [one.expires_at for one in server.listed()] == [NOW + 90]
    server.publish(contact(DESK), peer="b")
    assert [one.expires_at for one in server.listed(DESK)] == [NOW + 600]


def test_the_compositor_describes_how_many_publications_there_are() -> None:
    server = Server()
    server.publish(contact())
    server.publish(contact(), peer="b")
    assert server.compositor.describe() == Description(
        "compositor", "publications of peers: 2", {"contributions": 2}
    )


def test_a_publication_that_has_not_expired_yet_is_not_removed() -> None:
    server = Server()
    server.publish(contact(), expires=60)
    (one,) = server.compositor.contributions()
    server.compositor._postpone(one, server.now + 1)
    server.pass_time(2)
    assert (list(server.compositor.contributions()), server.contacts()) == (
        [one],
        [PHONE],
    )


# The last PUBLISH of a publication.


def test_the_last_publish_is_answered_again_with_the_same_entity_tag() -> None:
    server = Server()
    first = server.publish(contact())
    message = publish(2, etag(first), 1800, document(contact(cseq=2)))
    second = server.receive(message)
    again = server.receive(message)
    assert (again.status, again.headers) == (200, second.headers)
    assert len(server.compositor) == 1


def test_only_the_last_publish_of_a_publication_is_answered_again() -> None:
    server = Server()
    message = publish(1, None, 3600, document(contact()))
    first = server.receive(message)
    server.cseq = 1
    second = server.publish(etag=etag(first), body=b"")
    other = server.receive(message)  # a publication of its own
    assert etag(other) not in (etag(first), etag(second))
    assert len(server.compositor) == 2


def test_the_publish_of_what_has_ended_is_a_new_publication() -> None:
    server = Server()
    message = publish(1, None, 60, document(contact()))
    first = server.receive(message)
    server.pass_time(61)
    assert server.contacts() == []
    assert etag(server.receive(message)) != etag(first)
    assert server.contacts() == [PHONE]


# The rows.


def contact_key(server: Server, uri: str = PHONE) -> tuple[str, str]:
    (one,) = server.compositor.contributions()
    return CONTACT_KIND, f"{one.row.id}\0{contact_id(ALICE, uri)}"


def test_a_contact_that_is_left_out_is_erased_unless_the_commit_fails() -> None:
    server = Server()
    first = etag(server.publish(contact(), contact(DESK, callid="desk")))
    server.commit()
    server.publish(contact(), etag=first)
    batch = server.journal.close()
    erased = [(kind, key) for kind, key, value in batch.entries if value is None]
    assert erased == [contact_key(server, DESK)]
    batch.take_back()
    assert server.contacts() == [PHONE, DESK]
    server.publish(contact(), etag=first)
    assert server.contacts() == [PHONE]


def test_the_rows_of_a_publication_that_is_removed_are_erased() -> None:
    server = Server()
    first = server.publish(contact())
    server.commit()
    (one,) = server.compositor.contributions()
    expected = [(KIND, one.row.id), contact_key(server)]
    server.publish(etag=etag(first), expires=0, body=b"")
    entries = server.journal.close().entries
    assert [(kind, key) for kind, key, value in entries if value is None] == expected


def test_contacts_whose_publication_is_gone_are_erased_at_the_start() -> None:
    server = Server()
    server.publish(contact(), contact(DESK, callid="desk"))
    (one,) = server.compositor.contributions()
    keys = [contact_key(server), contact_key(server, DESK)]
    server.commit()
    del server.rows[KIND, one.row.id]
    after = server.restart()
    batch = after.journal.close()
    assert batch.entries == [(kind, key, None) for kind, key in keys]
    assert not batch.urgent  # a crash costs nothing: the next start erases them
    batch.take_back()
    assert len(after.compositor) == 0


def test_a_publication_without_contacts_stands_over_a_restart() -> None:
    server = Server()
    first = server.publish()
    after = server.restart()
    assert len(after.compositor) == 1
    assert after.publish(contact(), etag=etag(first)).status == 200
    assert after.contacts() == [PHONE]


@pytest.mark.parametrize(("away", "count"), [(59.999, 1), (60.0, 0)])
def test_a_publication_that_ends_at_the_start_is_removed(
    away: float, count: int
) -> None:
    server = Server()
    server.publish(contact(), expires=60)
    assert len(server.restart(away=away).compositor) == count


@pytest.mark.parametrize("expires", [None, 600])
def test_a_refresh_after_a_restart_prolongs_a_contact_without_an_end(
    expires: int | None,
) -> None:
    """3680-103"""
    server = Server()
    first = server.publish(contact(expires=expires), expires=100)
    after = server.restart(away=50)
    (one,) = after.compositor.contributions()
    assert one.untimed is (expires is None)
    after.publish(etag=etag(first), expires=100, body=b"")
    (bound,) = after.store.bindings(place(ALICE), after.now)
    ends = NOW + 150 + GRACE if expires is None else NOW + 600
    assert bound.expires_at == ends


def test_what_a_publication_says_is_gone_is_known_after_a_restart() -> None:
    server = Server()
    server.publish(contact(), contact(DESK, "unregistered", callid="desk"))
    (before,) = server.compositor.contributions()
    after = server.restart()
    (one,) = after.compositor.contributions()
    assert one.table.state == before.table.state
    assert [gone.uri for _, gone in one.table.state.gone] == [DESK]
