"""Who watches is told, all of it, in order, and no more than is polite."""

from __future__ import annotations

import msgspec
import pytest
from lxml import etree

from reginfo.ledger.part import Description
from reginfo.location.binding import Binding
from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.reg import xml
from reginfo.reg.legacy import Profile
from reginfo.roles import bodies
from reginfo.roles.document import binding_parts
from reginfo.roles.envelope import SPEAKER
from reginfo.roles.served import RETRY_AFTER

from ..make import (
    ALICE,
    BOB,
    NOW,
    binding,
    moment,
    place,
    response,
)
from .test_pieces import SCHEMA
from .watched import (
    DESK,
    EAGER,
    PEER_B,
    POLITE,
    Server,
    contacts,
    registration,
    state,
    watching,
)

# Changes are told.


def test_a_change_is_told_in_part_with_the_next_version() -> None:
    """
    A change is sent as a partial document with the next version (3680-28, -56, -57).
    """
    server = watching(EAGER, binding(contact=DESK))
    server.bind(binding())
    (document,) = server.documents()
    assert (document.version, document.full) == (1, False)
    assert [c.uri for c in contacts(document)] == ["sip:alice@192.0.2.50"]
    server.answer()
    server.bind(binding(2, "refreshed"))
    (document,) = server.documents()
    assert document.version == 2


def test_each_subscription_has_its_own_versions() -> None:
    """Each subscription has its own versions (3680-57)."""
    server = watching()
    server.bind(binding())
    server.settle()
    server.subscribe(call_id="other")
    server.settle()
    server.bind(binding(2))
    assert sorted(d.version for d in server.documents()) == [1, 2]


def test_a_watcher_is_told_when_a_user_agent_may_come_back() -> None:
    """A watcher is told when a user agent may come back (3680-23)."""
    server = watching(EAGER, binding())
    server.bind(binding(2, "probation", retry_after=77))
    (contact,) = contacts(*server.documents())
    assert (contact.event, contact.retry_after) == ("probation", 77)


def test_all_who_watch_are_told_whoever_is_not() -> None:
    """
    All watchers are notified, except those that end and those to whom it is no news
    (3680-28).
    """
    # Of the others one is on its way out, and to one it is no news.
    server = Server()
    server.subscribe(call_id="ending")
    server.subscribe(0, tag="tag1", call_id="ending", cseq=2)
    server.peer = IMS_B
    server.subscribe(call_id="peer")
    server.peer = EAGER
    server.subscribe(call_id="last")
    ending = server.unanswered.pop(0)
    server.settle()
    server.bind(binding(owner="b"), binding(contact=DESK, owner="b"))
    (notify,) = server.notifies()
    assert notify.call_id == "last"
    assert len(contacts(xml.parse(notify.body))) == 2
    server.notifier.served.receive_response(ending, response(200), server.now)
    assert [state(n) for n in server.notifies()] == ["terminated;reason=timeout"]


def test_all_who_watch_are_told_all_that_one_register_changes() -> None:
    """All watchers get all that one REGISTER changes (3680-28)."""
    server = watching()
    server.subscribe(call_id="second")
    server.settle()
    server.bind(binding(), binding(contact=DESK))
    assert [len(contacts(d)) for d in server.documents()] == [2, 2]


def test_whoever_goes_leaves_the_others_and_nothing_of_itself() -> None:
    server = watching()
    server.subscribe(call_id="second")
    server.settle()
    server.bind(binding())
    server.answer(481)
    server.settle()
    (left,) = server.notifier.watches()
    assert left.row.subscription.dialog.call_id == "second"
    server.bind(binding(2))
    assert len(server.documents()) == 1
    server.answer(481)
    assert not (
        server.notifier.served.watches._by_resource
        or server.notifier.served.watches._watchers
    )


def test_one_table_is_watched_and_no_other() -> None:
    server = Server(table="other")
    server.bind(binding())
    server.subscribe()
    assert server.told() == [("sip:alice@192.0.2.50", "registered")]
    server.answer()
    server.store.apply(place(ALICE), [binding(contact=DESK)], NOW)
    assert not server.sent
    server.bind(binding(2, "unregistered"))
    assert server.told() == [("sip:alice@192.0.2.50", "unregistered")]


def test_changes_of_others_are_not_told() -> None:
    """Changes of other addresses are not sent (3680-31)."""
    server = watching()
    server.bind(binding(), aor=BOB)
    server.store.apply(place(ALICE, "another table"), [binding()], NOW)
    assert not server.sent


