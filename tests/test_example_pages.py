"""What the pages of the examples tell to do: commands and files that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from reginfo.cli.main import command
from reginfo.script.load import load
from reginfo.server.config import Config

ROOT = Path(__file__).parents[1] / "examples"
PAGES = sorted(ROOT.rglob("README.md"))
CONFIGS = sorted(ROOT.rglob("*.toml"))
SCRIPTS = sorted(ROOT.rglob("routes.py"))
COMMANDS = [
    (page, line)
    for page in PAGES
    for line in re.findall(r"^    (\S.*)$", page.read_text(), re.MULTILINE)
]


def name(path: object) -> str:
    return str(path.relative_to(ROOT)) if isinstance(path, Path) else ""


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_can_be_given(page: Path, line: str) -> None:
    """The command line takes it; and the files that it names are there."""
    program, *arguments = shlex.split(line, comments=True)
    if program == "python":
        assert (page.parent / arguments[0]).exists()
        return
    assert program == "reginfo"
    group = typer.main.get_command(command)
    with group.make_context("reginfo", list(arguments)) as context:
        assert isinstance(group, typer.core.TyperGroup)
        _, sub, rest = group.resolve_command(context, arguments)
        assert sub is not None
        with sub.make_context(sub.name, rest, parent=context) as parsed:
            config = parsed.params.get("config") or "reginfo.toml"
            asks_a_server = parsed.params.get("server") is not None
            assert asks_a_server or (page.parent / config).exists()


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_every_configuration_is_right(config: Path) -> None:
    assert Config.read(config).server.listen[0].host == "127.0.0.1"


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_every_script_loads(script: Path, tmp_path: Path) -> None:
    copy = tmp_path / "routes.py"  # where it may keep what it stores
    copy.write_text(script.read_text())
    assert load(copy).requests


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link
