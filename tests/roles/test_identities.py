"""A user with several public identities is told of, and published, by each of them."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding
from reginfo.location.place import TABLE, Aor, as_written
from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.location.store import LocationStore
from reginfo.reg import xml
from reginfo.reg.document import ContactEvent, Reginfo, contact_id
from reginfo.reg.legacy import Profile
from reginfo.reg.table import Table
from reginfo.roles.admission import Admission
from reginfo.roles.learner import Learner
from reginfo.roles.naming import named
from reginfo.roles.origin import DocumentOrigin
from reginfo.roles.published import PresenceServer, PublishedState
from reginfo.roles.publisher import Publisher
from reginfo.roles.watcher import Watcher
from reginfo.sip.errors import Refusal
from reginfo.sip.flow import Flow
from reginfo.sip.message import Draft, Response

from ..make import ALICE, BOB, NOW, WALL, binding, flow, moment, numbers, place
from .watched import EAGER, OLD, PEER_B, POLITE, Server, golden

AL, TEL = Aor("sip:al@example.com"), Aor("tel:+15550100")
ELSEWHERE = "sip:alice@example.net"
BOBS = "sip:bob@192.0.2.60"
KEY = "identities"

States = dict[str, tuple[str, list[str]]]
"""Of each registration of a document its state, and the events of its contacts."""


class Home(Server):
    """A notifier over a store with identities."""

    def __init__(
        self, peer: Watcher = EAGER, admission: Admission | None = None
    ) -> None:
        super().__init__(peer, admission=admission, identities_key=KEY)
        self.store.listener = self.notifier.hears
        self.store.claim_listener = self.notifier.hears_claims

    def identify(self, *aors: str, of: str = ALICE) -> None:
        value = ", ".join(f"<{aor}>" for aor in aors) or None
        self.store.set_key(place(of), KEY, value, self.now, WALL + self.now)

    def events_told(self) -> list[States]:
        """What was sent since this was last asked, document by document."""
        return [events(document) for document in self.documents()]


def events(document: Reginfo) -> States:
    return {
        one.aor: (one.state.value, [c.event.value for c in one.contacts])
        for one in document.registrations
    }


def at_home(peer: Watcher = EAGER, watched: str = ALICE, *identities: str) -> Home:
    """Somebody watches a user that is registered, and has been told."""
    home = Home(peer)
    home.identify(*identities)
    home.bind(binding())
    home.subscribe(aor=watched)
    home.settle()
    return home


# Who watches is told.


def test_a_document_has_a_registration_for_each_identity() -> None:
    """24229-03, the contract: all with the AoR's contacts, and ids of their own."""
    home = Home()
    home.bind(binding())
    home.identify(ALICE, AL, TEL)
    home.subscribe()
    (document,) = home.documents()
    assert [one.aor for one in document.registrations] == [ALICE, AL, TEL]
    for one in document.registrations:
        (contact,) = one.contacts
        assert contact.uri == "sip:alice@192.0.2.50"
        assert contact.id == contact_id(one.aor, contact.uri)
    assert len({one.id for one in document.registrations}) == 3


def test_golden_document_of_identities() -> None:
    home = Home()
    home.bind(binding())
    home.identify(ALICE, AL)
    home.subscribe()
    golden("notify-identities.sip", home.sent[0][0])


def test_the_others_are_created_by_the_registrar() -> None:
    """24229-04: `registered` for the identity in the REGISTER, `created` for others."""
    home = at_home(EAGER, ALICE, ALICE, AL)
    home.bind(binding(contact="sip:alice@192.0.2.51", stamp=2))
    home.bind(binding(2, "refreshed"))
    home.answer()
    assert home.events_told() == [
        {ALICE: ("active", ["registered"]), AL: ("active", ["created"])},
        {ALICE: ("active", ["refreshed"]), AL: ("active", ["refreshed"])},
    ]


@pytest.mark.parametrize("watched", [AL, TEL, ELSEWHERE])
def test_a_watcher_of_an_identity_is_told_of_the_user(watched: str) -> None:
    """The contract: an identity that is not the stored AoR, in whatever domain."""
    home = at_home(EAGER, watched, ALICE, watched)
    home.bind(binding(2, "unregistered"))
    assert home.events_told() == [
        {
            ALICE: ("terminated", ["unregistered"]),
            watched: ("terminated", ["unregistered"]),
        }
    ]


