"""Contacts that are equal in pairs only are the same contacts at both servers."""

from __future__ import annotations

import itertools

import pytest

from reginfo.testing import Wire

from ..simulation import ALICE, CONTACT, configuration, given, is_registered, register

CONTACTS = [f"{CONTACT};line=1", f"{CONTACT};line=2", CONTACT]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_two_servers_agree_on_contacts_that_are_equal_in_pairs(
    order: tuple[int, ...],
) -> None:
    """
    Of `;line=1`, `;line=2` and a contact without the parameter, the third equals each
    of the others, which do not equal each other (RFC 3261 §19.1.4).
    """
    wire = Wire()
    a = wire.serve(configuration("a", ["b"]))
    for number in order:
        answer = register(wire, a, CONTACTS[number], call_id=f"c{number}", expires=3600)
        given(is_registered(answer))
    b = wire.serve(configuration("b", ["a"]))
    wire.pass_time(10)
    assert sorted(a.contacts(ALICE)) == sorted(b.contacts(ALICE))
