"""
The shape of the package: imports point down and form no circle; a file is one noun, is
not long, and has its test file; a class name is used once.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "reginfo"
LAYERS = [
    "version", "sip", "events", "reg", "ledger", "config", "auth", "location", "io",
    "roles", "routing", "sync",
    "pua_reginfo", "script", "server", "web", "cli",
]  # fmt: skip

# What stands beside the layers is a part of the last one: commands, and what serves
# tests, may use all that there is.
BESIDE = {path.stem for path in SRC.iterdir()} - {"__init__", *LAYERS}


def layer(name: str) -> int:
    return LAYERS.index("cli" if name in BESIDE else name)


def imports(source: str, package: list[str]) -> Iterator[list[str]]:
    """The modules of ours that a module of ``package`` imports, as paths."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            yield from (name[1:] for name in names if name[0] == "reginfo")
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
            elif node.module and node.module.split(".")[0] == "reginfo":
                base, node.module = [], node.module.partition(".")[2]
            else:
                continue
            module = [*base, *(node.module.split(".") if node.module else [])]
            # `from . import x`: x may be a module, or only a name in one.
            yield from ([*module, alias.name] for alias in node.names)


def upward(source: str, path: Path) -> list[str]:
    """The imports in the module at ``path`` that do not point down."""
    parts = list(path.with_suffix("").parts)
    wrong = []
    for module in imports(source, parts[:-1]):
        # Else it is a name in our `__init__`, such as `__version__`.
        is_module = module[0] in BESIDE or module[0] in LAYERS
        above = is_module and layer(module[0]) > layer(parts[0])
        # The document model serves a user who has another SIP stack.
        foreign = parts[0] == "reg" and module[0] in ("sip", "events")
        if above or (foreign and module[:2] != ["sip", "errors"]):
            wrong.append(f"{path} imports {'.'.join(module)}")
    return wrong


MODULES = sorted(p.relative_to(SRC) for p in SRC.rglob("*.py") if p.parent != SRC)
MODULES += sorted(
    p.relative_to(SRC) for p in SRC.glob("*.py") if p.name != "__init__.py"
)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_down(module: Path) -> None:
    assert upward((SRC / module).read_text("utf-8"), module) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sip/message.py", "from ..events.headers import EventHeader"),
        ("sip/message.py", "from ..events import headers"),
        ("sip/message.py", "from .. import events"),
        ("sip/message.py", "import reginfo.server.app"),
        ("sip/message.py", "from reginfo import server"),
        ("sip/message.py", "def f():\n    from reginfo.roles.notifier import Watch"),
        ("reg/xml.py", "from ..sip.uri import Uri"),
        ("reg/xml.py", "from ..events import headers"),
        ("server/app.py", "from ..demo import run"),
        ("pua_reginfo.py", "from .server.app import App"),
    ],
)
def test_an_import_that_points_up_is_found(path: str, source: str) -> None:
    assert upward(source, Path(path))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sip/message.py", "from .errors import Refusal"),
        ("sip/message.py", "import sip\nfrom server import app"),
        ("reg/xml.py", "from ..sip.errors import RemoteProtocolError"),
        ("reg/xml.py", "from ..sip import errors"),
        ("roles/notifier.py", "from ..events.notify import Notifier"),
        ("cli/serve.py", "from ..server.app import App\nfrom ..demo import run"),
        ("cli/main.py", "from .. import __version__"),
    ],
)
def test_an_import_that_points_down_is_fine(path: str, source: str) -> None:
    assert not upward(source, Path(path))


def test_the_page_names_every_module() -> None:
    """`docs/design.md` is true of the code as it stands."""
    page = (SRC.parents[1] / "docs" / "design.md").read_text("utf-8")
    layout = page.partition("## The layout")[2].partition("\n## ")[0]
    missing = [
        str(path)
        for path in MODULES
        if path.name != "__init__.py"
        and path.parts[0] not in ("cli", "demo")  # a file for each command, each step
        and not re.search(rf"\b{re.escape(path.name)}\b", layout)
    ]
    assert missing == []


