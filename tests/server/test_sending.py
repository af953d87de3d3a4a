"""Requests that a script sends, and the answers that it receives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from reginfo.location.binding import Binding
from reginfo.routing.target import Target
from reginfo.server.sending import OwnRequest, Sender
from reginfo.sip.endpoint import Endpoint
from reginfo.sip.flow import Flow
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.sip.uri import Uri

from ..make import ALICE, flow, moment, numbers


class Sending:
    """A sender, and the targets and the flow that the test gives it."""

    def __init__(
        self, *targets: Target, found: Flow | str | None = None, user: str = "x"
    ) -> None:
        self.endpoint = Endpoint(new_id=numbers("b"), methods=None, headers={})
        self.targets = list(targets)
        self.found = flow() if found is None else found
        self.asked: list[tuple[str, Binding | None]] = []
        self.sender = Sender(
            self.endpoint,
            targets=self.targets_of,
            flow=self.flow,
            new_id=numbers("id"),
            user_agent=user,
        )

    def targets_of(self, uri: Uri, binding: Binding | None) -> list[Target]:
        self.asked.append((uri.text, binding))
        return self.targets

    def flow(self, target: Target, found: Callable[[Flow | str], None]) -> None:
        found(self.found)

    def send(
        self,
        method: str = "MESSAGE",
        to: str = ALICE,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        from_: str | None = None,
    ) -> asyncio.Future[Response]:
        return self.sender.send(method, to, None, headers, body, from_)

    def sent(self) -> Request:
        (datagram,) = self.endpoint.datagrams_to_send()
        message = parse(datagram.data)
        assert isinstance(message, Request)
        return message


def target(route: tuple[str, ...] = ()) -> Target:
    return Target(Uri.parse("sip:alice@192.0.2.50"), route=route)


def test_a_request_goes_to_the_first_target_with_the_user_in_from() -> None:
    """RFC 3261 §8.1.1: the headers that any request has."""

    async def run() -> None:
        one = Sending(target(("<sip:p;lr>",)), target(), user="u/1")
        one.send(headers=[("content-type", "text/plain")], body=b"hello")
        request = one.sent()
        assert (request.method, request.uri) == ("MESSAGE", "sip:alice@192.0.2.50")
        assert request.headers["Route"] == ["<sip:p;lr>"]
        assert request.to.uri == request.from_.uri == ALICE
        assert request.headers["Max-Forwards"] == ["70"]
        assert request.headers["User-Agent"] == ["u/1"]
        assert request.headers["Content-Type"] == ["text/plain"]
        assert (request.cseq.number, request.body) == (1, b"hello")
        assert one.asked == [(ALICE, None)]

    asyncio.run(run())


def test_a_script_may_set_the_sender() -> None:
    async def run() -> None:
        one = Sending(target())
        one.send(from_="sip:operator@example.com")
        assert one.sent().from_.uri == "sip:operator@example.com"

    asyncio.run(run())


@pytest.mark.parametrize("method", ["INVITE", "ACK", "CANCEL", "a b", ""])
def test_a_method_that_is_not_a_single_request_is_refused(method: str) -> None:
    async def run() -> None:
        with pytest.raises(ValueError, match="cannot be sent"):
            Sending(target()).send(method)

    asyncio.run(run())


@pytest.mark.parametrize(
    "header",
    [
        ("Via", "x"), ("call-id", "x"), ("t", "x"), ("a b", "x"), ("", "x"),
        ("Subject", "a\r\nVia: b"), ("Subject", "a\0"),
    ],
)  # fmt: skip
def test_a_script_cannot_break_the_head_of_a_request(header: tuple[str, str]) -> None:
    """Bad input is normal input: no header is smuggled in by a value."""

    async def run() -> None:
        one = Sending(target())
        with pytest.raises(ValueError):
            one.send(headers=[header])
        assert one.endpoint.datagrams_to_send() == []

    asyncio.run(run())


@pytest.mark.parametrize("to", ["nonsense", "sip:a@b>", "sip:a@b\r\nVia: c"])
def test_text_that_is_not_a_uri_is_refused(to: str) -> None:
    async def run() -> None:
        with pytest.raises(ValueError):
            Sending(target()).send(to=to)

    asyncio.run(run())


def test_a_user_without_a_contact_is_answered_480() -> None:
    """RFC 3261 §21.4.18: 480, the user is not available."""

    async def run() -> None:
        answer = Sending().send()
        assert (await answer).status == 480

    asyncio.run(run())


def test_an_unreachable_target_is_answered_503(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        answer = Sending(target(), found="no such host").send()
        assert (await answer).status == 503

    asyncio.run(run())
    assert "MESSAGE to sip:alice@192.0.2.50: no such host" in caplog.text


@pytest.mark.parametrize(("cause", "status"), [("timeout", 408), ("refused", 503)])
def test_a_failure_is_a_response(cause: str, status: int) -> None:
    """RFC 3261 §8.1.3.1: a timeout counts as 408, an error as 503."""

    async def run() -> None:
        sent = OwnRequest(asyncio.get_running_loop().create_future())
        sent.receive_failure(cause, moment())
        assert (await sent.answer).status == status

    asyncio.run(run())


def test_only_the_first_final_response_is_the_answer() -> None:
    async def run() -> None:
        sent = OwnRequest(asyncio.get_running_loop().create_future())
        sent.receive_response(Response(180, "Ringing"), moment())
        assert not sent.answer.done()
        sent.receive_response(Response(200, "OK"), moment())
        sent.receive_response(Response(500, "Error"), moment())
        sent.never_sent()
        assert (await sent.answer).status == 200

    asyncio.run(run())


def test_a_request_that_was_undone_is_answered_503() -> None:
    async def run() -> None:
        sent = OwnRequest(asyncio.get_running_loop().create_future())
        sent.never_sent()
        assert (await sent.answer).status == 503

    asyncio.run(run())
