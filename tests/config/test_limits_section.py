"""How much anybody may take is limited by default, and by configuration."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.config.config import Config, ConfigError
from reginfo.config.limits_section import CapacitySection

SERVER = '[server]\nid = "a"\ndomains = ["example.com"]\n'
KEYS = [
    field.name
    for field in msgspec.structs.fields(CapacitySection)
    if field.name != "emergency"
]


def test_there_is_a_limit_of_everything() -> None:
    limits = Config.parse(SERVER).limits
    assert all(getattr(limits, name) > 0 for name in KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_any_limit_can_be_removed(name: str) -> None:
    limits = Config.parse(f"{SERVER}[limits]\n{name} = 0").limits
    assert getattr(limits, name) == 0


@pytest.mark.parametrize("name", KEYS)
def test_a_limit_is_not_negative(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"limits\.{name}"):
        Config.parse(f"{SERVER}[limits]\n{name} = -1")


def test_emergency_numbers_are_named() -> None:
    text = SERVER + '[limits]\nemergency = ["112", "urn:service:sos"]'
    assert Config.parse(SERVER).limits.emergency == ()
    assert Config.parse(text).limits.emergency == ("112", "urn:service:sos")
    with pytest.raises(ConfigError, match="limits.emergency"):
        Config.parse(f"{SERVER}[limits]\nemergency = [112]")
