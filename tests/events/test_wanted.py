"""What is wanted has the right types from the beginning."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.events.wanted import Wanted, contact_by
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport

RIGHT = Wanted(
    uri="sip:a@example.com", local="sip:b@192.0.2.1", event="reg", accept="a/b"
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"uri": None},
        {"local": b"sip:a@b"},
        {"event": 1},
        {"accept": ("a/b",)},
        {"contact": 5},
        {"expires": "3600"},
        {"expires": 3600.0},
        {"expires": True},
        {"rearm": 1},
    ],
)
def test_a_wish_of_wrong_types_is_refused_where_it_is_made(
    wrong: dict[str, Any],
) -> None:
    right = msgspec.structs.asdict(RIGHT)
    with pytest.raises(TypeError, match=f"Wanted.{next(iter(wrong))}"):
        Wanted(**(right | wrong))


def test_nothing_is_wanted_for_a_negative_time() -> None:
    with pytest.raises(ValueError, match="Wanted.expires: -1"):
        msgspec.structs.replace(RIGHT, expires=-1)


def test_a_fetch_wants_no_time() -> None:
    """0 seconds fetch the state once (RFC 6665 §4.4.3)."""
    assert msgspec.structs.replace(RIGHT, expires=0).expires == 0


@pytest.mark.parametrize(
    ("local", "transport", "contact"),
    [
        ("sip:a@h", Transport.UDP, None),
        ("sip:a@h", Transport.TCP, "sip:a@h;transport=tcp"),
        ("sip:a@h;x=1", Transport.TCP, "sip:a@h;x=1;transport=tcp"),
        ("sip:a@h;transport=tcp", Transport.TCP, None),
        ("sip:a@h;x;Transport=UDP", Transport.TCP, None),
        ("sip:a;transport=tcp@h", Transport.TCP, "sip:a;transport=tcp@h;transport=tcp"),
    ],
)
def test_a_contact_names_its_transport_once(
    local: str, transport: Transport, contact: str | None
) -> None:
    """3261-96 (§19.1.1): also if the address that is configured names one."""
    flow = Flow(Local(transport, "192.0.2.1", 5060), ("192.0.2.2", 5060))
    assert contact_by(local, flow) == contact
