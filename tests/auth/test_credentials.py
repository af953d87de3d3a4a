"""The credentials of a request."""

from __future__ import annotations

import pytest

from reginfo.auth.credentials import NEEDED, Credentials, credentials_for
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.message import Request

GIVEN = Credentials(
    username="alice",
    realm="example.com",
    nonce="n",
    uri="sip:example.com",
    response="ab",
    algorithm="SHA-256",
    qop="auth",
    cnonce="c",
    nc="0000000a",
)


def request(*lines: str) -> Request:
    made = Request("REGISTER", "sip:example.com")
    made.headers["Authorization"] = list(lines)
    return made


def found(*lines: str) -> Credentials | None:
    return credentials_for(request(*lines), "Authorization", "example.com")


def test_what_is_written_is_read_again() -> None:
    """7616-02"""
    assert found(GIVEN.write()) == GIVEN
    assert GIVEN.count == 10


def test_those_for_the_realm_are_found_among_several() -> None:
    """7616-03: RFC 3261 §22.3"""
    other = GIVEN.write().replace("example.com", "example.org", 1)
    assert found("Basic x", other, GIVEN.write()) == GIVEN
    assert found("Basic x", other) is None
    assert credentials_for(request(GIVEN.write()), "Proxy-Authorization", "x") is None


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_parameter_is_an_error(name: str) -> None:
    """7616-02"""
    kept = [one for one in GIVEN.write()[7:].split(", ") if not one.startswith(name)]
    with pytest.raises(RemoteProtocolError, match="without"):
        found("Digest " + ", ".join(kept))


@pytest.mark.parametrize(
    ("old", "new"),
    [("nc=0000000a", "nc=1"), ("qop=auth", "qop=both"), ("nc=0000000a", "nc=zzzzzzzz")],
)
def test_a_malformed_parameter_is_an_error(old: str, new: str) -> None:
    """7616-02"""
    with pytest.raises(RemoteProtocolError):
        found(GIVEN.write().replace(old, new))


def test_an_error_for_another_realm_is_none_of_ours() -> None:
    """7616-03"""
    assert found('Digest realm="example.org"', GIVEN.write()) == GIVEN


def test_who_was_not_challenged_yet_may_leave_values_empty() -> None:
    """7616-04: RFC 8760 §2.7"""
    empty = (
        'Digest username="alice", realm="example.com", nonce="", uri="", response=""'
    )
    assert found(empty) is None


def test_without_an_algorithm_it_is_md5() -> None:
    """8760-03"""
    read = found(GIVEN.write().replace(", algorithm=SHA-256", ""))
    assert read is not None
    assert read.algorithm == "MD5"


def test_a_plain_challenge_gets_plain_credentials() -> None:
    """7616-05: RFC 2069, for a server that offers no qop"""
    plain = Credentials("a", "r", "n", "sip:x", "ab", "MD5", "", "", "")
    assert "qop" not in plain.write(opaque="o")
    assert plain.write(opaque="o").endswith('opaque="o"')
