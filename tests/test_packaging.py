"""The package is built from what the repository has, pure or compiled."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reginfo import __version__
from reginfo.config.config import Config
from reginfo.library.server import DEFAULT
from reginfo.server.app import App

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
COMPILED: list[str] = PYPROJECT["tool"]["reginfo"]["compiled"]
NOT_SHIPPED = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "*.db*"
)


def backend(call: str, directory: Path, **environment: str) -> str:
    """Call the build backend as pip does; what the last line it prints says."""
    program = f"import build_backend as b; print({call})"
    clean = {k: v for k, v in os.environ.items() if k != "REGINFO_COMPILE"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=directory,
        env={**clean, "PYTHONPATH": str(directory / "tools"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of the working tree, unpacked."""
    tree = tmp_path_factory.mktemp("tree") / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_SHIPPED)
    place = tmp_path_factory.mktemp("sdist")
    name = backend(f"b.build_sdist({str(place)!r})", tree)
    with tarfile.open(place / name) as archive:
        archive.extractall(place)
    return place / f"reginfo-{__version__}"


def files(tree: Path) -> set[str]:
    return {str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()}


@pytest.mark.parametrize("module", COMPILED)
def test_each_compiled_module_exists(module: str) -> None:
    assert (ROOT / module).is_file()


@pytest.mark.parametrize("module", COMPILED)
def test_a_compiled_struct_has_its_options_from_a_base_class(module: str) -> None:
    """
    mypyc drops the keywords of a class: compiled, `Struct, frozen=True` can be changed.

    A subclass of :class:`reginfo.sip.value.Value` inherits them all the same.
    """
    for node in ast.walk(ast.parse((ROOT / module).read_text("utf-8"))):
        if isinstance(node, ast.ClassDef):
            assert "msgspec.Struct" not in map(ast.unparse, node.bases), node.name


PLAIN = (
    msgspec.inspect.StrType,
    msgspec.inspect.BytesType,
    msgspec.inspect.BoolType,
    msgspec.inspect.IntType,
    msgspec.inspect.FloatType,
)
"""Annotations that mypyc keeps."""


def stored_types(type_: msgspec.inspect.Type) -> Iterator[type]:
    """The classes that a stored value is decoded into, by more than built-in types."""
    cls, fields = getattr(type_, "cls", None), getattr(type_, "fields", ())
    if cls and not all(isinstance(field.type, PLAIN) for field in fields):
        yield cls
    inner = [getattr(type_, "item_type", None), getattr(type_, "value_type", None)]
    inner += getattr(type_, "item_types", ()) + getattr(type_, "types", ())
    inner += [field.type for field in getattr(type_, "fields", ())]
    for one in inner:
        if one is not None:
            yield from stored_types(one)


def test_no_type_that_is_decoded_from_the_storage_is_compiled() -> None:
    """msgspec decodes by annotations, of which mypyc keeps only the simplest."""
    app = App(Config.parse(DEFAULT))
    found = {
        cls.__module__
        for rows in app._parts.shelves
        for cls in stored_types(msgspec.inspect.type_info(rows._msgpack.type))
    }
    assert {"reginfo.location.claim", "reginfo.sip.flow"} < found
    compiled = {
        m.removeprefix("src/").removesuffix(".py").replace("/", ".") for m in COMPILED
    }
    assert found & compiled == set()


@pytest.mark.parametrize("module", COMPILED)
def test_a_name_of_an_error_has_one_type_in_a_compiled_function(module: str) -> None:
    """mypyc gives a name the type of its first `except`: another one is a TypeError."""
    for function in ast.walk(ast.parse((ROOT / module).read_text("utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        types: dict[str, set[str]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and node.name and node.type:
                types.setdefault(node.name, set()).add(ast.unparse(node.type))
        assert all(len(found) == 1 for found in types.values()), function.name


CAUSELESS = {
    "Malformed", "RemoteProtocolError", "UnreadableDocument", "Refusal", "_BadElement",
}  # fmt: skip
"""Errors about a message: the text says all, and nothing asks for their cause."""


@pytest.mark.parametrize("module", COMPILED)
def test_what_a_compiled_module_raises_needs_no_cause(module: str) -> None:
    """mypyc drops the cause of `raise ... from`: compiled, `__cause__` is None."""
    raised = {
        ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
        for node in ast.walk(ast.parse((ROOT / module).read_text("utf-8")))
        if isinstance(node, ast.Raise) and node.exc and node.cause
    }
    assert raised <= CAUSELESS


def test_only_the_exit_code_of_a_server_depends_on_a_cause() -> None:
    """It asks for errors of the start, which no compiled module raises from others."""
    source = ROOT / "src" / "reginfo"
    readers = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if "__cause__" in path.read_text("utf-8")
    }
    assert readers == {"cli/serve.py"}


def test_no_module_is_compiled_twice() -> None:
    assert len(set(COMPILED)) == len(COMPILED) > 10


def test_the_source_distribution_has_all_that_the_repository_has(
    unpacked: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_SHIPPED)
    assert files(tree) <= files(unpacked)


def test_without_a_compiler_the_wheel_is_pure(unpacked: Path, tmp_path: Path) -> None:
    call = f"b.build_wheel({str(tmp_path)!r})"
    name = backend(call, unpacked, CC="false")
    assert name == f"reginfo-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name) as wheel:
        names = wheel.namelist()
    ours = {f"reginfo/{name}" for name in files(ROOT / "src" / "reginfo")}
    assert {n for n in names if n.startswith("reginfo/")} == {
        name for name in ours if name.endswith((".py", ".typed"))
    }
    # Neither the wheel nor the next one has modules that are gone by now.
    assert not (unpacked / "build").exists()


def test_a_compiled_module_that_is_gone_is_an_error(
    unpacked: Path, tmp_path: Path
) -> None:
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(unpacked / name, tmp_path)
    done = subprocess.run(
        [sys.executable, "setup.py", "bdist_wheel"],
        cwd=tmp_path,
        env={**os.environ, "REGINFO_COMPILE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"tool.reginfo.compiled: no {COMPILED[0]}" in done.stderr


def requirements(**environment: str) -> Any:
    return eval(backend("b.get_requires_for_build_wheel()", ROOT, **environment))


def test_only_a_compiled_build_needs_mypy() -> None:
    assert requirements() == []
    needed = requirements(REGINFO_COMPILE="1")
    assert set(PYPROJECT["project"]["dependencies"]) < set(needed)
    assert [n for n in needed if n.startswith("mypy")]


def test_the_versions_named_are_those_that_the_tests_run_on() -> None:
    prefix = "Programming Language :: Python :: "
    named = [c for c in PYPROJECT["project"]["classifiers"] if c.startswith(prefix)]
    assert named == [f"{prefix}3.11"]
