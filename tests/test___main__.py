"""``python -m reginfo`` is the command ``reginfo``."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from reginfo.version import __version__


def test_the_package_is_run_as_the_command() -> None:
    """README: the package is a command, by either name."""
    done = subprocess.run(
        [sys.executable, "-m", "reginfo", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"reginfo {__version__}\n")


def test_importing_it_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("reginfo.__main__")
    assert capsys.readouterr().out == ""
