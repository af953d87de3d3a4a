"""A change of a binding, as listeners receive it."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.location.binding import Binding, BindingChange
from reginfo.location.claim import Claim

from ..make import ALICE, BOB, NOW, binding, place


def test_a_contact_is_bound_by_a_claim() -> None:
    assert Binding is Claim


def test_changes_are_compared_by_value() -> None:
    change = BindingChange(place(ALICE), binding(), 1, at=NOW)
    assert change == BindingChange(place(ALICE), binding(), 1, at=NOW)
    assert change != BindingChange(place(BOB), binding(), 1, at=NOW)
    assert change != BindingChange(place(ALICE), binding(2), 1, at=NOW)


def test_a_listener_cannot_modify_a_change() -> None:
    change = BindingChange(place(ALICE), binding(), 1)
    with pytest.raises(AttributeError):
        change.binding = binding(2)  # type: ignore[misc]
    assert msgspec.structs.replace(change, sequence=2).sequence == 2


def test_by_default_a_change_is_published_and_the_last_of_its_kind() -> None:
    change = BindingChange(place(ALICE), binding(), 1)
    assert change.is_published and not change.more


def test_a_log_names_a_change_and_a_claim_in_one_line() -> None:
    change = BindingChange(place(ALICE), binding(2, "expired"), 7)
    assert repr(change) == (
        f"<BindingChange 7: {place(ALICE)} sip:alice@192.0.2.50 expired>"
    )
    assert repr(binding(2, owner="b")) == (
        "<Claim sip:alice@192.0.2.50 registered, CSeq 2 of a, by b>"
    )
