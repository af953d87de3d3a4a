"""A contact is found by a URI that equals its own, however that is spelled."""

from __future__ import annotations

import pytest

from reginfo.location.contacts import Contacts, is_same
from reginfo.sip.uri import Uri

from ..make import binding

PHONE = "sip:alice@192.0.2.50"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (PHONE, True),
        ("sip:%61lice@192.0.2.50", True),
        ("sip:alice@192.0.2.50;x=1", True),  # §19.1.4: only one has it
        ("sip:alice@192.0.2.50;transport=tcp", False),
        ("sip:bob@192.0.2.50", False),
    ],
)
def test_equal_uris_are_one_contact(asked: str, found: bool) -> None:
    """3261-20"""
    one = binding(contact=PHONE)
    rows = {one.key: (one,)}
    uri = Uri.parse(asked)
    assert Contacts(rows=rows, now=0.0, wall=0.0).find(uri) == (
        one.key if found else None
    )
    assert is_same(PHONE, uri) is found


def test_an_invalid_uri_equals_nothing() -> None:
    assert not is_same("nonsense", Uri.parse(PHONE))
    assert Contacts(rows={}, now=0.0, wall=0.0).find(Uri.parse(PHONE)) is None
