"""What is registered here is published there, and nothing else is (RFC 3903)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.ledger.journal import Journal
from reginfo.ledger.part import Description
from reginfo.location.binding import Binding, BindingChange
from reginfo.location.place import TABLE, Aor
from reginfo.location.store import LocationStore
from reginfo.reg import xml
from reginfo.reg.document import (
    ContactEvent,
    Reginfo,
    RegistrationState,
    contact_id,
    registration_id,
)
from reginfo.reg.legacy import Profile
from reginfo.roles.published import (
    CONTACT_KIND,
    KIND,
    PresenceServer,
    PublishedState,
)
from reginfo.roles.publisher import RETRY_AFTER, Publisher
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft, Response
from reginfo.sip.transport import Transport

from ..make import load, moment, place, whole

AOR = Aor("sip:alice@example.com")
BOB = "sip:bob@example.com"
FLOW = Flow(Local(Transport.UDP, "127.0.0.1", 5060), ("127.0.0.1", 5070))
NOW = 1000.0


def stored(rows: dict[tuple[str, str], Any]) -> list[tuple[str, str, Any]]:
    """What a publisher has stored, as entries of a journal."""
    return [
        (kind, key, value)
        for (kind, key), value in rows.items()
        if kind in (KIND, CONTACT_KIND) and value is not None
    ]


class Server:
    """A publisher over a store, with a presence server that answers when told."""

    def __init__(
        self, profile: Profile | None = Profile.STANDARD, jitter: float = 0.5
    ) -> None:
        self.jitter = jitter
        self.journal = Journal()
        self.store = LocationStore("a", self.journal)
        self.sent: list[tuple[Draft, PublishedState]] = []
        self.datagram_only = False
        self.publisher = self.new_publisher()
        self.store.listener = self.publisher.hears
        self.target = PresenceServer(
            uri="sip:presence@127.0.0.1", flow=FLOW, profile=profile
        )
        self.publisher.publish_to(self.target, NOW)
        self.rows: dict[tuple[str, str], Any] = {}
        self.tags = 0

    def new_publisher(self, **others: Any) -> Publisher:
        return Publisher(
            self.store,
            self.journal,
            server_id="a",
            send=self.send,
            new_id=lambda: "id",
            jitter=lambda: self.jitter,
            min_expires=60,
            max_expires=3600,
            datagram_only=lambda flow: self.datagram_only,
            **{"table": TABLE} | others,
        )

    def send(self, draft: Draft, flow: Flow, user: object) -> None:
        assert flow is FLOW
        assert isinstance(user, PublishedState)
        self.sent.append((draft, user))

    def bind(self, cseq: int = 1, **other: Any) -> None:
        self.store.apply(place(AOR), [binding(cseq, **other)], NOW)

    def restart(self, shift: float = 0.0, *targets: PresenceServer) -> Publisher:
        """A publisher that goes on with what this one has on disk."""
        for kind, key, value in self.journal.close().entries:
            self.rows[kind, key] = value
        restarted = self.new_publisher()
        load(restarted.shelves, stored(self.rows), shift)
        self.sent.clear()
        for target in targets or (self.target,):
            restarted.publish_to(target, NOW)
        return restarted

    def last(self) -> tuple[Draft, Reginfo]:
        draft, _ = self.sent[-1]
        return draft, xml.parse(draft.body)

    def answer(self, status: int = 200, now: float = NOW, **headers: str) -> None:
        self.tags += 1
        named = {name.replace("_", "-"): [value] for name, value in headers.items()}
        if status == 200:
            named["SIP-ETag"] = [f"e{self.tags}"]
        _, published = self.sent[-1]
        response = Response(status, "", named)
        self.publisher.receive_response(published, response, now)


def binding(cseq: int = 1, **other: Any) -> Binding:
    values: dict[str, Any] = {
        "contact": "sip:a@192.0.2.1",
        "key": "sip:a@192.0.2.1",
        "call_id": "c",
        "cseq": cseq,
        "event": ContactEvent.REGISTERED,
        "expires_at": NOW + 600,
        "registered_at": NOW,
        "owner": "a",
        "stamp": cseq,
    }
    return whole(values | other)


def test_a_registration_is_published_as_full_state() -> None:
    """3903-01, -11, -14, 3680-38"""
    server = Server()
    server.bind()
    draft, document = server.last()
    assert draft.uri == AOR
    assert "Event: reg\r\nContent-Type: application/reginfo+xml\r\n" in draft.head
    assert "Expires: 600\r\n" in draft.head
    assert document.full
    (registration,) = document.registrations
    assert registration.aor == AOR
    assert registration.state is RegistrationState.ACTIVE
    assert [contact.uri for contact in registration.contacts] == ["sip:a@192.0.2.1"]


def test_the_version_is_one_that_may_be_written_over() -> None:
    server = Server()
    server.bind()
    assert b' version="00000000000" state="full"' in server.last()[0].body


def test_the_life_of_a_publication_is_kept_within_bounds() -> None:
    """3903-11"""
    server = Server()
    server.bind(expires_at=NOW + 5)
    assert "Expires: 60\r\n" in server.last()[0].head
    server = Server()
    server.bind(expires_at=NOW + 100_000)
    assert "Expires: 3600\r\n" in server.last()[0].head


@pytest.mark.parametrize("order", [(300, 900), (900, 300)])
def test_a_publication_lives_as_long_as_the_longest_of_its_contacts(
    order: tuple[int, int],
) -> None:
    """3903-11"""
    server = Server()
    contacts = [
        binding(1, key=f"sip:{n}@h", contact=f"sip:{n}@h", expires_at=NOW + seconds)
        for n, seconds in enumerate(order)
    ]
    server.store.apply(place(AOR), contacts, NOW)
    assert "Expires: 900\r\n" in server.last()[0].head


@pytest.mark.parametrize("jitter", [0.0, 0.25, 1.0])
def test_refreshes_of_different_servers_are_spread(jitter: float) -> None:
    """From the half of the time on, over a fifth of it."""
    server = Server(jitter=jitter)
    server.bind(expires_at=NOW + 1000)
    server.answer(Expires="1000")
    assert server.publisher.timer_at == pytest.approx(NOW + 500 + 200 * jitter, abs=1)
    server.publisher.timer_due(moment(NOW + 499 + 200 * jitter))
    assert len(server.sent) == 1
    server.publisher.timer_due(moment(NOW + 501 + 200 * jitter))
    assert len(server.sent) == 2


@pytest.mark.parametrize("jitter", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("how", ["500", "no answer"])
def test_retries_of_different_servers_are_spread(how: str, jitter: float) -> None:
    """The pause after a first failure is 1 to 2 seconds."""
    server = Server(jitter=jitter)
    server.bind()
    if how == "500":
        server.answer(500)
    else:
        server.publisher.receive_failure(server.sent[-1][1], "timeout", NOW)
    pause = 2.0 * (0.5 + 0.5 * jitter)
    server.publisher.timer_due(moment(NOW + pause - 0.2))
    assert len(server.sent) == 1
    server.publisher.timer_due(moment(NOW + pause + 0.2))
    assert len(server.sent) == 2


def test_fifty_registers_make_two_publishes_the_last_with_the_last_cseq() -> None:
    """3903-04"""
    server = Server()
    for cseq in range(1, 51):
        server.bind(cseq)
    assert len(server.sent) == 1
    server.answer()
    assert len(server.sent) == 2
    _, document = server.last()
    assert document.registrations[0].contacts[0].cseq == 50
    server.answer()
    assert len(server.sent) == 2


def test_one_register_is_one_publish_however_many_contacts_it_has() -> None:
    # Also if the last that changes is not our own.
    ours = [binding(1), binding(1, key="sip:b@h", contact="sip:b@h")]
    learned = binding(1, key="sip:c@h", contact="sip:c@h", owner="b", source="b/x")
    for claims in (ours, [*ours, learned]):
        server = Server()
        server.store.apply(place(AOR), claims, NOW)
        assert len(server.sent) == 1
        (registration,) = server.last()[1].registrations
        assert [contact.uri for contact in registration.contacts] == [
            "sip:a@192.0.2.1", "sip:b@h",
        ]  # fmt: skip
        server.answer()
        assert len(server.sent) == 1


def test_a_change_that_is_not_ours_publishes_nothing() -> None:
    server = Server()
    server.bind()
    server.answer()
    learned = {"key": "sip:b@h", "contact": "sip:b@h", "owner": "b", "source": "b/x"}
    server.bind(1, **learned)
    server.store.apply(place(AOR, "other"), [binding(2)], NOW)
    assert len(server.sent) == 1
    # Not after a restart, either.
    publisher = server.restart()
    server.store.listener = publisher.hears
    assert len(server.sent) == 1
    server.publisher = publisher
    server.answer()
    server.bind(2, **learned)
    assert len(server.sent) == 1


@pytest.mark.parametrize(
    "change", [{"owner": "b", "source": "b/x"}, {"event": ContactEvent.UNREGISTERED}]
)
def test_a_server_that_knows_nothing_of_it_keeps_it_from_no_other(
    change: dict[str, Any],
) -> None:
    server = Server()
    server.bind()
    server.answer()
    new = PresenceServer(uri="sip:new@127.0.0.1", flow=FLOW)
    server.publisher = server.restart(0.0, new, server.target)
    server.store.listener = server.publisher.hears
    server.answer()
    server.sent.clear()
    server.bind(2, **change)
    assert [published.target.uri for _, published in server.sent] == [
        "sip:presence@127.0.0.1"
    ]


def test_what_was_learned_is_not_published() -> None:
    server = Server()
    server.bind(owner="b", source="b/x")
    assert server.sent == []
    server.bind(2, key="sip:b@h", contact="sip:b@h")
    (registration,) = server.last()[1].registrations
    assert [contact.uri for contact in registration.contacts] == ["sip:b@h"]


def test_a_contact_that_has_moved_to_another_server_leaves_our_publication() -> None:
    server = Server()
    server.bind()
    server.bind(1, key="sip:b@h", contact="sip:b@h", call_id="d")
    server.answer()
    server.answer()
    server.bind(9, owner="b", source="b/x", call_id="e")
    (registration,) = server.last()[1].registrations
    assert [contact.uri for contact in registration.contacts] == ["sip:b@h"]


def test_the_last_contact_is_told_as_terminated_and_then_removed() -> None:
    """3903-10"""
    server = Server()
    server.bind()
    server.answer()
    server.bind(2, event=ContactEvent.UNREGISTERED)
    draft, document = server.last()
    (registration,) = document.registrations
    assert registration.state is RegistrationState.TERMINATED
    assert [c.event for c in registration.contacts] == [ContactEvent.UNREGISTERED]
    assert "SIP-If-Match: e1\r\n" in draft.head
    # RFC 3903 §4.5: a body with Expires 0 is forbidden.
    assert "Expires: 60\r\n" in draft.head
    server.answer()
    assert len(server.sent) == 2
    server.publisher.timer_due(moment(NOW + 2))
    removal, _ = server.sent[-1]
    assert removal.body == b""
    assert "Expires: 0\r\n" in removal.head
    assert "SIP-If-Match: e2\r\n" in removal.head
    server.answer(now=NOW + 2)
    assert len(server.publisher) == 0
    server.publisher.timer_due(moment(NOW + 5000))
    assert len(server.sent) == 3


def test_a_terminated_contact_is_told_again_if_the_publish_that_told_it_failed() -> (
    None
):
    server = Server()
    server.bind()
    server.bind(1, key="sip:b@h", contact="sip:b@h", call_id="d")
    server.answer()
    server.answer()
    server.bind(2, event=ContactEvent.UNREGISTERED)
    server.answer(503, Retry_After="3")
    server.publisher.timer_due(moment(NOW + 4))
    contacts = server.last()[1].registrations[0].contacts
    assert [c.event.value for c in contacts] == ["unregistered", "registered"]
    server.answer(now=NOW + 4)
    server.store.apply(place(AOR), [binding(2, key="sip:b@h", call_id="d")], NOW + 5)
    contacts = server.last()[1].registrations[0].contacts
    assert [c.event.value for c in contacts] == ["refreshed"]


def test_a_server_that_is_one_of_the_known_ones_gets_what_it_understands() -> None:
    server = Server(profile=None)
    server.bind(params=(("+sip.instance", '"<urn:x>"'),))
    assert b"unknown-param" in server.last()[0].body
    server.answer(Server="kamailio (5.6.3)")
    server.bind(2, params=(("+sip.instance", '"<urn:x>"'),))
    body = server.last()[0].body
    assert b"unknown-param" not in body
    assert b'callid="c"' in body


def test_a_refresh_has_no_body() -> None:
    """3903-02"""
    server = Server()
    server.bind()
    server.answer(Expires="600")
    server.publisher.timer_due(moment(NOW + 361))
    draft, _ = server.sent[-1]
    assert draft.body == b""
    assert "Content-Type" not in draft.head
    assert "Event: reg\r\n" in draft.head
    assert "SIP-If-Match: e1\r\n" in draft.head


def test_a_refresh_for_a_legacy_server_has_the_state_in_it() -> None:
    """Kamailio that keeps publications in memory would lose it (peers.md)."""
    server = Server(Profile.LEGACY)
    server.bind()
    server.answer(Expires="600")
    server.publisher.timer_due(moment(NOW + 361))
    draft, document = server.last()
    assert len(server.sent) == 2
    assert "Content-Type: application/reginfo+xml\r\n" in draft.head
    assert "SIP-If-Match: e1\r\n" in draft.head
    assert len(document.registrations[0].contacts) == 1
    # Unanswered, it is owed still.
    server.publisher.receive_failure(server.sent[-1][1], "timeout", NOW + 361)
    server.publisher.timer_due(moment(NOW + 370))
    assert server.last()[0].body


def test_publications_are_gone_on_with_after_a_restart() -> None:
    """3903-12"""
    server = Server()
    server.bind()
    server.answer()
    entries = {(kind, key): v for kind, key, v in server.journal.close().entries}

    restarted = server.new_publisher()
    load(restarted.shelves, stored(entries))
    server.sent.clear()
    restarted.publish_to(server.target, NOW)
    draft, _ = server.sent[-1]
    assert "SIP-If-Match: e1\r\n" in draft.head
    assert b"sip:a@192.0.2.1" in draft.body
    # And it stays.
    server.publisher = restarted
    server.answer()
    restarted.timer_due(moment(NOW + 10))
    assert len(server.sent) == 1


def test_what_went_while_we_were_down_is_told_after_a_restart() -> None:
    server = Server()
    server.bind()
    server.answer()
    entries = {(kind, key): v for kind, key, v in server.journal.close().entries}
    server.store.listener = None
    server.bind(2, event=ContactEvent.EXPIRED)

    restarted = server.new_publisher()
    load(restarted.shelves, stored(entries))
    server.sent.clear()
    restarted.publish_to(server.target, NOW)
    contacts = server.last()[1].registrations[0].contacts
    assert [c.event for c in contacts] == [ContactEvent.EXPIRED]


def test_what_went_while_its_first_publish_was_unanswered_is_told() -> None:
    """3903-09: the server may hold it, by a tag that we never heard."""
    server = Server()
    server.bind()
    server.store.listener = None
    server.bind(2, event=ContactEvent.UNREGISTERED)
    server.publisher = server.restart()
    draft, document = server.last()
    assert "SIP-If-Match" not in draft.head
    contacts = document.registrations[0].contacts
    assert [c.event for c in contacts] == [ContactEvent.UNREGISTERED]
    server.answer(Expires="60")
    server.publisher.timer_due(moment(NOW + 2))
    draft, _ = server.sent[-1]
    assert "Expires: 0\r\nSIP-If-Match: e1\r\n" in draft.head
    server.answer(now=NOW + 2)
    assert len(server.publisher) == 0


@pytest.mark.parametrize(("shift", "sent"), [(0.0, 1), (-900.0, 0)])
def test_what_a_server_has_forgotten_by_now_is_not_told_to_have_gone(
    shift: float, sent: int
) -> None:
    server = Server()
    server.bind()
    _, published = server.sent[-1]
    server.publisher.receive_failure(published, "timeout", NOW)
    server.store.listener = None
    server.bind(2, event=ContactEvent.UNREGISTERED)
    restarted = server.restart(shift)
    assert len(server.sent) == len(restarted) == sent


def test_one_that_cannot_be_gone_on_with_is_left_out_after_a_restart(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server()
    server.bind()
    server.store.apply(place(BOB), [binding()], NOW)
    own = Publisher._own

    def picky(self: Publisher, aor: Aor, now: float) -> dict[str, Binding]:
        if aor == AOR:
            raise ZeroDivisionError
        return own(self, aor, now)

    monkeypatch.setattr(Publisher, "_own", picky)
    restarted = server.restart()
    assert [published.aor for published in restarted.publications()] == [BOB]
    assert f"! publication of {server.target.uri} {AOR}" in caplog.text


@pytest.mark.parametrize("losses", [1, 2, 5])
@pytest.mark.parametrize("how", ["no answer", "408", "500", "restart"])
def test_what_may_have_arrived_is_taken_back_however_often_that_fails(
    losses: int, how: str
) -> None:
    """3903-16: the first PUBLISH arrived, its answer was lost, and so on."""
    server = Server()
    server.bind()  # an initial PUBLISH, which arrives
    now = NOW
    for n in range(losses + 1):
        if n == 1:
            server.store.apply(
                place(AOR), [binding(2, event=ContactEvent.UNREGISTERED)], NOW + 1
            )
        (published,) = server.publisher.publications()
        if how == "no answer":
            server.publisher.receive_failure(published, "timeout", now)
        elif how == "restart":
            server.publisher = server.restart()
            server.store.listener = server.publisher.hears
        else:
            response = Response(int(how), "", {})
            server.publisher.receive_response(published, response, now)
        now = max(now, server.publisher.timer_at or now)
        server.publisher.timer_due(moment(now))
    draft, document = server.last()
    (registration,) = document.registrations
    assert [c.event for c in registration.contacts] == [
        ContactEvent.UNREGISTERED if losses else ContactEvent.REGISTERED
    ]
    assert "SIP-If-Match" not in draft.head
    server.answer(now=now, Expires="60")
    (published,) = server.publisher.publications()
    assert published.told == {}  # it knows now


def test_what_was_refused_for_good_needs_no_taking_back() -> None:
    """A publication that was refused for good is not removed (3903-16)."""
    server = Server()
    server.bind()
    server.answer(403)
    sent = len(server.sent)
    server.store.apply(
        place(AOR), [binding(2, event=ContactEvent.UNREGISTERED)], NOW + 1
    )
    server.publisher.timer_due(moment(NOW + 300))
    assert len(server.sent) == sent
    assert not len(server.publisher)


def test_a_commit_that_fails_takes_the_publish_back() -> None:
    server = Server()
    server.bind()
    server.answer()
    server.journal.close()
    (published,) = server.publisher.publications()
    before = msgspec.structs.asdict(published.publication)
    server.bind(2)
    assert published.publication.operation is not None
    server.journal.close().take_back()
    after = msgspec.structs.asdict(published.publication)
    ignored = {"timer_at": None, "scheduled_at": None}
    assert after | ignored == before | ignored
    server.bind(3)
    assert server.last()[1].registrations[0].contacts[0].cseq == 3


def test_what_is_due_is_sent_again_after_a_commit_that_failed() -> None:
    server = Server()
    server.bind()
    server.answer(Expires="600")
    server.journal.close()
    server.publisher.timer_due(moment(NOW + 361))
    assert len(server.sent) == 2
    server.journal.close().take_back()
    server.publisher.timer_due(moment(NOW + 362))
    assert len(server.sent) == 2
    assert server.publisher.timer_at == NOW + 361 + RETRY_AFTER
    server.publisher.timer_due(moment(NOW + 361 + RETRY_AFTER))
    assert len(server.sent) == 3


def test_while_the_disk_takes_nothing_it_is_not_asked_again_and_again() -> None:
    server = Server()
    server.bind()
    server.answer(Expires="600")
    server.journal.close()
    server.bind(2)
    for after in (0, RETRY_AFTER, 2 * RETRY_AFTER):
        server.journal.close().take_back()
        assert server.publisher.timer_at == NOW + after + RETRY_AFTER
        server.publisher.timer_due(moment(NOW + after + RETRY_AFTER))


def test_that_more_was_to_come_is_taken_back_with_the_rest() -> None:
    server = Server()
    server.bind()
    server.answer()
    server.journal.close()
    (published,) = server.publisher.publications()
    change = BindingChange(place(AOR), binding(2), 9, more=True, at=NOW)
    server.publisher.hears(change)
    assert published.owed
    server.journal.close().take_back()
    assert not published.owed


def test_what_is_written_is_as_it_was_when_it_was_decided() -> None:
    """The writer encodes it later, in its own thread."""
    server = Server()
    server.bind()
    (row,) = [row for kind, _, row in server.journal.close().entries if kind == KIND]
    before = msgspec.msgpack.encode(row)
    server.answer()
    assert msgspec.msgpack.encode(row) == before


def test_the_time_asked_for_counts_after_a_commit_that_failed() -> None:
    server = Server()
    server.bind()
    server.journal.close()
    server.bind(2)
    server.journal.close().take_back()
    server.answer()
    (published,) = server.publisher.publications()
    assert published.publication.expires_at == NOW + 600


@pytest.mark.parametrize("answered", [True, False])
def test_a_publication_continues_after_its_response_could_not_be_committed(
    answered: bool,
) -> None:
    """The PUBLISH is over, whatever is on disk: no other answer to it will come."""
    server = Server()
    server.bind()
    server.journal.close()
    if answered:
        server.answer(Expires="600")
    else:
        _, published = server.sent[-1]
        server.publisher.receive_failure(published, "timeout", NOW)
    server.journal.close().take_back()
    server.bind(2)
    server.publisher.timer_due(moment(NOW + RETRY_AFTER - 1))
    assert len(server.sent) == 1
    server.publisher.timer_due(moment(NOW + RETRY_AFTER + 1))
    assert len(server.sent) == 2
    (contact,) = server.last()[1].registrations[0].contacts
    assert contact.cseq == 2
    server.answer(Expires="600", now=NOW + 7)
    server.bind(3)
    assert len(server.sent) == 3


def test_what_a_server_keeps_for_no_time_is_not_published_over_and_over() -> None:
    """3903-11: it may shorten the time, to none at all."""
    server = Server()
    server.bind()
    server.answer(Expires="0")
    assert len(server.sent) == 1
    at = NOW
    for sent in (1, 2, 3):
        assert len(server.sent) == sent
        due = server.publisher.timer_at
        assert due is not None and due >= at + 1
        at = due
        server.publisher.timer_due(moment(at))
        server.answer(Expires="0", now=at)


def test_a_server_that_has_lost_it_need_not_hear_how_it_ended() -> None:
    """3903-08: what the server has not, nobody removes."""
    server = Server()
    server.bind()
    server.answer(Expires="600")
    server.bind(2, event=ContactEvent.UNREGISTERED)
    server.answer(412)
    assert len(server.publisher) == 0
    server.publisher.timer_due(moment(NOW + 5000))
    assert len(server.sent) == 2


@pytest.mark.parametrize("times", [1, 2])
def test_a_first_publication_whose_commit_fails_never_was(times: int) -> None:
    server = Server()
    for cseq in range(times):
        server.bind(cseq)
    server.journal.close().take_back()
    assert len(server.publisher) == 0
    server.publisher.timer_due(moment(NOW + 5000))
    assert len(server.sent) == 1
    assert server.journal.close().entries == []


def test_update_publishes_the_present_state_again() -> None:
    server = Server()
    assert not server.publisher.update(AOR, NOW)
    server.bind()
    server.answer()
    assert server.publisher.update(AOR, NOW)
    assert len(server.sent) == 2
    assert "SIP-If-Match: e1\r\n" in server.last()[0].head


def test_a_contact_says_how_long_it_lasts_and_is_registered() -> None:
    """3680-67, -69"""
    server = Server()
    server.bind(registered_at=NOW - 40)
    (registration,) = server.last()[1].registrations
    assert registration.id == registration_id(AOR)
    (contact,) = registration.contacts
    assert contact.id == contact_id(AOR, contact.uri)
    assert (contact.expires, contact.duration_registered) == (600, 40)
    # Whose it is, is for peers of ours.
    assert contact.claim is None
    server = Server()
    server.bind()
    (contact,) = server.last()[1].registrations[0].contacts
    assert contact.duration_registered == 0


@pytest.mark.parametrize(
    ("profile", "expires"), [(Profile.STANDARD, None), (Profile.LEGACY, 0)]
)
def test_a_contact_that_has_gone_lasts_no_longer(
    profile: Profile, expires: int | None
) -> None:
    server = Server(profile)
    server.bind()
    server.answer()
    server.bind(2, event=ContactEvent.UNREGISTERED)
    (contact,) = server.last()[1].registrations[0].contacts
    assert (contact.expires, contact.duration_registered) == (expires, None)


def test_without_an_answer_it_is_published_again() -> None:
    """3903-09"""
    server = Server()
    server.bind()
    server.answer()
    server.bind(2)
    (published,) = server.publisher.publications()
    server.journal.close()
    server.publisher.receive_failure(published, "timeout", NOW)
    assert len(server.sent) == 2
    server.publisher.timer_due(moment(NOW + 2))
    assert len(server.sent) == 3
    draft, document = server.last()
    assert "SIP-If-Match: e1\r\n" in draft.head
    assert document.registrations[0].contacts[0].cseq == 2


def test_that_a_server_takes_no_publications_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """3903-08"""
    server = Server()
    server.bind()
    server.answer(300)
    assert "! PUBLISH of sip:alice@example.com at sip:presence@127.0.0.1: 300" in (
        caplog.messages
    )
    server.publisher.timer_due(moment(NOW + 5))
    server.answer(489)
    assert server.target.refused
    for later in (301, 602):
        server.publisher.timer_due(moment(NOW + later))
        server.answer(489, now=NOW + later)
    said = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert said == ["! sip:presence@127.0.0.1 refuses all publications"]
    server.publisher.timer_due(moment(NOW + 903))
    server.answer(now=NOW + 903)
    assert not server.target.refused


def test_a_publication_that_is_over_leaves_the_disk() -> None:
    server = Server()
    server.bind()
    server.answer()
    server.bind(2, event=ContactEvent.UNREGISTERED)
    server.answer()
    server.publisher.timer_due(moment(NOW + 2))
    (published,) = server.publisher.publications()
    written = {k for kind, k, _ in server.journal.close().entries if kind == KIND}
    server.answer(now=NOW + 2)
    assert len(server.publisher) == 0
    batch = server.journal.close()
    assert [e for e in batch.entries if e[0] == KIND] == [(KIND, written.pop(), None)]
    batch.take_back()
    assert list(server.publisher.publications()) == [published]
    server.bind(3)
    assert list(server.publisher.publications()) == [published]


def test_times_are_on_the_clock_of_the_new_start() -> None:
    server = Server()
    server.bind()
    server.answer(Expires="600")
    (before,) = server.publisher.publications()
    (after,) = server.restart(shift=100.0).publications()
    assert after.publication.expires_at == before.publication.expires_at + 100
    assert after.publication.refresh_at == before.publication.refresh_at + 100


def test_after_a_restart_publications_are_gone_on_with_one_after_another() -> None:
    server = Server()
    for number in range(3):
        server.store.apply(place(f"sip:{number}@example.com"), [binding()], NOW)
        server.answer()
    restarted = server.restart()
    assert [draft.uri for draft, _ in server.sent] == ["sip:0@example.com"]
    due = [p.publication.not_before for p in restarted.publications()]
    assert due == [NOW, NOW + 0.01, NOW + 0.02]
    restarted.timer_due(moment(NOW + 1))
    assert len(server.sent) == 3


def test_one_table_is_published_and_no_other() -> None:
    server = Server()
    server.store.apply(place(AOR, "other"), [binding()], NOW)
    assert server.sent == []
    server.publisher = server.new_publisher(table="other")
    server.store.listener = server.publisher.hears
    server.publisher.publish_to(server.target, NOW)
    server.store.apply(place(AOR, "other"), [binding(2)], NOW)
    server.answer()
    server.store.apply(
        place(AOR, "other"), [binding(3, event=ContactEvent.UNREGISTERED)], NOW
    )
    (contact,) = server.last()[1].registrations[0].contacts
    assert contact.cseq == 3


# Servers come, move and turn out to be this one.


OTHER = Flow(Local(Transport.UDP, "127.0.0.1", 5060), ("127.0.0.1", 5071))


class Moving(Server):
    """A server that notes on which flow it sends, and finds other addresses."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.asked: list[tuple[str, Flow]] = []
        self.other: Flow | None = None
        super().__init__()

    def new_publisher(self, **others: Any) -> Publisher:
        return super().new_publisher(failed=self.find_other, **others)

    def find_other(self, uri: str, flow: Flow) -> Flow | None:
        self.asked.append((uri, flow))
        return self.other

    def send(self, draft: Draft, flow: Flow, user: object) -> None:
        assert isinstance(user, PublishedState)
        self.flows.append(flow)
        self.sent.append((draft, user))


