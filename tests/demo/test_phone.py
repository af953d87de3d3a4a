"""The phone of the demonstration: it registers, and tries again."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from reginfo.demo.phone import Phone, RegistrationFailed
from reginfo.sip.message import Request
from reginfo.sip.parser import parse

Answer = Callable[[bytes], list[bytes | Exception]]
REGISTRAR = ("192.0.2.1", 5060)


def answer(data: bytes, status: str = "200 OK") -> bytes:
    """What a registrar answers."""
    request = parse(data)
    assert isinstance(request, Request)
    return f"SIP/2.0 {status}\r\nCSeq: {request.headers['CSeq'][0]}\r\n\r\n".encode()


class Socket:
    """A socket without a network, whose peer answers as the test says."""

    def __init__(self, answers: Answer) -> None:
        self.answers = answers
        self.sent: list[bytes] = []
        self.waiting: list[bytes | Exception] = []
        self.timeouts: list[float] = []
        self.closed = False

    def bind(self, address: tuple[str, int]) -> None: ...

    def connect(self, address: tuple[str, int]) -> None:
        assert address == REGISTRAR

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 40_000)

    def send(self, data: bytes) -> None:
        self.sent.append(data)
        self.waiting = self.answers(data)

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(seconds)

    def recv(self, size: int) -> bytes:
        if not self.waiting:
            raise TimeoutError
        found = self.waiting.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        self.closed = True


def phone(monkeypatch: pytest.MonkeyPatch, answers: Answer) -> tuple[Phone, Socket]:
    line = Socket(answers)
    monkeypatch.setattr(socket, "socket", lambda *kind: line)
    return Phone("alice", "example.com", REGISTRAR), line


def test_a_phone_registers_its_own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 3261 §10.2"""
    one, line = phone(monkeypatch, lambda data: [answer(data)])
    with one:
        one.register(600)
        one.register(0)
    first, second = (parse(data) for data in line.sent)
    assert isinstance(first, Request) and isinstance(second, Request)
    assert first.headers["Contact"] == [f"<{one.contact}>;expires=600"]
    assert first.to.uri == one.aor == "sip:alice@example.com"
    assert second.headers["Contact"] == [f"<{one.contact}>;expires=0"]
    assert (first.cseq.number, second.cseq.number) == (1, 2)
    assert first.headers["Call-ID"] == second.headers["Call-ID"]
    assert line.closed


@pytest.mark.parametrize("lost", [TimeoutError(), ConnectionRefusedError()])
def test_a_request_that_is_lost_is_sent_again(
    lost: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 3261 §17.1.2.1: after T1, then after twice as long."""
    tries: list[bytes] = []

    def answers(data: bytes) -> list[bytes | Exception]:
        tries.append(data)
        return [answer(data)] if len(tries) == 3 else [lost]

    one, line = phone(monkeypatch, answers)
    one.register(600)
    assert tries[0] == tries[1] == tries[2]
    assert line.timeouts == [0.5, 1.0, 2.0]


def test_a_late_answer_to_an_earlier_request_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, line = phone(monkeypatch, lambda data: [answer(data)])
    one.register(600)
    (first,) = line.sent
    late = [answer(first)]
    line.answers = lambda data: [late.pop()] if late else [answer(data)]
    one.register(0)
    assert len(line.sent) == 3


def test_a_refusal_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = phone(monkeypatch, lambda data: [answer(data, "403 Forbidden")])
    with pytest.raises(RegistrationFailed, match="403 Forbidden"):
        one.register(600)


def test_the_phone_gives_up_on_a_silent_registrar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, _ = phone(monkeypatch, lambda data: [])
    times = iter(range(100))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(times)))
    with pytest.raises(RegistrationFailed, match="no answer to REGISTER within 5 s"):
        one.register(600)
