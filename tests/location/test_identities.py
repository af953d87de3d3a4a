"""The public identities of a user, in every form that P-Associated-URI has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.location.identities import read
from reginfo.location.place import as_written

ALICE, AL, TEL = "sip:alice@example.com", "sip:al@example.com", "tel:+15550100"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (ALICE, [ALICE]),
        (f"<{ALICE}>", [ALICE]),
        (f"<{ALICE}>;a=b, <{AL}>", [ALICE, AL]),
        (f"{ALICE};a=b,{AL}", [ALICE, AL]),
        (f'"Alice, \\"Al\\"" <{ALICE}>, <tel:+1-555-0100>', [ALICE, TEL]),
        ("Alice A <sip:alice@EXAMPLE.com;transport=tcp>", [ALICE]),
        (f"<{ALICE}>,, <{ALICE}>,", [ALICE]),
        ("tel:+15550100;phone-context=example.com", [TEL]),
        ("<sips:alice@example.com>", ["sips:alice@example.com"]),
        (f"<sip:a,b@example.com>, <{AL}>", ["sip:a,b@example.com", AL]),
        ("", []),
        (" , ", []),
    ],
)
def test_each_form_is_read(value: str, found: list[str]) -> None:
    """The contract, `ul_identities_key`: all forms of P-Associated-URI."""
    assert read(value, as_written) == (tuple(found), ())


def test_an_invalid_identity_is_named_and_affects_no_other() -> None:
    value = "<sip:alice@example.com>, <mailto:a@b>, sip:, <sip:al@example.com"
    assert read(value, as_written) == (
        (ALICE,),
        ("<mailto:a@b>", "sip:", "<sip:al@example.com"),
    )


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=300, unique=True))
def test_there_is_no_limit(numbers: list[int]) -> None:
    """The contract: no silent limit of 20."""
    uris = [f"sip:u{number}@example.com" for number in numbers]
    value = ", ".join(f'"U, {uri}" <{uri}>;p="x,y"' for uri in uris)
    assert read(value, as_written) == (tuple(uris), ())


@given(st.text())
def test_nothing_that_a_script_sets_raises(value: str) -> None:
    found, wrong = read(value, as_written)
    assert len(set(found)) == len(found)
    assert all(wrong)
