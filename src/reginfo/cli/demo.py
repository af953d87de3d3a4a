"""``reginfo demo``: two servers and a phone, on this machine."""

from __future__ import annotations

import typer
from rich.console import Console


def demo() -> None:
    """
    Show two servers and a phone at work, on this machine only.

    The phone registers at server A, and server B, which has subscribed there, learns of
    it. The NOTIFY is shown, and how long each step took.
    """
    from ..demo.story import tell

    raise typer.Exit(tell(Console()))
