"""Messages and JSON of the commands, whatever a peer has sent."""

from __future__ import annotations

import json

import pytest
import typer

from reginfo.cli import ending
from reginfo.cli.ending import NOT_THERE, counted, echo_json, fail, say

CONTROLS = "\x1b[2J\x07\x00\x7f\x9b"


@pytest.mark.parametrize("separator", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_a_message_of_a_peer_forges_no_line(
    separator: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """3261-91: lines end where we have ended them."""
    say(f"403 Forbidden{separator}published for 60 s{CONTROLS}\nsecond")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("reginfo: 403 Forbidden\ufffdpublished")
    assert first.isprintable()
    assert second == "reginfo: second"


def test_a_failure_exits_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught:
        fail("no\x1b", NOT_THERE)
    assert caught.value.exit_code == NOT_THERE
    assert capsys.readouterr().err == "reginfo: no\ufffd\n"


@pytest.mark.parametrize("indent", [0, 2])
def test_json_has_no_control_characters(
    indent: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """3261-90: U+FFFD stands for them, in keys and values."""
    echo_json({"a": f"x{CONTROLS}é\\", f"k{CONTROLS}": [CONTROLS]}, indent=indent)
    out = capsys.readouterr().out
    shown = CONTROLS.translate(
        dict.fromkeys(map(ord, "\x1b\x07\x00\x7f\x9b"), "\ufffd")
    )
    assert json.loads(out) == {"a": f"x{shown}é\\", f"k{shown}": [shown]}
    assert (out.count("\n") > 1) == bool(indent)
    assert "\\u00" not in out


def test_each_way_to_end_has_its_code() -> None:
    """docs/commands.md: a script can tell the reasons apart."""
    codes = [
        value
        for name, value in vars(ending).items()
        if name.isupper() and isinstance(value, int)
    ]
    assert len(codes) == len(set(codes)) == 5
    assert 0 not in codes


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 contacts"), (1, "1 contact"), (2, "2 contacts")]
)
def test_what_is_counted_is_in_the_plural_but_for_one(number: int, said: str) -> None:
    assert counted(number, "contact") == said
