"""Who may use the API, and from where."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import httpx2
import pytest
from starlette.types import Message

from reginfo.auth.tokens import READ, WRITE, new_token, save_tokens
from reginfo.web import guard
from reginfo.web.api import api
from reginfo.web.guard import Guard

from .fake import ALICE, FakeApp, binding

AOR = f"/v1/aors/{ALICE}"


def ask(
    path: str,
    method: str = "GET",
    *,
    tokens: Path | None = None,
    host: str = "127.0.0.1",
    base: str = "http://127.0.0.1:8060",
    **headers: str,
) -> int:
    app = Guard(api(FakeApp((ALICE, binding("alice")))), tokens, host)

    async def run() -> int:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=base) as client:
            response = await client.request(method, path, headers=headers)
            return response.status_code

    return asyncio.run(run())


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    save_tokens(
        path, [new_token("looks", READ, "one"), new_token("acts", WRITE, "two")]
    )
    return path


def test_without_tokens_it_is_open(tmp_path: Path) -> None:
    """8760-19: on loopback and on a Unix socket, where it is served alone"""
    assert ask(AOR) == 200
    assert ask(AOR, "DELETE") == 200
    assert ask(AOR, tokens=tmp_path / "none") == 200


@pytest.mark.parametrize(
    ("token", "look", "act"),
    [
        ("", 401, 401),
        ("Bearer", 401, 401),
        ("Bearer three", 401, 401),
        ("Basic one", 401, 401),
        ("Bearer one", 200, 403),
        ("bearer  two", 200, 200),
    ],
)
def test_a_token_is_good_for_its_scope(
    tokens: Path, token: str, look: int, act: int
) -> None:
    """8760-19"""
    headers = {"Authorization": token} if token else {}
    assert ask(AOR, tokens=tokens, **headers) == look
    assert ask(AOR, "DELETE", tokens=tokens, **headers) == act


def test_the_file_is_read_again(tokens: Path) -> None:
    """8760-19"""
    app = Guard(api(FakeApp()), tokens, "")
    assert len(app._tokens()) == 2
    save_tokens(tokens, [])
    assert app._tokens() == []
    tokens.write_text("garbage\n")
    assert ask(AOR, tokens=tokens) == 503


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", 200),
        ("localhost:8060", 200),
        ("[::1]:8060", 200),
        ("rebound.example", 403),
        ("127.0.0.1.example", 403),
        ("192.0.2.1", 403),
    ],
)
def test_a_name_that_was_made_to_lead_here_is_refused(host: str, expected: int) -> None:
    """8760-20: DNS rebinding"""
    assert ask(AOR, base=f"http://{host}") == expected
    assert ask(AOR, base=f"http://{host}", host="") == 200  # a Unix socket


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:8060", 200),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_a_foreign_web_page_is_refused(origin: str, expected: int) -> None:
    """8760-20"""
    assert ask(AOR, Origin=origin) == expected
    assert ask(AOR, "DELETE", Origin=origin) == expected


def test_each_change_is_logged_with_who_made_it(
    tokens: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """8760-19: and no secret is"""
    with caplog.at_level(logging.INFO):
        ask(AOR, tokens=tokens, Authorization="Bearer two")
        ask(AOR, "DELETE", tokens=tokens, Authorization="Bearer two")
        ask(AOR, "DELETE")
    first, second = (
        record.getMessage() for record in caplog.records if record.name == "reginfo.api"
    )
    assert first == f"= DELETE {AOR} by token acts: 200"
    assert second.startswith(f"= DELETE {AOR} by 127.0.0.1:")


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """8760-20"""
    monkeypatch.setattr(guard, "BODY_LIMIT", 0.0)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/drain", "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "root_path": "",
    }  # fmt: skip
    asyncio.run(Guard(api(FakeApp()), None, "")(scope, receive, send))
    assert sent[0]["status"] == 408