def test_without_identities_it_is_the_address_of_record_alone() -> None:
    """The contract: set and absent."""
    home = at_home()
    home.bind(binding(2, "refreshed"))
    assert home.events_told() == [{ALICE: ("active", ["refreshed"])}]


def test_identities_that_are_learned_later_are_told() -> None:
    """24229-03: without a REGISTER, and without being asked."""
    home = at_home()
    home.identify(ALICE, AL)
    assert home.events_told() == [
        {ALICE: ("active", ["registered"]), AL: ("active", ["created"])}
    ]


def test_who_watched_an_identity_before_it_was_one_is_told() -> None:
    home = Home()
    home.bind(binding())
    home.subscribe(aor=AL)
    assert home.events_told() == [{AL: ("init", [])}]
    home.answer()
    home.identify(ALICE, AL)
    assert home.events_told() == [
        {ALICE: ("active", ["registered"]), AL: ("active", ["created"])}
    ]


def test_a_watcher_of_a_removed_identity_is_told() -> None:
    """The contract: the identity set has changed."""
    home = at_home(EAGER, AL, ALICE, AL)
    home.identify(ALICE)
    (notify,) = home.notifies()
    assert notify.body.count(b"<registration") == 1
    assert events(xml.parse(notify.body)) == {AL: ("terminated", ["deactivated"])}
    home.answer()
    home.bind(binding(2, "refreshed"))
    assert home.documents() == []
    home.identify(ALICE, AL)
    assert home.events_told() == [
        {ALICE: ("active", ["refreshed"]), AL: ("active", ["refreshed"])}
    ]


def test_who_watches_what_is_another_user_s_now_is_not_concerned() -> None:
    """An identity that two users name belongs to the one that did so last."""
    home = at_home(EAGER, TEL, ALICE, TEL)
    home.identify(BOB, TEL, of=BOB)
    assert [set(told) for told in home.events_told()] == [{BOB, TEL}]
    home.answer()
    home.identify(ALICE)
    assert home.notifies() == []


def shared(peer: Watcher = EAGER) -> Home:
    """Somebody watches an identity of alice's, who is there; bob named it before."""
    home = Home(peer)
    home.identify(BOB, AL, of=BOB)
    home.identify(ALICE, AL)
    home.bind(binding())
    home.subscribe(aor=AL)
    home.settle()
    assert home.store.record_of(place(AL)).aor == ALICE
    return home


def test_who_watches_an_identity_that_falls_to_another_user_is_told() -> None:
    """24229-03: taken from one, it is the other's, which had named it before."""
    home = shared()
    home.identify(ALICE)
    assert home.store.record_of(place(AL)).aor == BOB
    told = home.events_told()
    assert [one.get(AL) for one in told] == [("terminated", ["deactivated"])]
    home.answer()
    home.bind(binding(contact=BOBS, call_id="bob"), aor=BOB)
    assert home.events_told()[-1][AL] == ("active", ["created"])


def test_who_watches_an_identity_that_another_user_names_again_is_told() -> None:
    """24229-03: also where the two have the identities that they had."""
    home = shared()
    value = f'"Bob" <{BOB}>, <{AL}>'
    home.store.set_key(place(BOB), KEY, value, home.now, WALL + home.now)
    assert home.store.record_of(place(AL)).aor == BOB
    told = home.events_told()
    assert [one.get(AL) for one in told] == [("init", [])]


def test_a_legacy_watcher_of_an_identity_that_passes_on_is_told() -> None:
    """24229-03: of the contacts of the user whose it is now, by its one AoR."""
    home = shared(OLD)
    home.bind(binding(contact=BOBS, call_id="bob"), aor=BOB)
    value = f'"Bob" <{BOB}>, <{AL}>'
    home.store.set_key(place(BOB), KEY, value, home.now, WALL + home.now)
    (document,) = home.documents()
    (told,) = document.registrations
    assert told.aor == AL
    assert BOBS in [one.uri for one in told.contacts if one.event.state == "active"]


