"""``reginfo demo`` ends as the demonstration does."""

from __future__ import annotations

import pytest
from rich.console import Console

from reginfo.demo import story

from .run import run


@pytest.mark.parametrize("code", [0, 1, 130])
def test_the_command_ends_with_the_code_of_the_story(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/commands.md: 0 only if every step completed."""

    def tell(console: Console) -> int:
        console.print("told")
        return code

    monkeypatch.setattr(story, "tell", tell)
    done = run("demo")
    assert (done.exit_code, done.stdout) == (code, "told\n")
