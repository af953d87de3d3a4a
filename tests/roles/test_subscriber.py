"""What peers notify becomes known here, and nothing that they do not know better."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from reginfo.events.states import SubscriberState
from reginfo.ledger.part import Description
from reginfo.location.binding import Binding
from reginfo.location.foreign import GRACE, MOVED
from reginfo.location.keyring import REMEMBERED
from reginfo.location.place import TABLE, Aor
from reginfo.location.record import Record, RecordKind
from reginfo.location.rows import LEARNED_GRACE
from reginfo.location.stamp import Stamp
from reginfo.reg import xml
from reginfo.reg.document import (
    Contact,
    RecordKey,
    Reginfo,
    RegistrationState,
)
from reginfo.roles.envelope import SPEAKER
from reginfo.roles.held import KIND, RETRY_AFTER
from reginfo.roles.listing import Listed
from reginfo.roles.returning import AT_ONCE
from reginfo.roles.subscriber import CONTACT_KIND
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.uri import Uri

from ..make import (
    ALICE,
    BOB,
    NOW,
    PEER,
    WALL,
    binding,
    flow,
    place,
    request,
)
from .told import (
    DESK,
    PHONE_URI,
    SOURCE,
    WANTED,
    Server,
    claim,
    contact,
    document,
    watching,
    with_keys,
)

# It subscribes.


def test_one_subscribe_is_sent_for_each_address_of_a_peer() -> None:
    """One SUBSCRIBE is sent for each address of a peer (6665-50, -78)."""
    server = Server()
    server.watch()
    server.watch()
    server.watch(aor=BOB, wanted=msgspec.structs.replace(WANTED, uri=BOB))
    assert [s.uri for s in server.subscribes()] == [ALICE, BOB]
    assert [m.source for m in server.subscriber.mirrors()] == [SOURCE, f"a/{BOB}"]


def test_a_subscribe_goes_to_the_peer() -> None:
    server = Server()
    server.watch()
    ((_, way, mirror),) = server.sent
    assert way == flow(PEER)
    assert mirror is server.mirror()


def test_what_the_configuration_wants_no_script_can_end() -> None:
    """The contract: `reginfo_subscribe` with 0 ends what a script has asked for."""
    server = watching(contact())
    assert not server.subscriber.cancel("a", ALICE, server.now)
    assert server.mirror().subscription.state is SubscriberState.ACTIVE
    assert server.subscribes() == []
    server.pass_time(3600)
    assert {one.expires for one in server.subscribes()} == {WANTED.expires}


def test_a_peer_that_does_not_answer_is_asked_again() -> None:
    """A peer that does not answer is asked again (6665-51)."""
    server = Server()
    server.watch()
    server.subscriber.held.receive_failure(server.mirror(), "timeout", server.now)
    server.subscribes()
    server.pass_time(3)
    (again,) = server.subscribes()
    assert again.to.tag == ""


def test_a_refresh_is_sent_in_time() -> None:
    """A refresh is sent in time (6665-67)."""
    server = watching()
    server.pass_time(3601 - 600 * 0.9)
    (refresh,) = server.subscribes()
    assert refresh.to.tag == "theirs"


# What is notified is known.


def test_what_a_peer_has_registered_is_known_here() -> None:
    """What a peer has registered is known here (3680-32)."""
    server = watching()
    server.notify(document(1, contact(
        q="0.5", params=(("+x", '"y"'),), display_name="A", duration_registered=40,
        claim=claim(path=("<sip:p;lr>",), received="sip:r", user_agent="Phone"),
    )))  # fmt: skip
    (one,) = server.bound()
    assert one == Binding(
        contact=PHONE_URI,
        key=one.key,
        call_id="phone",
        cseq=1,
        event=one.event,
        expires_at=NOW + 600,
        registered_at=NOW - 40,
        owner="a",
        stamp=Stamp(50),
        begin=Stamp(1),
        edition=Stamp(50),
        until=Stamp(600_000_050),
        gone=False,
        number=1,
        source=SOURCE,
        q="0.5",
        params=(("+x", '"y"'),),
        display_name="A",
        path=("<sip:p;lr>",),
        received="sip:r",
        user_agent="Phone",
    )
    assert server.events() == ["50 registered"]


def test_the_owner_travels_with_a_contact() -> None:
    server = watching()
    server.notify(document(1, contact(claim=claim(owner="c"))))
    assert [(b.owner, b.source) for b in server.bound()] == [("c", SOURCE)]


def test_a_peer_without_our_extension_owns_what_it_sends() -> None:
    server = watching()
    told = contact(path=("<sip:p>",), received="sip:r", user_agent="Phone")
    server.notify(document(1, told))
    (one,) = server.bound()
    assert (one.owner, one.source) == ("a", SOURCE)
    assert (one.path, one.received, one.user_agent) == (("<sip:p>",), "sip:r", "Phone")
    assert one.display_name == ""
    assert one.stamp == int((WALL + NOW) * 1e6)


def test_what_is_unregistered_there_is_gone_here() -> None:
    server = watching(contact())
    server.notify(document(1, contact(event="unregistered", cseq=2), full=False))
    assert server.bound() == []
    assert server.events() == ["50 unregistered"]


def test_when_a_user_agent_may_come_back_is_known_here_too() -> None:
    """The retry-after of a contact in probation is known here too (3680-23)."""
    server = watching(contact())
    gone = contact(event="probation", expires=0, cseq=2, retry_after=77)
    server.notify(document(1, gone, full=False))
    (row,) = server.store.rows(place(ALICE)).values()
    assert (row[0].event, row[0].retry_after) == ("probation", 77)


def test_what_is_learned_is_kept_in_the_table_that_is_meant() -> None:
    server = Server(table="elsewhere")

    def bound() -> list[tuple[str, float]]:
        assert server.bound() == []
        found = server.store.bindings(place(ALICE, "elsewhere"), server.now)
        return [(one.contact, one.expires_at - server.now) for one in found]

    server.watch()
    server.notify(
        document(0, contact("sip:a@example.net"), contact(DESK, expires=None))
    )
    assert bound() == [("sip:a@example.net", 600), (DESK, 3600 + GRACE)]
    server.pass_time(100)
    # By another spelling, and mentioned again.
    server.notify(document(1, contact("sip:a@EXAMPLE.net;x=1", expires=700, cseq=2),
                           contact(DESK, expires=None)))  # fmt: skip
    assert bound() == [("sip:a@EXAMPLE.net;x=1", 700), (DESK, 3600 + GRACE)]
    server.notify(document(2))
    assert bound() == []


def test_what_expires_there_is_gone_here() -> None:
    # Kamailio tells it with the Call-ID and CSeq of the REGISTER that ran out.
    server = watching(contact())
    server.notify(document(1, contact(event="expired", expires=0), full=False))
    assert server.bound() == []
    assert server.events() == ["50 expired"]


@pytest.mark.parametrize("event", ["unregistered", "expired", "deactivated"])
@pytest.mark.parametrize("cseq", [1, 2])
def test_a_full_document_that_lists_what_is_gone_tells_why(
    event: str, cseq: int
) -> None:
    """A full document that lists a contact as terminated gives its event (3680-100)."""
    # 3680-100 is only for what is not listed.
    server = watching(contact())
    server.notify(document(1, contact(event=event, expires=0, cseq=cseq)))
    assert server.events() == [f"50 {event}"]


def test_what_is_gone_is_gone_only_once() -> None:
    """A contact that is gone is reported gone once (3680-102)."""
    # Many notifiers repeat a terminated row in each document.
    server = watching(contact())
    gone = contact(event="unregistered", expires=0)
    server.notify(document(1, gone))
    server.notify(document(2, gone))
    server.mirror().table.restart()
    server.notify(document(0, gone, contact(DESK)))
    assert server.events() == ["50 unregistered", "51 registered"]


def test_what_two_peers_say_is_gone_is_gone_only_once() -> None:
    server = watching(contact())
    server.watch("c")
    gone = contact(event="unregistered", expires=0)
    server.notify(document(1, gone))
    server.notify(document(0, gone), source=f"c/{ALICE}")
    assert server.events() == ["50 unregistered"]


def test_an_active_contact_without_a_second_left_has_expired() -> None:
    """An active contact with no second left has expired (3680-97)."""
    server = watching(contact())
    server.notify(document(1, contact(expires=0, cseq=2), full=False))
    assert server.bound() == []
    assert server.events() == ["50 expired"]


def test_a_notify_without_a_body_changes_nothing() -> None:
    """A NOTIFY without a body changes nothing (3680-101)."""
    server = watching(contact())
    assert server.receive(b"") == ()
    assert len(server.bound()) == 1
    assert server.events() == []


@pytest.mark.parametrize("known", [True, False])
def test_a_full_document_without_a_registration_tells_of_who_is_watched(
    known: bool,
) -> None:
    """It says that nothing is bound, and whom it is about is who was asked for."""
    server = watching(*([contact()] if known else []))
    told = xml.serialize(Reginfo(version=1, full=True, registrations=()))
    assert server.receive(told) == (ALICE,)
    assert server.contacts() == []
    assert server.receive(b"") == ()


def test_a_document_that_comes_again_changes_nothing() -> None:
    """A document that comes again changes nothing (3680-93, -94, -102)."""
    server = watching(contact())
    told = document(1, contact(cseq=2), contact(DESK), full=False)
    server.notify(told)
    assert server.events() == ["50 refreshed", "51 registered"]
    server.notify(told, cseq=server.cseq)
    server.notify(document(0, contact()))
    assert server.events() == []


def test_a_full_document_of_the_same_version_is_taken_in() -> None:
    """A full document of the same version is taken in (3680-94)."""
    # Kamailio, Sprout and Flexisip write 0 always.
    server = watching(contact())
    server.notify(document(0, contact(DESK)))
    assert server.contacts() == [DESK]
    assert server.events() == ["50 expired", "51 registered"]


def test_several_addresses_in_one_document_are_known_each() -> None:
    """Several addresses in one document are each known (3680-59)."""
    server = watching()
    one, other = (
        document(1, contact()).registrations[0],
        document(1, contact(DESK), aor=BOB).registrations[0],
    )
    server.notify(Reginfo(version=1, full=True, registrations=(one, other)))
    assert (server.contacts(), server.contacts(BOB)) == ([PHONE_URI], [DESK])
    server.notify(Reginfo(version=2, full=True, registrations=(one,)))
    assert server.contacts(BOB) == []
    assert server.contacts() == [PHONE_URI]


def test_changes_of_one_document_belong_together() -> None:
    server = watching()
    server.notify(document(1, contact(), contact(DESK)))
    assert [change.more for change in server.changes] == [True, False]


def test_a_contact_that_comes_back_is_registered_anew() -> None:
    server = watching(contact())
    server.notify(
        document(1, contact(event="unregistered", cseq=2), contact(cseq=3), full=False)
    )
    assert server.contacts() == [PHONE_URI]
    assert server.events()[-1] == "50 registered"


def test_how_long_a_contact_has_been_there_is_kept_if_nobody_says() -> None:
    server = watching(contact())
    server.pass_time(100)
    server.notify(document(1, contact(event="refreshed", cseq=2), full=False))
    assert server.bound()[0].registered_at == NOW


@pytest.mark.parametrize("full", [False, True])
def test_a_spelling_of_a_known_contact_is_that_contact(full: bool) -> None:
    """An equal URI in another spelling is the same contact (3261-11)."""
    server = watching(contact("sip:alice@example.net"))
    told = contact("sip:alice@EXAMPLE.net;foo=bar", "refreshed", cseq=2)
    server.notify(document(1, told, full=full))
    (row,) = server.store.rows(place(ALICE)).values()
    assert (row[0].cseq, row[0].active) == (2, True)


# What is omitted is gone, if it was this peer that told us.


def test_a_full_document_removes_what_this_peer_has_told_us() -> None:
    """A full document removes what this peer has reported before (3680-95, -100)."""
    server = watching(contact(), contact(DESK))
    known = server.bound()[0]
    server.pass_time(1)
    server.notify(document(1, contact(DESK)))
    assert server.contacts() == [DESK]
    assert server.events() == ["50 expired"]
    # Nobody has wished it: it is a later statement about the same REGISTER.
    (gone,) = server.store.claims(place(ALICE), known.key)
    assert gone.gone and gone.stamp == known.stamp and gone.edition > known.edition


def test_what_was_left_out_comes_back_when_it_is_listed_again() -> None:
    """A peer that has lost its memory, and learned again: of the same REGISTER."""
    server = watching(contact())
    for version in (1, 3):
        server.notify(document(version))
        assert server.events() == ["50 expired"]
        server.notify(document(version + 1, contact()))
        assert server.events() == ["50 registered"]
    (row,) = server.store.rows(place(ALICE)).values()
    assert [(one.call_id, one.cseq) for one in row] == [("phone", 1)]


def test_what_a_peer_leaves_out_is_not_kept_by_who_has_it_from_there() -> None:
    """Else two servers keep for each other what a third one has forgotten."""
    server = watching(contact())
    server.watch("c")
    hearsay = contact(claim=claim("a", 50))
    server.notify(document(0, hearsay), source=f"c/{ALICE}")
    server.events()
    server.notify(document(1))
    assert server.events() == ["50 expired"]
    assert server.contacts() == []


def test_what_was_left_out_does_not_come_back_by_who_knew_it_from_there() -> None:
    server = watching(contact())
    server.watch("c")
    server.notify(document(1))
    server.events()
    server.notify(document(0, contact()), source=f"c/{ALICE}")
    assert server.events() == []


def test_from_a_server_of_our_kind_nothing_is_removed_by_omission() -> None:
    server = watching(contact(claim=claim("a", 50)))
    speaker = RecordKey("", None, "a", 0, kind=SPEAKER)
    server.notify(with_keys(document(1), speaker))
    assert server.events() == []
    assert server.contacts() == [PHONE_URI]
    gone = contact(event="unregistered", cseq=2, claim=claim("b", 60))
    server.notify(document(2, gone, full=False))
    assert server.events() == ["50 unregistered"]


def test_a_tombstone_of_a_server_of_our_kind_is_kept_though_nothing_was_bound() -> None:
    server = watching()
    gone = contact(event="unregistered", cseq=2, claim=claim("b", 60))
    server.notify(document(1, gone))
    server.notify(document(2, contact(claim=claim("b", 50)), full=False))
    assert server.contacts() == []
    assert server.events() == []


def test_every_life_of_a_contact_is_taken_in() -> None:
    server = watching()
    one = contact(callid="one", claim=claim("b", 60, begin=60))
    other = contact(callid="other", id="2", claim=claim("a", 50, begin=50))
    server.notify(document(1, one, other))
    (row,) = server.store.rows(place(ALICE)).values()
    assert [c.call_id for c in row] == ["one", "other"]


def test_a_full_document_removes_nothing_that_another_has_told_us() -> None:
    server = watching(contact())
    server.store.apply(place(ALICE), [
        binding(1, contact=DESK, owner="us"),
        binding(1, contact="sip:alice@192.0.2.52", owner="c", source=f"c/{ALICE}"),
    ], NOW)  # fmt: skip
    server.notify(document(1))
    assert server.contacts() == [DESK, "sip:alice@192.0.2.52"]


AL = "sip:al@example.com"


def told_by(*sources: str, told: Contact) -> Server:
    """A server that has been told of one contact by several subscriptions."""
    server = Server()
    for source in sources:
        peer, _, aor = source.partition("/")
        server.watch(peer, aor)
        server.notify(document(0, told), source=source)
    return server


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("others", [(f"a/{AL}", SOURCE), (SOURCE, f"c/{ALICE}")])
def test_what_is_omitted_stays_while_another_subscription_lists_it(
    others: tuple[str, str], first: int
) -> None:
    """It goes with the last that did, whichever was the first to tell us."""
    server = told_by(*others, told=contact())
    one, other = others[first], others[1 - first]
    server.notify(document(1), source=one)
    assert server.contacts() == [PHONE_URI]
    server.notify(document(1), source=other)
    assert server.contacts() == []
    server.notify(document(2, contact()), source=other)
    assert server.contacts() == [PHONE_URI]


def test_what_one_name_of_a_user_omitted_comes_back_by_the_other() -> None:
    told = contact(claim=claim("a"))
    server = told_by(f"a/{AL}", SOURCE, told=told)
    server.notify(document(1), source=f"a/{AL}")
    server.notify(document(1), source=SOURCE)
    server.notify(document(2, told), source=f"a/{AL}")
    assert server.contacts() == [PHONE_URI]


@pytest.mark.parametrize("expires", [100, None])
def test_what_another_has_listed_until_a_while_ago_is_omitted(
    expires: int | None,
) -> None:
    server = told_by(SOURCE, told=contact())
    server.watch("c")
    other = document(0, contact(expires=expires))
    server.notify(other, source=f"c/{ALICE}", state="active;expires=100")
    server.now += 101 + GRACE
    server.notify(document(1))
    assert server.contacts() == []


def test_after_a_restart_it_is_still_known_who_lists_what() -> None:
    before = told_by(SOURCE, f"c/{ALICE}", told=contact())
    before.commit()
    after = before.restart()
    after.watch("a")
    after.watch("c")
    after.notify(document(3), source=SOURCE)
    assert after.contacts() == [PHONE_URI]
    after.notify(document(3), source=f"c/{ALICE}")
    assert after.contacts() == []


def test_a_commit_that_fails_leaves_who_lists_what() -> None:
    server = told_by(SOURCE, f"c/{ALICE}", told=contact())
    server.journal.close()
    server.notify(document(1), source=f"c/{ALICE}")
    server.journal.close().take_back()
    server.notify(document(1), source=SOURCE)
    assert server.contacts() == [PHONE_URI]


def test_a_subscription_that_is_over_lists_nothing() -> None:
    server = told_by(SOURCE, f"c/{ALICE}", told=contact())
    server.mirror(f"c/{ALICE}").requested = True
    assert server.subscriber.cancel("c", ALICE, server.now)
    server.notify(document(1), source=SOURCE)
    assert server.contacts() == []


def test_what_has_moved_to_us_is_not_removed_by_omission() -> None:
    server = watching(contact())
    later = int((WALL + NOW + 1) * 1e6)
    moved = binding(1, contact=PHONE_URI, call_id="b", owner="us", stamp=later)
    server.store.apply(place(ALICE), [moved], NOW)
    server.notify(document(1))
    assert server.contacts() == [PHONE_URI]


def test_a_partial_document_removes_nothing_that_it_does_not_list() -> None:
    """A partial document removes nothing that it does not list (3680-96)."""
    server = watching(contact(), contact(DESK))
    server.notify(document(1, contact(DESK, "unregistered", cseq=2), full=False,
                           state=RegistrationState.ACTIVE))  # fmt: skip
    assert server.contacts() == [PHONE_URI]


def test_a_registration_that_has_ended_has_no_contacts_left() -> None:
    server = watching(contact(), contact(DESK))
    server.notify(document(1, contact(DESK, "unregistered", cseq=2), full=False))
    assert server.contacts() == []


def test_what_the_store_has_and_the_table_has_not_is_removed_too() -> None:
    # The table may be younger than the store: it was stored before a crash, say.
    for table in (TABLE, "elsewhere"):
        server = Server(table=table)
        server.watch()
        known = binding(1, contact=PHONE_URI, owner="a", source=SOURCE)
        server.store.apply(place(ALICE, table), [known], NOW)
        server.changes.clear()
        server.notify(document(1))
        assert server.store.bindings(place(ALICE, table), NOW) == []
        assert server.events() == ["50 expired"]


def test_a_row_whose_uri_is_none_is_left_out_and_the_others_are_not() -> None:
    server = watching()
    server.notify(document(1, contact("sip:@@"), contact(DESK)))
    assert server.contacts() == [DESK]


@pytest.mark.parametrize("aor", ["sip:@@", "urn:service:sos"])
def test_an_invalid_address_is_left_out(aor: str) -> None:
    server = watching()
    one = document(1, contact()).registrations[0]
    other = document(1, contact(DESK), aor=aor).registrations[0]
    server.notify(Reginfo(version=1, full=True, registrations=(other, one)))
    assert list(server.store.aors(TABLE)) == [ALICE]


# For how long.


def test_a_contact_without_expires_lives_as_long_as_the_subscription() -> None:
    """A contact without expires lives as long as the subscription (3680-103)."""
    server = watching(wanted=msgspec.structs.replace(WANTED, expires=9999))
    server.notify(document(1, contact(expires=None)), state="active;expires=300")
    assert server.bound()[0].expires_at == NOW + 300 + GRACE
    server.notify(document(2, contact(DESK, expires=None)), state="active;expires=9999")
    assert server.bound()[-1].expires_at == NOW + 7200  # max_expires


def test_a_subscription_that_is_refreshed_prolongs_a_contact_without_expires() -> None:
    """
    A subscription that is refreshed prolongs a contact without expires (3680-103).
    """
    # "after its last mention".
    server = watching()
    server.notify(document(1, contact(expires=None)), state="active;expires=300")
    server.pass_time(200)
    server.notify(document(2, contact(expires=None)), state="active;expires=300")
    assert [b.expires_at for b in server.bound()] == [NOW + 500 + GRACE]


def test_a_contact_that_is_mentioned_again_is_refreshed_by_it() -> None:
    """A contact that is mentioned again is refreshed by it (3680-103)."""
    server = watching(contact(), contact(DESK, expires=None))
    both = (contact(), contact("sip:@@", expires=None), contact(DESK, expires=None))
    server.notify(document(1, *both))
    server.pass_time(MOVED)
    server.notify(document(2, *both))
    assert server.events() == []  # no later than documents can say
    server.pass_time(1)
    server.notify(document(3, *both))
    assert server.events() == ["50 refreshed", "51 refreshed"]


@pytest.mark.parametrize("expires", [100, 600])
def test_whoever_mentions_what_another_has_told_us_changes_nothing(
    expires: int,
) -> None:
    server = watching(contact(expires=expires))
    server.watch("c")
    mentioned = document(0, contact(expires=None))
    for _ in range(2):
        server.notify(mentioned, source=f"c/{ALICE}", state="active;expires=300")
    (one,) = server.bound()
    assert (one.expires_at, one.source) == (NOW + expires, SOURCE)
    assert server.events() == []


def test_a_subscription_that_is_shortened_shortens_no_contact() -> None:
    server = watching(contact(expires=None))
    server.notify(document(1, contact(expires=None)), state="active;expires=300")
    assert server.bound()[0].expires_at == NOW + 3600 + GRACE


def test_what_the_peer_lists_again_comes_back_and_what_another_ended_does_not() -> None:
    for owner, events in (("a", ["50 registered"]), ("us", [])):
        server = watching(contact(expires=None))
        gone = binding(
            1, "unregistered", call_id="phone", owner=owner, edition=2**52,
            stamp=server.bound()[0].stamp, begin=server.bound()[0].begin,
        )  # fmt: skip
        server.store.apply(place(ALICE), [gone], server.now)
        assert server.events()[-1] == "50 unregistered"
        server.notify(document(1))
        server.notify(document(2, contact(expires=None)))
        assert server.events() == events


def test_a_learned_contact_expires_if_its_owner_says_nothing() -> None:
    server = watching(contact(expires=60))
    server.pass_time(60.1)
    assert server.bound() == []
    server.pass_time(LEARNED_GRACE + 0.1)
    assert server.events() == ["50 expired"]
    server.notify(document(1, contact(event="expired", expires=0), full=False))
    assert server.events() == []


def test_the_end_of_one_register_may_become_earlier_or_later() -> None:
    """For one REGISTER the end of a contact may move, either way (3680-103)."""
    server = watching(contact(expires=600))
    server.pass_time(100)
    server.notify(document(1, contact(expires=600), full=False))
    assert server.bound()[0].expires_at == NOW + 700
    server.notify(document(2, contact(expires=60, event="shortened"), full=False))
    assert server.bound()[0].expires_at == NOW + 160
    server.notify(document(3, contact(expires=600, cseq=2), full=False))
    assert server.bound()[0].expires_at == NOW + 700


# What is our own is not learned.


def test_what_is_ours_comes_back_to_a_server_that_has_lost_it() -> None:
    server = watching()
    server.notify(document(1, contact(claim=claim(owner="us", stamp=40))))
    (one,) = server.bound()
    assert (one.owner, one.cseq) == ("us", 1)
    mine = binding(2, contact=PHONE_URI, call_id="phone", owner="us", stamp=50)
    server.store.apply(place(ALICE), [mine], NOW)
    server.events()
    server.notify(document(2, contact(claim=claim(owner="us", stamp=40))))
    assert [one.order for one in server.bound()] == [mine.order]
    assert server.events() == []


@pytest.mark.parametrize(
    "echo",
    [
        contact(),
        contact(expires=30),
        contact(event="expired", expires=0),
        contact(event="refreshed"),
    ],
)
def test_an_echo_of_what_is_ours_changes_nothing(echo: Contact) -> None:
    # A peer without our extension that has it from us.
    server = watching()
    mine = binding(1, contact=PHONE_URI, call_id="phone", owner="us", stamp=40)
    server.store.apply(place(ALICE), [mine], NOW)
    server.changes.clear()
    server.journal.close()
    server.notify(document(1, echo))
    assert [b.owner for b in server.bound()] == ["us"]
    assert server.events() == []
    assert {e[0] for e in server.journal.close().entries} <= {KIND, CONTACT_KIND}


@pytest.mark.parametrize("expires", [600, 599])
def test_an_echo_of_what_another_told_us_changes_nothing(expires: int) -> None:
    server = watching(contact(claim=claim(owner="c")))
    server.watch("old")
    server.notify(document(0, contact(expires=expires)), source=f"old/{ALICE}")
    (one,) = server.bound()
    assert (one.owner, one.source) == ("c", SOURCE)
    assert server.events() == []


def test_a_final_word_of_a_peer_ends_what_another_one_owns() -> None:
    server = watching(contact(claim=claim(owner="c")))
    server.watch("old")
    told = contact(event="unregistered", expires=0)
    server.notify(document(0, told), source=f"old/{ALICE}")
    (row,) = server.store.rows(place(ALICE)).values()
    assert (row[0].event, row[0].owner, row[0].gone) == ("unregistered", "old", True)
    server = watching(contact(claim=claim(owner="c")))
    server.watch("old")
    dropped = contact(event="expired", expires=0)
    server.notify(document(0, dropped), source=f"old/{ALICE}")
    assert server.contacts() == [PHONE_URI]


@pytest.mark.parametrize("id", ["1", "2"])
def test_a_contact_without_numbers_ends_by_its_uri(id: str) -> None:
    """An S-CSCF sends neither Call-ID nor CSeq, and changes the ids."""
    server = watching()
    bare: dict[str, Any] = {"callid": None, "cseq": None}
    server.notify(document(1, contact(id="1", **bare)))
    gone = contact(id=id, event="unregistered", expires=0, **bare)
    server.notify(document(2, gone, full=False))
    assert server.events() == ["50 registered", "50 unregistered"]
    server.notify(document(3, contact(id="3", **bare)))
    assert server.events() == ["50 registered"]


def test_a_contact_that_lasts_longer_at_a_peer_continues() -> None:
    server = watching()
    mine = binding(
        1, contact=PHONE_URI, call_id="phone", owner="us", stamp=40,
        expires_at=NOW + 60,
    )  # fmt: skip
    server.store.apply(place(ALICE), [mine], NOW)
    server.notify(document(1, contact(expires=600)))
    assert server.bound()[0].owner == "us"  # an echo, until now
    server.events()
    server.pass_time(60.2)
    (bound,) = server.bound()
    assert (bound.owner, bound.stamp, bound.expires_at) == ("a", 40, NOW + 600)


def test_a_contact_without_call_id_and_cseq_counts_by_the_order_of_notifies() -> None:
    """A contact without Call-ID and CSeq counts by the order of NOTIFYs (3680-80)."""
    server = watching(contact(callid=None, cseq=None))
    server.notify(document(1, contact(callid=None, cseq=None, expires=900)))
    assert server.bound()[0].expires_at == NOW + 900
    server.notify(document(2))
    assert server.events()[-1] == "50 expired"


# What was missed is asked for.


def test_a_version_that_was_missed_is_asked_for() -> None:
    """A missing version is followed by a refresh (3680-92)."""
    server = watching(contact())
    server.notify(document(2, contact(DESK), full=False))
    assert server.contacts() == [PHONE_URI, DESK]
    (refresh,) = server.subscribes()
    assert refresh.to.tag == "theirs"
    server.notify(document(3, contact(DESK)))
    assert server.contacts() == [DESK]
    assert server.subscribes() == []


def test_after_a_refresh_versions_continue() -> None:
    """After a refresh the versions continue (3680-57)."""
    # A refresh is no new subscription.
    server = watching(contact())
    server.pass_time(3601 - 600 * 0.9)
    assert len(server.subscribes()) == 1
    server.respond(200, "Expires: 3600")
    server.notify(document(1, contact(DESK), full=False))
    assert server.subscribes() == []


def test_a_first_document_that_is_partial_is_not_enough() -> None:
    """A first document that is partial is followed by a refresh (3680-90)."""
    server = Server()
    server.watch()
    server.subscribes()
    server.notify(document(5, contact(), full=False))
    assert server.contacts() == [PHONE_URI]
    assert len(server.subscribes()) == 1


def test_what_was_known_stays_until_a_new_subscription_has_brought_it_anew() -> None:
    """
    Known contacts stay until a new subscription has brought its full state (3680-99).
    """
    server = watching(contact(), contact(DESK))
    server.pass_time(40)
    server.receive(b"", state="terminated;reason=deactivated")
    server.pass_time(0)
    (subscribe,) = server.subscribes()
    assert subscribe.to.tag == ""
    assert len(server.contacts()) == 2
    server.notify(document(0, contact(DESK)), cseq=1, from_tag="new")
    assert server.contacts() == [DESK]


def test_the_state_in_a_final_notify_is_taken_in() -> None:
    """The state in a final NOTIFY is applied (6665-71)."""
    server = watching(contact())
    server.notify(document(1), state="terminated;reason=noresource")
    assert server.contacts() == []


# What is not in order changes nothing.


def is_refused(server: Server, status: int, *args: Any, **others: Any) -> Exception:
    server.journal.close()
    before = msgspec.msgpack.encode(server.mirror().subscription)
    with pytest.raises((Refusal, RemoteProtocolError)) as caught:
        server.receive(*args, **others)
    refusal = caught.value
    assert isinstance(refusal, (Refusal, RemoteProtocolError))
    assert refusal.status == status
    assert msgspec.msgpack.encode(server.mirror().subscription) == before
    assert server.events() == []
    assert server.journal.close().entries == []
    return refusal


BODY = xml.serialize(document(1, contact(DESK)))


def test_the_first_notify_is_of_the_subscribe_whose_ids_it_has() -> None:
    """6665-53: Call-ID, our From tag as its To tag, and the Event with its id"""
    server = Server()
    server.watch()
    (subscribe,) = server.subscribes()
    wrongs: list[dict[str, Any]] = [
        {"call_id": "stray"},
        {"call_id": subscribe.call_id.upper()},
        {"to": subscribe.from_.uri},
        {"to": f"<{subscribe.from_.uri}>;tag=guessed"},
        {"event": "reg;id=1"},
    ]
    for wrong in wrongs:
        with pytest.raises(Refusal) as caught:
            server.receive(BODY, from_tag="first", **wrong)
        assert caught.value.status == 481
        assert server.contacts() == []
    server.receive(BODY, from_tag="first", to=subscribe.headers["From"][0])
    assert server.contacts() == [DESK]
    # That has made the dialog: another one is refused.
    server.changes.clear()
    is_refused(server, 481, BODY, from_tag="second")


def test_a_notify_outside_our_dialogs_is_refused() -> None:
    """A NOTIFY outside our dialogs is refused (6665-56, 3680-33)."""
    server = watching(contact())
    is_refused(server, 481, BODY, call_id="stray")
    is_refused(server, 481, BODY, to="<sip:us@192.0.2.1>;tag=guessed")
    is_refused(server, 481, BODY, to="<sip:us@192.0.2.1>")
    is_refused(server, 481, BODY, from_tag="fork")  # 3680-33


def test_a_notify_of_a_dialog_that_is_over_is_refused() -> None:
    """A NOTIFY of a dialog that is over is refused (6665-56)."""
    server = watching(contact())
    old = server.mirror().subscription.dialog
    assert old is not None
    server.pass_time(40)
    server.receive(b"", state="terminated;reason=deactivated")
    server.pass_time(0)
    assert len(server.subscribes()) == 1
    is_refused(server, 481, BODY, call_id=old.call_id, to=old.local)
    server.notify(document(0, contact(DESK)), cseq=1, from_tag="new")
    server.events()
    is_refused(server, 481, BODY, call_id=old.call_id, to=old.local, from_tag="new")


def test_a_stray_notify_is_refused_before_its_body_is_looked_at() -> None:
    is_refused(watching(), 481, b"\xff" * 70_000, call_id="stray", event="presence")


def test_a_notify_of_another_package_is_refused() -> None:
    """A NOTIFY of another package is refused (6665-57)."""
    is_refused(watching(), 489, BODY, event="presence")


def test_a_notify_without_a_subscription_state_is_refused() -> None:
    """A NOTIFY without a subscription state is refused (6665-59)."""
    is_refused(watching(), 400, BODY, state="")


def test_a_notify_that_was_overtaken_is_refused() -> None:
    """A NOTIFY whose CSeq was overtaken is refused (6665-77)."""
    server = watching()
    server.notify(document(1), cseq=10)
    server.changes.clear()
    is_refused(server, 500, xml.serialize(document(2, contact())), cseq=9)


@pytest.mark.parametrize("content_type", ["text/plain", "application/pidf+xml", ""])
def test_a_body_of_another_type_is_refused(content_type: str) -> None:
    """A body of another type is refused (6665-66)."""
    refusal = is_refused(watching(), 415, BODY, content_type=content_type)
    assert isinstance(refusal, Refusal)
    assert refusal.headers == (("Accept", "application/reginfo+xml"),)


def test_a_type_may_be_spelled_in_any_case_and_have_parameters() -> None:
    server = watching()
    server.receive(BODY, content_type="Application/Reginfo+XML ;charset=utf-8")
    assert server.contacts() == [DESK]


@pytest.mark.parametrize(
    "body", [b"<", b"not xml", b"<reginfo/>", BODY[:-5], b"<!DOCTYPE x>" + BODY]
)
def test_a_body_that_cannot_be_read_is_refused(
    body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that cannot be read is refused (6665-66, sec-03)."""
    is_refused(watching(contact()), 400, body)
    assert "! NOTIFY of a/sip:alice@example.com" in caplog.text


