"""
What a peer of another kind says, sentence by sentence (docs/sync.md, "Other peers").

It says the same by a NOTIFY, by one that nobody asked for, and by a PUBLISH.
"""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.events.notify import SubscriptionPolicy
from reginfo.location.binding import Binding
from reginfo.location.claim import Claim
from reginfo.location.foreign import FINAL, GRACE
from reginfo.location.lives import SLACK
from reginfo.location.place import TABLE, Aor
from reginfo.reg import xml
from reginfo.reg.document import Contact, ContactEvent
from reginfo.roles.compositor import Compositor

from ..make import ALICE, WALL, binding, moment, numbers, place, request
from .told import DESK, PHONE_URI, SOURCE, Server, contact, document

NOTIFY, STRAY, PUBLISH = "NOTIFY", "unsolicited", "PUBLISH"
WAYS = [NOTIFY, STRAY, PUBLISH]

way = pytest.mark.parametrize("way", WAYS)


class Gateway(Server):
    """A server that is told by the peer ``a``, by all ways that there are."""

    def __init__(self) -> None:
        super().__init__()
        self.compositor = Compositor(
            self.store,
            self.journal,
            new_id=numbers("etag"),
            policy=SubscriptionPolicy(
                min_expires=60, default_expires=3600, max_expires=3600
            ),
            max_expires=7200,
            location=TABLE,
        )
        self.subscriber.others = self.compositor.listings
        self.compositor.others = self.subscriber.listings
        self.version = 0
        self.etag: str | None = None
        self.watch()

    def tell(self, way: str, *contacts: Contact) -> None:
        """Have the peer list ``contacts``, all that it has."""
        self.version += 1
        whole = document(self.version, *contacts)
        if way == NOTIFY:
            self.notify(whole)
        elif way == STRAY:
            self.stray(whole, peer="a")
        else:
            self.publish(xml.serialize(whole))

    def publish(self, body: bytes = b"") -> None:
        lines = ["Event: reg", "Expires: 3600"]
        if body:
            lines.append(f"Content-Type: {xml.MEDIA_TYPE}")
        if self.etag is not None:
            lines.append(f"SIP-If-Match: {self.etag}")
        self.cseq += 1
        message = request("PUBLISH", *lines, uri=ALICE, cseq=self.cseq, body=body)
        response = self.compositor.receive_publish(
            message, peer="a", aor=Aor(ALICE), now=self.now, wall=WALL + self.now
        )
        self.etag = response.header("SIP-ETag")

    def one(self) -> Binding:
        (found,) = self.bound()
        return found

    def claims(self) -> tuple[Claim, ...]:
        return self.store.claims(place(ALICE), PHONE_URI)

    def have(self, *claims: Claim) -> None:
        """Have claims from elsewhere: from here, or by a link."""
        self.store.apply(place(ALICE), claims, self.now)
        self.events()

    def stamp(self, earlier: float = 0.0) -> int:
        """A stamp of now, or of some seconds before."""
        return int((WALL + self.now - earlier) * 1e6)

    def ours(self, cseq: int = 1, **fields: Any) -> Claim:
        """A claim of the same REGISTER, accepted here ten seconds ago."""
        stamp = self.stamp(10)
        usual = {"owner": "us", "begin": stamp, "stamp": stamp}
        fields = {**usual, "expires_at": self.now + 600, **fields}
        return binding(cseq, contact=PHONE_URI, call_id="phone", **fields)


@way
def test_an_unknown_call_id_is_a_claim_that_the_peer_owns(way: str) -> None:
    """3680-149: listed, Call-ID unknown."""
    server = Gateway()
    server.tell(way, contact())
    claim = server.one()
    assert (claim.owner, claim.cseq, claim.gone) == ("a", 1, False)
    assert claim.begin == claim.stamp == claim.edition
    # The very first document may be as old as the longest life; others say what is now.
    age = 7200 if way == NOTIFY else 0
    assert claim.stamp == server.stamp(age)


@pytest.mark.parametrize("duration", [None, 20, 9999])
def test_after_an_outage_the_first_document_may_be_as_old_as_that(
    duration: int | None,
) -> None:
    """3680-149: stamped with when the outage began; `duration-registered` is exact."""
    server = Gateway()
    server.tell(NOTIFY)
    began = server.now
    server.receive(b"", state="terminated;reason=deactivated")
    server.pass_time(300)
    while server.mirror().subscription.dialog is None:
        server.pass_time(1)
    server.tell(NOTIFY, contact(duration_registered=duration))
    outage = server.now - began
    age = outage if duration is None else min(duration, outage)
    assert server.one().stamp == pytest.approx(server.stamp(age), abs=1)


@way
def test_a_greater_cseq_goes_on_with_the_life(way: str) -> None:
    """3680-149: CSeq above the greatest known, whoever owned it."""
    server = Gateway()
    server.have(server.ours())
    server.pass_time(1)
    server.tell(way, contact(cseq=2))
    claim = server.one()
    assert (claim.owner, claim.cseq) == ("a", 2)
    assert claim.begin == server.ours().begin - 1_000_000
    assert server.events() == ["50 refreshed"]


