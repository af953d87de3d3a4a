"""A subscription that we hold: asked for, kept alive, asked for again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from reginfo.events.headers import SubscriptionState
from reginfo.events.states import SubscriberState
from reginfo.events.subscribe import (
    LONGEST_ASKED,
    SOON,
    TIMER_N,
    HeldSubscription,
    Wanted,
)
from reginfo.events.waiting import (
    BACK_OFF,
    LONGEST_BACK_OFF,
    LONGEST_WAIT,
    SHORTEST_WAIT,
)
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft, Request
from reginfo.sip.transport import Transport

from ..make import ALICE, LOCAL, NOW, PEER, flow, numbers, received, request, response

GOLDEN = Path(__file__).parents[1] / "golden"
WANTED = Wanted(
    uri=ALICE,
    local="sip:b@192.0.2.1",
    event="reg",
    accept="application/reginfo+xml",
    expires=3600,
)


def half() -> float:
    return 0.5


class Held:
    """One subscription, and a notifier that does as the test says."""

    def __init__(self, wanted: Wanted = WANTED) -> None:
        self.one = HeldSubscription(wanted=wanted, flow=flow(PEER), timer_at=NOW)
        self.now = NOW
        self.new_id = numbers()
        self.cseq = 0
        self.calls: list[str] = []
        self.due()

    def due(self) -> None:
        self.one.timer_due(self.now)
        self.one.due(self.now, self.new_id, half)

    def drafts(self) -> list[Draft]:
        return [draft for draft, _ in self.one.drafts_to_send()]

    def has_dialog(self) -> bool:
        return self.one.dialog is not None

    def subscribes(self) -> list[Request]:
        return [received(draft) for draft in self.drafts()]

    def respond(self, status: int, *headers: str, call_id: str = "") -> None:
        if self.one.dialog is not None:
            call_id = call_id or self.one.dialog.call_id
        answer = response(status, *headers, call_id=call_id)
        self.one.receive_response(answer, self.now, half)

    def notify(
        self,
        state: str = "active;expires=3600",
        *headers: str,
        event: str = "reg",
        from_tag: str = "theirs",
        cseq: int | None = None,
        contact: str = "<sip:notifier@192.0.2.2>",
    ) -> SubscriptionState:
        dialog = self.one.dialog
        assert dialog is not None
        self.cseq = self.cseq + 1 if cseq is None else cseq
        message = request(
            "NOTIFY", f"Event: {event}", f"Subscription-State: {state}",
            f"Contact: {contact}", *headers,
            cseq=self.cseq, call_id=dialog.call_id, from_=f"<{ALICE}>;tag={from_tag}",
            to=dialog.local,
        )  # fmt: skip
        found = self.one.check_notify(message, "reg")
        self.one.receive_notify(message, found, flow(PEER), self.now, half)
        return found


def established() -> Held:
    held = Held()
    held.respond(200, "Expires: 3600")
    held.notify()
    held.drafts()
    return held


# It is asked for.


def test_a_subscribe_makes_a_dialog_of_its_own() -> None:
    """Each SUBSCRIBE makes a dialog of its own (6665-50, 3680-07)."""
    held = Held()
    (subscribe,) = held.subscribes()
    assert subscribe.uri == ALICE
    assert subscribe.headers["To"] == [f"<{ALICE}>"]
    assert subscribe.from_.tag
    assert subscribe.headers["Contact"] == ["<sip:b@192.0.2.1>"]
    assert subscribe.headers["Event"] == ["reg"]
    assert subscribe.headers["Accept"] == ["application/reginfo+xml"]
    assert subscribe.expires == 3600
    assert held.one.state is SubscriberState.NOTIFY_WAIT
    assert not held.one.is_established


def test_a_subscribe_is_as_in_the_golden_file() -> None:
    (draft,) = Held().drafts()
    sent = draft.write("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKgolden;rport")
    assert sent.decode() == (GOLDEN / "subscribe.sip").read_bytes().decode()


def test_a_refresh_is_as_in_the_golden_file() -> None:
    held = established()
    held.one.refresh(held.now)
    (draft,) = held.drafts()
    sent = draft.write("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKgolden;rport")
    assert sent.decode() == (GOLDEN / "subscribe-refresh.sip").read_bytes().decode()


def test_without_a_notify_until_timer_n_it_has_failed() -> None:
    """A subscription without a NOTIFY until Timer N has failed (6665-51, -55)."""
    held = Held()
    held.respond(200, "Expires: 3600")
    assert held.one.timer_at == NOW + TIMER_N
    held.now += TIMER_N
    held.due()
    assert (held.one.state, held.one.dialog) == (SubscriberState.WAITING, None)
    assert held.one.timer_at == held.now + 0.75 * BACK_OFF
    first = held.subscribes()[0]
    held.now = held.one.timer_at
    held.due()
    (again,) = held.subscribes()
    assert (again.call_id, again.from_.tag) != (first.call_id, first.from_.tag)


def test_without_a_notify_after_a_refresh_it_has_failed_too() -> None:
    """A refresh without a NOTIFY until Timer N ends the subscription (6665-51)."""
    # "the subscriber considers the subscription terminated".
    held = established()
    held.now += 3000
    held.due()
    held.respond(200, "Expires: 3600")
    held.now += TIMER_N
    held.due()
    assert (held.one.state, held.one.dialog) == (SubscriberState.WAITING, None)


def test_a_notify_may_come_before_the_200() -> None:
    """A NOTIFY that comes before the 200 is taken (6665-52, -60)."""
    held = Held()
    held.notify("active;expires=600")
    assert held.one.state is SubscriberState.ACTIVE
    held.respond(200, "Expires: 3600")
    assert held.one.expires_at == NOW + 600  # 6665-60


def test_a_200_that_comes_late_may_shorten_it() -> None:
    held = Held()
    held.notify("active")
    assert held.one.expires_at == NOW + 3600  # as long as was asked, so far
    held.respond(200, "Expires: 60")
    assert held.one.expires_at == NOW + 60
    assert held.one.timer_at is not None and held.one.timer_at < NOW + 60
    held.respond(200)
    assert held.one.expires_at == NOW + 60


def test_the_time_of_the_200_counts_if_the_notify_says_nothing() -> None:
    """The Expires of the 200 counts if the NOTIFY has none (6665-60, -67)."""
    held = Held()
    held.respond(200, "Expires: 120")
    held.notify("active")
    assert held.one.expires_at == NOW + 120


def test_of_a_forked_subscribe_the_first_to_notify_is_the_one() -> None:
    """
    Of a forked SUBSCRIBE the first dialog that sends a NOTIFY is kept (3680-33,
    6665-54).
    """
    held = Held()
    held.notify(from_tag="first")
    with pytest.raises(Refusal, match="481"):
        held.notify(from_tag="second")
    assert held.one.dialog is not None
    assert held.one.dialog.remote_tag == "first"


def test_the_route_set_is_that_of_the_notify() -> None:
    """The route set is that of the first NOTIFY (6665-72, -80)."""
    held = Held()
    held.respond(200, "Expires: 3600", "Record-Route: <sip:wrong;lr>")
    held.notify(
        "active", "Record-Route: <sip:192.0.2.71;lr>", "Record-Route: <sip:p2;lr>"
    )
    held.drafts()
    held.one.refresh(held.now)
    ((draft, way),) = held.one.drafts_to_send()
    refresh = received(draft)
    assert refresh.headers["Route"] == ["<sip:192.0.2.71;lr>, <sip:p2;lr>"]
    assert refresh.uri == "sip:notifier@192.0.2.2"
    assert way == Flow(LOCAL, ("192.0.2.71", 5060))
    held.notify("active", contact="<sip:moved@192.0.2.9>")
    held.one.refresh(held.now)
    assert held.subscribes()[0].uri == "sip:moved@192.0.2.9"


# What is not in order changes nothing.


def test_a_notify_of_another_package_is_refused() -> None:
    """A NOTIFY of another package is refused (6665-57)."""
    for event in ("presence", "reg.winfo"):
        with pytest.raises(Refusal) as caught:
            Held().notify(event=event)
        assert caught.value.status == 489
        assert caught.value.headers == (("Allow-Events", "reg"),)


def test_a_notify_with_another_id_is_not_of_this_subscription() -> None:
    """A NOTIFY with another id is not of this subscription (6665-53)."""
    with pytest.raises(Refusal, match="481"):
        Held().notify(event="reg;id=1")


def test_a_notify_with_the_id_that_was_asked_is() -> None:
    held = Held(Wanted(uri=ALICE, local="sip:b@x", event="reg;id=1", accept="a/b"))
    held.notify(event="reg;id=1")
    assert held.one.state is SubscriberState.ACTIVE


def test_a_notify_that_was_overtaken_is_refused() -> None:
    """A NOTIFY whose CSeq is lower than the last is refused (6665-77)."""
    held = established()
    held.notify(cseq=9)
    with pytest.raises(RemoteProtocolError) as caught:
        held.notify(cseq=8)
    assert caught.value.status == 500
    held.notify(cseq=9)  # its transaction was lost by a restart


def test_a_notify_with_an_invalid_contact_creates_no_dialog() -> None:
    held = Held()
    for contact in ("<tel:5>", "<sip:a@b>, <sip:c@d>", "<"):
        with pytest.raises(RemoteProtocolError):
            held.notify(contact=contact)
    assert not held.one.is_established
    assert held.one.state is SubscriberState.NOTIFY_WAIT


def test_a_notify_when_there_is_no_dialog_is_refused() -> None:
    held = Held()
    one = HeldSubscription(wanted=WANTED, flow=flow(PEER))
    message = request("NOTIFY", "Event: reg", "Subscription-State: active")
    with pytest.raises(Refusal, match="481"):
        one.check_notify(message, "reg")
    assert held.one.dialog is not None


# It is kept alive.


@pytest.mark.parametrize(
    ("expires", "before"), [(3600, 540.0), (3000, 540.0), (600, 270.0), (60, 27.0)]
)
def test_it_is_refreshed_in_time(expires: int, before: float) -> None:
    """
    A subscription is refreshed ten minutes before its end or half way, with jitter
    (6665-67).
    """
    # Ten minutes before the end, or half way, spread by a fifth.
    held = Held()
    held.notify(f"active;expires={expires}")
    assert held.one.timer_at == pytest.approx(NOW + expires - before)


@pytest.mark.parametrize("expires", [0, 1])
@pytest.mark.parametrize("said_by", ["200", "NOTIFY", "both", "NOTIFY first"])
def test_a_notifier_that_grants_nothing_is_asked_with_a_back_off(
    expires: int, said_by: str
) -> None:
    """6665-83: each time in a new dialog, for the old one is over."""
    held, pauses = Held(), []
    for _ in range(10):
        held.drafts()
        ok = f"Expires: {expires}" if said_by != "NOTIFY" else "Expires: 3600"
        state = f"active;expires={expires}" if said_by != "200" else "active"
        if said_by == "NOTIFY first":
            held.notify(state)
            held.respond(200, ok)
        else:
            held.respond(200, ok)
            held.notify(state)
        assert held.one.timer_at is not None
        pauses.append(held.one.timer_at - held.now)
        for _ in range(5):
            held.notify(state)  # more of them neither postpone nor hasten it
        assert held.one.timer_at == pytest.approx(held.now + pauses[-1])
        held.now = held.one.timer_at
        held.due()
        (subscribe,) = held.subscribes()
        assert subscribe.to.tag == ""
        held.cseq = 0
    assert pauses[:4] == pytest.approx([1.5, 3.0, 6.0, 12.0])
    assert pauses[-1] == pytest.approx(0.75 * LONGEST_BACK_OFF)


@pytest.mark.parametrize("first", ["200", "NOTIFY"])
def test_a_notifier_that_states_no_time_is_asked_with_a_back_off(
    first: str,
) -> None:
    """6665-83: in the dialog; it is taken to last as long as was asked."""
    held, pauses = Held(), []
    for _ in range(10):
        held.drafts()
        for message in ("200", "NOTIFY") if first == "200" else ("NOTIFY", "200"):
            if message == "200":
                held.respond(200)
            else:
                held.notify("active")
        assert held.one.expires_at == held.now + 3600
        assert held.one.timer_at is not None
        pauses.append(held.one.timer_at - held.now)
        held.now += pauses[-1] / 2
        held.notify("active")
        held.now = held.one.timer_at
        held.due()
        assert [s.to.tag for s in held.subscribes()] == ["theirs"]
    assert pauses[:4] == pytest.approx([1.5, 3.0, 6.0, 12.0])
    assert pauses[-1] == pytest.approx(0.75 * LONGEST_BACK_OFF)
    held.respond(200, "Expires: 3600")
    held.notify("active")
    assert held.one.failures == 0
    assert held.one.timer_at == held.now + 3060


@pytest.mark.parametrize("every", [0.3, 0.9, 3.0, 30.0])
@pytest.mark.parametrize("granted", [8, 60, 3600])
@pytest.mark.parametrize("states_time", [True, False])
def test_notifies_do_not_postpone_a_refresh(
    every: float, granted: int, states_time: bool
) -> None:
    """6665-81: else it would never be refreshed, and end (RFC 6665 §4.1.2.2)."""
    held = Held()
    held.respond(200, f"Expires: {granted}")
    held.notify(f"active;expires={granted}")
    held.drafts()
    planned = held.one.timer_at
    assert planned is not None
    while held.now + every < planned:
        held.now += every
        left = int(NOW + granted - held.now)
        held.notify(f"active;expires={left}" if states_time else "active")
        assert held.one.timer_at == planned
    held.now = planned
    held.due()
    assert [s.to.tag for s in held.subscribes()] == ["theirs"]
    assert planned < NOW + granted


def test_a_notify_that_shortens_it_hastens_the_refresh() -> None:
    """A NOTIFY that shortens the subscription brings the refresh forward (6665-60)."""
    held = established()
    held.now += 10
    held.notify("active;expires=100")
    assert held.one.expires_at == held.now + 100
    assert held.one.timer_at == held.now + 55
    held.notify("active;expires=3000")  # a notifier may not prolong it by itself
    assert held.one.timer_at == held.now + 55


@pytest.mark.parametrize("crossed", ["active;expires=600", "active"])
@pytest.mark.parametrize("order", ["200 first", "NOTIFY first"])
def test_what_a_refresh_was_granted_counts_in_any_order(
    crossed: str, order: str
) -> None:
    """6665-82: a NOTIFY that was under way says nothing of what the 200 grants."""
    held = established()
    held.now += 3000
    held.due()
    held.drafts()
    if order == "200 first":
        held.respond(200, "Expires: 3600")
        held.notify("active;expires=3600")
    else:
        held.notify(crossed)
        held.respond(200, "Expires: 3600")
    assert held.one.expires_at == held.now + 3600
    assert held.one.timer_at == held.now + 3060
    held.notify("active;expires=3599")
    assert held.one.timer_at == held.now + 3060


def test_a_notify_of_the_refresh_counts_though_the_200_is_lost() -> None:
    """The NOTIFY of a refresh counts even when the 200 is lost (6665-82)."""
    held = established()
    held.now += 3000
    held.due()
    held.drafts()
    held.notify("active;expires=600")  # it crossed the SUBSCRIBE
    held.notify("active;expires=3600")
    assert held.one.timer_at == held.now + 3060
    for _ in range(100):
        held.now += 1
        held.notify(f"active;expires={int(held.one.expires_at - held.now)}")
    assert held.one.timer_at == held.now + 3060 - 100


@pytest.mark.parametrize("granted", [3601, 86_400, 2**32 - 1])
@pytest.mark.parametrize("said_by", ["200", "NOTIFY", "NOTIFY first"])
def test_no_more_is_granted_than_was_asked(granted: int, said_by: str) -> None:
    """6665-04, 6665-84: RFC 6665 §4.2.1.1, "MUST NOT increase"."""
    held = Held()
    if said_by == "NOTIFY first":
        held.notify(f"active;expires={granted}")
        held.respond(200, f"Expires: {granted}")
    else:
        ok = ("Expires: 3600",) if said_by == "NOTIFY" else (f"Expires: {granted}",)
        held.respond(200, *ok)
        held.notify("active" if said_by == "200" else f"active;expires={granted}")
    assert held.one.expires_at == NOW + 3600
    assert held.one.timer_at == NOW + 3060


def test_a_423_cannot_make_us_ask_for_years() -> None:
    """A 423 cannot make us ask for more than our limit (6665-84)."""
    held = Held()
    held.drafts()
    held.respond(423, f"Min-Expires: {2**32 - 1}")
    assert [s.expires for s in held.subscribes()] == [LONGEST_ASKED]
    held.respond(423, f"Min-Expires: {2**32 - 1}")
    assert held.one.state is SubscriberState.WAITING


def test_a_refresh_is_sent_in_the_dialog() -> None:
    """A refresh is a SUBSCRIBE in the dialog (6665-67)."""
    held = established()
    held.now += 3000
    held.due()
    (refresh,) = held.subscribes()
    assert (refresh.to.tag, refresh.uri) == ("theirs", "sip:notifier@192.0.2.2")
    assert refresh.cseq.number == 2
    assert held.one.timer_at == held.now + TIMER_N
    held.respond(200, "Expires: 3600")
    held.notify("active;expires=3600")
    assert held.one.state is SubscriberState.ACTIVE
    assert held.one.expires_at == held.now + 3600


def test_nothing_is_refreshed_while_a_notify_is_waited_for() -> None:
    held = Held()
    held.drafts()
    held.one.refresh(held.now)
    assert held.drafts() == []


def test_a_204_ends_the_wait_for_a_notify() -> None:
    """A 204 ends the wait for a NOTIFY (6665-74, 5839-08)."""
    held = established()
    held.now += 3000
    held.due()
    held.respond(204, "Expires: 1800")
    assert held.one.state is SubscriberState.ACTIVE
    assert held.one.expires_at == held.now + 1800
    assert held.one.timer_at is not None
    assert held.one.timer_at > held.now + TIMER_N


@pytest.mark.parametrize(
    "status", [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604]
)
def test_a_refresh_that_ends_it_makes_a_new_one(status: int) -> None:
    """A refresh whose response ends the subscription makes a new one (6665-68)."""
    held = established()
    old = held.one.dialog
    held.now += 3000
    held.due()
    held.drafts()
    held.respond(status)
    assert (held.one.state, held.one.dialog) == (SubscriberState.WAITING, None)
    held.now = held.one.timer_at or 0.0
    held.due()
    (subscribe,) = held.subscribes()
    assert old is not None
    assert subscribe.call_id != old.call_id
    assert subscribe.from_.tag != old.local_tag


@pytest.mark.parametrize("failure", ["500", "503", "408", "transport"])
def test_another_failure_of_a_refresh_leaves_it_until_its_end(failure: str) -> None:
    """
    Any other failure of a refresh leaves the subscription until its end (6665-69).
    """
    held = established()
    held.now = NOW + 3590
    for _ in range(20):
        held.due()
        if held.now >= NOW + 3600:
            break
        (refresh,) = held.subscribes()
        assert refresh.to.tag == "theirs"
        if failure == "transport":
            held.one.receive_failure(held.now, half)
        else:
            held.respond(int(failure))
        assert held.one.state is SubscriberState.ACTIVE
        held.notify("active")  # it is still served
        held.drafts()
        held.one.timer_at = min(held.one.expires_at, held.now + 4)
        held.now = held.one.timer_at
    (subscribe,) = held.subscribes()
    assert subscribe.to.tag == ""


def test_a_refresh_that_failed_is_repeated_within_its_time() -> None:
    held = established()
    held.now = NOW + 3000
    held.due()
    held.respond(503)
    assert held.one.timer_at == held.now + 0.75 * BACK_OFF
    held.now = NOW + 3600
    held.one.refresh(held.now)
    held.one.receive_failure(held.now, half)
    assert held.one.state is SubscriberState.WAITING


def test_failures_are_farther_and_farther_apart() -> None:
    held = Held()
    pauses = []
    for _ in range(10):
        held.respond(500)
        assert held.one.timer_at is not None
        pauses.append(held.one.timer_at - held.now)
        held.now = held.one.timer_at
        held.due()
    assert pauses[:3] == pytest.approx([1.5, 3.0, 6.0])
    assert pauses[-1] == pytest.approx(0.75 * LONGEST_BACK_OFF)
    held.notify()
    assert held.one.failures == 0


def test_an_interval_that_was_too_brief_is_made_longer() -> None:
    """A 423 is followed by a SUBSCRIBE with the interval that it names (6665-70)."""
    held = Held()
    held.drafts()
    held.respond(423, "Min-Expires: 7200")
    (again,) = held.subscribes()
    assert (again.expires, again.cseq.number) == (7200, 2)
    held.respond(423)
    assert held.subscribes() == []  # what it takes, it does not say: later, then
    assert held.one.state is SubscriberState.WAITING


@pytest.mark.parametrize("least", [60, 3600])
def test_a_notifier_that_refuses_what_it_asked_for_is_not_asked_at_once(
    least: int,
) -> None:
    held = Held()
    held.respond(423, f"Min-Expires: {least}")
    assert held.one.state is SubscriberState.WAITING
    assert len(held.drafts()) == 1


def test_a_423_without_a_minimum_means_an_hour() -> None:
    held = Held(
        Wanted(uri=ALICE, local="sip:b@x", event="reg", accept="a/b", expires=9)
    )
    held.drafts()
    held.respond(423)
    assert held.subscribes()[0].expires == 3600


def test_answers_to_a_dialog_that_is_over_are_ignored() -> None:
    held = established()
    old = held.one.dialog
    assert old is not None
    held.now += 40
    held.notify("terminated;reason=deactivated")
    held.due()
    held.respond(481, call_id=old.call_id)
    assert held.one.state is SubscriberState.NOTIFY_WAIT
    held.one.receive_response(response(200), held.now, half)
    held.respond(100)
    assert held.one.state is SubscriberState.NOTIFY_WAIT


def test_an_answer_when_there_is_no_dialog_is_ignored() -> None:
    held = Held()
    held.respond(500)
    at = held.one.timer_at
    held.respond(500, call_id="id2")
    assert (held.one.state, held.one.timer_at) == (SubscriberState.WAITING, at)


def test_a_subscribe_without_an_answer_is_tried_again_later() -> None:
    held = Held()
    held.one.receive_failure(held.now, half)
    assert held.one.state is SubscriberState.WAITING
    at = held.one.timer_at
    assert at == held.now + 0.75 * BACK_OFF
    held.one.receive_failure(held.now, half)  # Timer N was first
    assert (held.one.timer_at, held.one.failures) == (at, 1)


def test_a_200_that_was_lost_does_no_harm_if_the_notify_came() -> None:
    held = Held()
    held.notify()
    at = held.one.timer_at
    held.one.receive_failure(held.now, half)
    assert (held.one.state, held.one.timer_at) == (SubscriberState.ACTIVE, at)


# It is ended, by either side.


@pytest.mark.parametrize("reason", ["deactivated", "timeout"])
def test_a_subscription_that_was_deactivated_is_asked_for_at_once(reason: str) -> None:
    """
    A subscription that ended as deactivated is asked for again at once (6665-61, -62).
    """
    held = established()
    held.now += SOON + 1
    held.notify(f"terminated;reason={reason};expires=500")
    assert (held.one.state, held.one.dialog) == (SubscriberState.WAITING, None)
    assert held.one.timer_at == held.now
    held.due()
    held.notify()
    held.now += SOON
    held.notify(f"terminated;reason={reason}")
    assert held.one.timer_at is not None
    assert held.one.timer_at > held.now  # the second time within these seconds


@pytest.mark.parametrize("reason", ["probation", "giveup", "strange", ""])
def test_a_notifier_may_say_when_to_come_back(reason: str) -> None:
    """The retry-after of a final NOTIFY delays the next SUBSCRIBE (6665-63, -65)."""
    held = established()
    held.notify(
        f"terminated;reason={reason};retry-after=77" if reason else "terminated"
    )
    pause = 77 if reason else 0.75 * BACK_OFF
    assert held.one.timer_at == held.now + pause


@pytest.mark.parametrize(
    ("asked", "pause"),
    [(0, SHORTEST_WAIT), (1, 1), (3600, 3600), (3601, LONGEST_WAIT), (2**32 - 1, 3600)],
)
def test_a_notifier_cannot_keep_us_away_for_years(asked: int, pause: float) -> None:
    """6665-85: `retry-after` is bounded both ways (RFC 6665 §4.1.3)."""
    held = established()
    held.notify(f"terminated;reason=probation;retry-after={asked}")
    assert held.one.timer_at == held.now + pause


@pytest.mark.parametrize("reason", ["rejected", "noresource", "invariant"])
def test_a_notifier_that_does_not_want_us_is_seldom_asked(reason: str) -> None:
    """
    A subscription that was rejected is asked for again only after a long wait (6665-64,
    24341-02).
    """
    # A message server goes on watching
    held = established()
    held.notify(f"terminated;reason={reason}")
    assert held.one.timer_at == held.now + 0.75 * LONGEST_BACK_OFF


@pytest.mark.parametrize("reason", ["rejected", "noresource", "invariant"])
@pytest.mark.parametrize("first", [True, False])
def test_or_not_at_all_without_rearm(reason: str, first: bool) -> None:
    """A subscription without rearm is not asked for again (6665-64)."""
    held = Held(msgspec.structs.replace(WANTED, rearm=False))
    if not first:
        held.notify()
    held.notify(f"terminated;reason={reason};retry-after=5")
    assert held.one.state is SubscriberState.REFUSED
    assert (held.one.timer_at, held.has_dialog()) == (None, False)
    held.one.resume(flow(PEER), shift=0.0, at=held.now)  # but after a restart
    assert (held.one.state, held.one.timer_at) == (SubscriberState.WAITING, held.now)


def test_one_that_was_refused_needs_no_unsubscribing() -> None:
    held = Held(msgspec.structs.replace(WANTED, rearm=False))
    held.drafts()
    held.notify("terminated;reason=rejected")
    held.one.end(held.now)
    assert (held.drafts(), held.one.timer_at) == ([], None)
    assert held.one.state is SubscriberState.ENDED


def test_an_end_of_ours_waits_for_the_final_notify() -> None:
    """After an unsubscribe the final NOTIFY is awaited (6665-71, -73)."""
    held = established()
    held.one.end(held.now)
    (subscribe,) = held.subscribes()
    assert (subscribe.expires, subscribe.to.tag) == (0, "theirs")
    held.respond(200, "Expires: 0")
    held.notify("active;expires=0")
    assert held.has_dialog()
    assert held.one.timer_at == held.now + TIMER_N
    held.notify("terminated;reason=timeout")
    assert held.one.state is SubscriberState.ENDED
    assert not held.has_dialog()
    assert held.one.timer_at is None
    assert held.drafts() == []


def test_an_end_of_ours_is_over_at_timer_n_without_a_final_notify() -> None:
    held = established()
    held.one.end(held.now)
    held.now += TIMER_N
    held.due()
    assert (held.one.dialog, held.one.timer_at) == (None, None)


@pytest.mark.parametrize("status", [200, 423, 481, 500])
def test_an_end_of_ours_is_an_end_whatever_the_answer(status: int) -> None:
    """An unsubscribe ends the subscription whatever the response is (6665-71)."""
    held = established()
    held.one.end(held.now)
    held.drafts()
    held.respond(status)
    assert held.one.state is SubscriberState.ENDED
    assert held.one.timer_at == held.now + TIMER_N
    assert held.drafts() == []


def test_an_end_of_ours_that_nobody_answers_is_over() -> None:
    held = established()
    held.one.end(held.now)
    held.one.receive_failure(held.now, half)
    assert (held.one.dialog, held.one.timer_at) == (None, None)


def test_an_end_before_the_first_notify_ends_it_when_that_comes() -> None:
    """
    An unsubscribe before the first NOTIFY takes effect when that NOTIFY comes
    (6665-71).
    """
    held = Held()
    held.drafts()
    held.one.end(held.now)
    assert held.drafts() == []
    held.notify()
    assert [s.expires for s in held.subscribes()] == [0]


def test_an_end_while_nothing_is_asked_for_needs_no_words() -> None:
    held = Held()
    held.respond(500)
    held.drafts()
    held.one.end(held.now)
    assert (held.drafts(), held.one.timer_at) == ([], None)


# A restart.


def test_after_a_restart_it_continues_on_the_new_flow() -> None:
    held = established()
    way = Flow(Local(Transport.UDP, "192.0.2.1", 5099), ("192.0.2.2", 5060))
    held.one.resume(way, shift=-500.0, at=NOW - 400)
    assert held.one.expires_at == NOW + 3600 - 500
    assert held.one.timer_at == NOW - 400
    held.now = NOW - 400
    held.due()
    ((draft, by),) = held.one.drafts_to_send()
    assert received(draft).to.tag == "theirs"
    assert by == way


def test_after_a_restart_a_new_one_goes_by_the_new_way() -> None:
    held = Held()
    held.drafts()
    way = Flow(Local(Transport.UDP, "192.0.2.1", 5099), ("192.0.2.2", 5060))
    held.one.resume(way, shift=0.0, at=NOW)
    held.due()
    assert [by for _, by in held.one.drafts_to_send()] == [way]


def test_after_a_restart_a_host_name_is_reached_as_before_it() -> None:
    held = Held()
    held.notify(contact="<sip:notifier@peer.example.com>")
    held.drafts()
    held.one.resume(flow(("192.0.2.9", 5060)), shift=0.0, at=NOW)
    held.due()
    assert [by for _, by in held.one.drafts_to_send()] == [flow(PEER)]


@pytest.mark.parametrize(("age", "soon"), [(SOON, True), (SOON + 1, False)])
def test_the_time_before_a_restart_counts_as_well(age: float, soon: bool) -> None:
    held = established()
    held.one.resume(flow(PEER), shift=-500.0, at=NOW - 500)
    held.now = NOW - 500 + age
    held.due()
    held.notify("terminated;reason=deactivated")
    assert held.one.timer_at is not None
    assert (held.one.timer_at > held.now) is soon


@pytest.mark.parametrize("refreshing", [True, False])
def test_a_subscribe_of_before_the_restart_is_sent_once_more(refreshing: bool) -> None:
    held = established() if refreshing else Held()
    if refreshing:
        held.one.refresh(held.now)
    assert held.one.dialog is not None
    before = held.one.dialog.call_id
    held.one.resume(flow(PEER), shift=0.0, at=held.now)
    held.due()
    (subscribe,) = held.subscribes()
    assert subscribe.to.tag == ("theirs" if refreshing else "")
    assert (subscribe.call_id == before) is refreshing


def test_one_that_waited_waits_no_longer_after_a_restart() -> None:
    held = Held()
    held.respond(500)
    held.one.resume(flow(PEER), shift=0.0, at=held.now)
    assert (held.one.state, held.one.timer_at) == (SubscriberState.WAITING, held.now)


# It is elsewhere.


@pytest.mark.parametrize("status", [300, 301, 302])
def test_a_redirection_is_followed_once(status: int) -> None:
    """A redirection is followed once (6665-76)."""
    held = Held()
    held.drafts()
    held.respond(status, "Contact: <sip:other@192.0.2.77:5070>")
    ((draft, to),) = held.one.drafts_to_send()
    assert received(draft).uri == "sip:other@192.0.2.77:5070"
    assert received(draft).cseq.number == 2
    assert received(draft).expires == 3600
    assert to == Flow(LOCAL, ("192.0.2.77", 5070))
    held.respond(302, "Contact: <sip:third@192.0.2.78>")
    assert held.drafts() == []
    assert held.one.state is SubscriberState.WAITING


@pytest.mark.parametrize(
    ("status", "contact"),
    [
        (302, f"<{ALICE}>"),  # where we were
        (302, "<tel:+15551234>"),
        (302, "<sip:>"),
        (305, "<sip:proxy@192.0.2.77>"),
        (380, "<sip:other@192.0.2.77>"),
    ],
)
def test_a_target_that_leads_nowhere_is_a_failure(status: int, contact: str) -> None:
    """A redirection without a usable target is a failure (6665-76)."""
    held = Held()
    held.drafts()
    held.respond(status, f"Contact: {contact}")
    assert held.drafts() == []
    assert held.one.state is SubscriberState.WAITING


def test_a_redirection_without_a_contact_is_a_failure() -> None:
    held = Held()
    held.drafts()
    held.respond(302)
    assert held.one.state is SubscriberState.WAITING


def test_a_redirection_of_a_refresh_leaves_the_dialog_where_it_is() -> None:
    held = established()
    held.one.refresh(held.now)
    held.drafts()
    held.respond(302, "Contact: <sip:other@192.0.2.77:5070>")
    assert (held.one.state, held.drafts()) == (SubscriberState.ACTIVE, [])
    held.one.refresh(held.now)
    assert held.subscribes()[0].uri == "sip:notifier@192.0.2.2"


def test_the_first_subscribe_goes_by_the_way_that_is_configured() -> None:
    # Whatever the URI says: there may be a proxy between.
    wanted = Wanted(uri="sip:a@192.0.2.99", local="sip:b@x", event="reg", accept="a/b")
    ((_, by),) = Held(wanted).one.drafts_to_send()
    assert by == flow(PEER)


def test_a_route_that_a_later_notify_records_is_not_looked_at() -> None:
    """Record-Route in a later NOTIFY does not change the route set (6665-80)."""
    # 6665-80; RFC 3261 §12.2: the route set stays what it was.
    held = established()
    held.notify("active", "Record-Route: <sip:@@;lr>")
    held.one.refresh(held.now)
    assert "Route" not in held.subscribes()[0].headers


def test_the_wanted_subscription_is_read_back_as_written() -> None:
    for one in (Held().one, established().one):
        one.drafts_to_send()
        kept = msgspec.json.decode(msgspec.json.encode(one), type=HeldSubscription)
        assert kept == one


def test_a_notify_with_a_route_that_cannot_be_read_makes_no_dialog() -> None:
    held = Held()
    with pytest.raises(RemoteProtocolError):
        held.notify("active;expires=600", "Record-Route: <sip:@@;lr>")
    assert not held.one.is_established


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        ("60", 60.0),
        ("60 (moving);duration=9", 60.0),
        ("60;duration=9", 60.0),
        ("999999", LONGEST_WAIT),
        ("1", 0.75 * BACK_OFF),
        ("soon", 0.75 * BACK_OFF),
    ],
)
def test_a_notifier_that_says_when_to_ask_again_is_not_asked_before(
    value: str, pause: float
) -> None:
    """A Retry-After is respected before the next SUBSCRIBE (6665-27)."""
    # RFC 3261 §21.5.4: as a server answers that is leaving (6665-27) or full.
    held = Held()
    held.respond(503, f"Retry-After: {value}")
    assert held.one.state is SubscriberState.WAITING
    assert held.one.timer_at == held.now + pause


def test_nor_for_a_refresh_but_before_its_end() -> None:
    held = established()
    held.due()
    held.respond(503, "Retry-After: 600")
    assert (held.one.state, held.one.timer_at) == (
        SubscriberState.ACTIVE,
        held.now + 600,
    )
    held.one.expires_at = held.now + 100
    held.one.refresh(held.now)
    held.respond(503, "Retry-After: 3600")
    assert held.one.timer_at == held.now + 100


# What becomes of a dialog that is lost.


def test_a_subscription_that_lapses_is_begun_again_and_an_ended_one_is_not() -> None:
    held = established()
    held.one.lapse()
    assert held.one.state is SubscriberState.WAITING
    assert not held.has_dialog()

    ended = established()
    ended.one.end(ended.now)
    ended.one.lapse()
    assert ended.one.state is SubscriberState.ENDED
    assert ended.has_dialog()  # its final NOTIFY is still accepted


def test_a_peer_without_an_address_is_tried_again_after_growing_pauses() -> None:
    held, pauses = Held(), []
    for _ in range(3):
        held.one.unreachable(held.now, half)
        assert held.one.state is SubscriberState.WAITING
        assert not held.has_dialog()
        assert held.one.timer_at is not None
        pauses.append(held.one.timer_at - held.now)
        held.now = held.one.timer_at
        held.due()
    assert pauses == pytest.approx([1.5, 3.0, 6.0])


def test_a_notify_after_a_restart_does_not_postpone_the_refresh() -> None:
    """The refresh that brings what was missed comes when it was planned."""
    held = established()
    held.one.resume(flow(PEER), shift=0.0, at=NOW + 5)
    held.notify("active;expires=3500")
    assert held.one.timer_at == held.one.refresh_at == NOW + 5


def test_a_notify_after_a_failed_refresh_states_the_time_again() -> None:
    held = established()
    held.one.refresh(held.now)
    held.respond(500)
    held.notify("active;expires=1800")
    assert held.one.expires_at == NOW + 1800
    assert held.one.is_granted


def test_what_a_423_was_about_does_not_hide_what_is_granted_then() -> None:
    """The end that the refused SUBSCRIBE would have had is nobody's grant."""
    held = Held()
    held.respond(423, "Min-Expires: 7200")
    held.notify("active;expires=3600")
    assert held.one.is_granted
    assert held.one.timer_at == NOW + 3600 - 540