def test_an_invalid_contact_header_changes_nothing() -> None:
    server = Server()
    server.watch()
    server.journal.close()
    with pytest.raises(RemoteProtocolError):
        server.receive(BODY, "Contact: <sip:another@192.0.2.2>")
    assert not server.mirror().subscription.is_established
    assert server.contacts() == []


def test_what_the_reader_put_up_with_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "reginfo.document")
    server = watching()
    body = BODY.replace(b'expires="600"', b'expires="soon"')
    server.receive(body)
    assert "expires" in caplog.text
    assert server.contacts() == [DESK]


# Over a restart.


def test_after_a_restart_the_subscription_continues_in_its_dialog() -> None:
    server = Server()
    server.watch()
    server.respond(200, "Expires: 3600")
    server.notify(document(0, contact()))
    server.notify(document(1, contact(DESK), full=False))
    server.commit()
    after = server.restart(seconds=60, shift=-500.0)
    assert after.contacts() == [PHONE_URI, DESK]
    assert after.bound()[0].expires_at == NOW + 600 - 500
    after.watch()
    (refresh,) = after.subscribes()
    assert (refresh.to.tag, refresh.cseq.number) == ("theirs", 2)
    after.notify(document(2, contact(DESK, expires=540)))
    assert after.contacts() == [DESK]
    assert after.events() == ["50 expired"]


