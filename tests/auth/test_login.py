"""Answers challenges as a client; the other side is our own authenticator."""

from __future__ import annotations

import pytest

from reginfo.auth.account import new_account
from reginfo.auth.authenticator import PROXY, USER_AGENT, Authenticator
from reginfo.auth.digest import ALGORITHMS
from reginfo.auth.login import REALMS, Login, Tried
from reginfo.auth.parameters import parameters
from reginfo.sip.errors import Refusal
from reginfo.sip.message import Request, Response

URI = "sip:example.com"


def login(password: str = "secret") -> Login:
    numbers = iter(range(100))
    return Login("alice", password, lambda: f"c{next(numbers)}")


def server(*algorithms: str, key: bytes = b"key") -> Authenticator:
    alice = new_account("alice@example.com", "secret", algorithms=ALGORITHMS)
    return Authenticator(
        {alice.name: alice}.get,
        algorithms=algorithms or ALGORITHMS,
        realm=None,
        key=key,
        lifetime=60.0,
    )


def ask(
    machine: Authenticator, lines: str, *, status: int = USER_AGENT, now: float = 0.0
) -> Response:
    """Send a request with header ``lines``."""
    request = Request("PUBLISH", URI)
    request.body = b"x"
    for line in lines.splitlines():
        name, _, value = line.partition(": ")
        request.headers.setdefault(name, []).append(value)
    try:
        machine.check(
            request, domain="example.com", status=status, source="here", now=now
        )
    except Refusal as refusal:
        return Response.of(refusal.status, refusal.reason, refusal.headers)
    return Response(200, "OK")


def sent(
    client: Login, machine: Authenticator, *, status: int = USER_AGENT, now: float = 0.0
) -> list[int]:
    """Send one request until it is not to be sent again; what it was answered."""
    tried: Tried = set()
    got: list[int] = []
    while len(got) < 10:
        lines = client.headers("PUBLISH", URI, b"x")
        response = ask(machine, lines, status=status, now=now)
        got.append(response.status)
        if not client.receive(response, tried):
            break
    return got


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("status", [USER_AGENT, PROXY])
def test_a_challenge_is_answered_and_the_nonce_is_used_again(
    algorithm: str, status: int
) -> None:
    """3903-08, 6665-20, 3261-144"""
    client, machine = login(), server(algorithm)
    assert sent(client, machine, status=status) == [status, 200]
    assert sent(client, machine, status=status) == [200]
    assert sent(client, machine, status=status) == [200]
    assert machine.challenged == 1


def test_a_wrong_password_is_tried_once() -> None:
    """6665-75, 3261-144: at most one retry for each nonce"""
    client, machine = login("wrong"), server()
    assert sent(client, machine) == [401, 401]
    assert machine.failures.total == 1


def test_a_stale_nonce_is_replaced() -> None:
    """8760-05: whether after its lifetime or after a restart of the server"""
    client, machine = login(), server()
    assert sent(client, machine) == [401, 200]
    assert sent(client, machine, now=61.0) == [401, 200]
    assert sent(client, server(key=b"another")) == [401, 200]


def test_a_server_that_always_says_stale_is_asked_twice() -> None:
    """3261-144: no endless loop"""
    client = login()
    tried: Tried = set()
    again = Response(401, "Unauthorized")
    again.headers["WWW-Authenticate"] = ['Digest realm="r", nonce="n", stale=true']
    assert client.receive(again, tried)
    assert not client.receive(again, tried)


def test_opaque_is_returned_and_several_realms_are_answered() -> None:
    """8760-05, 3261-144"""
    client = login()
    response = Response(407, "Proxy Authentication Required")
    response.headers["Proxy-Authenticate"] = [
        'Digest realm="a", nonce="n", opaque="o", qop="auth"',
        'Digest realm="b", nonce="m"',
    ]
    assert client.receive(response, set())
    first, second = client.headers("PUBLISH", URI).splitlines()
    given = parameters(first.partition(": ")[2])
    assert (given["realm"], given["opaque"], given["nc"]) == ("a", "o", "00000001")
    given = parameters(second.partition(": ")[2])
    assert (given["realm"], given.get("qop"), given.get("opaque")) == ("b", None, None)
    again = client.headers("PUBLISH", URI).splitlines()[0]
    assert parameters(again.partition(": ")[2])["nc"] == "00000002"


def test_nothing_is_answered_but_a_challenge() -> None:
    client = login()
    for response in (
        Response(200, "OK"),
        Response(403, "Forbidden"),
        Response(401, "Unauthorized"),
        Response(401, "Unauthorized", {"WWW-Authenticate": ["Basic realm=x"]}),
    ):
        assert not client.receive(response, set())
    assert client.headers("PUBLISH", URI) == ""


def test_the_password_is_not_shown_and_memory_is_bounded() -> None:
    """sec-06"""
    client = login()
    assert "secret" not in repr(client)
    for number in range(REALMS + 5):
        challenge = f'Digest realm="r{number}", nonce="n"'
        response = Response(401, "", {"WWW-Authenticate": [challenge]})
        assert client.receive(response, set())
    assert len(client.headers("PUBLISH", URI).splitlines()) == REALMS
    assert "secret" not in client.headers("PUBLISH", URI)