@pytest.mark.parametrize("event", ["registered", "created"])
def test_a_contact_that_is_added_leaves_the_registration_active(event: str) -> None:
    """3680-15: RFC 3680 §4.7.1, figure 1"""
    server = watching(EAGER, binding())
    for number, uri in enumerate((DESK, "sip:alice@192.0.2.77")):
        server.bind(binding(1, event, contact=uri, call_id=f"c{number}"))
        (document,) = server.documents()
        assert registration(document).state == "active"
        assert [(one.uri, one.event) for one in contacts(document)] == [(uri, event)]
        server.answer()


@pytest.mark.parametrize("event", ["unregistered", "expired", "rejected"])
def test_the_last_contact_that_goes_ends_the_registration(event: str) -> None:
    """The last contact that goes ends the registration (3680-13, -14, -15)."""
    server = watching(EAGER, binding(), binding(contact=DESK))
    server.bind(binding(2, event))
    (document,) = server.documents()
    assert registration(document).state == "active"  # 3680-15
    server.answer()
    server.bind(binding(2, event, contact=DESK))
    (document,) = server.documents()
    assert registration(document).state == "terminated"
    (gone,) = contacts(document)
    assert (gone.event, gone.expires, gone.duration_registered) == (event, None, None)
    server.settle()
    server.pass_time(100)
    assert not server.sent


def test_all_that_one_register_changes_is_told_at_once() -> None:
    """All that one REGISTER changes is in one NOTIFY (3680-28)."""
    server = watching(POLITE, binding(), binding(contact=DESK))
    server.pass_time(10)
    server.bind(
        binding(2, "unregistered"),
        binding(2, "unregistered", contact=DESK),
        binding(2, contact="sip:alice@192.0.2.52"),
    )
    (document,) = server.documents()
    assert [c.event for c in contacts(document)] == [
        "unregistered", "unregistered", "registered",
    ]  # fmt: skip


def test_one_notify_is_under_way_at_a_time() -> None:
    """Only one NOTIFY of a dialog is in flight (6665-23)."""
    server = watching()
    for cseq in (1, 2, 3):
        server.bind(binding(cseq, "registered" if cseq == 1 else "refreshed"))
    assert len(server.notifies()) == 1
    server.answer()
    (document,) = server.documents()
    (contact,) = contacts(document)
    assert (contact.cseq, contact.event, document.version) == (3, "refreshed", 2)
    server.answer()
    assert not server.sent


def test_seconds_left_are_counted_when_the_notify_is_sent() -> None:
    server = watching(POLITE)
    server.bind(binding(1, expires_at=NOW + 600, registered_at=NOW))
    assert not server.sent
    server.pass_time(5)
    (document,) = server.documents()
    (contact,) = contacts(document)
    assert (contact.expires, contact.duration_registered) == (595, 5)


# No more often than is polite.


def test_changes_within_five_seconds_are_told_together() -> None:
    """Changes within five seconds are merged into one NOTIFY (3680-34)."""
    server = watching(POLITE)
    server.pass_time(10)
    server.bind(binding())
    server.settle()
    server.bind(binding(contact=DESK))
    server.pass_time(4.8)
    server.bind(binding(contact="sip:alice@192.0.2.52"))
    assert not server.sent
    server.pass_time(0.3)
    (document,) = server.documents()
    assert [c.uri[-2:] for c in contacts(document)] == ["51", "52"]


def test_a_peer_is_told_without_delay() -> None:
    """A peer is notified without delay (3680-34)."""
    server = watching(EAGER)
    for cseq in (1, 2, 3):
        server.bind(binding(cseq))
        assert len(server.notifies()) == 1
        server.answer()


@pytest.mark.parametrize(
    ("known", "happens", "told"),
    [
        ([], ["registered", "refreshed"], ["registered"]),
        ([], ["created", "refreshed", "refreshed"], ["created"]),
        ([], ["registered", "unregistered"], ["unregistered"]),
        (["registered"], ["refreshed", "refreshed"], ["refreshed"]),
        (["registered"], ["unregistered", "registered"], ["registered"]),
        (["registered"], ["expired", "registered", "refreshed"], ["registered"]),
        (["registered"], ["refreshed", "expired"], ["expired"]),
        (["registered"], ["refreshed", "shortened"], ["shortened"]),
    ],
)
def test_merged_changes_show_the_newest_state_and_lose_none(
    known: list[str], happens: list[str], told: list[str]
) -> None:
    """Merged changes show the newest state and lose none (3680-35)."""
    server = watching(POLITE, *[binding(1, event) for event in known])
    for cseq, event in enumerate(happens, 2):
        server.bind(binding(cseq, event))
    server.pass_time(5)
    assert [event for _, event in server.told()] == told