def test_a_time_that_is_stated_late_ends_the_asking_for_it() -> None:
    """6665-83: as soon as a NOTIFY states a time, it is refreshed by that."""
    held = Held()
    held.respond(200)
    held.notify("active")
    assert held.one.timer_at == NOW + 1.5
    held.notify("active;expires=600")
    assert held.one.timer_at == NOW + 600 - 270


def test_of_two_notifies_before_the_200_the_second_moves_no_refresh() -> None:
    held = established()
    held.one.refresh(held.now)
    held.notify("active;expires=600")
    planned = held.one.timer_at
    held.now += 100
    held.notify("active;expires=500")
    assert held.one.timer_at == planned


@pytest.mark.parametrize("granted", [2400, 600])
def test_a_200_that_comes_after_its_notify_and_grants_less_counts(granted: int) -> None:
    """What a refresh granted counts, whichever of the two comes first."""
    held = established()
    held.one.refresh(held.now)
    held.notify("active;expires=3000")
    held.respond(200, f"Expires: {granted}")
    assert held.one.expires_at == NOW + granted
    assert held.one.timer_at is not None and held.one.timer_at < NOW + granted


def test_a_notify_without_event_is_refused() -> None:
    """6665-57: 489, as one of another package."""
    with pytest.raises(Refusal) as caught:
        Held().notify(event="")
    assert caught.value.status == 489


