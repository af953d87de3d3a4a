"""Values of pseudo-variables in a message."""

from __future__ import annotations

import pytest

from reginfo.script.pseudo import VARIABLES
from reginfo.script.values import VALUES

from ..make import request
from .fake import Core, message


@pytest.mark.parametrize("name", VARIABLES)
def test_each_variable_has_a_value_in_any_request(name: str) -> None:
    value = VALUES[name](message(Core(), request("MESSAGE", uri="sip:bob@example.com")))
    assert isinstance(value, str)


def test_the_values_are_those_of_the_request() -> None:
    msg = message(Core(), request("MESSAGE", uri="sip:bob@example.com:5070"))
    found = {name: VALUES[name](msg) for name in ("ru", "rU", "rd", "rp", "rm", "cs")}
    assert found == {
        "ru": "sip:bob@example.com:5070",
        "rU": "bob",
        "rd": "example.com",
        "rp": "5070",
        "rm": "MESSAGE",
        "cs": "1",
    }