def test_what_was_told_before_a_restart_is_no_news_after_it() -> None:
    server = Server()
    server.watch()
    nameless = contact(callid=None, cseq=None)
    server.notify(document(0, nameless))
    server.commit()
    after = server.restart(seconds=60, shift=-500.0)
    after.watch()
    after.notify(document(1, msgspec.structs.replace(nameless, expires=540)))
    assert after.events() == []


def test_after_a_restart_not_all_are_refreshed_at_once() -> None:
    server = Server()
    aors = [Aor(f"sip:{number}@example.com") for number in range(AT_ONCE + 10)]
    for aor in aors:
        server.watch(aor=aor)
    server.pass_time(1)  # at most so many begin at once
    for aor in aors:
        server.receive(b"", source=f"a/{aor}")
    server.commit()
    after = server.restart()
    for aor in aors:
        after.subscriber.watch("a", aor, WANTED, flow(PEER), after.now)
    after.pass_time(0)
    assert len(after.sent) == AT_ONCE
    after.pass_time(1)
    assert len(after.sent) == AT_ONCE + 10


def test_a_subscription_that_is_wanted_otherwise_is_made_anew() -> None:
    server = watching()
    server.notify(document(1, contact(), contact(DESK)))
    server.commit()
    after = server.restart()
    after.watch(wanted=msgspec.structs.replace(WANTED, expires=60))
    (subscribe,) = after.subscribes()
    assert (subscribe.to.tag, subscribe.expires) == ("", 60)
    after.notify(document(0, contact()), cseq=1, from_tag="new")
    assert after.contacts() == [PHONE_URI]


