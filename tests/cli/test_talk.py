"""The code shared by the SIP client commands: how a conversation ends."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import typer

from reginfo.agent.agent import Agent
from reginfo.agent.errors import NoAnswer, RequestRefused, Unreachable
from reginfo.cli import talk as module
from reginfo.cli.ending import NOT_THERE, UNREACHABLE, WRONG
from reginfo.cli.talk import talk
from reginfo.sip.message import Response


class Silent:
    """An agent that needs no network."""

    def __init__(self, *arguments: Any, **others: Any) -> None:
        pass

    async def __aenter__(self) -> Silent:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Agent", Silent)


def hold(
    conversation: Any, server: str = "192.0.2.1", trace: Path | None = None
) -> Any:
    return talk(conversation, server=server, transport=None, trace=trace)


def test_the_result_of_a_conversation_is_returned() -> None:
    async def conversation(agent: Agent) -> str:
        return "done"

    assert hold(conversation) == "done"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NoAnswer("no answer"), UNREACHABLE, "reginfo: no answer"),
        (Unreachable("refused"), UNREACHABLE, "reginfo: refused"),
        (
            RequestRefused(Response(403, "Forbidden")),
            NOT_THERE,
            "192.0.2.1:5060 (UDP): 403 Forbidden",
        ),
    ],
)
def test_an_error_is_a_message_and_an_exit_code(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/commands.md: no server answers, or it has refused."""

    async def conversation(agent: Agent) -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        hold(conversation)
    assert ended.value.exit_code == code
    assert said in capsys.readouterr().err


def test_a_server_that_cannot_be_named_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def conversation(agent: Agent) -> None:
        raise AssertionError

    with pytest.raises(typer.Exit) as ended:
        hold(conversation, server="sip:h;transport=ws")
    assert ended.value.exit_code == WRONG
    assert "--server" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_conversation_end(number: int) -> None:
    """docs/commands.md: Ctrl-C unsubscribes first."""
    ended: list[str] = []

    async def conversation(agent: Agent) -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("politely")

    assert hold(conversation) is None
    assert ended == ["politely"]


def test_the_trace_is_closed_however_it_ends(tmp_path: Path) -> None:
    async def conversation(agent: Agent) -> None:
        raise NoAnswer("no")

    with pytest.raises(typer.Exit):
        hold(conversation, trace=tmp_path / "trace")
    assert (tmp_path / "trace").exists()  # an open file would be a ResourceWarning
