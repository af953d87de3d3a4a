"""What a script has asked for stays asked for, and it is told what becomes of it."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import msgspec
import pytest

from reginfo.events.states import SubscriberState
from reginfo.events.subscribe import Wanted
from reginfo.events.waiting import BACK_OFF, LONGEST_BACK_OFF, back_off
from reginfo.events.wanted import FlowTo
from reginfo.ledger.journal import Journal
from reginfo.location.place import TABLE, Aor
from reginfo.location.store import LocationStore
from reginfo.reg import xml
from reginfo.roles import held
from reginfo.roles.held import KIND, RETRY_AFTER, Held
from reginfo.roles.mirror import Mirror
from reginfo.roles.subscriber import Subscriber
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft, Request
from reginfo.sip.transport import Transport

from ..make import (
    ALICE,
    BOB,
    NOW,
    PEER,
    WALL,
    flow,
    here,
    load,
    moment,
    numbers,
    received,
    request,
)
from ..make import response as answer

WANTED = Wanted(uri=ALICE, local="sip:us@192.0.2.1", event="reg", accept=xml.MEDIA_TYPE)
PLACE = "example.com"
THERE = flow(PEER)


class Asked:
    """A subscriber, the place that the test knows of, and what it was told."""

    def __init__(self, now: float = NOW, flow_to: FlowTo | None = None) -> None:
        self.journal = Journal()
        self.store = LocationStore("us", self.journal)
        self.now = now
        self.sent: list[tuple[Draft, Flow, Mirror]] = []
        self.sent_at: list[float] = []
        self.sought: list[Mirror] = []
        self.told: list[tuple[str, str, str]] = []
        self.rows: dict[str, Any] = {}
        self.subscriber = Subscriber(
            self.store,
            self.journal,
            send=self.send,
            new_id=numbers("id"),
            jitter=lambda: 0.5,
            max_expires=7200,
            locate=self.sought.append,
            flow_to=flow_to,
            location=TABLE,
        )
        self.subscriber.held.listener = self.listen

    def send(self, draft: Draft, flow: Flow, user: object) -> None:
        assert isinstance(user, Mirror)
        self.sent.append((draft, flow, user))
        self.sent_at.append(self.now)

    def listen(self, mirror: Mirror, state: str, reason: str) -> None:
        self.told.append((mirror.aor, state, reason))

    def request(self, aor: str = ALICE, expires: int = 3600) -> bool:
        wanted = msgspec.structs.replace(WANTED, uri=aor, expires=expires)
        return self.subscriber.request(PLACE, Aor(aor), wanted, self.now)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.subscriber.timer_at) is not None and at <= end:
            self.now = max(self.now, at)
            self.subscriber.timer_due(moment(self.now))
        self.now = end

    def found(self, at: Flow | None = THERE, cause: str = "") -> None:
        self.subscriber.located(self.sought.pop(), at, cause, self.now)

    def subscribes(self) -> list[Request]:
        sent, self.sent = self.sent, []
        return [received(draft) for draft, _, _ in sent]

    def notify(self, state: str = "active;expires=3600", cseq: int = 1) -> None:
        (mirror,) = self.subscriber.mirrors()
        dialog = mirror.subscription.dialog
        assert dialog is not None
        message = request(
            "NOTIFY", "Event: reg", "Contact: <sip:notifier@192.0.2.2>",
            f"Subscription-State: {state}", cseq=cseq, call_id=dialog.call_id,
            from_=f"<{ALICE}>;tag=theirs", to=dialog.local,
        )  # fmt: skip
        self.subscriber.receive_notify(message, flow(PEER), self.now, WALL + self.now)

    def answer(self, status: int) -> None:
        (mirror,) = self.subscriber.mirrors()
        dialog = mirror.subscription.dialog
        assert dialog is not None
        response = answer(status, call_id=dialog.call_id)
        mirror.receive_response(response, moment(self.now))

    def commit(self) -> list[tuple[str, str, str]]:
        """Have the batch on disk; what was told since."""
        batch = self.journal.close()
        for kind, key, value in batch.entries:
            assert kind == KIND
            encoded = msgspec.msgpack.encode(value)
            self.rows[key] = msgspec.msgpack.decode(encoded)
            if value is None:
                del self.rows[key]
        batch.announce()
        told, self.told = self.told, []
        return told

    def restarted(self, *locals: Local) -> Asked:
        later = Asked(self.now + 100)
        entries = [(KIND, key, value) for key, value in self.rows.items()]
        load(later.subscriber.shelves, entries)
        later.subscriber.begin(here(*locals), moment(later.now))
        return later


def active() -> Asked:
    asked = Asked()
    assert asked.request()
    asked.pass_time(0)
    asked.found()
    asked.notify()
    asked.commit()
    asked.subscribes()
    return asked


@pytest.mark.skipif(
    not held.__file__.endswith(".py"),
    reason="compiled code calls its functions directly: none can be replaced",
)
def test_one_that_cannot_be_gone_on_with_is_left_out_after_a_restart(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Asked()
    assert asked.request(BOB)
    assert asked.request(ALICE)
    asked.commit()
    index = Held._index

    def picky(self: Held, mirror: Mirror) -> None:
        index(self, mirror)
        if mirror.aor == BOB:
            raise ZeroDivisionError

    monkeypatch.setattr(Held, "_index", picky)
    later = asked.restarted()
    assert [mirror.aor for mirror in later.subscriber.mirrors()] == [ALICE]
    assert f"! {PLACE}/{BOB} cannot be resumed" in caplog.text


def test_it_is_sought_and_then_asked_for() -> None:
    asked = Asked()
    assert asked.request()
    assert (asked.sent, asked.sought) == ([], [])  # the caller waits for nothing
    asked.pass_time(0)
    (mirror,) = asked.sought
    assert (mirror.aor, mirror.peer) == (ALICE, PLACE)
    asked.found()
    ((draft, by, _),) = asked.sent
    assert by == flow(PEER)
    subscribe = received(draft)
    assert subscribe.uri == subscribe.to.uri == ALICE
    assert subscribe.from_.uri == "sip:us@192.0.2.1"
    assert subscribe.headers["Contact"] == ["<sip:us@192.0.2.1>"]
    assert subscribe.expires == 3600


def test_over_tcp_it_asks_to_be_notified_over_tcp() -> None:
    asked = Asked()
    asked.request()
    asked.pass_time(0)
    asked.found(Flow(Local(Transport.TCP, *LOCAL_PLACE), PEER))
    (subscribe,) = asked.subscribes()
    assert subscribe.headers["Contact"] == ["<sip:us@192.0.2.1;transport=tcp>"]


LOCAL_PLACE = ("192.0.2.1", 5060)


def test_asked_for_again_it_is_the_same_one() -> None:
    asked = active()
    assert asked.request() and asked.request()
    asked.pass_time(10)
    assert (asked.subscribes(), asked.sought) == ([], [])
    assert len(list(asked.subscriber.mirrors())) == 1
    # Another time is asked for when it is refreshed.
    assert asked.request(expires=7200)
    asked.pass_time(3600)
    assert [s.expires for s in asked.subscribes()] == [7200]


def test_others_are_others() -> None:
    asked = Asked()
    assert asked.request(ALICE) and asked.request(BOB)
    asked.pass_time(0)
    assert [mirror.aor for mirror in asked.sought] == [ALICE, BOB]


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "SUBSCRIPTIONS", 1)
    asked = Asked()
    assert asked.request(ALICE)
    assert not asked.request(BOB)
    assert asked.request(ALICE)  # which is there already


def test_what_becomes_of_it_is_told_once_it_is_on_disk() -> None:
    asked = Asked()
    asked.request()
    asked.pass_time(0)
    asked.found()
    asked.notify()
    assert asked.told == []
    assert asked.commit() == [(ALICE, "active", "")]
    asked.notify(cseq=2)
    assert asked.commit() == []  # no news
    asked.notify("terminated;reason=noresource", cseq=3)
    assert asked.commit() == [(ALICE, "terminated", "noresource")]


def test_it_is_asked_for_again_after_it_was_terminated() -> None:
    """ "Tell me when he is back" does not end when he is gone."""
    asked = active()
    asked.notify("terminated;reason=noresource", cseq=2)
    asked.pass_time(LONGEST_BACK_OFF)
    assert len(asked.sought) == 1  # by its name, anew
    asked.found()
    (again,) = asked.subscribes()
    assert (again.uri, again.to.tag) == (ALICE, "")


def test_a_refusal_is_told_and_it_is_tried_again() -> None:
    asked = Asked()
    asked.request()
    asked.pass_time(0)
    asked.found()
    asked.answer(403)
    assert asked.commit() == [(ALICE, "refused", "403 Some Reason")]
    asked.pass_time(LONGEST_BACK_OFF)
    assert len(asked.sought) == 1


def test_an_unknown_place_is_told_and_sought_again() -> None:
    asked = Asked()
    asked.request()
    asked.pass_time(0)
    asked.found(None, "no such host")
    (mirror,) = asked.subscriber.mirrors()
    assert mirror.problem == "no such host"
    assert asked.commit() == [(ALICE, "failed", "no such host")]
    asked.pass_time(LONGEST_BACK_OFF)
    asked.found()
    assert len(asked.subscribes()) == 1


def test_no_answer_is_told() -> None:
    asked = Asked()
    asked.request()
    asked.pass_time(0)
    asked.found()
    (mirror,) = asked.subscriber.mirrors()
    mirror.receive_failure("timeout", moment(asked.now))
    assert asked.commit() == [(ALICE, "failed", "timeout")]


def test_it_can_be_ended() -> None:
    asked = active()
    assert asked.subscriber.cancel(PLACE, ALICE, asked.now)
    (subscribe,) = asked.subscribes()
    assert subscribe.expires == 0
    assert asked.commit() == [(ALICE, "ended", "")]
    asked.answer(200)
    asked.notify("terminated;reason=timeout", cseq=2)
    assert asked.commit() == []
    assert list(asked.subscriber.mirrors()) == [] and asked.rows == {}
    assert not asked.subscriber.cancel(PLACE, ALICE, asked.now)
    asked.pass_time(10_000)
    assert (asked.subscribes(), asked.sought) == ([], [])


@pytest.mark.parametrize("how", ["481", "timeout", "never"])
def test_ended_it_is_gone_whatever_the_other_side_says(how: str) -> None:
    asked = active()
    asked.subscriber.cancel(PLACE, ALICE, asked.now)
    (mirror,) = asked.subscriber.mirrors()
    if how == "481":
        asked.answer(481)
    elif how == "timeout":
        mirror.receive_failure("timeout", moment(asked.now))
    asked.pass_time(40)
    asked.commit()
    assert list(asked.subscriber.mirrors()) == [] and asked.rows == {}


def test_ended_before_it_was_sought_it_is_gone_at_once() -> None:
    asked = Asked()
    asked.request()
    asked.subscriber.cancel(PLACE, ALICE, asked.now)
    asked.pass_time(10)
    asked.commit()
    assert (asked.sent, asked.sought, asked.rows) == ([], [], {})
    assert list(asked.subscriber.mirrors()) == []


def test_asked_for_after_its_end_it_begins_anew() -> None:
    asked = active()
    asked.subscriber.cancel(PLACE, ALICE, asked.now)
    asked.subscribes()
    assert asked.request()
    asked.pass_time(0)
    asked.found()
    (subscribe,) = asked.subscribes()
    assert (subscribe.expires, subscribe.to.tag) == (3600, "")


def test_it_continues_after_a_restart_in_its_dialog() -> None:
    asked = active()
    (before,) = asked.subscriber.mirrors()
    later = asked.restarted()
    later.pass_time(1)
    assert later.sought == []
    (subscribe,) = later.subscribes()
    assert before.subscription.dialog is not None
    assert subscribe.call_id == before.subscription.dialog.call_id
    assert subscribe.to.tag == "theirs"


def test_after_a_restart_at_another_address_it_continues_from_there() -> None:
    asked = active()
    other = Local(Transport.UDP, "192.0.2.99", 5060)
    later = asked.restarted(other)
    (mirror,) = later.subscriber.mirrors()
    assert mirror.subscription.flow == Flow(other, PEER)
    later.pass_time(1)
    ((_, by, _),) = later.sent
    assert by == Flow(other, PEER)


def test_what_had_no_answer_before_a_restart_is_asked_for_anew() -> None:
    asked = Asked()
    asked.request()
    asked.commit()
    later = asked.restarted()
    later.pass_time(1)
    later.found()
    assert len(later.subscribes()) == 1


def test_what_was_ended_before_a_restart_is_not_taken_up() -> None:
    asked = active()
    asked.subscriber.cancel(PLACE, ALICE, asked.now)
    asked.commit()
    later = asked.restarted()
    (mirror,) = later.subscriber.mirrors()
    assert (mirror.subscription.dialog, mirror.timer_at) == (None, later.now)
    later.pass_time(100)
    later.commit()
    assert (later.sent, later.sought) == ([], [])
    assert list(later.subscriber.mirrors()) == []


def test_a_failed_commit_undoes_it() -> None:
    asked = Asked()
    asked.request()
    asked.journal.close().take_back()
    assert list(asked.subscriber.mirrors()) == []
    asked.pass_time(10)
    assert asked.sought == []

    asked = active()
    asked.subscriber.cancel(PLACE, ALICE, asked.now)
    asked.journal.close().take_back()
    (mirror,) = asked.subscriber.mirrors()
    assert mirror.subscription.state is SubscriberState.ACTIVE
    assert asked.told == []


def test_a_place_that_was_found_in_vain_is_sought_again() -> None:
    asked = Asked()
    asked.request()
    asked.pass_time(0)
    asked.commit()
    asked.found()
    asked.subscribes()
    asked.journal.close().take_back()
    (mirror,) = asked.subscriber.mirrors()
    assert mirror.timer_at == asked.now + RETRY_AFTER
    asked.pass_time(RETRY_AFTER)
    asked.found()
    assert len(asked.subscribes()) == 1


# The peers of the configuration.

CAROL, DAVE = Aor("sip:carol@example.com"), Aor("sip:dave@example.com")
NEXT = flow(("192.0.2.3", 5060))


def watches(asked: Asked, peer: str, aor: Aor, by: Flow = THERE) -> None:
    wanted = msgspec.structs.replace(WANTED, uri=aor)
    asked.subscriber.watch(peer, aor, wanted, by, asked.now)


def test_what_leads_to_a_former_address_of_a_peer_begins_anew() -> None:
    asked = Asked()
    assert asked.request(BOB)
    watches(asked, "q", BOB)
    watches(asked, PLACE, ALICE, NEXT)
    for aor in (CAROL, DAVE, Aor("sip:erin@example.com")):
        watches(asked, PLACE, aor)
    asked.pass_time(1)
    asked.found()
    asked.commit()
    asked.subscriber.moved(PLACE, [NEXT, flow(("192.0.2.4", 5060))], asked.now)
    timers = {
        mirror.source: (mirror.subscription.state.value, mirror.timer_at)
        for mirror in asked.subscriber.mirrors()
    }
    assert timers == {
        f"{PLACE}/{BOB}": ("notify-wait", NOW + 33),
        f"q/{BOB}": ("notify-wait", NOW + 32),
        f"{PLACE}/{ALICE}": ("notify-wait", NOW + 32),
        f"{PLACE}/{CAROL}": ("waiting", NOW + 1),
        f"{PLACE}/{DAVE}": ("waiting", NOW + 1),
        f"{PLACE}/sip:erin@example.com": ("waiting", NOW + 1),
    }
    entries = asked.journal.close().entries
    assert [key for _, key, _ in entries] == [
        f"{PLACE}/{CAROL}",
        f"{PLACE}/{DAVE}",
        f"{PLACE}/sip:erin@example.com",
    ]


def test_a_move_of_a_peer_that_cannot_be_committed_leaves_the_dialog() -> None:
    asked = Asked()
    watches(asked, PLACE, ALICE)
    asked.pass_time(0)
    asked.notify()
    asked.commit()
    (mirror,) = asked.subscriber.mirrors()
    timer_at = mirror.timer_at
    asked.subscriber.moved(PLACE, [NEXT], asked.now)
    assert (mirror.subscription.dialog, mirror.timer_at) == (None, asked.now)
    asked.journal.close().take_back()
    assert (mirror.subscription.state.value, mirror.timer_at) == ("active", timer_at)


@pytest.mark.parametrize("how", ["503", "no answer"])
@pytest.mark.parametrize(
    ("there", "pause"), [(NEXT, 0.0), (None, BACK_OFF * 0.75)], ids=["next", "none"]
)
def test_a_peer_that_does_not_answer_is_asked_at_its_next_address_at_once(
    there: Flow | None, pause: float, how: str
) -> None:
    calls: list[tuple[str, Flow | None]] = []

    def flow_to(peer: str, failed: Flow | None) -> Flow | None:
        calls.append((peer, failed))
        return THERE if failed is None else there

    asked = Asked(flow_to=flow_to)
    watches(asked, "p", ALICE)
    asked.pass_time(0)
    calls.clear()
    (mirror,) = asked.subscriber.mirrors()
    if how == "503":
        asked.answer(503)
    else:
        mirror.receive_failure("timeout", moment(asked.now))
    assert calls == [("p", THERE)]
    assert mirror.timer_at == asked.now + pause


def test_a_refusal_is_not_repeated_at_the_next_address() -> None:
    asked = Asked(flow_to=lambda peer, failed: NEXT)
    watches(asked, "p", ALICE)
    asked.pass_time(0)
    (mirror,) = asked.subscriber.mirrors()
    asked.answer(502)
    assert mirror.timer_at == asked.now + BACK_OFF * 0.75


def test_a_refresh_without_an_answer_stays_at_the_address_of_its_dialog() -> None:
    asked = Asked(flow_to=lambda peer, failed: NEXT)
    watches(asked, "p", ALICE)
    asked.pass_time(0)
    asked.notify()
    (mirror,) = asked.subscriber.mirrors()
    mirror.subscription.refresh(asked.now)
    mirror.receive_failure("timeout", moment(asked.now))
    assert mirror.subscription.state is SubscriberState.ACTIVE
    assert mirror.timer_at == asked.now + BACK_OFF * 0.75


def test_what_a_script_has_asked_for_is_located_anew_after_a_pause() -> None:
    asked = Asked(flow_to=lambda peer, failed: NEXT)
    assert asked.request()
    asked.pass_time(0)
    asked.found()
    (mirror,) = asked.subscriber.mirrors()
    mirror.receive_failure("timeout", moment(asked.now))
    assert mirror.timer_at == asked.now + BACK_OFF * 0.75
    assert mirror.subscription.flow == THERE


@pytest.mark.parametrize(
    ("differs", "expected"),
    [
        ({}, True),
        ({"cseq": 4}, True),  # overtaken: it is ours, and wrong
        ({"call_id": "another"}, False),
        ({"to": "<sip:us@192.0.2.1>;tag=another"}, False),
        ({"event": "presence"}, False),
        ({"from_": f"<{ALICE}>;tag=fork"}, False),
    ],
    ids=["ours", "overtaken", "Call-ID", "To tag", "package", "From tag"],
)
def test_a_notify_is_expected_if_it_belongs_to_a_subscription(
    differs: dict[str, Any], expected: bool
) -> None:
    asked = Asked()
    assert asked.request()
    asked.pass_time(0)
    asked.found()
    asked.notify(cseq=5)
    (mirror,) = asked.subscriber.mirrors()
    dialog = mirror.subscription.dialog
    assert dialog is not None
    fields: dict[str, Any] = {
        "cseq": 6, "call_id": dialog.call_id, "to": dialog.local,
        "from_": f"<{ALICE}>;tag=theirs", "event": "reg", **differs,
    }  # fmt: skip
    message = request(
        "NOTIFY", f"Event: {fields.pop('event')}", "Contact: <sip:notifier@192.0.2.2>",
        "Subscription-State: active", **fields,
    )  # fmt: skip
    assert asked.subscriber.expects(message) is expected


def test_after_a_restart_what_was_requested_is_resumed() -> None:
    asked = Asked()
    watches(asked, "p", ALICE)
    asked.pass_time(0)  # the configuration's row is the first that is stored
    for aor in (BOB, CAROL, DAVE):
        assert asked.request(aor)
    asked.commit()
    later = asked.restarted()
    assert {mirror.aor: mirror.timer_at for mirror in later.subscriber.mirrors()} == {
        BOB: later.now,
        CAROL: later.now,
        DAVE: later.now,
    }
    assert later.subscriber.held.stored(f"p/{ALICE}")
    assert later.subscriber.held.stored(f"{PLACE}/{BOB}")
    assert not later.subscriber.held.stored(f"p/{BOB}")


def test_a_resumed_subscription_keeps_its_end_and_receives_its_response() -> None:
    asked = active()
    (before,) = asked.subscriber.mirrors()
    later = asked.restarted()
    (mirror,) = later.subscriber.mirrors()
    assert mirror.subscription.expires_at == before.subscription.expires_at
    later.pass_time(0)
    later.answer(481)
    assert later.commit() == [(ALICE, "refused", "481 Some Reason")]


def test_what_replaces_a_resumed_dialog_goes_where_that_has_led() -> None:
    """A redirection may have led it elsewhere than the first SUBSCRIBE."""
    asked = active()
    (before,) = asked.subscriber.mirrors()
    subscription = before.subscription
    assert subscription.dialog is not None
    subscription.dialog.flow = NEXT
    asked.subscriber.held.settle(before)
    asked.commit()
    (mirror,) = asked.restarted().subscriber.mirrors()
    assert (subscription.flow, mirror.subscription.flow) == (THERE, NEXT)


def test_when_a_document_came_is_restored_with_the_subscription() -> None:
    asked = active()
    (mirror,) = asked.subscriber.mirrors()
    for heard_at, at in ((5.0, None), (7.0, asked.now + 9)):
        mirror.heard_at = heard_at
        asked.subscriber.held.settle(mirror)
        asked.commit()
        saved = mirror.saved
        asked.subscriber.held.remember(mirror, at)
        mirror.heard_at = 99.0
        asked.journal.close().take_back()
        assert mirror.heard_at == heard_at
        # Put back from the row that is stored, it needs no copy the next time.
        assert mirror.saved is (saved if at is None else None)


def test_an_end_without_a_reason_is_reported_without_one() -> None:
    asked = active()
    asked.notify("terminated", cseq=2)
    assert asked.commit() == [(ALICE, "terminated", "")]


def test_of_what_the_configuration_requires_no_script_is_told() -> None:
    asked = Asked()
    watches(asked, "p", ALICE)
    asked.pass_time(0)
    asked.notify()
    assert asked.commit() == []


def test_a_refused_end_is_due_at_once_and_a_refused_refresh_later() -> None:
    asked = active()
    (mirror,) = asked.subscriber.mirrors()
    mirror.subscription.refresh(asked.now)
    asked.answer(500)
    assert mirror.timer_at == asked.now + BACK_OFF * 0.75
    asked.subscriber.cancel(PLACE, ALICE, asked.now)
    asked.answer(500)
    assert mirror.timer_at == asked.now


def test_each_new_dialog_goes_to_the_present_address_of_its_peer() -> None:
    calls: list[tuple[str, Flow | None]] = []
    present = [NEXT, THERE]

    def flow_to(peer: str, failed: Flow | None) -> Flow | None:
        calls.append((peer, failed))
        return present.pop(0)

    asked = Asked(flow_to=flow_to)
    watches(asked, "p", ALICE)
    asked.pass_time(0)
    assert ([by for _, by, _ in asked.sent], calls) == ([NEXT], [("p", None)])
    asked.notify()
    (mirror,) = asked.subscriber.mirrors()
    ends = mirror.subscription.expires_at
    for at, number in ((ends - 1, 1), (ends, 2)):  # a refresh, and a new one
        asked.now = mirror.subscription.timer_at = at
        asked.subscriber.held.settle(mirror)
        asked.subscriber.timer_due(moment(at))
        assert len(calls) == number
        mirror.subscription.state = SubscriberState.ACTIVE
    assert mirror.subscription.flow == THERE


def test_a_configured_subscription_has_the_same_end_after_a_restart() -> None:
    asked = Asked()
    watches(asked, "p", ALICE)
    asked.pass_time(0)
    asked.notify()
    asked.commit()
    (before,) = asked.subscriber.mirrors()
    later = asked.restarted()
    watches(later, "p", ALICE)
    (after,) = later.subscriber.mirrors()
    assert after.subscription.expires_at == before.subscription.expires_at


MANY = 10_000


def times(asked: Asked, seconds: float) -> list[float]:
    """When SUBSCRIBEs are sent in the next seconds."""
    asked.sent_at.clear()
    asked.pass_time(seconds)
    return asked.sent_at


def most_in_a_second(times: list[float]) -> int:
    """The largest number of times within one second; they are in order."""
    return max(n + 1 - bisect_right(times, at - 1.0) for n, at in enumerate(times))


def many(asked: Asked, users: int = MANY) -> None:
    for number in range(users):
        watches(asked, PLACE, Aor(f"sip:u{number}@example.com"))


def test_ten_thousand_subscriptions_begin_within_a_minute_without_a_storm() -> None:
    """At most 500 SUBSCRIBEs in any second."""
    asked = Asked()
    many(asked)
    sent = times(asked, 30)
    assert len(sent) == MANY
    assert most_in_a_second(sent) <= 500


def test_after_a_restart_ten_thousand_are_refreshed_in_the_same_way() -> None:
    asked = Asked()
    for number in range(MANY):
        assert asked.request(f"sip:u{number}@example.com")
    asked.pass_time(60)
    for mirror in asked.sought:
        asked.subscriber.located(mirror, THERE, "", asked.now)
    asked.commit()
    asked.sent.clear()
    later = asked.restarted()
    turns = sorted(one.timer_at or 0.0 for one in later.subscriber.mirrors())
    assert len(turns) == MANY
    assert most_in_a_second(turns) <= 500
    assert later.now == turns[0] <= turns[-1] < later.now + 30


def test_when_a_peer_is_back_its_subscriptions_do_not_wait_for_their_back_off() -> None:
    """One of them finds that it is back; the others follow, at most 500 a second."""
    asked = Asked()
    many(asked, 2000)
    everybody = list(asked.subscriber.mirrors())
    for failures in range(8):
        asked.pass_time(back_off(failures - 1, lambda: 0.5) + 6 if failures else 6)
        for mirror in everybody:
            mirror.receive_failure("timeout", moment(asked.now))
    asked.sent.clear()
    assert {one.subscription.state for one in everybody} == {SubscriberState.WAITING}
    first = everybody[17]
    first.timer_at = asked.now
    asked.subscriber.held._wheel.schedule(first)
    asked.pass_time(0.01)
    dialog = first.subscription.dialog
    assert dialog is not None
    first.receive_response(answer(200, call_id=dialog.call_id), moment(asked.now))
    sent = times(asked, 60)
    assert len(sent) == len(everybody) - 1
    assert most_in_a_second(sent) <= 500


def test_one_that_was_cancelled_does_not_come_back_with_the_others() -> None:
    asked = Asked()
    assert asked.request(ALICE)
    assert asked.request(BOB)
    asked.pass_time(0)
    while asked.sought:
        asked.found()
    alice, bob = asked.subscriber.mirrors()
    for mirror in (alice, bob):
        mirror.receive_failure("timeout", moment(asked.now))
    assert asked.subscriber.cancel(PLACE, Aor(BOB), asked.now)
    asked.pass_time(40)
    asked.sent.clear()
    asked.pass_time(300)
    asked.sought.clear()
    asked.subscriber.located(alice, THERE, "", asked.now)
    dialog = alice.subscription.dialog
    assert dialog is not None
    alice.receive_response(answer(200, call_id=dialog.call_id), moment(asked.now))
    assert [mirror.aor for mirror in asked.subscriber.mirrors()] == [ALICE]
