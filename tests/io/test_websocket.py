"""SIP over WebSocket (RFC 7118), between octets and messages: there is no socket."""

from __future__ import annotations

import pytest
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from reginfo.io.websocket import WebSocketFraming

MESSAGE = b"REGISTER sip:example.com SIP/2.0\r\nFrom: <sip:a@example.com>\r\n\r\n"
PAGE = "https://phone.example.com"


class Client:
    """A web page, or a program, before a server's side."""

    def __init__(
        self,
        *,
        origin: str | None = PAGE,
        origins: list[str] | None = [PAGE],  # noqa: B006
        subprotocols: tuple[str, ...] = ("sip",),
        max_message: int = 1000,
    ) -> None:
        self.server = WebSocketFraming(origins, max_message)
        self.protocol = ClientProtocol(
            parse_uri("wss://sip.example.com/"),
            origin=None if origin is None else Origin(origin),
            subprotocols=[Subprotocol(one) for one in subprotocols] or None,
        )
        self.protocol.send_request(self.protocol.connect())
        self.received: list[bytes] = []
        self.status = 0
        self.pass_on()

    def pass_on(self) -> list[bytes]:
        """Carry octets in both directions; return what the server receives."""
        messages = self.server.receive(b"".join(self.protocol.data_to_send()))
        self.hear(self.server.octets_to_send())
        return messages

    def hear(self, octets: bytes) -> None:
        self.protocol.receive_data(octets)
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.status = event.status_code
            elif isinstance(event, Frame) and event.opcode in (
                Opcode.TEXT, Opcode.BINARY,
            ):  # fmt: skip
                self.received.append(bytes(event.data))


def test_a_client_that_offers_sip_is_accepted() -> None:
    """7118-01"""
    client = Client()
    assert (client.status, client.protocol.subprotocol) == (101, "sip")
    assert client.server.is_open and client.server.error is None
    assert not client.protocol.extensions


@pytest.mark.parametrize("offered", [(), ("xmpp",), ("SIP",)])
def test_a_client_that_does_not_offer_sip_is_refused(offered: tuple[str, ...]) -> None:
    """7118-01"""
    client = Client(subprotocols=offered)
    assert client.status == 400
    assert not client.server.is_open
    assert "WebSocket refused: " in str(client.server.error)
    assert client.server.receive(b"more") == []


@pytest.mark.parametrize(
    ("origin", "origins", "status"),
    [
        (PAGE, [PAGE], 101),
        (PAGE, ["https://other.example", PAGE], 101),
        (PAGE, None, 101),
        (None, [PAGE], 101),  # a program, which could send any
        ("https://evil.example", [PAGE], 403),
        (PAGE + ":8443", [PAGE], 403),
        ("http://phone.example.com", [PAGE], 403),
        ("null", [PAGE], 403),
        (PAGE, [], 403),
    ],
)
def test_a_page_may_connect_if_its_origin_is_listed(
    origin: str | None, origins: list[str] | None, status: int
) -> None:
    """7118-02"""
    assert Client(origin=origin, origins=origins).status == status


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"426"),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", b""),
        (b"REGISTER sip:a SIP/2.0\r\n\r\n", b""),
        (b"\x16\x03\x01" * 100 + b"\r\n\r\n", b""),
    ],
)
def test_what_is_no_request_for_websocket_is_refused(
    request_: bytes, status: bytes
) -> None:
    server = WebSocketFraming([PAGE], 1000)
    assert server.receive(request_) == []
    assert server.error is not None
    assert status in server.octets_to_send().partition(b"\r\n")[0]


def test_a_request_in_pieces_is_waited_for() -> None:
    whole = Client()
    server = WebSocketFraming([PAGE], 1000)
    for octet in b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n":
        server.receive(bytes([octet]))
    assert server.error is None and not server.is_open
    assert whole.server.is_open


