"""A user agent on its rim, with a simulated wire instead of sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest

from reginfo.agent.agent import ATTEMPTS, Agent
from reginfo.agent.errors import NoAnswer, RequestRefused, Unreachable
from reginfo.agent.target import ServerAddress
from reginfo.agent.watching import Notification
from reginfo.auth.credentials import credentials_for
from reginfo.auth.digest import ha1
from reginfo.config.address import ListenAddress
from reginfo.io.network import Network, StartError
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

SERVER = ("192.0.2.1", 5060)
ALICE = Uri.parse("sip:alice@example.com")
CONTACT = "<sip:alice@192.0.2.50>"
OK = Response(200, "OK")

T = TypeVar("T")
Peer = Callable[[Request], Sequence[Response | bytes]]
"""Returns what a server answers, and what else it sends."""


class Wire:
    """An address of the agent; what it sends, a peer answers at once."""

    def __init__(self, local: Local, rim: Any, peer: Peer) -> None:
        self.local, self.rim, self.peer = local, rim, peer
        self.sent: list[bytes] = []

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...

    def send(self, datagram: Datagram) -> None:
        self.sent.append(datagram.data)
        message = parse(datagram.data)
        if not isinstance(message, Request):
            return
        for one in self.peer(message):
            data = (
                message.write_response(one, to_tag="theirs")
                if isinstance(one, Response)
                else one
            )
            asyncio.get_running_loop().call_soon(self.receive, data)

    def receive(self, data: bytes) -> None:
        self.rim.receive(data, Flow(self.local, SERVER))
        self.rim.settle()


class Wires:
    """The addresses that the network of an agent binds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
        self.made: list[Wire] = []
        self.taken = 0
        "How often the port is not free."

        def listen(network: Any, addresses: Sequence[ListenAddress]) -> None:
            (one,) = addresses
            if one.transport is Transport.UDP and self.taken:
                self.taken -= 1
                raise StartError(f"{one}: Address already in use")
            local = Local(one.transport, "192.0.2.50", one.port or 40_000)
            wire = Wire(local, network._rim, peer)
            network._rim.add(wire)
            self.made.append(wire)

        async def find(address: ServerAddress) -> tuple[str, int]:
            return SERVER

        monkeypatch.setattr(Network, "listen", listen)
        monkeypatch.setattr(ServerAddress, "find", find)
        monkeypatch.setattr("reginfo.agent.agent.own_host", lambda server: "192.0.2.50")

    def sent(self) -> list[Request]:
        """The requests that the agent has sent, in order."""
        found = [parse(data) for wire in self.made for data in wire.sent]
        return [one for one in found if isinstance(one, Request)]


