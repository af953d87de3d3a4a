"""Imports point down: a module imports only from its own layer or a lower one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "reginfo"
LAYERS = [
    "version", "sip", "events", "reg", "ledger", "config", "location", "io", "roles",
    "routing", "pua_reginfo", "script", "server", "web", "cli",
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
    assert upward((SRC / module).read_text(), module) == []


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
    page = (SRC.parents[1] / "docs" / "design.md").read_text()
    layout = page.partition("## The layout")[2].partition("\n## ")[0]
    missing = [
        str(path)
        for path in MODULES
        if path.name != "__init__.py"
        and path.parts[0] not in ("cli", "demo")  # a file for each command, each step
        and not re.search(rf"\b{re.escape(path.name)}\b", layout)
    ]
    assert missing == []