# Circles.


def dependencies(path: Path, source: str, modules: Iterable[Path]) -> set[Path]:
    """The modules among ``modules`` that the one at ``path`` imports, however."""
    known = {module.with_suffix("").parts: module for module in modules}
    package = list(path.parent.parts)
    found = set()
    for parts in imports(source, package):
        # `from ..x import Y`: x is a module or a package, Y may be a name in it.
        for size in range(len(parts), 0, -1):
            name = tuple(parts[:size])
            module = known.get(name) or known.get((*name, "__init__"))
            if module is not None:
                found.add(module)
                break
    return found - {path}


def circles(imported: Mapping[Path, set[Path]]) -> list[list[str]]:
    """The groups of modules each of which imports all others, through others or not."""

    def reached(start: Path) -> set[Path]:
        seen: set[Path] = set()
        waiting = [start]
        while waiting:
            for module in imported.get(waiting.pop(), set()) - seen:
                seen.add(module)
                waiting.append(module)
        return seen

    reach = {module: reached(module) for module in imported}
    groups = {
        tuple(sorted(str(other) for other in seen if module in reach[other]))
        for module, seen in reach.items()
        if module in seen
    }
    return [list(group) for group in sorted(groups)]


ALL_MODULES = sorted(path.relative_to(SRC) for path in SRC.rglob("*.py"))


def test_no_modules_import_each_other() -> None:
    """Whether for types only (`TYPE_CHECKING`), within a function, or at the top."""
    imported = {
        path: dependencies(path, (SRC / path).read_text(), ALL_MODULES)
        for path in ALL_MODULES
    }
    assert circles(imported) == []


def test_a_circle_is_found_however_it_is_hidden() -> None:
    sources = {
        Path("sip/a.py"): "if TYPE_CHECKING:\n    from .b import B",
        Path("sip/b.py"): "def f():\n    from reginfo.sip import c",
        Path("sip/c.py"): "from ..sip.a import A",
        Path("sip/d.py"): "from .a import A\nfrom .c import C",
        Path("sip/__init__.py"): "",
    }
    imported = {
        path: dependencies(path, source, sources) for path, source in sources.items()
    }
    assert circles(imported) == [["sip/a.py", "sip/b.py", "sip/c.py"]]


# Long files.

LONGEST = 450
"""Lines that a file may have without a reason."""

REASON = "is long because"
"""How the docstring of a longer file says its reason."""

MOST_LONG = 3

# Files that are still to be divided.
TOO_LONG: set[str] = set()


def long_files() -> dict[str, str]:
    """The files over ``LONGEST`` lines, with their docstrings."""
    return {
        path.as_posix(): ast.get_docstring(ast.parse(source)) or ""
        for path in ALL_MODULES
        if len((source := (SRC / path).read_text()).splitlines()) > LONGEST
    }


def test_a_long_file_says_why_it_is_long() -> None:
    silent = {
        path
        for path, said in long_files().items()
        if REASON not in " ".join(said.split())
    }
    assert silent == TOO_LONG, "divide the file, or correct TOO_LONG"


def test_few_files_are_long() -> None:
    assert len(long_files().keys() - TOO_LONG) <= MOST_LONG


# Names.


def test_a_class_name_is_used_once() -> None:
    """Whoever searches for a name finds one thing."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for path in ALL_MODULES:
        for node in ast.walk(ast.parse((SRC / path).read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.as_posix())
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert twice == {}


# Test files.

TESTS = Path(__file__).parent

# Files without a test file of their own.
UNTESTED: set[str] = set()


def test_every_file_has_its_test_file() -> None:
    """`sip/uri.py` is tested by `tests/sip/test_uri.py`."""
    without = {
        path.as_posix()
        for path in ALL_MODULES
        if path.name != "__init__.py"
        and not (TESTS / path.parent / f"test_{path.name}").exists()
    }
    assert without == UNTESTED, "write the test file, or correct UNTESTED"
