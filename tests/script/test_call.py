"""The methods of a request in a script, in the server and in the test double."""

from __future__ import annotations

import inspect

import pytest

from reginfo.script.call import Call
from reginfo.server.passage import Passage

from . import fake

STATE = list(Call.__annotations__)
METHODS = [name for name, _ in inspect.getmembers(Call, inspect.isfunction)
           if not name.startswith("_")]  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", [Passage, fake.Call])
def test_each_method_exists_and_has_a_docstring(kind: type, name: str) -> None:
    assert callable(getattr(kind, name))
    assert inspect.getdoc(getattr(Call, name))


@pytest.mark.parametrize("name", STATE)
def test_the_server_keeps_each_part_of_the_state_in_a_slot(name: str) -> None:
    # A slot: whoever misspells one is told.
    assert name in dir(Passage)


def test_a_method_takes_what_a_script_gives_it() -> None:
    for name in METHODS:
        asked = inspect.signature(getattr(Call, name))
        given = inspect.signature(getattr(fake.Call, name))
        assert list(asked.parameters) == list(given.parameters), name
