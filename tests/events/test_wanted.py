"""What is wanted has the right types from the beginning."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.events.wanted import Wanted

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
