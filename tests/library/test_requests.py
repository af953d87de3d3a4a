"""Arguments of register() and publish() are checked before anything is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reginfo.library.requests import publish, register

SERVER = {"server": "192.0.2.1"}


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["http://alice"], SERVER),
        (["alice@example.com", "192.0.2.5 5060"], SERVER),
        (["alice@example.com", "sip:a@192.0.2.5"], {"server": "ws:192.0.2.1"}),
        (["alice@example.com"], {"server": "192.0.2.1", "transport": "ws"}),
    ],
)
def test_a_register_with_a_wrong_argument_is_not_sent(
    arguments: list[Any], options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        asyncio.run(register(*arguments, **options))


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["http://alice", ["sip:a@192.0.2.5"]], SERVER),
        (["alice@example.com", "sip:a@192.0.2.5"], SERVER),
        (["alice@example.com", ["http://192.0.2.5"]], SERVER),
        (
            ["alice@example.com", ["sip:a@192.0.2.5"]],
            {"server": "sip:192.0.2.1;transport=ws"},
        ),
    ],
)
def test_a_publish_with_a_wrong_argument_is_not_sent(
    arguments: list[Any], options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        asyncio.run(publish(*arguments, **options))
