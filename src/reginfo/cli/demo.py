"""``reginfo demo``: see it work."""

from __future__ import annotations

import typer
from rich.console import Console


def demo() -> None:
    """
    See it work: two servers, one phone, on this machine only.

    A phone registers at server A; server B, which has subscribed there, knows it. The
    message that told it is shown, and how long each step took.
    """
    from ..demo.story import tell

    raise typer.Exit(tell(Console()))