def test_what_is_gone_is_told_before_what_has_come() -> None:
    """Terminated contacts come before active ones (3680-27)."""
    server = watching(POLITE, binding(contact=DESK))
    server.bind(binding(1))
    server.bind(binding(2, "unregistered", contact=DESK))
    server.pass_time(5)
    assert [event for _, event in server.told()] == ["unregistered", "registered"]


# Peers, and what they are told.


def test_a_peer_is_told_whose_a_contact_is_and_anybody_else_is_not() -> None:
    claim = binding(
        owner="c", source="c/x", path=("<sip:p;lr>",), received="sip:r",
        user_agent="Phone",
    )  # fmt: skip
    server = watching(EAGER)
    server.peer = PEER_B
    server.subscribe(call_id="peer")
    server.settle()
    server.bind(claim)
    plain, to_peer = server.notifies()
    for secret in (b"claim", b"owner", b"c/x", b"<sip:p", b"sip:r", b"Phone"):
        assert secret not in plain.body
    (contact,) = contacts(xml.parse(to_peer.body))
    assert contact.claim is not None
    assert (contact.claim.owner, contact.claim.stamp) == ("c", 1)
    assert contact.claim.path == ("<sip:p;lr>",)
    assert contact.claim.received == "sip:r"
    assert b"c/x" not in to_peer.body


IMS_B = msgspec.structs.replace(PEER_B, profile=Profile.IMS)


def test_a_server_of_our_kind_is_sent_each_claim_but_its_own_word() -> None:
    server = watching(PEER_B)
    server.bind(binding(1, owner="b", source="c/x"))
    (notify,) = server.notifies()
    (told,) = contacts(xml.parse(notify.body))
    assert told.claim is not None
    assert (told.claim.owner, told.claim.key) == ("b", binding().key)
    assert (told.claim.begin, told.claim.stamp, told.claim.edition) == (1, 1, 1)
    assert told.claim.left == 600_000 and not told.claim.gone
    server.answer()
    server.bind(binding(2, owner="b", source="b/x"))
    assert server.notifies() == []
    # What is no news to those who watch is news to it: it evaluates by itself.
    server.bind(binding(1, "unregistered", call_id="lost", begin=0, stamp=0))
    (notify,) = server.notifies()
    both = contacts(xml.parse(notify.body))
    assert [c.claim.gone for c in both if c.claim is not None] == [False, True]
    assert SCHEMA.validate(etree.fromstring(notify.body))


def test_after_a_subscribe_it_is_sent_all_that_is_kept_whoever_said_it() -> None:
    server = watching(PEER_B)
    server.bind(binding(1, owner="b", source="b/x"))
    server.bind(binding(2, "unregistered", contact=DESK, owner="b", source="b/x"))
    server.store.apply(
        place(ALICE), (), NOW,
        records=[Record(kind=RecordKind.CLEARED, value="", stamp=Stamp(1), owner="c")],
    )  # fmt: skip
    server.answer()
    server.notifies()
    server.subscribe(600, tag="tag1", cseq=2)
    (document,) = server.documents()
    told = {c.uri: c.claim.gone for c in contacts(document) if c.claim is not None}
    assert told == {binding().contact: False, DESK: True}
    assert [key.kind for key in registration(document).keys] == ["cleared", SPEAKER]


@pytest.mark.parametrize(
    "claim",
    [
        binding(owner="b", source="c/x"),
        binding(owner="c", source="b/sip:alice@example.com"),
        binding(owner="c", source="b/sip:alice/2@example.com"),
    ],
)
def test_a_peer_of_another_kind_is_not_told_what_it_owns_or_has_told_us(
    claim: Binding,
) -> None:
    server = watching(IMS_B)
    server.bind(claim)
    server.bind(msgspec.structs.replace(claim, cseq=2, stamp=2))
    server.bind(binding(3, "unregistered", owner=claim.owner, source=claim.source))
    assert not server.sent
    server.subscribe(600, tag="tag1", cseq=2)
    (document,) = server.documents()
    assert registration(document).state == "init"
    server.answer()
    server.bind(msgspec.structs.replace(claim, cseq=4, stamp=4))
    server.subscribe(600, tag="tag1", cseq=3)
    (document,) = server.documents()
    assert registration(document).state == "init"


def test_a_peer_of_a_similar_name_is_another_one() -> None:
    server = watching(PEER_B)
    server.bind(binding(owner="bb", source="bb/x"))
    assert len(server.sent) == 1


