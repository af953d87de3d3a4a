"""The arithmetic of digest, by the examples of its RFCs."""

from __future__ import annotations

import pytest

from reginfo.auth.digest import AUTH, AUTH_INT, digits, ha1, hashed, response, strongest

MUFASA = {
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    "qop": AUTH,
    "method": "GET",
    "uri": "/dir/index.html",
}


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        (
            "SHA-256",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ],
)
def test_the_example_of_rfc_7616_3_9_1(algorithm: str, expected: str) -> None:
    """7616-01, 8760-03"""
    secret = ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
    assert response(algorithm, secret, body=b"", **MUFASA) == expected
    assert len(expected) == digits(algorithm)


def test_the_example_of_rfc_7616_3_9_2() -> None:
    """
    7616-01: as erratum 4897 corrects it; the RFC has SHA-512 cut to 256 bits, which is
    another function.
    """
    secret = ha1("SHA-512-256", "Jäsøn Doe", "api@example.org", "Secret, or not?")
    assert (
        response(
            "SHA-512-256",
            secret,
            nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            nc="00000001",
            cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
            qop=AUTH,
            method="GET",
            uri="/doe.json",
            body=b"",
        )
        == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    )


def test_the_hash_of_no_body_is_that_of_an_empty_string() -> None:
    """8760-03: RFC 8760 §2.6, item 7"""
    assert hashed("SHA-256", b"") == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_auth_int_covers_the_body_and_auth_does_not() -> None:
    """8760-04"""
    given = {**MUFASA, "qop": AUTH_INT}
    secret = ha1("SHA-256", "a", "b", "c")
    assert response("SHA-256", secret, body=b"x", **given) != response(
        "SHA-256", secret, body=b"y", **given
    )
    assert response("SHA-256", secret, body=b"x", **MUFASA) == response(
        "SHA-256", secret, body=b"y", **MUFASA
    )


def test_the_strongest_comes_first_and_unknown_ones_are_left_out() -> None:
    """8760-01"""
    assert strongest(["MD5", "SHA-256", "CRC", "SHA-512-256"]) == (
        "SHA-512-256",
        "SHA-256",
        "MD5",
    )
