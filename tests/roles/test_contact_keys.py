"""The keys of a contact are found with few comparisons (RFC 3261 §19.1.4)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.location.claim import Claim
from reginfo.location.lives import Claims
from reginfo.roles.contact_keys import EACH, SPARE, ContactKeys
from reginfo.sip.errors import Refusal
from reginfo.sip.uri import Uri
from reginfo.sip.uri_group import FEW

from ..make import binding


def claim(contact: str, key: str | None = None) -> Claim:
    made = binding(1, contact=contact)
    return made if key is None else msgspec.structs.replace(made, key=key)


def rows(*contacts: str) -> dict[str, Claims]:
    claims = [claim(contact) for contact in contacts]
    return {one.key: (one,) for one in claims}


contacts = st.builds(
    "sip:h{}{}".format,
    st.sampled_from(["", ";transport=tcp"]),
    st.sampled_from(["", ";a=1", ";a=2", ";b=1", ";a=1;b=1"]),
)


@given(
    st.lists(contacts, max_size=6, unique=True),
    st.lists(contacts, max_size=6, unique=True),
    contacts,
    st.booleans(),
)
def test_few_and_many_contacts_are_searched_with_the_same_result(
    bound: list[str], new: list[str], asked: str, first: bool
) -> None:
    """3261-150"""
    few = ContactKeys(rows(*bound), 0)
    many = ContactKeys(rows(*bound), FEW + 1)
    for one in new:
        for keys in (few, many):
            keys.add(claim(one), Uri.parse(one))
    uri = Uri.parse(asked)
    slow, fast = few.of(uri, first=first), many.of(uri, first=first)
    if first:
        # Equality is not transitive: of several that equal it, any is right.
        assert (slow[0] == uri.key) == (fast[0] == uri.key)
    else:
        assert slow[0] == fast[0]
        assert sorted(slow) == sorted(fast)


@pytest.mark.parametrize("text", ["sip:h;a={}", "sip:h{}", "sip:h;x{}", "sip:h;a={};b"])
@pytest.mark.parametrize("first", [True, False])
def test_comparisons_grow_with_the_number_of_contacts(text: str, first: bool) -> None:
    """3261-150: with no limit on the number of contacts."""

    def work(number: int) -> int:
        keys = ContactKeys({}, number)
        for at in range(number):
            uri = Uri.parse(text.format(at))
            (key,) = keys.of(uri, first=True)
            keys.add(claim(uri.text, key), uri)
        if not first:
            keys.of(Uri.parse("sip:h"), first=False)
        return keys.compared

    assert work(2000) <= 2.5 * work(1000) + 100
    assert work(2000) <= 3 * 2000


def test_a_request_that_would_take_too_long_is_refused() -> None:
    """3261-150: any two of these share a parameter, with another value."""
    names = ["a={0};b={0}", "b={0};c={0}", "a={0};c={0}"]
    keys = ContactKeys({}, 3000)
    with pytest.raises(Refusal) as caught:
        for number in range(3000):
            uri = Uri.parse("sip:h;" + names[number % 3].format(number))
            keys.of(uri, first=True)
            keys.add(claim(uri.text), uri)
    assert caught.value.status == 403
    assert keys.compared < SPARE + EACH * 3000 + 300


def test_removals_of_everything_by_one_spelling_are_counted() -> None:
    """3261-150"""
    keys = ContactKeys(rows(*(f"sip:h;a={number}" for number in range(500))), 500)
    with pytest.raises(Refusal):
        for _ in range(500):
            assert len(keys.of(Uri.parse("sip:h"), first=False)) == 500
