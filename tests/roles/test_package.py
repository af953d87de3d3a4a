"""What an event package does: the `reg` package does all of it, and nothing is left."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from reginfo.roles.notifier import Notifier
from reginfo.roles.package import HeldPackage, ServedPackage
from reginfo.roles.subscriber import Subscriber


def members(protocol: type[Any]) -> set[str]:
    fields = set(protocol.__annotations__)
    return fields | {name for name in vars(protocol) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("protocol", "package"), [(ServedPackage, Notifier), (HeldPackage, Subscriber)]
)
def test_the_reg_package_has_all_that_a_package_is_asked_for(
    protocol: type[Any], package: type[Any]
) -> None:
    for name in members(protocol):
        wanted = inspect.getattr_static(protocol, name, None)
        if not callable(wanted):
            assert isinstance(getattr(package, name), str)
            continue
        ours = list(inspect.signature(getattr(package, name)).parameters)
        assert ours == list(inspect.signature(wanted).parameters), name


def test_a_package_is_known_by_the_name_in_the_event_header() -> None:
    """RFC 3680 §3.1: "The name of this package is "reg"."""
    assert Notifier.name == Subscriber.name == "reg"
    assert Notifier.media_type == "application/reginfo+xml"


def test_a_protocol_asks_for_no_more_than_it_says() -> None:
    assert members(ServedPackage) == {"name", "media_type", "names"}
    assert members(HeldPackage) == {"name", "load", "drop", "put_back"}
