"""The whole examination: of a server that does not run, and of one that does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import reginfo
from reginfo.config.config import Config
from reginfo.doctor import machine
from reginfo.doctor.examination import examine
from reginfo.doctor.finding import Finding, Level, ok


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without faults of its own."""
    monkeypatch.setattr(machine, "examine", lambda: iter([ok("clock", "fine")]))


def configured(directory: Path, text: str = "") -> tuple[Path, Config]:
    path = directory / "reginfo.toml"
    path.write_text(
        '[server]\nid = "a"\ndomains = ["example.com"]\n'
        'listen = ["udp:127.0.0.1:0"]\n'
        f"{text}"
    )
    return path, Config.read(path)


async def examined(path: Path, config: Config) -> list[Finding]:
    return [finding async for finding in examine(path, config)]


def test_a_server_that_does_not_run(tmp_path: Path) -> None:
    found = asyncio.run(examined(*configured(tmp_path)))
    by_subject = {one.subject: one for one in found}
    assert list(by_subject) == [
        "configuration",
        "server",
        "listen",
        "clock",
        "disk",
        "store",
    ]
    assert by_subject["server"].text == "it does not run, or has no API"
    assert by_subject["listen"].text == "udp:127.0.0.1:0 is free"
    assert not (tmp_path / "reginfo.db").exists()


def test_a_server_that_runs(tmp_path: Path) -> None:
    path, config = configured(
        tmp_path, f'admin = "unix:{tmp_path}/admin"\n[store]\nurl = "memory:"\n'
    )

    async def both() -> list[Finding]:
        async with reginfo.Server(config):
            return await asyncio.to_thread(lambda: asyncio.run(examined(path, config)))

    texts = {one.subject: one.text for one in asyncio.run(both())}
    assert texts["server"] == "it runs; its health is ok"
    assert texts["admin"] == f"unix:{tmp_path}/admin is served"


def test_a_warning_of_the_configuration_has_its_line(tmp_path: Path) -> None:
    path, config = configured(
        tmp_path, '[pua_reginfo]\nserver_address = "sip:me@192.0.2.1"\n'
    )
    found = asyncio.run(examined(path, config))[0]
    assert (found.subject, found.level) == ("configuration", Level.WARNING)
    assert found.text.startswith(f"{path}:")


@pytest.mark.parametrize(
    ("script", "level"),
    [
        ("from reginfo import Route\nroute = Route()\n", Level.OK),
        ("route = None\n", Level.ERROR),
    ],
)
def test_the_script_is_loaded(tmp_path: Path, script: str, level: Level) -> None:
    (tmp_path / "routes.py").write_text(script)
    path, config = configured(tmp_path, 'script = "routes.py"\n')
    [found] = [
        one for one in asyncio.run(examined(path, config)) if one.subject == "script"
    ]
    assert found.level is level
