"""What docs/moving.md says is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reginfo.config.config import Config
from reginfo.moving.move import dialect_of, move
from reginfo.moving.parameters import FUNCTIONS, PARAMETERS, Equivalent
from reginfo.moving.source import read
from reginfo.script.message import Message

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "moving.md").read_text("utf-8")


def block(kind: str) -> str:
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert isinstance(found, str)
    return found


def test_the_example_is_the_result_of_the_conversion() -> None:
    source = read(block("cfg"), lambda name: None)
    moved = move(source, dialect_of(source, "kamailio.cfg"), "kamailio.cfg")
    assert moved.toml == block("toml")
    Config.parse(moved.toml)


@pytest.mark.parametrize("module", PARAMETERS)
def test_each_parameter_is_in_the_table_of_its_module(module: str) -> None:
    table = PAGE.partition(f"### {module}\n")[2].partition("\n### ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))
    assert rows.keys() == PARAMETERS[module].keys()
    for name, ours in PARAMETERS[module].items():
        if isinstance(ours, Equivalent):
            assert rows[name] == f"`[{ours.section}] {ours.key}`"
        else:
            assert rows[name].lower().rstrip(".") == ours.lower()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_is_there_and_here(function: str) -> None:
    assert f"| `{function}` | `msg." in PAGE
    name = FUNCTIONS[function].removeprefix("msg.").partition("(")[0]
    assert callable(getattr(Message, name))


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)", PAGE))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (DOCS / link).exists()