def test_a_202_of_an_older_notifier_is_as_good_as_a_200() -> None:
    """6665-03: accepted from others, although RFC 6665 §8.3.1 has deprecated it."""
    held = Held()
    held.drafts()
    held.respond(202, "Expires: 600")
    held.notify("active;expires=600")
    assert held.one.expires_at == held.now + 600
    assert held.has_dialog()


def test_the_next_dialog_takes_the_flow_that_was_found() -> None:
    """Its Contact names the transport of that flow; no flow leaves it as it is."""
    held = established()
    held.one.take_flow(None)
    assert held.one.flow == flow(PEER) and held.one.wanted is WANTED
    held.one.take_flow(flow(PEER))
    assert held.one.wanted is WANTED
    stream = Flow(Local(Transport.TCP, "192.0.2.1", 5060), PEER)
    held.one.take_flow(stream)
    assert held.one.flow == stream
    held.one.lapse()
    held.due()
    ((draft, by),) = held.one.drafts_to_send()
    assert by == stream
    contact = received(draft).headers["Contact"]
    assert contact == ["<sip:b@192.0.2.1;transport=tcp>"]


def test_pauses_grow_to_the_longest_that_is_wanted() -> None:
    held = Held(msgspec.structs.replace(WANTED, longest_pause=4.0))
    pauses = []
    for _ in range(4):
        held.one.unreachable(held.now, half)
        assert held.one.timer_at is not None
        pauses.append(held.one.timer_at - held.now)
        held.now = held.one.timer_at
        held.due()
    assert pauses == pytest.approx([1.5, 3.0, 3.0, 3.0])
