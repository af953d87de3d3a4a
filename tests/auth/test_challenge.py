"""Challenges, as a client reads them."""

from __future__ import annotations

import pytest

from reginfo.auth.challenge import Challenge, challenges_of
from reginfo.sip.message import Response

SHA, MD5 = "SHA-256", "MD5"


def line(algorithm: str = SHA, realm: str = "r", more: str = ', qop="auth"') -> str:
    return f'Digest realm="{realm}", nonce="n-{algorithm}", algorithm={algorithm}{more}'


def read(*www: str, proxy: tuple[str, ...] = ()) -> list[Challenge]:
    response = Response(401, "Unauthorized")
    if www:
        response.headers["WWW-Authenticate"] = list(www)
    if proxy:
        response.headers["Proxy-Authenticate"] = list(proxy)
    return challenges_of(response)


@pytest.mark.parametrize("lines", [[line(MD5), line(SHA)], [line(SHA), line(MD5)]])
def test_the_strongest_that_is_known_is_chosen(lines: list[str]) -> None:
    """8760-02: whatever the order, so that nobody in between can choose a weaker one"""
    (chosen,) = read(line("SHA-1024"), *lines)
    assert (chosen.algorithm, chosen.nonce) == (SHA, "n-SHA-256")


def test_each_realm_is_answered_of_servers_and_of_proxies() -> None:
    """3261-144: §22.3, a forked request may have several"""
    found = read(line(), line(realm="s"), proxy=(line(),))
    assert [(one.header, one.realm) for one in found] == [
        ("Authorization", "r"),
        ("Authorization", "s"),
        ("Proxy-Authorization", "r"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "Basic realm=r",
        "Digest",
        'Digest realm="r"',
        'Digest nonce="n"',
        'Digest realm="r", realm="r", nonce="n"',
        line("MD5-sess"),
        line(more=', qop="auth-conf"'),
        "",
    ],
)
def test_what_cannot_be_answered_is_left_out(wrong: str) -> None:
    """8760-02, 8760-03: nor is `-sess` answered, which SIP does not need"""
    assert read(wrong) == []
    assert len(read(wrong, line())) == 1


@pytest.mark.parametrize(
    ("more", "qop"),
    [
        ("", ""),
        (", qop=auth", "auth"),
        (', qop="auth-int,auth"', "auth"),
        (', qop="auth-int"', "auth-int"),
        (', qop="x, AUTH"', "auth"),
    ],
)
def test_a_quality_of_protection_is_chosen(more: str, qop: str) -> None:
    """8760-04, 7616-05"""
    (challenge,) = read(line(more=more))
    assert challenge.qop == qop


def test_stale_and_opaque_are_read() -> None:
    """8760-05"""
    (challenge,) = read(line(more=', stale=TRUE, opaque="o\\"p"'))
    assert challenge.stale
    assert challenge.opaque == 'o"p'
    assert not read(line(more=", stale=false"))[0].stale
