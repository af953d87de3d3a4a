"""Exit codes, and messages on standard error."""

from __future__ import annotations

import json

import pytest
import typer

from reginfo.cli import ending
from reginfo.cli.ending import counted, echo_json, fail, say


def test_each_way_to_end_has_its_code() -> None:
    """docs/commands.md: a script can tell the reasons apart."""
    codes = [
        value
        for name, value in vars(ending).items()
        if name.isupper() and isinstance(value, int)
    ]
    assert len(codes) == len(set(codes)) == 5
    assert 0 not in codes


def test_a_message_names_the_command_in_each_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("one\ntwo")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "reginfo: one\nreginfo: two\n")


@pytest.mark.parametrize("hostile", ["a\x1b[2Jb", "a\rb", "a\x00b"])
def test_what_a_peer_has_sent_moves_no_cursor(
    hostile: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input is normal input: no control character reaches a terminal."""
    say(hostile)
    assert capsys.readouterr().err.removesuffix("\n").isprintable()


def test_to_fail_is_a_message_and_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        fail("no", ending.UNREACHABLE)
    assert ended.value.exit_code == 3
    assert capsys.readouterr().err == "reginfo: no\n"


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 contacts"), (1, "1 contact"), (2, "2 contacts")]
)
def test_what_is_counted_is_in_the_plural_but_for_one(number: int, said: str) -> None:
    assert counted(number, "contact") == said


@pytest.mark.parametrize(("indent", "lines"), [(0, 1), (2, 4)])
def test_json_is_in_one_line_or_in_several(
    indent: int, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    value = {"a": 1, "b": "\u2028"}
    echo_json(value, indent=indent)
    text = capsys.readouterr().out
    assert json.loads(text) == value
    assert len(text.split("\n")) == lines + 1