@pytest.mark.parametrize("binary", [False, True])
def test_a_message_is_a_message(binary: bool) -> None:
    """7118-03: text and binary; without Content-Length."""
    client = Client()
    send = client.protocol.send_binary if binary else client.protocol.send_text
    send(MESSAGE)
    send(MESSAGE)
    assert client.pass_on() == [MESSAGE, MESSAGE]


def test_a_message_may_come_in_fragments() -> None:
    client = Client()
    client.protocol.send_text(MESSAGE[:10], fin=False)
    assert client.pass_on() == []
    client.protocol.send_ping(b"between")
    client.protocol.send_continuation(MESSAGE[10:20], fin=False)
    client.protocol.send_continuation(MESSAGE[20:], fin=True)
    assert client.pass_on() == [MESSAGE]


def test_octets_of_a_frame_may_come_one_by_one() -> None:
    client = Client()
    client.protocol.send_text(MESSAGE)
    octets = b"".join(client.protocol.data_to_send())
    messages = [m for octet in octets for m in client.server.receive(bytes([octet]))]
    assert messages == [MESSAGE]


@pytest.mark.parametrize(
    ("message", "opcode"),
    [(MESSAGE, Opcode.TEXT), ("Größe".encode(), Opcode.TEXT), (b"\xff", Opcode.BINARY)],
)
def test_what_is_not_utf8_is_sent_as_binary(message: bytes, opcode: Opcode) -> None:
    """7118-04"""
    client = Client()
    octets = client.server.write(message)
    assert octets[0] & 0x0F == opcode
    client.hear(octets)
    assert client.received == [message]


def test_a_message_that_is_too_long_ends_the_connection() -> None:
    client = Client(max_message=100)
    client.protocol.send_text(b"x" * 101)
    assert client.pass_on() == []
    assert client.server.error is not None
    assert client.protocol.close_rcvd is not None
    assert client.protocol.close_rcvd.code == CloseCode.MESSAGE_TOO_BIG


def test_a_frame_against_the_protocol_ends_the_connection() -> None:
    client = Client()
    assert client.server.receive(b"\x81\x01a") == []  # not masked
    client.hear(client.server.octets_to_send())
    assert client.protocol.close_rcvd is not None
    assert client.protocol.close_rcvd.code == CloseCode.PROTOCOL_ERROR
    assert client.server.error is not None


def test_a_client_that_leaves_is_answered() -> None:
    client = Client()
    client.protocol.send_close(CloseCode.GOING_AWAY, "closed")
    client.pass_on()
    assert "the client left: 1001" in str(client.server.error)
    assert client.protocol.close_rcvd is not None
    assert not client.server.is_open


def test_a_server_that_stops_says_so() -> None:
    client = Client()
    client.server.close()
    client.hear(client.server.octets_to_send())
    assert client.protocol.close_rcvd is not None
    assert client.protocol.close_rcvd.code == CloseCode.GOING_AWAY


# Keep-alive.


def test_a_ping_of_rfc_5626_is_answered() -> None:
    """7118-06, 5626-06"""
    client = Client()
    client.protocol.send_text(b"\r\n\r\n")
    assert client.pass_on() == []
    assert client.received == [b"\r\n"]
    client.protocol.send_text(b"\r\n")
    assert client.pass_on() == [] and client.received == [b"\r\n"]


def test_a_ping_that_is_not_answered_until_the_next_is_noted() -> None:
    """7118-06"""
    client = Client()
    assert client.server.ping()
    client.hear(client.server.octets_to_send())
    client.pass_on()  # the pong
    assert client.server.ping()
    client.server.octets_to_send()
    assert not client.server.ping()


def test_an_unasked_pong_answers_no_ping() -> None:
    client = Client()
    assert client.server.ping()
    client.protocol.send_pong(b"other")
    client.pass_on()
    assert not client.server.ping()


def test_before_the_handshake_nobody_is_pinged() -> None:
    assert not WebSocketFraming(None, 1000).ping()
    server = WebSocketFraming(None, 1000)
    server.close()
    assert server.octets_to_send() == b""