def test_what_is_written_does_not_change_before_it_is_on_disk() -> None:
    server = watching()
    server.notify(document(1, contact()))
    row = next(v for kind, _, v in server.journal.close().entries if kind == KIND)
    before = msgspec.msgpack.encode(row)
    server.notify(document(2, contact(DESK)), state="active;expires=5")
    server.pass_time(100)
    assert msgspec.msgpack.encode(row) == before


# What is taken back never was.


def test_a_notify_that_is_taken_back_may_come_again() -> None:
    server = watching(contact())
    server.notify(document(1, contact(DESK)))
    server.journal.close().take_back()
    assert server.contacts() == [PHONE_URI]
    server.changes.clear()
    server.notify(document(1, contact(DESK)), cseq=server.cseq)
    assert server.contacts() == [DESK]
    assert server.events() == ["50 expired", "51 registered"]


def test_a_first_notify_that_is_taken_back_makes_no_dialog() -> None:
    server = Server()
    server.watch()
    server.journal.close()
    server.notify(document(0, contact()), from_tag="first")
    server.journal.close().take_back()
    assert not server.mirror().subscription.is_established
    server.notify(document(0, contact()), from_tag="second")
    assert server.contacts() == [PHONE_URI]


def test_an_end_that_is_taken_back_leaves_the_dialog() -> None:
    server = watching(contact())
    server.receive(b"", state="terminated;reason=deactivated")
    server.journal.close().take_back()
    server.notify(document(1, contact(DESK)), cseq=server.cseq)
    assert server.contacts() == [DESK]


