"""What the README tells a newcomer to do can be done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reginfo.cli.main import GROUPS, command
from reginfo.config.config import Config
from reginfo.config.stance import exposed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_the_example_is_a_valid_configuration() -> None:
    example, real = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    config = Config.parse(example)
    assert exposed(config) is None
    # 8760-14: on a real network passwords are needed.
    assert exposed(Config.parse(real)) is None
    assert exposed(Config.parse(real.partition("[auth]")[0])) is not None
    assert config.peers[0].watch == ("sip:alice@example.com",)
    # "all of these are the defaults"
    assert config.registrar == type(config.registrar)()


@pytest.mark.parametrize("text", [README, CONTRIBUTING])
def test_every_target_and_command_is_there(text: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"\bmake ([a-z]+)$|`make ([a-z]+)`", text, re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE)
    known = {
        info.name or info.callback.__name__.replace("_", "-")
        for info in command.registered_commands
        if info.callback
    } | {*GROUPS}
    used = re.findall(r"^ +reginfo ([a-z-]+)|`reginfo ([a-z-]+)", text, re.MULTILINE)
    assert used and {"".join(name) for name in used} <= known


@pytest.mark.parametrize("text", [README, CONTRIBUTING])
def test_every_link_leads_somewhere(text: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (ROOT / link).exists(), link
