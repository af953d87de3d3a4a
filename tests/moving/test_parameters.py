"""Each parameter has a key that exists, or a reason why there is none."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from reginfo.config.config import Config
from reginfo.moving.parameters import FUNCTIONS, PARAMETERS, Equivalent
from reginfo.script.functions import Functions
from reginfo.script.message import Message

DOCS = Path(__file__).parents[2] / "docs"
KEYS = [
    (module, name, found)
    for module, parameters in PARAMETERS.items()
    for name, found in parameters.items()
]


@pytest.mark.parametrize(("module", "name", "found"), KEYS)
def test_each_parameter_has_a_key_or_a_reason(
    module: str, name: str, found: Equivalent | str
) -> None:
    """docs/moving.md: no parameter is dropped in silence."""
    if isinstance(found, str):
        assert found.strip()
        return
    sections = {one.encode_name: one.type for one in msgspec.structs.fields(Config)}
    kind = next(
        one
        for one in (sections[found.section], *_inner(sections[found.section]))
        if isinstance(one, type) and issubclass(one, msgspec.Struct)
    )
    assert found.key in {one.encode_name for one in msgspec.structs.fields(kind)}
    assert found.kind in ("text", "number", "flag")


def _inner(hint: object) -> tuple[object, ...]:
    return getattr(hint, "__args__", ())


@pytest.mark.parametrize(("function", "equivalent"), FUNCTIONS.items())
def test_each_function_exists_in_a_script(function: str, equivalent: str) -> None:
    """The contract: the functions that operators know, by the same names."""
    (name,) = re.findall(r"^msg\.(\w+)\(", equivalent)
    assert hasattr(Message, name) or hasattr(Functions, name)
    assert name == function or function == "registered"


@pytest.mark.parametrize(
    "page", sorted({page for _, _, found in KEYS if isinstance(found, str)
                    for page in re.findall(r"docs/\w+\.md", found)})
)  # fmt: skip
def test_each_page_that_a_reason_names_exists(page: str) -> None:
    assert (DOCS.parent / page).exists()
