"""Prints rows of the API as a table."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs
from rich.table import Table
from rich.text import Text

from ..sip.text import printable


def table(rows: Sequence[Struct], width: int | None) -> Table:
    """
    Build a table of rows of one type, with the names of their fields.

    Each row is a line; if that is wider than ``width`` columns, each field is a line.
    Fields that are empty in every row are left out.
    """
    cells = [{k: _cell(v) for k, v in structs.asdict(row).items()} for row in rows]
    names = [name for name in cells[0] if any(cell[name] for cell in cells)]
    numbers = {
        name
        for name in names
        if any(type(getattr(row, name)) in (int, float) for row in rows)
    }
    # As Text, because brackets in the data are not markup.
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
    # Replace control characters, which could move the cursor of the terminal.
    return printable(text)
