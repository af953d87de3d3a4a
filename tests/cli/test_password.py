"""Passwords for commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from reginfo.cli.password import VARIABLE, known_password, new_password

APP = typer.Typer()


@APP.command()
def ask(new: bool = False, file: Path | None = None) -> None:
    password = (new_password if new else known_password)("alice", file)
    typer.echo(f"got {password}")


def given(*arguments: str | Path, typed: str = "") -> str:
    done = CliRunner().invoke(APP, [str(one) for one in arguments], input=typed)
    return done.stdout.strip() if done.exit_code == 0 else f"{done.exit_code}"


def test_a_file_is_read_before_the_environment_and_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7616-10: it is never an argument, which others see"""
    monkeypatch.setenv(VARIABLE, "from the environment")
    file = tmp_path / "password"
    file.write_text("from a file\r\nsecond line\n")
    assert given("--file", file) == "got from a file"
    assert given() == "got from the environment"
    monkeypatch.delenv(VARIABLE)
    assert given(typed="typed\n") == "got typed"


def test_a_new_one_is_typed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """7616-10"""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert given("--new", typed="one\none\n") == "got one"
    assert given("--new", typed="one\nother\none\none\n") == "got one"
    assert given("--new") == "2"


def test_a_file_without_a_password_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "password"
    assert given("--file", file) == "2"
    file.write_text("\nx\n")
    assert given("--file", file) == "2"
    file.write_bytes(b"\xff")
    assert given("--file", file) == "2"
