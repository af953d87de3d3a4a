"""The command line as a whole: help, versions, exit codes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import reginfo
from reginfo.cli.ending import NOT_THERE, UNREACHABLE, WRONG
from reginfo.cli.main import COMMANDS, GROUPS, command

from .run import configured, run

NAMES = [function.__name__.replace("_", "-") for function in COMMANDS] + [*GROUPS]

PARTS = {
    name: sorted(
        one.name or one.callback.__name__
        for one in group.registered_commands
        if one.callback
    )
    for name, group in GROUPS.items()
}
PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")


def test_the_version_is_told() -> None:
    result = run("--version")
    assert result.output == f"reginfo {reginfo.__version__}\n"
    assert result.exit_code == 0


def test_without_a_command_there_is_help() -> None:
    assert "Usage: reginfo" in run().output
    result = run("--help")
    assert result.exit_code == 0
    for name in NAMES:
        assert re.search(rf"│ {name} ", result.output)
    # Lines are as wide as the terminal.
    said = " ".join(result.output.split())
    assert "Exit codes: 0 success; 1 the request" in said


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_each_of_its_options_has_a_help_text(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: reginfo {name} [OPTIONS]" in result.output
    group = get_command(command)
    assert isinstance(group, TyperGroup)
    one = group.commands[name]
    assert one.help
    for param in one.params:
        assert getattr(param, "help", None), param.name


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name in GROUPS for part in PARTS[name]]
)
def test_every_part_of_a_group_has_a_help_text(name: str, part: str) -> None:
    """And stands on the page of commands."""
    result = run(name, part, "--help")
    assert result.exit_code == 0
    assert "Exit codes" in result.output
    assert re.search(rf"^    reginfo {name} {part}", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", ["serve", "show", "check", "backup", "drain"])
def test_a_wrong_configuration_exits_with_2_and_is_reported_line_by_line(
    tmp_path: Path, name: str
) -> None:
    file = configured(tmp_path, "lisen = 1\n[registrar]\nmin_expires = -1\n")
    target = [tmp_path / "copy"] if name == "backup" else []
    result = run(name, "-c", file, *target)
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert first.startswith(f"reginfo: {file}:4: server.lisen: ")
    assert second.startswith(f"reginfo: {file}:6: registrar.min_expires: ")


def test_a_missing_configuration_is_2(tmp_path: Path) -> None:
    result = run("serve", "-c", tmp_path / "none.toml")
    assert result.exit_code == 2
    assert "none.toml: No such file or directory" in result.stderr


@pytest.mark.parametrize("name", ["show", "drain"])
@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("", "server.admin is not set"),
        ('admin = "127.0.0.1:0"', "any free port"),
    ],
)
def test_a_configuration_that_does_not_say_where_to_ask_is_2(
    tmp_path: Path, lines: str, error: str, name: str
) -> None:
    result = run(name, "-c", configured(tmp_path, lines))
    assert result.exit_code == 2
    assert error in result.stderr


@pytest.mark.parametrize("name", ["show", "drain"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--admin", "nowhere"],
        ["--admin", "127.0.0.1:1", "-c", "x.toml"],
        ["--unknown"],
        ["a", "b"],
    ],
)
def test_a_wrong_command_is_2(arguments: list[str], name: str) -> None:
    assert run(name, *arguments).exit_code == 2


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_commands_has_each_of_them_with_its_options(name: str) -> None:
    assert re.search(rf"^\| \[`{name}`\]", PAGE, re.MULTILINE)
    group = get_command(command)
    assert isinstance(group, TyperGroup)
    for param in group.commands[name].params:
        if param.param_type_name == "option":
            assert set(param.opts) & set(re.findall(r"--?[a-z-]+", PAGE)), param.name


def test_the_page_of_commands_has_the_exit_codes() -> None:
    for code in (0, NOT_THERE, WRONG, UNREACHABLE):
        assert re.search(rf"^\| {code} \|", PAGE, re.MULTILINE)


def test_the_commands_on_the_page_exist() -> None:
    lines = re.findall(r"^    (?:tag=\$\()?reginfo (.*)$", PAGE, re.MULTILINE)
    assert len(lines) > 10
    group = get_command(command)
    assert isinstance(group, TyperGroup)
    for line in lines:
        name, *arguments = shlex.split(line.removesuffix(")"))
        # Raises if there is no such option, or one too few.
        group.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)", PAGE))
def test_every_link_of_the_page_leads_somewhere(link: str) -> None:
    assert (Path(__file__).parents[2] / "docs" / link).exists()
