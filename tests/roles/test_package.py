"""What an event package does: the `reg` package does all of it, and nothing is left."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.roles.package import HeldPackage, ServedPackage

from . import told, watched


def members(protocol: type[Any]) -> set[str]:
    fields = set(protocol.__annotations__)
    return fields | {name for name in vars(protocol) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("protocol", "package"),
    [
        (ServedPackage, watched.Server().notifier),
        (HeldPackage, told.Server().subscriber),
    ],
)
def test_the_reg_package_has_all_that_a_package_is_asked_for(
    protocol: type[Any], package: object
) -> None:
    for name in members(protocol):
        known = getattr(package, name)
        is_text = name in protocol.__annotations__
        assert isinstance(known, str) if is_text else callable(known), name


def test_a_package_is_known_by_the_name_in_the_event_header() -> None:
    """RFC 3680 §3.1: "The name of this package is "reg"."""
    notifier = watched.Server().notifier
    assert notifier.name == told.Server().subscriber.name == "reg"
    assert notifier.media_type == "application/reginfo+xml"


def test_a_protocol_asks_for_no_more_than_it_says() -> None:
    assert members(ServedPackage) == {"name", "media_type", "names"}
    assert members(HeldPackage) == {"name", "load", "drop", "put_back"}
