"""What challenges and credentials consist of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.auth.parameters import _plain, parameters, quoted, scheme_of
from reginfo.sip.errors import RemoteProtocolError


def test_quoted_strings_and_tokens_are_read() -> None:
    """7616-02"""
    given = 'Digest username="a,b\\"c", QOP=auth , nc=00000001,response="x=",uri=""'
    assert scheme_of(given) == "digest"
    assert parameters(given) == {
        "username": 'a,b"c',
        "qop": "auth",
        "nc": "00000001",
        "response": "x=",
        "uri": "",
    }


@pytest.mark.parametrize(
    "text",
    [
        'Digest username="a", username="b"',
        'Digest username="a" realm="b"',
        'Digest username="a',
        "Digest username",
        "Digest =a",
        'Digest username="a"; realm="b"',
        'Digest username="a", \x00=b',
        "Digest " + "a" * 50_000,
        "Digest " + '"' * 50_000,
        "Digest " + 'a="\\' * 10_000,
    ],
)
def test_what_is_malformed_is_refused(text: str) -> None:
    """7616-02: a repeated parameter, too"""
    with pytest.raises(RemoteProtocolError):
        parameters(text)


@pytest.mark.parametrize("text", ["alice", 'a"b', "a\\b", "", "ä, b"])
def test_what_is_quoted_is_read_again(text: str) -> None:
    assert parameters(f"Digest a={quoted(text)}") == {"a": text}


@pytest.mark.parametrize("text", ["Digest", "Digest ", "Digest ,, ,"])
def test_nothing_has_no_parameters(text: str) -> None:
    assert parameters(text) == {}


@given(st.text(alphabet='ab=", \\\t1-', max_size=30))
def test_both_ways_to_parse_find_the_same(text: str) -> None:
    """7616-02: the fast one gives up where it is not sure"""
    fast = _plain(text)
    if fast is not None:
        again = parameters(f"Digest {text} , ")  # a last comma is beyond the fast one
        assert again == fast