@way
def test_an_echo_changes_nothing_until_the_time_is_up_here(way: str) -> None:
    """3680-149: then the peer's own later end counts, at once, as a refresh."""
    server = Gateway()
    server.have(server.ours(expires_at=server.now + 100))
    server.tell(way, contact(expires=600))
    assert (server.one().owner, server.events()) == ("us", [])
    start = server.now
    server.pass_time(100)
    claim = server.one()
    assert (claim.owner, claim.expires_at) == ("a", start + 600)
    assert claim.stamp == server.ours().stamp - 100_000_000
    assert server.events() == ["50 refreshed"]
    server.pass_time(510)
    assert server.events() == ["50 expired"]


@way
def test_an_end_that_another_server_owns_is_prolonged_without_a_gap(way: str) -> None:
    """3680-149: not after the seconds that are left to its owner to report it."""
    server = Gateway()
    learned = server.ours(owner="b", source="b/x", expires_at=server.now + 100)
    server.have(learned)
    server.tell(way, contact(expires=600))
    for seconds in (99.9, 0.1, 0.1):
        server.pass_time(seconds)
        assert server.contacts() == [PHONE_URI]
    assert server.events() == ["50 refreshed"]


@way
def test_what_the_peer_itself_had_ended_is_bound_again(way: str) -> None:
    """3680-149: CSeq equal, gone by its own word: the same stamp, a new edition."""
    server = Gateway()
    server.tell(way, contact())
    first = server.one()
    server.pass_time(1)
    server.tell(way)
    assert server.contacts() == []
    server.pass_time(1)
    server.tell(way, contact())
    claim = server.one()
    assert (claim.stamp, claim.begin) == (first.stamp, first.begin)
    assert claim.edition == server.stamp()
    assert server.events() == ["50 registered", "50 expired", "50 registered"]


@way
def test_what_one_of_ours_has_ended_is_not_brought_back(way: str) -> None:
    """3680-149: CSeq equal, gone by one of ours."""
    server = Gateway()
    server.have(server.ours(), server.ours(gone=True, edition=server.stamp(5)))
    server.tell(way, contact())
    assert (server.contacts(), server.events()) == ([], [])


@way
def test_a_stale_cseq_is_nothing_unless_the_phone_has_started_again(way: str) -> None:
    """3680-149: CSeq below: new in the mirror, and the greater one over for 92 s."""
    server = Gateway()
    server.have(server.ours(cseq=7))
    server.tell(way, contact(cseq=3))
    assert server.one().cseq == 7
    server.tell(way)
    server.have(server.ours(cseq=7, gone=True, edition=server.stamp()))
    server.pass_time(SLACK - 1)
    server.tell(way, contact(cseq=3))
    assert server.contacts() == []
    server.pass_time(2)
    server.tell(way, contact(cseq=3, display_name="old"))
    assert server.contacts() == []  # it was listed before
    server.tell(way)
    server.tell(way, contact(cseq=3))
    claim = server.one()
    assert (claim.cseq, claim.begin) == (3, claim.stamp)
    assert len(server.claims()) == 2


@way
@pytest.mark.parametrize("expires", [60, 1200])
def test_another_end_of_what_the_peer_owns_is_a_new_edition(
    way: str, expires: int
) -> None:
    """3680-149: a later or earlier end, by more than a second: the same stamp."""
    server = Gateway()
    server.tell(way, contact(expires=600))
    first = server.one()
    server.pass_time(10)
    server.tell(way, contact(expires=589))
    assert server.one() is first
    server.tell(way, contact(expires=expires))
    claim = server.one()
    assert claim.expires_at == server.now + expires
    assert (claim.stamp, claim.edition) == (first.stamp, server.stamp())
    assert server.events() == ["50 registered", "50 refreshed"]


@way
@pytest.mark.parametrize("event", sorted(FINAL))
@pytest.mark.parametrize("cseq", [4, 5])
def test_a_final_word_ends_it_whoever_owns_it(
    way: str, event: ContactEvent, cseq: int
) -> None:
    """3680-149: of a known CSeq, or a greater one: the same stamp, a new edition."""
    server = Gateway()
    known = server.ours(cseq=4)
    server.have(known)
    retry = 30 if event is ContactEvent.PROBATION else None
    server.tell(
        way, contact(event=event.value, expires=0, cseq=cseq, retry_after=retry)
    )
    assert server.events() == [f"50 {event.value}"]
    holds = server.claims()[0]
    assert holds.gone and (holds.stamp, holds.edition) == (known.stamp, server.stamp())


@way
def test_a_final_word_of_a_smaller_cseq_ends_nothing(way: str) -> None:
    """3680-149: a claim made since, here or elsewhere, is not touched."""
    server = Gateway()
    server.have(server.ours(cseq=4))
    server.tell(way, contact(event="unregistered", expires=0, cseq=3))
    assert (server.one().cseq, server.events()) == (4, [])
    # Nor is one of another Call-ID.
    server.tell(way, contact(event="unregistered", expires=0, callid="other", cseq=9))
    assert (server.one().cseq, server.events()) == (4, [])