@pytest.mark.parametrize(
    "peer",
    [OLD, msgspec.structs.replace(PEER_B, profile=Profile.IMS)],
    ids=["legacy", "ims"],
)
def test_a_peer_is_not_told_of_its_own_contact_that_ends(peer: Watcher) -> None:
    """The contract: what a peer owns it is not told, not by its full state either."""
    home = Home(peer)
    home.identify(ALICE, AL)
    home.bind(binding())
    own = binding(
        contact="sip:al@192.0.2.77", call_id="al", owner=peer.name or "",
        stamp=3, source=f"{peer.name}/{AL}",
    )  # fmt: skip
    home.bind(own, aor=AL)
    home.subscribe(aor=AL)
    home.settle()
    gone = {"event": ContactEvent.UNREGISTERED, "stamp": 4, "cseq": own.cseq + 1}
    gone |= {"gone": True, "number": 0}
    home.bind(msgspec.structs.replace(own, **gone), aor=AL)
    documents = home.documents()
    assert documents  # the record is told of again, in full
    contacts = [c.uri for d in documents for r in d.registrations for c in r.contacts]
    assert contacts and own.contact not in contacts


def test_who_watches_the_user_is_told_which_identity_has_gone() -> None:
    home = at_home(EAGER, ALICE, ALICE, AL, TEL)
    home.identify(ALICE, TEL)
    (document,) = home.documents()
    assert document.full
    assert events(document) == {
        ALICE: ("active", ["registered"]),
        TEL: ("active", ["created"]),
        AL: ("terminated", ["deactivated"]),
    }


def test_an_identity_that_comes_back_in_time_has_never_gone() -> None:
    home = at_home(POLITE, ALICE, ALICE, AL)
    home.identify(ALICE)
    home.identify(ALICE, AL)
    home.pass_time(5)
    assert home.events_told() == [
        {ALICE: ("active", ["registered"]), AL: ("active", ["created"])}
    ]


def test_a_change_of_identities_waits_its_turn() -> None:
    """3680-34: no sooner than `min_interval`, and then with what has happened since."""
    home = at_home(POLITE, ALICE, ALICE)
    home.identify(ALICE, AL)
    home.bind(binding(2, "unregistered"))
    assert home.notifies() == []
    home.pass_time(5)
    assert home.events_told() == [
        {
            ALICE: ("terminated", ["unregistered"]),
            AL: ("terminated", ["unregistered"]),
        }
    ]


def test_a_change_of_identities_survives_a_crash() -> None:
    """What waits is told after a restart."""
    home = at_home(POLITE, AL, ALICE, AL)
    home.identify(ALICE)
    home.commit()
    rows = {kind for kind, _ in home.rows}
    assert {"record", "watch", "told"} <= rows
    after = home.restart()
    assert [(d.full, events(d)) for d in after.documents()] == [
        (True, {AL: ("init", [])})
    ]


def test_a_change_that_could_not_be_committed_has_told_nobody() -> None:
    home = at_home(POLITE, AL, ALICE, AL)
    home.journal.close()
    home.identify(ALICE)
    home.journal.close().take_back()
    home.pass_time(5)
    assert home.documents() == []
    home.bind(binding(2, "refreshed"))
    assert [set(told) for told in home.events_told()] == [{ALICE, AL}]


def test_who_is_polite_is_told_once_of_all_that_changed() -> None:
    home = at_home(POLITE, ALICE, ALICE, AL, TEL)
    home.identify(ALICE, TEL)
    home.identify(ALICE)
    home.pass_time(5)
    assert home.events_told() == [
        {
            ALICE: ("active", ["registered"]),
            AL: ("terminated", ["deactivated"]),
            TEL: ("terminated", ["deactivated"]),
        }
    ]


def test_a_legacy_watcher_is_told_of_the_identity_that_it_watches() -> None:
    """Kamailio and OpenSIPS store what a document has under its one AoR."""
    home = at_home(OLD, AL, ALICE, AL)
    home.bind(binding(2, "refreshed"))
    assert home.events_told() == [{AL: ("active", ["refreshed"])}]
    home.answer()
    home.identify(ALICE, AL, TEL)
    assert home.notifies() == []
    home.identify(ALICE)
    (notify,) = home.notifies()
    (contact,) = xml.parse(notify.body).registrations[0].contacts
    assert (contact.event, contact.expires) == ("unregistered", 0)


