"""What the examples are made of: files that are right, links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reginfo.config.config import Config
from reginfo.script.load import load

ROOT = Path(__file__).parents[1] / "examples"
PAGES = sorted(ROOT.rglob("README.md"))
CONFIGS = sorted(ROOT.rglob("*.toml"))
SCRIPTS = sorted(ROOT.rglob("routes.py"))


def name(path: object) -> str:
    return str(path.relative_to(ROOT)) if isinstance(path, Path) else ""


@pytest.mark.parametrize("config", CONFIGS, ids=name)
def test_every_configuration_is_right(config: Path) -> None:
    assert Config.read(config).server.listen[0].host == "127.0.0.1"


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_every_script_loads(script: Path, tmp_path: Path) -> None:
    copy = tmp_path / "routes.py"  # where it may keep what it stores
    copy.write_text(script.read_text("utf-8"), "utf-8")
    assert load(copy).requests


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        assert (page.parent / link).exists(), link
