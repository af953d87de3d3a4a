"""A subscription of the command line: what ends it, and what does not."""

from __future__ import annotations

import pytest

from reginfo.agent.errors import NoAnswer, RequestRefused, WatchEnded
from reginfo.agent.watching import (
    Notification,
    Trouble,
    Unreadable,
    WatchEvent,
    Watching,
)
from reginfo.events.headers import SubscriptionState
from reginfo.events.subscribe import TIMER_N, Wanted
from reginfo.reg.document import Registration
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.flow import Flow
from reginfo.sip.message import Request, Response

from ..make import ALICE, NOW, PEER, flow, numbers, received, request, response

EMPTY = """\
<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="{version}" state="{state}">\
<registration aor="sip:alice@example.com" id="r" state="active">{contacts}\
</registration></reginfo>"""
CONTACT = """\
<contact id="{id}" state="active" event="registered" expires="60" callid="{id}" \
cseq="1"><uri>sip:{id}@192.0.2.9</uri></contact>"""


def document(*contacts: str, version: int = 0, state: str = "full") -> bytes:
    listed = "".join(CONTACT.format(id=id) for id in contacts)
    return EMPTY.format(version=version, state=state, contacts=listed).encode()


class Watcher:
    """Somebody who watches, and a notifier that does as the test says."""

    def __init__(self, expires: int = 3600) -> None:
        wanted = Wanted(
            uri=ALICE,
            local="sip:w@192.0.2.1",
            contact="sip:w@192.0.2.1;transport=tcp",
            event="reg",
            accept="application/reginfo+xml",
            expires=expires,
        )
        self.now = NOW
        self.cseq = 0
        self.watching = Watching(
            wanted, flow(PEER), new_id=numbers(), jitter=lambda: 0.5
        )
        self.watching.begin(self.now)
        (self.first,) = self.subscribes()

    def subscribes(self) -> list[Request]:
        sent = self.watching.drafts_to_send()
        assert {flow for _, flow in sent} <= {flow(PEER)}
        return [received(draft) for draft, _ in sent]

    def respond(self, status: int, *headers: str) -> None:
        answer = response(status, *headers, call_id=self.first.call_id)
        self.watching.receive_response(answer, self.now)

    def notify(
        self,
        body: bytes = b"",
        state: str = "active;expires=600",
        *,
        event: str = "reg",
        content_type: str = "application/reginfo+xml",
        cseq: int | None = None,
        contact: str = "<sip:192.0.2.2>",
        subscribe: Request | None = None,
    ) -> Response:
        self.cseq = self.cseq + 1 if cseq is None else cseq
        of = subscribe or self.first
        message = request(
            "NOTIFY",
            f"Event: {event}",
            f"Subscription-State: {state}",
            f"Contact: {contact}",
            *([f"Content-Type: {content_type}"] if body else []),
            cseq=self.cseq,
            call_id=of.call_id,
            from_=f"<{ALICE}>;tag=theirs",
            to=of.headers["From"][0],
            body=body,
        )
        assert self.watching.knows(message)
        return self.watching.receive_notify(message, self.now)

    def event(self) -> WatchEvent:
        (event,) = self.watching.events()
        return event

    def told(self) -> Notification:
        event = self.event()
        assert isinstance(event, Notification)
        return event

    def trouble(self) -> Trouble:
        *_, event = self.watching.events()
        assert isinstance(event, Trouble)
        return event

    def pass_time(self) -> None:
        """Until the timer."""
        assert self.watching.timer_at is not None
        self.now = self.watching.timer_at
        self.watching.timer_due(self.now)


def established() -> Watcher:
    watcher = Watcher()
    watcher.respond(200, "Expires: 3600")
    watcher.notify(document("a"))
    watcher.watching.events()
    return watcher


def test_from_is_the_watcher_and_contact_its_address() -> None:
    # RFC 3261 §19.1.1, table 1: no transport in From.
    subscribe = Watcher().first
    assert subscribe.from_.uri == "sip:w@192.0.2.1"
    assert subscribe.headers["Contact"] == ["<sip:w@192.0.2.1;transport=tcp>"]


def test_a_notify_is_reported_with_its_contents() -> None:
    watcher = Watcher()
    watcher.respond(200)
    assert watcher.notify(document("a", "b")).status == 200
    told = watcher.told()
    assert told.state == SubscriptionState("active", expires=600)
    assert told.cseq == 1
    assert told.document is not None
    (registration,) = told.document.registrations
    assert [contact.id for contact in registration.contacts] == ["a", "b"]
    assert (told.omitted, told.missed) == ((), False)