def test_an_identity_that_registers_by_itself_is_told_of_its_own_contacts() -> None:
    home = at_home(EAGER, AL, ALICE, AL)
    own = binding(contact="sip:al@192.0.2.60", call_id="al")
    home.bind(own, aor=AL)
    assert home.events_told() == [{AL: ("active", ["registered"])}]
    home.answer()
    home.bind(binding(2, "refreshed"))  # nobody who watches AL is concerned
    assert home.documents() == []
    home.bind(binding(2, "unregistered", contact=own.contact, call_id="al"), aor=AL)
    (document,) = home.documents()
    assert document.full
    assert events(document) == {
        ALICE: ("active", ["unregistered", "refreshed"]),
        AL: ("active", ["unregistered", "refreshed"]),
    }


def test_a_user_may_watch_its_own_identities_only() -> None:
    """24229-02"""
    home = Home(admission=Admission(allow=("self",)))
    home.identify(ALICE, AL)
    home.subscribe(aor=AL, from_=f"<{ALICE}>;tag=a")
    with pytest.raises(Refusal, match="403"):
        home.subscribe(aor=AL, from_=f"<{BOB}>;tag=b")


def test_an_address_elsewhere_that_is_no_identity_is_refused() -> None:
    with pytest.raises(Refusal, match="404"):
        Home().subscribe(aor=ELSEWHERE)


def test_update_tells_the_present_state_once_more() -> None:
    """The contract: `reginfo_update`, by an identity too; False without a record."""
    home = at_home(EAGER, AL, ALICE, AL)
    assert home.notifier.update(AL, NOW)
    assert [set(told) for told in home.events_told()] == [{ALICE, AL}]
    assert not home.notifier.update(BOB, NOW)


# Servers of our kind keep the same records.


def test_a_server_of_our_kind_is_told_the_record_and_its_keys() -> None:
    home = at_home(PEER_B, ALICE, ALICE, AL)
    home.store.set_key(place(ALICE), "barred", "yes", NOW, WALL)
    (document,) = home.documents()
    (one,) = document.registrations
    assert (one.aor, [c.event for c in one.contacts]) == (ALICE, ["registered"])
    assert {key.name: (key.value, key.owner) for key in one.keys} == {
        KEY: (f"<{ALICE}>, <{AL}>", "a"),
        "barred": ("yes", "a"),
        "": (None, "a"),  # which says who speaks
    }


def test_others_are_not_told_of_keys() -> None:
    home = at_home()
    home.store.set_key(place(ALICE), "barred", "yes", NOW, WALL)
    assert home.notifies() == []
    home.subscribe(600, tag="tag1", cseq=2)
    assert b"barred" not in home.notifies()[0].body


def taught(store: LocationStore) -> Learner:
    return Learner(store, longest=lambda _: 600, listings=lambda *_: ())


def take(learner: Learner, table: Table, document: Reginfo) -> None:
    """Take in a document of the peer `a`, as a subscriber does."""
    news = table.take(document, 1, NOW).news
    origin = DocumentOrigin("a", f"a/{ALICE}", TABLE, NOW + 600)
    learner.learn(origin, document, news, table, NOW, WALL)


def test_keys_are_learned_and_not_told_back() -> None:
    """The contract: persisted, and replicated with the record."""
    home = at_home(PEER_B, ALICE, ALICE, AL)
    home.store.set_key(place(ALICE), "barred", "yes", NOW, WALL)
    (document,) = home.documents()
    there = Home(Watcher(name="a", min_interval=0.0))
    there.subscribe()
    there.settle()
    learner, table = taught(there.store), Table()
    take(learner, table, document)
    assert there.store.keys(place(ALICE)).keys() == {KEY, "barred"}
    assert there.store.record_of(place(AL)).aor == ALICE
    assert there.notifies() == []
    home.answer()
    home.store.set_key(place(ALICE), "barred", None, NOW, WALL)
    take(learner, table, home.documents()[0])
    assert there.store.keys(place(ALICE)).keys() == {KEY}
    take(learner, table, document)  # late
    assert there.store.keys(place(ALICE)).keys() == {KEY}