@pytest.mark.parametrize("how", ["no answer", "503"])
def test_a_server_that_did_not_answer_is_tried_at_its_next_address_at_once(
    how: str,
) -> None:
    """RFC 3263 §4.3"""
    server = Moving()
    server.other = OTHER
    server.bind()
    if how == "503":
        server.answer(503, Retry_After="90")
    else:
        server.publisher.receive_failure(server.sent[-1][1], "timeout", NOW)
    assert server.asked == [(server.target.uri, FLOW)]
    assert server.flows == [FLOW, OTHER]
    assert server.target.flow is OTHER


@pytest.mark.parametrize("status", [500, 502, 504, 600])
def test_another_answer_than_503_leads_to_no_other_address(status: int) -> None:
    server = Moving()
    server.other = OTHER
    server.bind()
    server.answer(status)
    assert (server.asked, server.flows) == ([], [FLOW])


def test_a_server_without_another_address_is_tried_there_after_a_pause() -> None:
    server = Moving()
    server.bind()
    server.publisher.receive_failure(server.sent[-1][1], "timeout", NOW)
    assert server.asked == [(server.target.uri, FLOW)]
    assert server.flows == [FLOW]
    server.publisher.timer_due(moment(NOW + 2))
    assert server.flows == [FLOW, FLOW]