@way
@pytest.mark.parametrize("how", ["expired", "dropped"])
def test_what_has_expired_or_is_dropped_ends_what_the_peer_owns_alone(
    way: str, how: str
) -> None:
    """3680-149"""
    gone = [contact(event="expired", expires=0)] if how == "expired" else []
    server = Gateway()
    server.tell(way, contact())
    server.tell(way, *gone)
    assert server.events() == ["50 registered", "50 expired"]
    server = Gateway()
    server.have(server.ours())
    server.tell(way, contact())
    server.tell(way, *gone)
    assert (server.one().owner, server.events()) == ("us", [])


@way
def test_what_has_moved_here_since_is_not_ended_by_the_peer(way: str) -> None:
    """3680-149: the phone has registered here with a greater CSeq."""
    server = Gateway()
    server.tell(way, contact())
    server.pass_time(1)
    server.have(server.ours(cseq=2, begin=server.one().begin, stamp=server.stamp()))
    server.tell(way)
    assert (server.one().owner, server.events()) == ("us", [])


@way
@pytest.mark.parametrize(
    "missing", [{"callid": None}, {"cseq": None}, {"callid": None, "cseq": None}]
)
def test_without_numbers_the_id_and_the_order_of_changes_count(
    way: str, missing: dict[str, Any]
) -> None:
    """3680-149: what is bound from elsewhere is an echo."""
    server = Gateway()
    server.tell(way, contact(**missing))
    first = server.one()
    server.pass_time(1)
    server.tell(way, contact(display_name="new", **missing))
    assert server.one().cseq > first.cseq
    server.tell(way)
    assert server.contacts() == []
    server = Gateway()
    server.have(server.ours())
    server.tell(way, contact(**missing))
    server.tell(way)
    assert (server.one().owner, server.events()) == ("us", [])


@way
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_a_contact_that_is_listed_twice_the_greatest_cseq_counts(
    way: str, order: tuple[int, int]
) -> None:
    """3680-149"""
    server = Gateway()
    both = [contact(cseq=cseq, id=f"row{cseq}") for cseq in order]
    server.tell(way, *both)
    assert server.one().cseq == 2
    # The other one's end is not its own.
    server.tell(way, contact(cseq=2, id="row2"))
    assert server.one().cseq == 2


@way
def test_without_expires_it_lives_as_long_as_what_lists_it(way: str) -> None:
    """3680-149: with a new edition at each refresh, and 60 s of grace."""
    server = Gateway()
    server.tell(way, contact(expires=None))
    first = server.one()
    assert first.expires_at == server.now + 3600 + GRACE
    server.pass_time(300)
    if way == PUBLISH:
        server.publish()
    else:
        server.tell(way, contact(expires=None))
    claim = server.one()
    assert claim.expires_at == server.now + 3600 + GRACE
    assert (claim.stamp, claim.edition) == (first.stamp, server.stamp())


@pytest.mark.parametrize("dropping", WAYS)
@pytest.mark.parametrize("other", WAYS)
def test_a_contact_is_dropped_when_no_source_of_the_peer_lists_it(
    dropping: str, other: str
) -> None:
    """3680-149: the mirror is of the peer, and not of a subscription."""
    if dropping == other:
        return
    server = Gateway()
    server.tell(dropping, contact())
    server.tell(other, contact())
    server.tell(dropping)
    assert server.contacts() == [PHONE_URI]
    server.tell(other)
    assert server.contacts() == []
    assert server.events() == ["50 registered", "50 expired"]


@way
def test_a_contact_that_is_too_large_is_left_out_and_logged(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """3261-120: no server of ours has to carry it; the others of the document are."""
    server = Gateway()
    huge = tuple((f"x{number}", "y" * 100) for number in range(90))
    server.tell(way, contact(params=huge), contact(DESK))
    assert server.contacts() == [DESK]
    assert caplog.text.count("is too large, left out") == 1


def test_the_first_full_state_ends_what_is_not_in_it() -> None:
    """3680-149: after the gateway has lost its database, and not what others own."""
    server = Gateway()
    desk = binding(1, contact=DESK, call_id="desk", owner="a", source=SOURCE)
    server.have(desk, server.ours())
    server.tell(NOTIFY)
    assert server.contacts() == [PHONE_URI]
    assert server.events() == ["51 expired"]


def test_what_the_peer_listed_is_known_after_a_restart() -> None:
    """3680-149: the mirror is on disk: what it says again is no transition."""
    server = Gateway()
    server.tell(NOTIFY, contact(), contact(DESK))
    server.commit()
    after = server.restart()
    after.watch()
    after.subscribes()
    after.notify(document(2, contact(DESK, expires=599)))
    assert after.events() == ["50 expired"]
    assert after.store.timer_at is not None
    after.store.timer_due(moment(after.now))
    assert after.contacts() == [DESK]
