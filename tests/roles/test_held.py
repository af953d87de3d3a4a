"""What a script has asked for stays asked for, and it is told what becomes of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.events.states import SubscriberState
from reginfo.events.subscribe import Wanted
from reginfo.events.waiting import LONGEST_BACK_OFF
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

    def __init__(self, now: float = NOW) -> None:
        self.journal = Journal()
        self.store = LocationStore("us", self.journal)
        self.now = now
        self.sent: list[tuple[Draft, Flow, Mirror]] = []
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
            location=TABLE,
        )
        self.subscriber.held.listener = self.listen

    def send(self, draft: Draft, flow: Flow, user: object) -> None:
        assert isinstance(user, Mirror)
        self.sent.append((draft, flow, user))

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
        self.subscriber.held.receive_response(mirror, response, self.now)

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
    asked.subscriber.held.receive_failure(mirror, "timeout", asked.now)
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
        asked.subscriber.held.receive_failure(mirror, "timeout", asked.now)
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
    asked.pass_time(RETRY_AFTER)
    asked.found()
    assert len(asked.subscribes()) == 1
