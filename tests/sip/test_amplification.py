"""What is sent to an address that is not validated, and when (3261-170..175)."""

from __future__ import annotations

from itertools import count

import pytest

from reginfo.sip.amplification import WAITING, mandatory
from reginfo.sip.endpoint import Endpoint
from reginfo.sip.event import RequestReceived
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft, Response
from reginfo.sip.transport import TCP
from reginfo.sip.user import Nobody

from .messages import FLOW, OK, SERVER, answer, parsed, received, request

REQUEST = request()
ELSEWHERE = Flow(SERVER, ("198.51.100.7", 5060))


class Ours:
    """An endpoint whose datagrams pass the limit."""

    def __init__(self) -> None:
        numbers = count(1)
        self.endpoint = Endpoint(
            new_id=lambda: str(next(numbers)), methods=None, headers={}
        )

    def sent(self, now: float) -> list[bytes]:
        outbox = self.endpoint.datagrams_to_send()
        admitted = self.endpoint.admitted(outbox, now)
        self.endpoint.sent(outbox, now)
        return [datagram.data for datagram in admitted]

    def run(self, until: float) -> list[bytes]:
        """What is sent by timers until then."""
        out: list[bytes] = []
        while (at := self.endpoint.timer_at) is not None and at <= until:
            self.endpoint.timer_due(at)
            out += self.sent(at)
        return out

    def begin(
        self, method: str = "NOTIFY", *, cseq: int = 1, size: int = 0,
        flow: Flow = ELSEWHERE,
    ) -> None:  # fmt: skip
        head = (
            "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>;tag=2\r\nCall-ID: 1\r\n"
            f"CSeq: {cseq} {method}\r\n"
        )
        draft = Draft(method, "sip:b@198.51.100.7", head, b"x" * size)
        self.endpoint.send_request(draft, flow, Nobody())

    def answer(self, data: bytes, now: float, status: int = 200) -> None:
        self.endpoint.receive_datagram(answer(data, status, "X"), ELSEWHERE, now)


def methods(messages: list[bytes]) -> list[str]:
    return [message.split(b" ", 1)[0].decode() for message in messages]


def test_the_first_notify_of_a_dialog_is_the_probe_and_is_sent_once() -> None:
    """3261-172: its retransmissions wait, for 32 s and for ever"""
    ours = Ours()
    ours.begin()
    assert methods(ours.sent(0.0)) == ["NOTIFY"]
    assert ours.run(100.0) == []


@pytest.mark.parametrize(
    ("method", "cseq", "size"),
    [("NOTIFY", 1, 600), ("NOTIFY", 2, 0), ("MESSAGE", 1, 0), ("INVITE", 1, 1000)],
)
def test_before_anything_else_an_options_is_sent(
    method: str, cseq: int, size: int
) -> None:
    """3261-172, 3261-173: what waits follows the answer, whatever its status"""
    ours = Ours()
    ours.begin(method, cseq=cseq, size=size)
    (probe,) = ours.sent(0.0)
    assert methods([probe]) == ["OPTIONS"] and len(probe) <= 600
    assert parsed(probe).uri == "sip:198.51.100.7:5060"
    ours.answer(probe, 0.1, 501)
    assert methods(ours.sent(0.1)) == [method]
    # From now on it is retransmitted like any other.
    assert methods(ours.run(3.0))[:2] == [method, method]


def test_an_options_of_ours_is_a_probe_of_its_own() -> None:
    """3261-172"""
    ours = Ours()
    ours.begin("OPTIONS")
    (probe,) = ours.sent(0.0)
    assert parsed(probe).call_id == "1"


def test_of_several_requests_one_is_the_probe() -> None:
    """3261-172"""
    ours = Ours()
    for _ in range(3):
        ours.begin()
    assert methods(ours.sent(0.0)) == ["NOTIFY"]
    assert ours.run(31.0) == []


def test_a_request_that_is_over_does_not_follow() -> None:
    """3261-173"""
    ours = Ours()
    ours.begin("MESSAGE")
    (probe,) = ours.sent(0.0)
    ours.run(31.9)  # the probe was sent a little later than the request
    ours.begin("MESSAGE", cseq=2)
    ours.sent(31.9)
    ours.run(33.0)
    ours.begin("MESSAGE", cseq=3)
    ours.sent(33.0)
    assert probe
    ours.endpoint.prove(ELSEWHERE, 99.0)
    assert [parsed(one).cseq.number for one in ours.sent(33.0)] == [2, 3]


def test_of_very_many_that_wait_the_others_are_retransmitted_only() -> None:
    """Bounded memory; nothing is lost by it."""
    ours = Ours()
    for number in range(2, 2 * WAITING + 2):
        ours.begin(cseq=number)
    ours.sent(0.0)
    ours.endpoint.prove(ELSEWHERE, 99.0)
    assert len(ours.sent(0.1)) == WAITING
    assert len(ours.run(0.7)) == 2 * WAITING + 1  # and the probe


def test_what_came_from_an_address_pays_for_requests_and_their_repeats() -> None:
    """3261-170, 3261-173: retransmissions count"""
    ours = Ours()
    ours.begin()
    (notify,) = ours.endpoint.datagrams_to_send()
    ours.endpoint.sent([notify], 0.0)
    ours.endpoint.receive_datagram(b"x" * len(notify.data), ELSEWHERE, 0.0)
    ours.endpoint.admitted([notify], 0.0)
    assert len(ours.run(31.0)) == 2