def test_a_document_that_names_no_user_teaches_no_keys() -> None:
    home = at_home(PEER_B, ALICE, ALICE, AL)
    home.store.set_key(place(ALICE), "barred", "yes", NOW, WALL)
    body = home.notifies()[0].body.replace(ALICE.encode(), b"mailto:alice")
    there = LocationStore("b", Journal())
    take(taught(there), Table(), named(xml.parse(body), as_written, "a"))
    assert there.records(place(ALICE)) == []


# What is published.


class Presence:
    """A publisher over a store with identities, and a presence server."""

    def __init__(self, min_expires: int = 60) -> None:
        self.journal = Journal()
        self.store = LocationStore("a", self.journal, identities_key=KEY)
        self.sent: list[tuple[Draft, PublishedState]] = []
        self.publisher = Publisher(
            self.store,
            self.journal,
            server_id="a",
            send=self.send,
            new_id=numbers(),
            jitter=lambda: 0.5,
            min_expires=min_expires,
            max_expires=3600,
            table=TABLE,
        )
        self.store.listener = self.publisher.hears
        self.target = PresenceServer(
            uri="sip:presence@192.0.2.9", flow=flow(), profile=Profile.STANDARD
        )
        self.publisher.publish_to(self.target, NOW)

    def send(self, draft: Draft, flow: Flow, user: object) -> None:
        assert isinstance(user, PublishedState)
        self.sent.append((draft, user))

    def identify(self, *aors: str) -> None:
        value = ", ".join(f"<{aor}>" for aor in aors) or None
        self.store.set_key(place(ALICE), KEY, value, NOW, WALL)

    def bind(self, *claims: Binding, aor: str = ALICE) -> None:
        self.store.apply(place(aor), claims, NOW)

    def told(self) -> list[tuple[str, States]]:
        """Request-URIs and documents of the PUBLISHes sent, each answered 200."""
        found = []
        while self.sent:
            draft, published = self.sent.pop(0)
            body = events(xml.parse(draft.body)) if draft.body else {}
            found.append((draft.uri, body))
            answer = Response(200, "", {"SIP-ETag": [f"e{draft.uri}"]})
            self.publisher.receive_response(published, answer, NOW)
        return found


def test_each_identity_is_published() -> None:
    """The contract: each identity is published; the original publishes the AoR only."""
    presence = Presence()
    presence.identify(ALICE, AL, TEL)
    presence.bind(binding())
    assert presence.told() == [
        (ALICE, {ALICE: ("active", ["registered"])}),
        (AL, {AL: ("active", ["created"])}),
        (TEL, {TEL: ("active", ["created"])}),
    ]
    presence.bind(binding(2, "refreshed"))
    assert [uri for uri, _ in presence.told()] == [ALICE, AL, TEL]


def test_without_identities_the_address_of_record_is_published() -> None:
    """The contract, set and absent: the original publishes nothing then."""
    presence = Presence()
    presence.bind(binding())
    assert presence.told() == [(ALICE, {ALICE: ("active", ["registered"])})]


def test_identities_that_are_learned_later_are_published() -> None:
    presence = Presence()
    presence.bind(binding())
    presence.told()
    presence.identify(ALICE, AL)
    assert presence.told() == [
        (ALICE, {ALICE: ("active", ["registered"])}),
        (AL, {AL: ("active", ["created"])}),
    ]


def test_another_key_publishes_nothing() -> None:
    presence = Presence()
    presence.bind(binding())
    presence.told()
    presence.store.set_key(place(ALICE), "barred", "yes", NOW, WALL)
    assert presence.told() == []


def test_what_expired_long_ago_is_published_as_expired() -> None:
    """The presence server was away for so long that its row is forgotten here."""
    presence = Presence(min_expires=900)
    presence.bind(binding(expires_at=NOW + 10))
    presence.told()
    presence.bind(binding(2, "refreshed", expires_at=NOW + 20))
    ((_, published),) = presence.sent
    presence.sent.clear()
    later = NOW + 200
    while (at := presence.store.timer_at) is not None and at < later:
        presence.store.timer_due(moment(at))
    presence.store._drop(presence.store._rows_of(place(ALICE))[0], later)
    presence.publisher.receive_failure(published, "timeout", later)
    presence.publisher.timer_due(moment(later + 300))
    ((draft, _),) = presence.sent
    assert events(xml.parse(draft.body)) == {ALICE: ("terminated", ["expired"])}