def talk(
    conversation: Callable[[Agent], Awaitable[T]],
    transport: Transport = Transport.UDP,
    timeout: float = 5.0,
) -> T:
    async def run() -> T:
        target = ServerAddress("192.0.2.1", 5060, transport)
        async with Agent(target, timeout=timeout) as agent:
            return await conversation(agent)

    return asyncio.run(run())


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_contact_is_registered(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 3261 §10.2: the 200 lists what is registered now."""

    def peer(request: Request) -> list[Response]:
        return [Response(200, "OK", {"Contact": [f"{CONTACT};expires=60"]})]

    wires = Wires(monkeypatch, peer)
    (found,) = talk(lambda agent: agent.register(ALICE, CONTACT, 60), transport)
    assert (found.uri, found.expires) == ("sip:alice@192.0.2.50", 60)
    (request,) = wires.sent()
    assert (request.method, request.uri) == ("REGISTER", "sip:example.com")
    assert request.via.transport == transport


def test_one_port_is_bound_for_both_transports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 3261 §18.1.1: what is long may come by TCP."""
    wires = Wires(monkeypatch, lambda request: [OK])
    wires.taken = 1
    talk(lambda agent: agent.register(ALICE, None, None))
    tcp, udp = (wire.local for wire in wires.made[-2:])
    assert (tcp.transport, udp.transport) == (Transport.TCP, Transport.UDP)
    assert tcp.port == udp.port


def test_without_a_free_port_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = Wires(monkeypatch, lambda request: [OK])
    wires.taken = ATTEMPTS
    with pytest.raises(NoAnswer, match="no local port"):
        talk(lambda agent: agent.register(ALICE, None, None))
    assert wires.sent() == []


def test_a_refusal_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    Wires(monkeypatch, lambda request: [Response(403, "Forbidden")])
    with pytest.raises(RequestRefused, match="403 Forbidden"):
        talk(lambda agent: agent.register(ALICE, CONTACT, 60))


def test_the_error_names_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    Wires(monkeypatch, lambda request: [])
    with pytest.raises(NoAnswer, match=r"192\.0\.2\.1:5060 .*no answer within 0\.01 s"):
        talk(lambda agent: agent.register(ALICE, CONTACT, 60), timeout=0.01)


def test_the_error_names_an_unreachable_server(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = Wires(monkeypatch, lambda request: [])

    async def refused(agent: Agent) -> None:
        task = asyncio.ensure_future(agent.register(ALICE, CONTACT, 60))
        await asyncio.sleep(0)
        wire = next(one for one in wires.made if one.sent)
        agent._rim.unreachable(
            wire.sent[0], Flow(wire.local, SERVER), "connection refused"
        )
        agent._rim.settle()
        await task

    with pytest.raises(Unreachable, match=r"192\.0\.2\.1:5060: connection refused"):
        talk(refused)


def test_a_state_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 3903 §4.1: the entity-tag names the publication."""

    def peer(request: Request) -> list[Response]:
        return [Response(200, "OK", {"SIP-ETag": ["e1"], "Expires": ["60"]})]

    wires = Wires(monkeypatch, peer)
    result = talk(lambda agent: agent.publish(ALICE, body=b"<reginfo/>", expires=60))
    assert result.etag == "e1"
    (request,) = wires.sent()
    assert (request.method, request.body) == ("PUBLISH", b"<reginfo/>")


def notify(request: Request, state: str) -> bytes:
    """The NOTIFY that follows a SUBSCRIBE."""
    lines = [
        "NOTIFY sip:reginfo@192.0.2.50:40000 SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{state.partition(';')[0]}",
        f"From: <{ALICE.text}>;tag=theirs",
        f"To: {request.headers['From'][0]}",
        f"Call-ID: {request.call_id}",
        f"CSeq: {1 if state.startswith('active') else 2} NOTIFY",
        "Contact: <sip:192.0.2.1>",
        "Event: reg",
        f"Subscription-State: {state}",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_subscription_yields_events_until_it_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 6665 §4.1: who has seen enough ends the subscription."""

    def peer(request: Request) -> list[Response | bytes]:
        if request.method != "SUBSCRIBE":
            return []
        leaves = request.headers["Expires"] == ["0"]
        state = "terminated;reason=timeout" if leaves else "active;expires=60"
        accepted = Response(
            200, "OK", {"Expires": ["60"], "Contact": ["<sip:192.0.2.1>"]}
        )
        return [accepted, notify(request, state)]

    wires = Wires(monkeypatch, peer)

    async def watch(agent: Agent) -> list[str]:
        seen = []
        events = agent.watch(ALICE, expires=60)
        async for event in events:
            seen.append(type(event).__name__)
            if isinstance(event, Notification):
                break
        await events.aclose()
        return seen

    assert "Notification" in talk(watch)
    expires = [
        one.headers["Expires"] for one in wires.sent() if one.method == "SUBSCRIBE"
    ]
    assert expires == [["60"], ["0"]]


def challenged(request: Request, *, password: str = "secret") -> list[Response | bytes]:
    """What a server answers that asks for the password of alice."""
    response = Response(401, "Unauthorized")
    response.headers["WWW-Authenticate"] = [
        'Digest realm="example.com", nonce="n", algorithm=SHA-256, qop="auth"'
    ]
    given = credentials_for(request, "Authorization", "example.com")
    if given is None:
        return [response]
    secret = ha1("SHA-256", "alice", "example.com", password)
    is_right = given.expected(secret, request, "SHA-256") == given.response
    return [OK if is_right else response]


@pytest.mark.parametrize("password", ["secret", "wrong"])
def test_a_challenge_is_answered_once(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3903-08, 6665-75: with the next CSeq, and not again if the password is wrong"""
    wires = Wires(monkeypatch, challenged)

    async def run() -> object:
        target = ServerAddress("192.0.2.1", 5060, Transport.UDP)
        async with Agent(target, user="alice", password=password) as agent:
            return await agent.register(ALICE, CONTACT, 60)

    if password == "secret":
        assert asyncio.run(run()) == []
    else:
        with pytest.raises(RequestRefused, match="401"):
            asyncio.run(run())
    asked = wires.sent()
    assert {one.cseq.number for one in asked} == {1, 2}
    assert len({one.call_id for one in asked}) == 1


def test_without_a_user_a_challenge_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wires = Wires(monkeypatch, challenged)
    with pytest.raises(RequestRefused, match="401"):
        talk(lambda agent: agent.register(ALICE, CONTACT, 60))
    assert {one.cseq.number for one in wires.sent()} == {1}
