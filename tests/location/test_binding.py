"""Bindings of an address-of-record."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.location.binding import Binding
from reginfo.reg.document import ContactEvent

from ..make import NOW, binding


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(600.0, 600), (599.5, 600), (0.5, 1), (0.01, 1), (0.0, 0), (-5.0, 0)],
)
def test_a_binding_that_lives_has_a_second_left(left: float, seconds: int) -> None:
    assert binding(expires_at=NOW + left).expires(NOW) == seconds


@pytest.mark.parametrize("now", [12345.678, 1e6 + 0.1, 3.3])
def test_what_was_granted_is_what_is_left_at_that_moment(now: float) -> None:
    assert binding(expires_at=now + 600).expires(now) == 600


@pytest.mark.parametrize("event", list(ContactEvent))
def test_its_state_follows_from_its_event(event: ContactEvent) -> None:
    assert binding(event=event).active == (event.state == "active")


def test_a_binding_is_the_same_after_it_was_stored() -> None:
    full = binding(
        q="0.5", params=(("+sip.instance", '"<urn:x>"'), ("ob", None)),
        display_name="A", path=("<sip:p;lr>",), received="sip:192.0.2.9:5",
        user_agent="Phone", retry_after=7, branch=99, source="a/b",
    )  # fmt: skip
    stored = msgspec.msgpack.encode(full)
    assert msgspec.msgpack.decode(stored, type=Binding) == full
