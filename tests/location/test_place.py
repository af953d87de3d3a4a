"""A user, as the key of a record in the location service."""

from __future__ import annotations

import pytest

from reginfo.location.place import Place, place_in, row_key

from ..make import ALICE, BOB, place


def test_a_user_of_another_table_is_another_user() -> None:
    """The contract: each location table is a service of its own."""
    assert place(ALICE) == place(ALICE)
    assert len({place(ALICE), place(BOB), place(ALICE, "other"), place(ALICE)}) == 3


def test_a_place_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        place(ALICE).aor = BOB  # type: ignore[misc]


@pytest.mark.parametrize("one", [place(ALICE), place("tel:+15550100", "other")])
def test_the_key_of_a_row_names_its_user(one: Place) -> None:
    """What is stored is found again under the same user after a restart."""
    assert place_in(f"{row_key(one)}\0sip:alice@192.0.2.50\0rest") == one


def test_a_log_names_the_table_where_it_is_not_the_usual_one() -> None:
    assert str(place(ALICE)) == "sip:alice@example.com"
    assert str(place(ALICE, "other")) == "sip:alice@example.com in other"
