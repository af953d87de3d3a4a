"""``reginfo doctor``: a line for each finding, and an exit code for all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reginfo.cli import doctor
from reginfo.doctor.finding import Finding, error, ok, warning

from .run import configured, run


def found(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    async def examine(path: Path, config: object) -> AsyncIterator[Finding]:
        for one in findings:
            yield one

    monkeypatch.setattr(doctor, "examine", examine)


def test_each_finding_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(
        monkeypatch,
        ok("clock", "synchronised"),
        warning("disk", "slow:\x1b[2J\nuse a faster one"),
        error("peer b", "does not answer"),
    )
    result = run("doctor", "-c", configured(tmp_path))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "ok       clock          synchronised",
        "WARNING  disk           slow:\ufffd[2J use a faster one",
        "ERROR    peer b         does not answer",
        "1 errors, 1 warnings, 1 ok",
    ]


def test_warnings_do_not_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, warning("disk", "slow"))
    assert run("doctor", "-c", configured(tmp_path)).exit_code == 0


def test_json_has_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, error("peer b", "does not answer"))
    result = run("doctor", "-c", configured(tmp_path), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [
        {"subject": "peer b", "level": "error", "text": "does not answer"}
    ]


def test_a_wrong_configuration_is_not_examined(tmp_path: Path) -> None:
    result = run("doctor", "-c", configured(tmp_path, "listen = 5\n"))
    assert result.exit_code == 2
    assert "server.listen" in result.stderr


def test_a_server_is_examined_whole(tmp_path: Path) -> None:
    file = configured(
        tmp_path, 'listen = ["udp:127.0.0.1:0"]\n[store]\nurl = "memory:"\n'
    )
    result = run("doctor", "-c", file)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].endswith(" ok")