def test_a_removed_identity_is_published_as_gone_and_then_removed() -> None:
    """The contract: first the terminated contacts, after its 200 the removal."""
    presence = Presence()
    presence.identify(ALICE, AL)
    presence.bind(binding())
    presence.told()
    presence.identify(ALICE)
    assert presence.told() == [
        (ALICE, {ALICE: ("active", ["registered"])}),
        (AL, {AL: ("terminated", ["deactivated"])}),
    ]
    presence.publisher.timer_due(moment(NOW + 2))
    assert presence.told() == [(AL, {})]
    assert [one.aor for one in presence.publisher.publications()] == [ALICE]


def test_an_address_of_record_that_is_no_identity_is_published_no_more() -> None:
    presence = Presence()
    presence.bind(binding())
    presence.told()
    presence.identify(AL)
    told = presence.told()
    assert (ALICE, {ALICE: ("terminated", ["deactivated"])}) in told
    presence.publisher.timer_due(moment(NOW + 2))
    assert presence.told() == [(ALICE, {})]
    assert [one.aor for one in presence.publisher.publications()] == [AL]


def test_update_publishes_each_identity_again() -> None:
    """The contract: `reginfo_update`; not for what others have registered."""
    presence = Presence()
    presence.identify(ALICE, AL)
    presence.bind(binding())
    presence.told()
    assert presence.publisher.update(AL, NOW)
    assert [uri for uri, _ in presence.told()] == [ALICE, AL]
    presence.bind(binding(owner="b", stamp=1), aor=BOB)
    assert not presence.publisher.update(BOB, NOW)


def test_learned_identities_of_ours_are_published() -> None:
    """Whoever registered the user publishes it, whoever knows the identities."""
    presence = Presence()
    presence.bind(binding())
    presence.told()
    key = Record(
        kind=RecordKind.KEY,
        name=KEY,
        value=f"<{AL}>",
        stamp=Stamp(1),
        owner="b",
        source="b/x",
    )
    presence.store.apply(place(ALICE), (), NOW, records=[key])
    assert {uri for uri, _ in presence.told()} == {ALICE, AL}


def test_an_identity_that_passes_to_another_user_is_published_as_that_users() -> None:
    """The contract: each identity is published with the contacts of its user."""
    presence = Presence()
    presence.store.set_key(place(BOB), KEY, f"<{BOB}>, <{AL}>", NOW, WALL)
    presence.identify(ALICE, AL)
    presence.bind(binding())
    bobs = [binding(contact=BOBS), binding(contact="sip:bob@192.0.2.61")]
    presence.bind(*bobs, aor=BOB)
    presence.told()
    assert presence.store.record_of(place(AL)).aor == ALICE
    presence.store.set_key(place(BOB), KEY, f'"Bob" <{BOB}>, <{AL}>', NOW, WALL)
    assert presence.store.record_of(place(AL)).aor == BOB
    assert presence.told() == [
        (BOB, {BOB: ("active", ["registered", "registered"])}),
        (AL, {AL: ("active", ["created", "created"])}),
    ]


def test_an_identity_that_has_passed_on_keeps_no_later_one_from_being_told() -> None:
    """24229-03"""
    home = at_home(EAGER, AL, ALICE, TEL, AL)
    home.identify(BOB, TEL, of=BOB)
    home.settle()
    home.identify(ALICE)
    assert [told.get(AL) for told in home.events_told()] == [
        ("terminated", ["deactivated"])
    ]


def test_a_watcher_that_has_ended_keeps_no_other_from_being_told() -> None:
    """24229-03"""
    home = at_home(EAGER, ALICE, ALICE)
    home.subscribe(call_id="second")
    home.settle()
    home.subscribe(0, tag="tag1", cseq=2)  # its last NOTIFY is unanswered
    home.sent.clear()
    home.identify(ALICE, AL)
    assert [notify.call_id for notify in home.notifies()] == ["second"]


def test_who_may_not_watch_is_not_told_of_identities() -> None:
    """6665-111"""
    home = Home(admission=Admission(allow=(ALICE,), neutral=True))
    home.bind(binding())
    home.subscribe()
    home.settle()
    home.identify(ALICE, AL)
    assert home.notifies() == []
