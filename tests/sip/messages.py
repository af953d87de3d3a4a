"""Messages for tests: a good request to begin with, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from reginfo.sip.endpoint import Endpoint
from reginfo.sip.event import RequestReceived
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft, Request, Response
from reginfo.sip.parser import parse
from reginfo.sip.transaction import Datagram, ServerTransaction
from reginfo.sip.transport import Transport

SERVER = Local(Transport.UDP, "192.0.2.2", 5060)
FLOW = Flow(SERVER, ("192.0.2.1", 9988))
"""The proxy of RFC 3581 §6, and the NAT in front of its client."""

METHODS = ("REGISTER", "SUBSCRIBE", "NOTIFY", "OPTIONS")
COMMON = {"Server": "reginfo"}

DRAFT = Draft("NOTIFY", "sip:w@192.0.2.1", "CSeq: 1 NOTIFY\r\nFrom: a\r\nTo: b\r\n"
    "Call-ID: c\r\n")  # fmt: skip
OK = Response(200, "OK")
TRYING = Response(100, "Trying")
UNAVAILABLE = Response(500, "Server Internal Error")


def message(start: str, lines: Iterable[str], body: bytes = b"") -> bytes:
    """A message of these lines, each without its end."""
    return "\r\n".join([start, *lines, "", ""]).encode() + body


def request(
    method: str = "REGISTER",
    uri: str = "sip:example.com",
    *,
    without: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
    body: bytes = b"",
    **headers: Any,
) -> bytes:
    """
    A good request, with other ``headers``: ``call_id`` is Call-ID, ``from_`` From.

    Args:
        without: names of headers that it lacks.
        more: further header lines.
    """
    fields = {
        "Via": "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK1",
        "Max-Forwards": "70",
        "From": "<sip:alice@example.com>;tag=a",
        "To": "<sip:alice@example.com>",
        "Call-ID": "c@192.0.2.1",
        "CSeq": f"1 {method}",
        "Contact": "<sip:alice@192.0.2.1:9988>",
        "Content-Length": str(len(body)),
    }
    names = {name.lower().replace("-", "_"): name for name in fields}
    for name, value in headers.items():
        fields[names[name.rstrip("_")]] = value
    lines = [f"{n}: {v}" for n, v in fields.items() if n not in without]
    return message(f"{method} {uri} SIP/2.0", [*lines, *more], body)


def parsed(data: bytes) -> Request:
    """``data``, which is a request."""
    result = parse(data)
    assert isinstance(result, Request)
    return result


def answer(data: bytes, status: int = 200, reason: str = "OK") -> bytes:
    """What the peer answers to a request of ours."""
    return parsed(data).write_response(Response(status, reason), to_tag="theirs")


def endpoint() -> Endpoint:
    """An endpoint whose identifiers are 1, 2, 3, ..."""
    numbers = count(1)
    return Endpoint(new_id=lambda: str(next(numbers)), methods=METHODS, headers=COMMON)


def serve(target: Endpoint, data: bytes, now: float = 0.0) -> ServerTransaction:
    """The transaction of a new request."""
    target.receive_datagram(data, FLOW, now)
    (event,) = target.events()
    assert isinstance(event, RequestReceived)
    transaction = event.transaction
    assert isinstance(transaction, ServerTransaction)
    return transaction


def flush(target: Endpoint, now: float) -> list[Datagram]:
    """Let all that waits go out."""
    datagrams = target.datagrams_to_send()
    target.sent(datagrams, now)
    return datagrams


def received(
    target: Endpoint, data: bytes, flow: Flow = FLOW, now: float = 0.0
) -> list[Request]:
    """The requests that ``target`` reports when it is given ``data``."""
    target.receive_datagram(data, flow, now)
    events = target.events()
    return [event.request for event in events if isinstance(event, RequestReceived)]


def answers(
    target: Endpoint, data: bytes, flow: Flow = FLOW, now: float = 0.0
) -> list[Response]:
    """The responses that ``target`` gives to ``data`` by itself."""
    assert received(target, data, flow, now) == []
    return [as_response(datagram) for datagram in target.datagrams_to_send()]


def as_response(datagram: Datagram) -> Response:
    """What a datagram says, which is a response."""
    result = parse(datagram.data)
    assert isinstance(result, Response)
    return result
