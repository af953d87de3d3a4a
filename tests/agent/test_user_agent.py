"""A user agent without sockets: datagrams in, datagrams out."""

from __future__ import annotations

from reginfo import __version__
from reginfo.agent import watching
from reginfo.agent.errors import NoAnswer
from reginfo.agent.user_agent import UserAgent
from reginfo.agent.watching import Notification, Trouble, Unreadable, Watching
from reginfo.events.subscribe import TIMER_N, Wanted
from reginfo.sip.message import Draft, Request, Response
from reginfo.sip.parser import parse

from ..make import ALICE, NOW, PEER, flow, moment, numbers

ASK = Draft(
    "REGISTER",
    "sip:example.com",
    f"From: <{ALICE}>;tag=t\r\nTo: <{ALICE}>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n",
)


class Desk:
    """A user agent, driven as a rim does, and what it sends and tells."""

    def __init__(self) -> None:
        self.now = NOW
        self.agent = UserAgent(numbers())
        self.answers: list[Response | NoAnswer] = []
        self.events: list[watching.WatchEvent] = []
        self.number = 0

    def settle(self) -> list[Request | Response]:
        endpoint = self.agent.endpoint
        for event in endpoint.events():
            self.agent.handle(event, moment(self.now))
        sent = endpoint.datagrams_to_send()
        endpoint.sent(sent, self.now)
        return [parse(datagram.data) for datagram in sent]

    def sent(self) -> Request:
        (message,) = self.settle()
        assert isinstance(message, Request)
        return message

    def ask(self) -> Request:
        self.agent.ask(ASK, flow(PEER), self.answers.append)
        return self.sent()

    def watch(self) -> Request:
        wanted = Wanted(uri=ALICE, local="sip:w@192.0.2.1", event="reg", accept="*/*")
        one = Watching(wanted, flow(PEER), new_id=numbers("w"), jitter=lambda: 0.5)
        self.agent.watch(one, self.events.append, self.now)
        return self.sent()

    def answer(self, request: Request, status: int) -> list[Request | Response]:
        data = request.write_response(Response(status, "Reason"), to_tag="theirs")
        self.agent.endpoint.receive_datagram(data, flow(PEER), self.now)
        return self.settle()

    def receive(
        self, method: str, subscribe: Request | None = None, body: str = ""
    ) -> Response:
        """Send it a request, a NOTIFY of what it has subscribed to perhaps."""
        self.number += 1
        of = subscribe
        lines = [
            f"{method} sip:w@192.0.2.1 SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKn{self.number}",
            f"From: <{ALICE}>;tag=theirs",
            f"To: {'<sip:w@h>;tag=no' if of is None else of.headers['From'][0]}",
            f"Call-ID: {'other' if of is None else of.call_id}",
            f"CSeq: {self.number} {method}",
            "Event: reg",
            "Subscription-State: active;expires=600",
            "Contact: <sip:192.0.2.2>",
            "Content-Type: application/reginfo+xml",
        ]
        data = "\r\n".join([*lines, "", body]).encode()
        self.agent.endpoint.receive_datagram(data, flow(PEER), self.now)
        responses = [m for m in self.settle() if isinstance(m, Response)]
        (answer,) = responses
        return answer

    def pass_time(self, seconds: float) -> list[Request | Response]:
        self.now += seconds
        self.agent.endpoint.timer_due(self.now)
        self.agent.timer_due(moment(self.now))
        return self.settle()


def test_a_request_names_its_sender() -> None:
    assert Desk().ask().headers["User-Agent"] == [f"reginfo/{__version__}"]


def test_a_final_response_is_reported_once() -> None:
    desk = Desk()
    request = desk.ask()
    desk.answer(request, 100)
    assert desk.answers == []
    desk.answer(request, 486)
    desk.answer(request, 486)
    (answer,) = desk.answers
    assert isinstance(answer, Response)
    assert answer.status == 486


def test_a_missing_response_is_reported_too() -> None:
    desk = Desk()
    desk.ask()
    for _ in range(40):
        desk.pass_time(1.0)
    (answer,) = desk.answers
    assert isinstance(answer, NoAnswer)
    assert str(answer) == "REGISTER got no answer (timeout)"


def test_options_is_answered() -> None:
    answer = Desk().receive("OPTIONS")
    assert answer.status == 200
    assert answer.headers["Allow"] == ["NOTIFY, OPTIONS"]


def test_a_notify_without_a_subscription_is_481() -> None:
    """A NOTIFY without a subscription is answered 481 (6665-56)."""
    desk = Desk()
    assert desk.receive("NOTIFY").status == 481
    desk.watch()
    assert desk.receive("NOTIFY").status == 481
    assert desk.events == []


def test_another_method_is_405() -> None:
    assert Desk().receive("INVITE").status == 405


def test_a_subscription_is_driven_by_messages_and_time() -> None:
    desk = Desk()
    subscribe = desk.watch()
    assert desk.agent.timer_at == NOW + TIMER_N
    desk.answer(subscribe, 200)
    assert desk.receive("NOTIFY", subscribe).status == 200
    (told,) = desk.events
    assert isinstance(told, Notification)
    assert desk.agent.timer_at is not None
    (refresh,) = desk.pass_time(desk.agent.timer_at - desk.now)
    assert isinstance(refresh, Request)
    assert refresh.call_id == subscribe.call_id
    desk.agent.stop_watching(desk.now)
    assert desk.sent().expires == 0


def test_a_notify_that_makes_no_sense_is_refused_and_told() -> None:
    desk = Desk()
    subscribe = desk.watch()
    assert desk.receive("NOTIFY", subscribe, "<reginfo").status == 400
    (event,) = desk.events
    assert isinstance(event, Unreadable)


def test_a_refused_subscription_is_told() -> None:
    desk = Desk()
    desk.answer(desk.watch(), 403)
    (event,) = desk.events
    assert isinstance(event, Trouble)
    assert str(event.error) == "403 Reason"
    assert desk.agent.timer_at is None


def test_an_agent_that_watches_nothing_has_nothing_to_stop() -> None:
    desk = Desk()
    assert desk.agent.timer_at is None
    desk.agent.stop_watching(desk.now)
    assert desk.pass_time(60) == []