def test_a_subscribe_that_is_taken_back_is_sent_again_but_not_at_once() -> None:
    server = Server()
    server.watch()
    server.subscribes()
    server.journal.close().take_back()
    server.pass_time(RETRY_AFTER - 1)
    assert server.subscribes() == []
    server.pass_time(2)
    assert len(server.subscribes()) == 1


@pytest.mark.parametrize("failed", [True, False])
def test_an_answer_that_is_taken_back_is_waited_for_until_timer_n(failed: bool) -> None:
    server = Server()
    server.watch()
    server.journal.close()
    if failed:
        server.subscriber.held.receive_failure(server.mirror(), "timeout", server.now)
    else:
        server.respond(481)
    server.journal.close().take_back()
    assert server.mirror().subscription.state is SubscriberState.NOTIFY_WAIT
    server.subscribes()
    server.pass_time(35)
    assert len(server.subscribes()) == 1


@pytest.mark.parametrize("expires", [7201, 10**6, 2**32 - 1])
def test_a_contact_of_a_peer_is_not_believed_for_years(expires: int) -> None:
    """3680-110"""
    server = watching()
    server.notify(document(1, contact(expires=expires)))
    assert server.bound()[0].expires_at == NOW + 7200
    server.pass_time(7200)
    assert server.contacts() == []


