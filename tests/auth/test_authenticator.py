"""Who is challenged, and who is let through."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.auth.account import Account, UsersUnavailable, new_account
from reginfo.auth.authenticator import PROXY, USER_AGENT, Authenticator
from reginfo.auth.credentials import Credentials
from reginfo.auth.digest import ha1
from reginfo.auth.failures import FREE
from reginfo.auth.parameters import parameters
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.message import Request

NOW, HERE = 1000.0, "192.0.2.50"
BOTH = ("SHA-256", "MD5")
ALICE = new_account("alice@example.com", "secret", algorithms=BOTH)


def authenticator(**others: object) -> Authenticator:
    accounts = {ALICE.name: ALICE}
    values: dict[str, object] = {
        "algorithms": BOTH,
        "realm": None,
        "key": b"key",
        "lifetime": 60.0,
    }
    return Authenticator(accounts.get, **values | others)  # type: ignore[arg-type]


def check(
    machine: Authenticator,
    *lines: str,
    now: float = NOW,
    status: int = USER_AGENT,
    source: str = HERE,
    body: bytes = b"",
    uri: str = "sip:example.com",
) -> Account | Refusal:
    request = Request("REGISTER", uri)
    request.body = body
    if lines:
        name = "Authorization" if status == USER_AGENT else "Proxy-Authorization"
        request.headers[name] = list(lines)
    try:
        return machine.check(
            request, domain="example.com", status=status, source=source, now=now
        )
    except Refusal as refusal:
        return refusal


def challenges(refused: Account | Refusal) -> list[dict[str, str]]:
    assert isinstance(refused, Refusal)
    return [parameters(value) for _, value in refused.headers]


def answer(
    challenge: dict[str, str],
    password: str = "secret",
    *,
    username: str = "alice",
    nc: int = 1,
    qop: str = "auth",
    body: bytes = b"",
    uri: str = "sip:example.com",
) -> str:
    algorithm, realm = challenge["algorithm"], challenge["realm"]
    given = Credentials(
        username, realm, challenge["nonce"], uri, "", algorithm, qop, "c", f"{nc:08x}"
    )
    request = Request("REGISTER", "sip:example.com")
    request.body = body
    secret = ha1(algorithm, username, realm, password)
    right = given.expected(secret, request, algorithm)
    return msgspec.structs.replace(given, response=right).write()


@pytest.mark.parametrize(
    ("status", "header"),
    [(USER_AGENT, "WWW-Authenticate"), (PROXY, "Proxy-Authenticate")],
)
def test_who_has_no_credentials_is_challenged(status: int, header: str) -> None:
    """8760-01, 8760-04, 3261-140: strongest first, each with a nonce"""
    refused = check(authenticator(), status=status)
    assert isinstance(refused, Refusal)
    assert refused.status == status
    assert [name for name, _ in refused.headers] == [header, header]
    first, second = challenges(refused)
    assert (first["algorithm"], second["algorithm"]) == BOTH
    assert first["realm"] == second["realm"] == "example.com"
    assert first["qop"] == second["qop"] == "auth,auth-int"
    assert first["nonce"] != second["nonce"]
    assert "stale" not in first


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("status", [USER_AGENT, PROXY])
def test_the_right_password_is_let_through(number: int, status: int) -> None:
    """3261-141"""
    machine = authenticator()
    challenge = challenges(check(machine, status=status))[number]
    assert check(machine, answer(challenge), status=status) == ALICE
    assert check(machine, answer(challenge, nc=2), status=status) == ALICE


def test_auth_int_protects_the_body() -> None:
    """8760-04"""
    machine = authenticator()
    (challenge, _) = challenges(check(machine))
    given = answer(challenge, qop="auth-int", body=b"x")
    assert check(machine, given, body=b"x") == ALICE
    given = answer(challenge, qop="auth-int", body=b"x", nc=2)
    assert isinstance(check(machine, given, body=b"y"), Refusal)


def test_a_replay_is_stale() -> None:
    """8760-05"""
    machine = authenticator()
    given = answer(challenges(check(machine))[0])
    assert check(machine, given) == ALICE
    assert {one["stale"] for one in challenges(check(machine, given))} == {"true"}


def test_a_nonce_of_before_a_restart_is_stale_once() -> None:
    """8760-05: the password is not asked for again, if it is right"""
    before, machine = authenticator(), authenticator(key=b"another")
    old = challenges(check(before))[0]
    (new, _) = challenges(check(machine, answer(old)))
    assert new["stale"] == "true"
    assert check(machine, answer(new)) == ALICE
    assert "stale" not in challenges(check(machine, answer(old, "wrong")))[0]


def test_an_old_nonce_is_stale() -> None:
    """8760-05"""
    machine = authenticator()
    old = challenges(check(machine))[0]
    late = NOW + 61
    (new, _) = challenges(check(machine, answer(old), now=late))
    assert new["stale"] == "true"
    assert check(machine, answer(new), now=late) == ALICE


def test_another_algorithm_than_offered_is_challenged_again() -> None:
    """8760-06: nobody can choose a weaker one"""
    machine = authenticator(algorithms=("SHA-256",))
    (challenge,) = challenges(check(machine))
    for other in ("MD5", "SHA-512-256"):
        refused = check(machine, answer({**challenge, "algorithm": other}))
        assert [one["algorithm"] for one in challenges(refused)] == ["SHA-256"]


def test_unknown_users_locked_ones_and_wrong_passwords_are_told_the_same() -> None:
    """3261-142: and the same is computed for each"""
    locked = msgspec.structs.replace(ALICE, name="bob@example.com", locked=True)
    other = msgspec.structs.replace(ALICE, name="carol@example.com", hashes={})
    accounts = {one.name: one for one in (ALICE, locked, other)}
    computed = []
    for user in ("alice", "bob", "carol", "nobody"):
        machine = Authenticator(
            accounts.get, algorithms=BOTH, realm=None, key=b"key", lifetime=60.0
        )
        challenge = challenges(check(machine))[0]
        refused = check(machine, answer(challenge, "wrong", username=user))
        assert isinstance(refused, Refusal)
        computed.append((refused.status, refused.reason, refused.headers))
        assert machine.failures.total == 1
    assert len({str(one) for one in computed}) == 1


def test_many_failures_block_that_user_at_that_source() -> None:
    """7616-07, 3261-142: the right password, too, and whoever does not exist"""
    machine = authenticator()
    challenge = challenges(check(machine))[0]
    for user in ("alice", "nobody"):
        for _ in range(FREE + 1):
            check(machine, answer(challenge, "wrong", username=user))
        refused = check(machine, answer(challenge, username=user))
        assert isinstance(refused, Refusal)
        assert (refused.status, refused.headers) == (403, (("Retry-After", "2"),))
    assert check(machine, answer(challenge), source="192.0.2.51") == ALICE
    assert check(machine, answer(challenge, nc=2), now=NOW + 2) == ALICE


def test_users_that_cannot_be_looked_up_are_503() -> None:
    """3261-143: never a loop of 401"""

    def fails(name: str) -> Account | None:
        raise UsersUnavailable("no answer")

    machine = Authenticator(
        fails, algorithms=BOTH, realm=None, key=b"key", lifetime=60.0
    )
    refused = check(machine, answer(challenges(check(machine))[0]))
    assert isinstance(refused, Refusal)
    assert (refused.status, dict(refused.headers)) == (503, {"Retry-After": "5"})
    assert machine.failures.total == 0


def test_credentials_of_another_request_uri_are_refused() -> None:
    """8760-07"""
    machine = authenticator()
    challenge = challenges(check(machine))[0]
    assert check(machine, answer(challenge, uri="sip:EXAMPLE.com")) == ALICE
    for uri in ("sip:example.org", "sip:bob@example.com", "%zz", ""):
        with pytest.raises(RemoteProtocolError):
            check(machine, answer(challenge, uri=uri, nc=2))


def test_hashes_of_another_realm_are_of_no_use() -> None:
    """8760-07"""
    machine = authenticator(realm="here")
    challenge = challenges(check(machine))[0]
    assert challenge["realm"] == "here"
    assert isinstance(check(machine, answer(challenge)), Refusal)
    mine = new_account(ALICE.name, "secret", algorithms=BOTH, realm="here")
    machine = Authenticator(
        {mine.name: mine}.get, algorithms=BOTH, realm="here", key=b"k", lifetime=60.0
    )
    assert check(machine, answer(challenges(check(machine))[0])) == mine


def test_a_response_that_is_no_text_is_wrong() -> None:
    machine = authenticator()
    challenge = challenges(check(machine))[0]
    given = answer(challenge)
    wrong = given.replace('response="', 'response="\udcff')
    assert isinstance(check(machine, wrong), Refusal)
