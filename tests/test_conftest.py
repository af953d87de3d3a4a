"""Tests are the same in any terminal, shell and locale, and count what they skip."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

SAMPLE = """
import os, signal, sys
import pytest

def test_surroundings():
    assert not {"FORCE_COLOR", "NO_COLOR", "COLUMNS", "HTTP_PROXY"} & set(os.environ)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

@pytest.mark.peers("strace")
def test_with_a_peer(): pass

@pytest.mark.peers("kamailio")
def test_with_another_peer(): pass

def test_skipped_for_another_reason():
    pytest.skip("no reason at all")
"""


def run(tmp_path: Path, prefix: str = "", **environment: str) -> str:
    """Run the sample with our conftest, in a shell; what pytest prints."""
    (tmp_path / "tests").mkdir(exist_ok=True)
    for name in ("conftest.py", "outcomes.py"):
        (tmp_path / "tests" / name).write_bytes((ROOT / "tests" / name).read_bytes())
    (tmp_path / "tests" / "test_sample.py").write_text(SAMPLE)
    pytest_command = "-m pytest -p no:cacheprovider --import-mode=importlib"
    done = subprocess.run(
        ["sh", "-c", f"{prefix} exec {sys.executable} {pytest_command}"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_shell_and_the_terminal_make_no_difference(tmp_path: Path) -> None:
    printed = run(
        tmp_path,
        "trap '' INT;",
        FORCE_COLOR="1",
        NO_COLOR="1",
        COLUMNS="40",
        HTTP_PROXY="http://192.0.2.1:3128",
        REGINFO_PEERS="no",
    )
    assert "1 passed, 3 skipped" in printed


def test_what_is_skipped_is_counted_with_its_reason(tmp_path: Path) -> None:
    lines = run(tmp_path, REGINFO_PEERS="no").splitlines()
    assert "1 skipped: missing peer: strace (REGINFO_PEERS=no)" in lines
    assert "1 skipped: missing peer: kamailio (REGINFO_PEERS=no)" in lines
    assert "1 skipped: no reason at all" in lines


def test_no_example_has_a_deadline(request: pytest.FixtureRequest) -> None:
    assert settings().deadline is None


def test_a_command_that_a_test_starts_can_be_interrupted() -> None:
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