def test_a_server_that_is_this_one_is_left_and_its_publications_are_erased() -> None:
    server = Server()
    new = PresenceServer(uri="sip:new@127.0.0.1", flow=FLOW)
    server.publisher.publish_to(new, NOW)
    server.bind()
    assert len(server.publisher) == 2
    server.answer()
    server.journal.close()
    server.publisher.leave("sip:unknown@127.0.0.1")
    assert server.journal.close().entries == []
    server.publisher.leave(new.uri)
    (published,) = server.publisher.publications()
    assert published.target is server.target
    gone = f"{new.uri}\0{AOR}"
    assert server.journal.close().entries == [
        (KIND, gone, None),
        (CONTACT_KIND, f"{gone}\0sip:a@192.0.2.1", None),
    ]
    assert server.publisher.describe().line == "publications: 1, presence servers: 1"
    server.publisher.leave(new.uri)
    assert server.journal.close().entries == []
    server.sent.clear()
    server.publisher.timer_due(moment(NOW + 5000))
    assert {one.target.uri for _, one in server.sent} <= {server.target.uri}


def test_publications_wait_until_the_address_of_their_server_is_found() -> None:
    """3903-12: then they are sent at the pace of a restart, 100 per second."""
    server = Server()
    lost = PresenceServer(uri="sip:lost@127.0.0.1")
    server.publisher = server.new_publisher()
    server.store.listener = server.publisher.hears
    server.publisher.publish_to(server.target, NOW)
    server.publisher.publish_to(lost, NOW)
    for number in range(3):
        server.store.apply(place(f"sip:{number}@example.com"), [binding()], NOW)
    assert {one.target.uri for _, one in server.sent} == {server.target.uri}
    server.sent.clear()
    found = PresenceServer(uri=lost.uri, flow=FLOW, profile=Profile.LEGACY)
    server.publisher.publish_to(found, NOW + 5)
    assert (lost.flow, lost.profile) == (FLOW, Profile.LEGACY)
    due = [
        one.timer_at for one in server.publisher.publications() if one.target is lost
    ]
    assert due == [NOW + 5, NOW + 5.01, NOW + 5.02]
    server.publisher.timer_due(moment(NOW + 6))
    assert [one.target.uri for _, one in server.sent] == [lost.uri] * 3