@pytest.mark.parametrize(
    "source",
    [
        Flow(SERVER, ("198.51.100.8", 5060)),
        Flow(SERVER, ("198.51.100.7", 5061)),
        Flow(Local(TCP, "192.0.2.2", 5060), ("198.51.100.8", 5060)),
    ],
)
def test_a_response_counts_only_from_where_its_request_went(source: Flow) -> None:
    """3261-174: whoever guesses a branch validates nothing"""
    ours = Ours()
    ours.begin()
    (notify,) = ours.sent(0.0)
    ours.endpoint.receive_datagram(answer(notify), source, 0.1)
    assert ours.endpoint.events() == []
    assert not ours.endpoint.validation.is_validated(ELSEWHERE, 0.2)
    ours.answer(notify, 0.3)
    assert len(ours.endpoint.events()) == 1
    assert ours.endpoint.validation.is_validated(ELSEWHERE, 3600.0)


def test_a_response_by_another_connection_of_the_same_host_counts() -> None:
    """3261-174: a server may open a connection to respond (§18.2.2)"""
    ours = Ours()
    stream = Local(TCP, "192.0.2.2", 5060)
    ours.begin(flow=Flow(stream, ("198.51.100.7", 5060)))
    (notify,) = ours.sent(0.0)
    other = Flow(stream, ("198.51.100.7", 40000))
    ours.endpoint.receive_datagram(answer(notify), other, 0.1)
    assert len(ours.endpoint.events()) == 1


def test_a_response_again_goes_only_to_the_host_that_asks() -> None:
    """3261-175"""
    ours = Ours()
    ours.endpoint.receive_datagram(request(), FLOW, 0.0)
    answer_all(ours, OK)
    assert len(ours.sent(0.0)) == 1
    assert received(ours.endpoint, request(), ELSEWHERE) == []
    assert ours.sent(0.1) == []
    assert received(ours.endpoint, request(), FLOW) == []
    assert len(ours.sent(0.2)) == 1


def answer_all(ours: Ours, response: Response) -> None:
    for event in ours.endpoint.events():
        assert isinstance(event, RequestReceived)
        ours.endpoint.respond(event.transaction, response)


def respond(
    ours: Ours, response: Response, now: float = 0.0, data: bytes = REQUEST
) -> None:
    ours.endpoint.receive_datagram(data, FLOW, now)
    answer_all(ours, response)


def test_a_response_that_does_not_fit_is_cut_to_what_is_mandatory() -> None:
    """3261-173"""
    ours = Ours()
    response = Response.of(
        200, "OK", [("Contact", "<sip:a@b>;expires=9"), ("Date", "x" * 2000)]
    )
    respond(ours, response)
    (data,) = ours.sent(0.0)
    assert b"Contact: <sip:a@b>;expires=9\r\n" in data and b"Date" not in data
    assert len(data) <= 3 * len(request())


def test_a_response_that_cannot_be_cut_waits_for_repeats_or_a_validation() -> None:
    """3261-173: it is not lost"""
    ours = Ours()
    response = Response.of(200, "OK", [("Contact", "<sip:a@b>, " * 120)])
    respond(ours, response)
    assert ours.sent(0.0) == []
    assert received(ours.endpoint, request(), FLOW, 0.5) == []
    (data,) = ours.sent(0.5)
    assert data.count(b"<sip:a@b>") == 120
    ours = Ours()
    respond(ours, response, 1.0)
    assert ours.sent(1.0) == []
    ours.endpoint.prove(FLOW, 99.0)
    assert len(ours.sent(1.1)) == 1


def test_a_client_without_rport_gets_its_response_at_its_via() -> None:
    """3261-170: the port that is answered has sent nothing, but its host has"""
    ours = Ours()
    data = request(via="SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1")
    respond(ours, OK, data=data)
    assert len(ours.sent(0.0)) == 1


def test_a_malformed_request_is_answered_with_less_than_three_times() -> None:
    """3261-170, 3261-173"""
    for data in (
        b"REGISTER x SIP/2.0\r\nv:SIP/2.0/UDP h:1;branch=z9hG4bKqqqqqqq\r\n\r\n",
        b"REGISTER x SIP/2.0\r\nv:SIP/2.0/UDP h:1;rport;branch=z9hG4bKq\r\n\r\n",
        b"X\r\n\r\n",
    ):
        ours = Ours()
        ours.endpoint.receive_datagram(data, FLOW, 0.0)
        assert sum(map(len, ours.sent(0.0))) <= 3 * len(data)


@pytest.mark.parametrize(
    ("status", "kept"),
    [("200 OK", b"Contact"), ("405 No", b"Allow"), ("489 No", b"Allow-Events"),
     ("415 No", b"Accept"), ("401 No", b"WWW-Authenticate"), ("423 No", b"Min-Expires"),
     ("420 No", b"Unsupported")],
)  # fmt: skip
def test_what_a_status_requires_is_mandatory(status: str, kept: bytes) -> None:
    data = b"SIP/2.0 %b\r\nVia: v\r\n%b: x\r\nServer: y\r\n\r\nbody" % (
        status.encode(),
        kept,
    )
    if status == "200 OK":
        assert mandatory(data) == data  # its body may be the answer of an offer
        data = data.removesuffix(b"body")
    assert mandatory(data).split(b"\r\n")[1:] == [
        b"Via: v", kept + b": x", b"Content-Length: 0", b"", b"",
    ]  # fmt: skip
