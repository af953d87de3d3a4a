"""Rows of the API as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs
from rich.table import Table
from rich.text import Text

from ..sip.text import printable


def table(rows: Sequence[Struct], width: int | None) -> Table:
    """
    Some rows of one kind, with the names of their fields.

    One in a line; or, if that is too wide for ``width`` columns, field below field.
    What no row has anything to say in has no column, and no line.
    """
    cells = [{k: _cell(v) for k, v in structs.asdict(row).items()} for row in rows]
    names = [name for name in cells[0] if any(cell[name] for cell in cells)]
    numbers = {
        name
        for name in names
        if any(type(getattr(row, name)) in (int, float) for row in rows)
    }
    # As Text: a phone's brackets are no markup of ours.
    lines = [[Text(cell[name]) for name in names] for cell in cells]
    longest = [max(map(len, column)) for column in zip(names, *lines, strict=True)]
    if width is not None and sum(longest) + 3 * len(names) + 1 > width:
        below = Table("", "", show_header=False)
        for line in lines:
            for name, cell in zip(names, line, strict=True):
                below.add_row(Text(name, "bold"), cell, end_section=name == names[-1])
        return below
    beside = Table(header_style="bold")
    for name in names:
        beside.add_column(
            name, justify="right" if name in numbers else "left", no_wrap=True
        )
    for line in lines:
        beside.add_row(*line)
    return beside


def _cell(value: object) -> str:
    match value:
        case None | False:
            text = ""
        case True:
            text = "yes"
        case dict():
            text = ";".join(k if v is None else f"{k}={v}" for k, v in value.items())
        case list():
            text = ", ".join(value)
        case float():
            text = f"{value:g}"
        case _:
            text = str(value)
    # Nor may a phone move the cursor of whoever looks.
    return printable(text)