def test_another_address_of_a_server_that_was_found_sends_nothing() -> None:
    server = Moving()
    server.bind()
    server.answer()
    before = server.publisher.timer_at
    server.publisher.publish_to(
        PresenceServer(uri=server.target.uri, flow=OTHER), NOW + 5
    )
    assert server.publisher.timer_at == before
    server.bind(2)
    assert server.flows == [FLOW, OTHER]


def test_a_publisher_tells_how_many_publications_there_are() -> None:
    server = Server()
    server.bind()
    server.publisher.publish_to(PresenceServer(uri="sip:new@127.0.0.1"), NOW)
    assert server.publisher.describe() == Description(
        "publisher", "publications: 1, presence servers: 2", {"publications": 1}
    )


def test_after_a_restart_a_server_that_took_claims_is_sent_claims() -> None:
    server = Server()
    server.bind()
    server.answer(Reginfo_Link="1")
    server.answer(Reginfo_Link="1")
    assert server.target.takes_claims
    again = PresenceServer(uri=server.target.uri, flow=FLOW, profile=Profile.STANDARD)
    server.restart(0.0, again)
    assert again.takes_claims
    (contact,) = server.last()[1].registrations[0].contacts
    assert contact.claim is not None and contact.claim.owner == "a"


def test_after_a_restart_the_publisher_receives_what_becomes_of_a_publish() -> None:
    server = Server()
    server.bind()
    server.answer()
    restarted = server.restart()
    (_, published) = server.sent[-1]
    assert published.keeper is restarted
    published.receive_response(
        Response(200, "OK", {"SIP-ETag": ["next"]}), moment(NOW + 1)
    )
    assert published.publication.etag == "next"


