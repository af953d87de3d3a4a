"""The entrance passes each event to its role, and handles it whole or not at all."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from reginfo.config.config import Config
from reginfo.sip.flow import Flow
from reginfo.sip.message import Draft, Request, Response
from reginfo.sip.moment import Moment
from reginfo.sip.parser import parse
from reginfo.sip.transaction import TIMER_F
from reginfo.testing import Script, Wire

from .scripted import ALICE, BOB, CONFIG, written

PEER = ("192.0.2.9", 5060)
DRAFT = Draft("OPTIONS", "sip:192.0.2.9", (
    "From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:192.0.2.9>\r\nCall-ID: 1\r\n"
    "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
))  # fmt: skip


class Asking:
    """Somebody who has sent a request, writes down what becomes of it, and may fail."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.wire = Wire()
        self.server = self.wire.serve(Config.parse(CONFIG))
        self.app = self.server.app
        self.heard: list[Any] = []
        local = self.server.locals[0]
        with self.app.turns.attempt():
            self.app.endpoint.send_request(DRAFT, Flow(local, PEER), self)
        self.app.turns.settle()
        self.wire.pass_time(0.01)

    def receive_response(self, response: Response, moment: Moment) -> None:
        self._hear((response.status, moment.now))

    def receive_failure(self, cause: str, moment: Moment) -> None:
        self._hear((cause, moment.now))

    def never_sent(self) -> None:
        raise AssertionError("it was sent")

    def _hear(self, what: Any) -> None:
        self.app.journal.write("test", "key", what, self.heard.remove, what)
        self.heard.append(what)
        if self.fails:
            raise ZeroDivisionError("a bug of ours")

    def answer(self, status: int) -> None:
        (asked,) = [parse(data) for data in self.wire.received(PEER)]
        assert isinstance(asked, Request)
        data = asked.write_response(Response(status, "Some"), to_tag="t")
        self.wire.send(data, PEER, self.server.address)


@pytest.mark.parametrize("status", [200, 404])
def test_a_response_goes_to_the_sender_of_the_request(status: int) -> None:
    asking = Asking()
    asking.answer(status)
    assert asking.heard == [(status, asking.wire.now)]


def test_a_timeout_goes_to_the_sender_of_the_request() -> None:
    """RFC 3261 §17.1.2.2: Timer F"""
    asking = Asking()
    asking.wire.pass_time(TIMER_F + 1)
    ((cause, at),) = asking.heard
    assert cause == "timeout" and at >= TIMER_F


def test_a_bug_undoes_its_changes_and_others_are_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asking = Asking(fails=True)
    with caplog.at_level(logging.ERROR):
        asking.answer(200)
    assert asking.heard == []
    assert [record.message for record in caplog.records] == ["! ResponseReceived"]
    other = Draft("OPTIONS", "sip:192.0.2.1", DRAFT.head)
    data = other.write("SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK1")
    asking.wire.send(data, ("192.0.2.8", 5060), asking.server.address)
    (answer,) = map(parse, asking.wire.received(("192.0.2.8", 5060)))
    assert isinstance(answer, Response) and answer.status == 200


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 299), ("SUBSCRIBE", 489)])
def test_a_request_goes_to_the_script_if_it_has_a_route_for_it(
    tmp_path: Path, method: str, status: int
) -> None:
    path = written(
        tmp_path / "routes.py",
        """
        @route.request("OPTIONS")
        def options(msg: Message) -> None:
            msg.send_reply(299, "Script")
        """,
    )
    response = Script(path).send(method, ALICE, "Event: none")
    assert response is not None and response.status == status


def test_a_route_that_cannot_be_read_is_answered_before_the_script_sees_it(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path / "routes.py",
        """
        @route.request()
        def main(msg: Message) -> None:
            msg.send_reply(299, "Script")
        """,
    )
    script = Script(path)
    for header, status in (("Route: <sip:p.example>", 299), ("Route: nonsense", 400)):
        response = script.send("MESSAGE", BOB, header)
        assert response is not None and response.status == status
