"""SIP over WebSocket on real sockets: another implementation of it, and a browser."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.authority import Authority
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode

from .phone import PATIENCE, Message, Phone, becomes
from .server import Server
from .web_phone import WebPhone

PAGE = "https://phone.example.com"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", params=["ws", "wss"])
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
) -> Iterator[Server]:
    """One server for all tests by WS, and one by WSS."""
    issued = authority.issue("127.0.0.1")
    made = Server(
        tmp_path_factory.mktemp(request.param),
        sections=[
            f'[tls]\ncertificate = "{issued.certificate}"\nkey = "{issued.key}"',
            f'[websocket]\norigins = ["{PAGE}"]',
        ],
        registrar=['connection_lost = "expire"'],
    )
    made.transports = ("udp", request.param)
    with made:
        yield made


@pytest.fixture
def trusting(server: Server, authority: Authority) -> ssl.SSLContext | None:
    if "wss" not in server.transports:
        return None
    return ssl.create_default_context(cafile=str(authority.path))


@pytest.fixture
def web(server: Server, trusting: ssl.SSLContext | None) -> Iterator[WebPhone]:
    with WebPhone(server.address, trusting=trusting, origin=PAGE) as phone:
        yield phone


def final(phone: Phone) -> Message:
    """The next final response."""
    while True:
        message = phone.receive(PATIENCE)
        assert message is not None
        if message.status >= 200:
            return message


def test_it_registers_and_is_reached_by_its_connection(
    server: Server, web: WebPhone
) -> None:
    """7118-01, 7118-03, 7118-05, 7118-07: it has no address that leads anywhere."""
    reply = web.register("ann", expires=600)
    assert reply["via"].startswith(f"SIP/2.0/{web.transport} {web.host}:1;")
    (binding,) = server.bindings("ann")
    assert binding["uri"] == web.contact("ann") and ".invalid;" in binding["uri"]
    received = binding["received"]
    assert received is not None
    assert received.endswith(f";transport={web.transport.lower()}")
    with Phone(server.address) as caller:
        caller.send(
            caller.request(
                "MESSAGE", caller.aor("ann"), to=f"<{caller.aor('ann')}>",
                call_id="m1", cseq=1, body=b"hello",
                headers=["Content-Type: text/plain"],
            )
        )  # fmt: skip
        message = web.incoming("MESSAGE")
    assert message.body == b"hello"
    via = message["via"]
    assert via.startswith(f"SIP/2.0/{web.transport} 127.0.0.1:{server.port};")


def test_it_is_notified_and_ends_its_subscription(
    server: Server, web: WebPhone
) -> None:
    """7118-07"""
    dialog = web.subscribe("bob")
    assert dialog.status == 200
    assert ";transport=ws" in dialog["contact"]
    assert web.notify()["event"] == "reg"
    with Phone(server.address) as phone:
        phone.register("bob", expires=600)
    assert b"sip:bob@" in web.notify().body
    assert web.resubscribe("bob", dialog, expires=0).status == 200


def test_a_dialog_leads_back_by_a_route_with_its_connection(
    server: Server, web: WebPhone
) -> None:
    """3261-164, 7118-07: two Record-Routes, and what follows is passed on by them."""
    web.register("cid", expires=600)
    with Phone(server.address) as caller:
        call = caller.request(
            "INVITE", caller.aor("cid"), to=f"<{caller.aor('cid')}>", call_id="i1",
            cseq=1, headers=[f"Contact: <sip:caller@{caller.place}>"],
        )  # fmt: skip
        caller.send(call)
        invite = web.incoming("INVITE")
        reply = final(caller)
        routes = reply.all("record-route")
        assert ", ".join(invite.all("record-route")) == ", ".join(routes)
        both = ", ".join(routes).split(", ")
        assert [";transport=ws" in one for one in both] == [True, False]
        bye = caller.request(
            "BYE", f"sip:cid@{web.place}", to=reply["to"], call_id="i1", cseq=2,
            headers=[f"Route: {', '.join(reversed(both))}"],
        )  # fmt: skip
        caller.send(bye)
        assert web.incoming("BYE")["call-id"] == "i1"
        assert final(caller).status == 200


def test_who_leaves_is_gone(server: Server, trusting: ssl.SSLContext | None) -> None:
    """7118-07: after a grace of 5 s, in which nobody reaches it either."""
    with WebPhone(server.address, trusting=trusting) as web:
        web.register("dot", expires=600)
    with Phone(server.address) as caller:
        assert caller.options("dot").status in (430, 480)
    becomes(lambda: server.contacts("dot"), set())


@pytest.mark.parametrize(
    ("origin", "subprotocols", "status"),
    [
        ("https://evil.example", ("sip",), 403),
        ("http://phone.example.com", ("sip",), 403),
        (PAGE, ("xmpp",), 400),
    ],
)
def test_others_are_refused(
    server: Server,
    trusting: ssl.SSLContext | None,
    origin: str,
    subprotocols: tuple[str, ...],
    status: int,
) -> None:
    """7118-01, 7118-02"""
    with pytest.raises(InvalidStatus) as caught:
        WebPhone(
            server.address, trusting=trusting, origin=origin, subprotocols=subprotocols
        )
    assert caught.value.response.status_code == status


def test_a_ping_is_answered(web: WebPhone) -> None:
    """7118-06: of WebSocket, and of RFC 5626"""
    assert web.web.ping().wait(10)
    web.send(b"\r\n\r\n")
    assert web.web.recv(10) == "\r\n"


def test_a_message_that_is_too_long_ends_its_connection_and_no_other(
    server: Server, web: WebPhone, trusting: ssl.SSLContext | None
) -> None:
    with WebPhone(server.address, trusting=trusting) as long:
        long.send(b"x" * ((1 << 20) + 1))
        assert long.is_closed()
        assert long.web.close_code == CloseCode.MESSAGE_TOO_BIG
    assert web.options().status == 200


def test_what_is_no_message_is_answered_and_hurts_nobody(web: WebPhone) -> None:
    web.send(b"hello")
    web.web.send(b"\xff\xfe\x00")
    assert web.options().status == 200


def test_a_server_that_stops_says_so(
    tmp_path: Path, server: Server, trusting: ssl.SSLContext | None
) -> None:
    with WebPhone(server.address, trusting=trusting) as web:
        web.register("eve", expires=600)
        server.terminate()
        assert web.is_closed()
        assert web.web.close_code == CloseCode.GOING_AWAY
    server.start()
    assert server.contacts("eve")