def test_a_peer_may_have_a_limit_of_its_own() -> None:
    """A peer may have a limit of its own for expires (3680-110)."""
    server = watching(longest={"a": 60}.__getitem__)
    server.notify(document(1, contact(), contact(DESK, expires=30)))
    assert [b.expires_at for b in server.bound()] == [NOW + 60, NOW + 30]


# Who looks at us.


def test_when_a_peer_has_notified_is_known_once_it_is_on_disk() -> None:
    server = watching()
    mirror = server.mirror()
    server.pass_time(5)
    server.notify(document(2, contact("sip:1"), full=False))
    assert (mirror.notified_at, mirror.missed) == (None, 0)
    server.journal.close().announce()
    assert (mirror.notified_at, mirror.missed) == (server.now, 1)
    server.notify(document(4, contact("sip:1"), full=False))
    server.receive(b"")
    server.journal.close().announce()
    assert mirror.missed == 2

    server.notify(document(6, contact("sip:2"), full=False))
    server.journal.close().take_back()
    assert mirror.missed == 2


def test_what_is_wrong_with_a_peer_is_known_until_it_notifies() -> None:
    server = Server()
    server.watch()
    mirror = server.mirror()
    assert mirror.problem is None
    server.respond(300)
    assert mirror.problem == "SUBSCRIBE: 300 Some Reason"
    server.subscriber.held.receive_failure(mirror, "timeout", server.now)
    assert mirror.problem == "SUBSCRIBE got no answer: timeout"
    server.pass_time(3)
    server.notify(document(0))
    server.journal.close().announce()
    assert mirror.problem is None
    server.notify(document(1), state="terminated;reason=rejected")
    server.journal.close().announce()
    assert mirror.problem == "the peer ended it: rejected"


