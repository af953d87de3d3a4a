"""Bindings as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs
from rich.table import Table
from rich.text import Text

from .rows import Row

OPTIONAL = {"source", "q", "params", "path", "received"}
"""Columns that are there only if one of the bindings has something to show in them."""


def table(rows: Sequence[Row], width: int | None) -> Table:
    """
    The bindings, with the names of the fields of :class:`~reginfo.web.rows.Row`.

    One in a row; or, if that is too wide for ``width`` columns, one below the other.
    """
    cells = [{k: _cell(v) for k, v in structs.asdict(row).items()} for row in rows]
    names = [
        name
        for name in Row.__struct_fields__
        if name not in OPTIONAL or any(cell[name] for cell in cells)
    ]
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
        number = name in ("expires", "cseq", "q")
        beside.add_column(name, justify="right" if number else "left", no_wrap=True)
    for line in lines:
        beside.add_row(*line)
    return beside


def _cell(value: object) -> str:
    match value:
        case None:
            text = ""
        case dict():
            text = ";".join(k if v is None else f"{k}={v}" for k, v in value.items())
        case list():
            text = ", ".join(value)
        case float():
            text = f"{value:g}"
        case _:
            text = str(value)
    # Nor may a phone move the cursor of whoever looks.
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
