"""The methods of the server for a script, in the server and in the test double."""

from __future__ import annotations

import inspect

import pytest

from reginfo.script.core import Core
from reginfo.server.core import ServerCore

from . import fake

METHODS = [name for name, _ in inspect.getmembers(Core, inspect.isfunction)
           if not name.startswith("_")]  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", [ServerCore, fake.Core])
def test_each_method_exists_with_the_same_arguments(kind: type, name: str) -> None:
    asked = inspect.signature(getattr(Core, name))
    given = inspect.signature(getattr(kind, name))
    assert list(asked.parameters) == list(given.parameters)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(Core, name))


@pytest.mark.parametrize("name", ["remove", "shorten", "create", "set_key"])
def test_a_change_carries_whether_it_is_published(name: str) -> None:
    """`reginfo_disable_publish` is of one message: no flag of the server says it."""
    parameter = inspect.signature(getattr(Core, name)).parameters["publishes"]
    assert parameter.default is inspect.Parameter.empty