def test_an_end_without_a_reason_is_a_problem_without_one() -> None:
    server = watching()
    mirror = server.mirror()
    server.notify(document(1), state="terminated")
    server.journal.close().announce()
    assert mirror.problem == "the peer ended it: no reason"


def test_the_subscriber_describes_how_many_subscriptions_it_holds() -> None:
    server = watching()
    server.watch(aor=BOB)
    assert server.subscriber.describe() == Description(
        "subscriber", "subscriptions: 2", {"held": 2}
    )


def test_that_a_key_was_removed_long_ago_is_no_news() -> None:
    """Unless it is known here: we may have forgotten it, and the peer not."""
    server = watching()
    stamp = int((WALL - REMEMBERED) * 1e6)
    gone = [RecordKey(name, None, "a", stamp) for name in "kl"]
    known = Record(
        kind=RecordKind.KEY, name="l", value="v", stamp=Stamp(stamp - 1), owner="a"
    )
    server.store.apply(place(ALICE), (), server.now, records=[known])
    server.notify(with_keys(document(1), *gone))
    assert [record.name for record in server.store.records(place(ALICE))] == ["l"]
    assert server.store.keys(place(ALICE)) == {}


def test_a_notify_without_a_body_ends_a_problem_too() -> None:
    server = watching()
    mirror = server.mirror()
    server.respond(500)
    server.receive(b"")
    server.journal.close().announce()
    assert mirror.problem is None
    assert mirror.missed == 0


