"""The plugin is loaded by pytest, and costs nothing until a test asks for it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_pytest_finds_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"reginfo": "reginfo.pytest_plugin"}


def test_the_plugin_loads_no_server() -> None:
    program = (
        "import sys, reginfo.pytest_plugin as plugin;"
        "print(plugin.reginfo_server.__doc__);"
        "print([m for m in sys.modules if m.startswith('reginfo.server')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