def test_a_notify_may_have_no_document() -> None:
    watcher = Watcher()
    assert watcher.notify(state="pending").status == 200
    told = watcher.told()
    assert (told.document, told.state.state) == (None, "pending")


def test_contacts_that_a_full_document_omits_are_reported() -> None:
    watcher = established()
    watcher.notify(document("b", version=1))
    assert [news.contact.id for news in watcher.told().omitted] == ["a"]


def test_after_a_lost_notify_the_full_state_is_requested() -> None:
    watcher = established()
    watcher.notify(document("b", version=2, state="partial"))
    assert watcher.told().missed
    (subscribe,) = watcher.subscribes()
    assert subscribe.expires == 3600


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"body": b"<reginfo"}, RemoteProtocolError),
        ({"body": b"x", "content_type": "text/plain"}, Refusal),
        ({"event": "presence"}, Refusal),
        ({"state": ""}, RemoteProtocolError),
    ],
)
def test_an_invalid_notify_is_reported_and_refused(
    arguments: dict[str, str], error: type[Exception]
) -> None:
    watcher = Watcher()
    with pytest.raises(error):
        watcher.notify(**arguments)  # type: ignore[arg-type]
    assert isinstance(watcher.event(), Unreadable)
    assert not watcher.watching.is_over
    assert watcher.notify(document()).status == 200


def test_a_notify_of_another_dialog_is_not_ours() -> None:
    watcher = Watcher()
    other = request("NOTIFY", call_id="other", to=watcher.first.headers["From"][0])
    assert not watcher.watching.knows(other)
    other = request("NOTIFY", call_id=watcher.first.call_id, to=f"<{ALICE}>;tag=x")
    assert not watcher.watching.knows(other)


# What ends it before it has begun.


def test_a_refusal_before_the_first_notify_is_the_end() -> None:
    watcher = Watcher()
    watcher.respond(100)
    assert not watcher.watching.is_over
    watcher.respond(489, "Allow-Events: presence")
    trouble = watcher.trouble()
    assert isinstance(trouble.error, RequestRefused)
    assert str(trouble.error) == "489 Some Reason (Allow-Events: presence)"
    assert trouble.again_in is None
    assert watcher.watching.is_over
    assert watcher.watching.timer_at is None


def test_an_interval_that_is_too_brief_is_requested_again_longer() -> None:
    watcher = Watcher(expires=60)
    watcher.respond(423, "Min-Expires: 600")
    (subscribe,) = watcher.subscribes()
    assert subscribe.expires == 600
    assert watcher.watching.events() == []


@pytest.mark.parametrize("accepted", [True, False])
def test_no_answer_before_the_first_notify_is_the_end(accepted: bool) -> None:
    watcher = Watcher()
    if accepted:
        watcher.respond(200)
        watcher.pass_time()
        assert watcher.now == NOW + TIMER_N
    else:
        watcher.watching.receive_failure("timeout", watcher.now)
    trouble = watcher.trouble()
    assert isinstance(trouble.error, NoAnswer)
    assert trouble.again_in is None
    assert watcher.watching.is_over


def test_before_its_time_nothing_is_due() -> None:
    watcher = Watcher()
    watcher.watching.timer_due(NOW + TIMER_N - 1)
    assert watcher.watching.events() == []
    assert watcher.subscribes() == []


# What does not end it afterwards.


def test_a_refused_refresh_is_reported_and_retried() -> None:
    watcher = established()
    watcher.pass_time()
    assert len(watcher.subscribes()) == 1
    watcher.respond(500)
    trouble = watcher.trouble()
    assert isinstance(trouble.error, RequestRefused)
    assert trouble.again_in and trouble.again_in > 0
    watcher.pass_time()
    assert len(watcher.subscribes()) == 1
    watcher.notify(document("a"), cseq=9)
    assert watcher.told().cseq == 9


@pytest.mark.parametrize("silent", ["subscribe", "notify"])
def test_a_refresh_without_an_answer_is_reported_and_retried(silent: str) -> None:
    watcher = established()
    watcher.pass_time()
    watcher.subscribes()
    if silent == "subscribe":
        watcher.watching.receive_failure("timeout", watcher.now)
    else:
        watcher.pass_time()
    assert isinstance(watcher.trouble().error, NoAnswer)
    watcher.pass_time()
    assert len(watcher.subscribes()) == 1


def test_a_failure_that_is_overtaken_by_a_notify_is_none() -> None:
    watcher = established()
    watcher.watching.receive_failure("timeout", watcher.now)
    assert watcher.watching.events() == []