def test_a_peer_is_not_told_what_has_become_its_own_meanwhile() -> None:
    server = watching(IMS_B)
    server.bind(binding(1, contact=DESK))  # this NOTIFY is under way
    server.bind(binding(1))
    server.bind(binding(2, owner="b", source="b/x"))
    server.sent.clear()
    server.answer()
    assert server.told() == []


def test_what_a_peer_need_not_be_told_is_owed_again_if_that_is_taken_back() -> None:
    server = watching(msgspec.structs.replace(IMS_B, min_interval=5.0))
    server.bind(binding(1))
    server.journal.close()
    server.bind(binding(2, owner="b", source="b/x"))
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.pass_time(RETRY_AFTER + 1)
    assert server.told() == [("sip:alice@192.0.2.50", "registered")]


def test_what_waits_for_a_peer_is_sent_with_a_change_that_is_not_for_it() -> None:
    server = watching(msgspec.structs.replace(IMS_B, min_interval=5.0))
    server.bind(binding(1))
    assert not server.sent
    server.now += 5  # the clock is a little late
    server.bind(binding(1, contact=DESK, owner="b"))
    assert server.told() == [("sip:alice@192.0.2.50", "registered")]


@pytest.mark.skipif(
    not bodies.__file__.endswith(".py"),
    reason="compiled code calls its functions directly: none can be counted",
)
def test_what_is_the_same_for_all_is_rendered_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rendered = []

    def counted(bound: Binding, aor: str, *, implicit: bool) -> tuple[bytes, bytes]:
        rendered.append(bound.contact)
        return binding_parts(bound, aor, implicit=implicit)

    monkeypatch.setattr(bodies, "binding_parts", counted)
    server = watching()
    server.subscribe(call_id="second")
    server.settle()
    server.bind(binding())
    first, second = server.notifies()
    assert first.body == second.body
    assert rendered == ["sip:alice@192.0.2.50"]


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "CACHED_CONTACTS", 2)
    server = watching()
    for number in range(5):
        server.bind(binding(contact=f"sip:a@192.0.2.{number}"))
        server.answer()
    assert len(server.notifier.bodies._cache) <= 2
    assert len(server.told()) == 5


def test_a_contact_that_comes_back_keeps_its_id() -> None:
    """3680-27: and it is `registered`, for 0 seconds so far."""
    server = watching(EAGER, binding())
    server.bind(binding(2, "unregistered"))
    (gone,) = contacts(server.documents()[0])
    server.answer()
    server.bind(binding(3, registered_at=server.now))
    (back,) = contacts(server.documents()[0])
    assert back.id == gone.id
    assert (back.event, back.duration_registered) == ("registered", 0)


def test_a_shortened_contact_says_how_long_it_lasts() -> None:
    """3680-67: `expires` is required with this event."""
    server = watching(EAGER, binding())
    server.bind(binding(1, "shortened", expires_at=server.now + 60, edition=2))
    (shortened,) = contacts(server.documents()[0])
    assert (shortened.event, shortened.expires) == ("shortened", 60)


def test_the_last_notify_does_not_wait_for_the_interval() -> None:
    """3680-36: nothing comes after it."""
    server = watching(POLITE, binding())
    server.pass_time(598)
    server.bind(binding(2, "refreshed"))
    server.settle()
    server.pass_time(2.5)
    (notify,) = server.notifies()
    assert state(notify) == "terminated;reason=timeout"


def test_a_watch_is_served_until_it_has_ended() -> None:
    server = watching()
    (watch,) = server.notifier.watches()
    assert server.notifier.serves(watch)
    server.bind(binding())
    server.answer(481)
    assert not server.notifier.serves(watch)


def test_a_notifier_tells_how_many_watch_and_what_was_sent() -> None:
    server = watching()
    server.subscribe(call_id="second")
    figures = {"watches": 2, "notifies_total": 2}
    describe = server.notifier.describe
    assert describe() == Description("notifier", "watches: 2", figures)
    server.notifier.drain(1.0, server.now)
    line = "watches: 2, being ended: 2"
    assert describe() == Description("notifier", line, figures)


def test_an_update_whose_commit_fails_is_sent_later() -> None:
    server = watching(POLITE, binding())
    assert server.notifier.update(ALICE, server.now)
    server.journal.close().take_back()
    server.pass_time(6)
    assert server.notifies() == []  # it was not asked for, as far as anybody knows
    assert server.notifier.update(ALICE, server.now)
    assert len(server.documents()) == 1


def test_an_update_of_an_unknown_user_tells_nobody() -> None:
    server = watching(EAGER)
    assert not server.notifier.update(BOB, server.now)
    assert not server.sent
