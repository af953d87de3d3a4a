"""What a script asks of the server: the server and the tests' stand-in offer it."""

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
def test_each_method_is_there_with_the_same_arguments(kind: type, name: str) -> None:
    asked = inspect.signature(getattr(Core, name))
    given = inspect.signature(getattr(kind, name))
    assert list(asked.parameters) == list(given.parameters)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_says_what_it_does(name: str) -> None:
    assert inspect.getdoc(getattr(Core, name))


@pytest.mark.parametrize("name", ["remove", "shorten", "create", "set_key"])
def test_whether_a_change_is_published_is_said_with_it(name: str) -> None:
    """`reginfo_disable_publish` is of one message: no flag of the server says it."""
    parameter = inspect.signature(getattr(Core, name)).parameters["publishes"]
    assert parameter.default is inspect.Parameter.empty
