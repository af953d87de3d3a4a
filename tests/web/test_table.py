"""A table for people fits their terminal, and cannot be abused by a phone."""

from __future__ import annotations

import io

from rich.console import Console

from reginfo.location.binding import Binding
from reginfo.web.bindings import row
from reginfo.web.table import table

from .fake import ALICE, NOW, binding


def drawn(*bindings: Binding, width: int | None) -> list[str]:
    rows = [row(ALICE, one, NOW) for one in bindings]
    out = io.StringIO()
    Console(file=out, width=width or 1000).print(table(rows, width))
    return out.getvalue().splitlines()


def test_each_binding_is_a_line_if_there_is_room() -> None:
    lines = drawn(binding("alice"), binding("alice2"), width=None)
    assert len([line for line in lines if ALICE in line]) == 2
    width = len(lines[0])
    assert drawn(binding("alice"), binding("alice2"), width=width) == lines


def test_fields_stand_one_below_the_other_if_there_is_none() -> None:
    lines = drawn(binding("alice", path=("<sip:p1;lr>", "<sip:p2;lr>")), width=79)
    assert [line.strip("│").split("│")[0].strip() for line in lines[1:-1]] == [
        "aor", "uri", "owner", "expires", "callid", "cseq", "path", "event"
    ]  # fmt: skip
    assert "<sip:p1;lr>, <sip:p2;lr>" in "".join(lines)


def test_a_phone_cannot_move_the_cursor_nor_colour_anything() -> None:
    text = "".join(drawn(binding("x", call_id="\x1b[2J[red]\r"), width=None))
    assert "\ufffd[2J[red]\ufffd" in text