def test_a_subscription_that_the_notifier_forgot_is_made_anew() -> None:
    watcher = established()
    watcher.notify(document("a", version=1))
    watcher.pass_time()
    watcher.subscribes()
    watcher.respond(481)
    assert isinstance(watcher.trouble().error, RequestRefused)
    watcher.pass_time()
    (subscribe,) = watcher.subscribes()
    assert subscribe.call_id != watcher.first.call_id
    # Versions begin again, and what is not in the new state has gone meanwhile.
    watcher.notify(document("b"), cseq=1, subscribe=subscribe)
    assert [news.contact.id for news in watcher.told().omitted] == ["a"]


@pytest.mark.parametrize("reason", ["deactivated", "timeout", "probation", None])
def test_a_subscription_that_its_notifier_ends_is_requested_again(
    reason: str | None,
) -> None:
    """A subscription that its notifier ended is made again (6665-62)."""
    watcher = established()
    watcher.now += 60
    end = "terminated" if reason is None else f"terminated;reason={reason}"
    watcher.notify(state=end)
    trouble = watcher.trouble()
    assert isinstance(trouble.error, WatchEnded)
    assert trouble.error.reason == reason
    assert trouble.again_in is not None
    # At once, where the notifier means to move it.
    assert (trouble.again_in == 0) is (reason in ("deactivated", "timeout"))
    watcher.pass_time()
    assert len(watcher.subscribes()) == 1


@pytest.mark.parametrize("reason", ["rejected", "noresource", "invariant"])
def test_a_notifier_that_wants_no_more_of_it_is_obeyed(reason: str) -> None:
    watcher = established()
    watcher.notify(state=f"terminated;reason={reason}")
    trouble = watcher.trouble()
    assert isinstance(trouble.error, WatchEnded)
    assert (trouble.error.reason, trouble.again_in) == (reason, None)
    assert watcher.watching.is_over


# Who has seen enough.


def test_it_is_over_when_the_last_notify_has_come() -> None:
    """A watch that is ended is over when the last NOTIFY has come (6665-71)."""
    watcher = established()
    watcher.watching.end(watcher.now)
    (subscribe,) = watcher.subscribes()
    assert subscribe.expires == 0
    watcher.respond(200)
    assert not watcher.watching.is_over
    watcher.notify(document("a", version=1), "terminated;reason=timeout")
    assert watcher.watching.is_over
    assert watcher.told().state.state == "terminated"


def test_without_a_last_notify_it_is_over_after_timer_n() -> None:
    watcher = established()
    watcher.watching.end(watcher.now)
    watcher.respond(200)
    watcher.pass_time()
    assert watcher.now == NOW + TIMER_N
    assert watcher.watching.is_over


def test_a_subscription_unknown_to_the_notifier_ends_at_once() -> None:
    for answered in (True, False):
        watcher = established()
        watcher.watching.end(watcher.now)
        if answered:
            watcher.respond(481)
        else:
            watcher.watching.receive_failure("timeout", watcher.now)
        assert watcher.watching.is_over
        assert watcher.watching.events() == []


def test_leaving_before_the_first_notify_takes_effect_when_it_arrives() -> None:
    watcher = Watcher()
    watcher.watching.end(watcher.now)
    assert watcher.subscribes() == []
    watcher.notify(document("a"))
    (subscribe,) = watcher.subscribes()
    assert subscribe.expires == 0
    assert not watcher.watching.is_over


def test_leaving_between_two_subscriptions_takes_effect_at_once() -> None:
    watcher = established()
    watcher.notify(state="terminated;reason=giveup")
    watcher.watching.end(watcher.now)
    assert watcher.watching.is_over


def test_a_fetch_is_over_with_its_one_notify() -> None:
    """A fetch is over with its one NOTIFY (6665-17)."""
    watcher = Watcher(expires=0)
    assert watcher.first.expires == 0
    watcher.respond(200, "Expires: 0")
    watcher.notify(document("a"), "terminated;reason=timeout")
    told = watcher.told()
    assert told.document is not None
    assert isinstance(told.document.registrations[0], Registration)
    assert watcher.watching.is_over


def test_a_notify_by_another_way_does_not_move_the_subscription() -> None:
    # A long NOTIFY comes by a stream of the notifier's own, where it takes no request.
    # Nor is a host name that the notifier calls itself looked for elsewhere.
    watcher = Watcher()
    watcher.notify(document("a"), contact="<sip:notifier.example.com>")
    watcher.watching.end(watcher.now)
    ((_, way),) = watcher.watching.drafts_to_send()
    assert way == Flow(flow(PEER).local, PEER)