@pytest.mark.parametrize("status", [300, 301, 403])
def test_what_was_refused_is_at_no_server(status: int) -> None:
    """3903-16"""
    server = Server()
    server.bind()
    (published,) = server.publisher.publications()
    assert list(published.sent) == ["sip:a@192.0.2.1"]
    server.answer(status)
    assert (published.sent, published.told) == ({}, {})


def test_after_a_513_bodies_have_a_quarter_of_the_length() -> None:
    """RFC 3261 §21.5.14"""
    server = Server()
    server.bind()
    (published,) = server.publisher.publications()
    published.length = 10_007
    server.answer(513)
    assert server.target.longest == 2501


# Servers that take claims.


def test_a_server_that_takes_claims_is_sent_them_at_once_and_once() -> None:
    server = Server()
    server.bind()
    assert server.last()[1].registrations[0].contacts[0].claim is None
    server.answer(Reginfo_Link="1")
    assert len(server.sent) == 2
    draft, document = server.last()
    assert "Expires: 600\r\nSIP-If-Match: e1\r\n" in draft.head
    (registration,) = document.registrations
    assert registration.state is RegistrationState.ACTIVE
    assert [one.claim is not None for one in registration.contacts] == [True]
    server.answer(Reginfo_Link="1")
    server.publisher.timer_due(moment(NOW + 5))
    assert len(server.sent) == 2  # neither again nor as a removal


@pytest.mark.parametrize(
    ("profile", "link"),
    [
        (Profile.STANDARD, {}),
        (Profile.STANDARD, {"Reginfo_Link": "2"}),
        (Profile.STANDARD, {"Link": "1"}),
        (Profile.LEGACY, {"Reginfo_Link": "1"}),
        (Profile.IMS, {"Reginfo_Link": "1"}),
    ],
)
def test_no_other_server_is_sent_claims(profile: Profile, link: dict[str, Any]) -> None:
    server = Server(profile)
    server.bind()
    server.answer(**link)
    assert not server.target.takes_claims
    assert len(server.sent) == 1
    server.bind(2)
    (contact,) = server.last()[1].registrations[0].contacts
    assert contact.claim is None