def test_a_notify_updates_the_table_that_its_listener_names() -> None:
    server = watching()
    dialog = server.mirror().subscription.dialog
    assert dialog is not None
    message = request(
        "NOTIFY", "Event: reg", "Contact: <sip:notifier@192.0.2.2>",
        "Subscription-State: active", f"Content-Type: {xml.MEDIA_TYPE}",
        cseq=9, call_id=dialog.call_id, from_=f"<{ALICE}>;tag=theirs",
        to=dialog.local, body=BODY,
    )  # fmt: skip
    told = server.subscriber.receive_notify(
        message, flow(PEER), NOW, WALL + NOW, "elsewhere"
    )
    found = server.store.bindings(place(ALICE, "elsewhere"), NOW)
    assert (told, [one.contact for one in found]) == ((ALICE,), [DESK])
    assert server.contacts() == []


def test_a_contact_is_listed_by_those_whose_subscription_stands_until_it_ends() -> None:
    server = Server()
    for peer, told in (
        ("r", contact(claim=claim())),  # this one is in the store
        ("e", contact()),
        ("a", contact()),
    ):
        server.watch(peer)
        server.notify(document(0, told), source=f"{peer}/{ALICE}")
    server.mirror(f"e/{ALICE}").subscription.end(server.now)
    uri = Uri.parse(PHONE_URI)
    listed = [Listed("a", SOURCE, ALICE, contact(), NOW + 600)]
    assert list(server.subscriber.listings(ALICE, uri, NOW + 599.999)) == listed
    assert list(server.subscriber.listings(ALICE, uri, NOW + 600)) == []
