"""What the API reads of requests: JSON, with nothing in it that it does not know."""

from __future__ import annotations

import pytest

from reginfo.web.answers import canonical

from .test_api import Client

TYPED = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {}, 415),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{", TYPED, 400),
        (b'{"rate": 0}', TYPED, 400),
        (b'{"rat": 1}', TYPED, 400),
        (b'{"rate": 1}', {"content-type": "Application/JSON; charset=utf-8"}, 202),
    ],
)
def test_a_body_is_json_and_says_so(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = Client().request("POST", "/v1/drain", content=body, headers=headers)
    assert answer.status_code == status
    assert ("error" in answer.json()) == (status >= 400)


@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("alice@Example.com", "sip:alice@example.com"),
        ("sip:alice@example.com;x=y", "sip:alice@example.com"),
        ("no address", "no address"),
    ],
)
def test_an_address_of_record_may_be_written_in_short(text: str, aor: str) -> None:
    assert canonical(text) == aor
