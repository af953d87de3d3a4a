"""Loads a routing script from its file, and checks it."""

from __future__ import annotations

import ast
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType

from ..sip.errors import ReginfoError
from . import pseudo
from .result import EXPANDED, Expanded
from .route import Route

NAME = "reginfo_routes"
"""The module name of a script."""

COMMON = frozenset({"lookup", "save"})
"""Method names that other classes have, too: checked only on arguments of functions."""

NAMED = {"t_on_reply": "reply", "t_on_failure": "failure"}
"""Functions that take the name of a route, with the kind of that route."""


class ScriptError(ReginfoError):
    """The errors in a script, one per line: ``FILE:LINE: message``."""


def load(path: Path) -> Route:
    """
    Execute a script, and return its routes.

    It may import modules from its directory, which are loaded again as well.

    Raises:
        ScriptError: it cannot be read, raises, or names something that does not exist.
    """
    try:
        source = path.read_bytes()
    except OSError as exc:
        raise ScriptError(f"{path}: {exc.strerror}") from exc
    try:
        # Parsed first: wrong strings are reported before the script runs.
        tree = ast.parse(source, str(path))
        code = compile(tree, str(path), "exec")
    except SyntaxError as exc:
        raise ScriptError(f"{path}:{exc.lineno or 1}: {exc.msg}") from exc
    except ValueError as exc:
        raise ScriptError(f"{path}: {exc}") from exc
    wrong = sorted(_wrong_strings(tree))
    if wrong:
        raise ScriptError("\n".join(f"{path}:{line}: {what}" for line, what in wrong))
    module = ModuleType(NAME)
    module.__file__ = str(path)
    _run(code, module, path)
    route = _route_of(module, path)
    route.texts = frozenset(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value
    )
    missing = sorted(_missing_routes(tree, route))
    if missing:
        raise ScriptError("\n".join(f"{path}:{line}: {what}" for line, what in missing))
    return route


def line_of(trace: TracebackType | None, path: Path) -> int | None:
    """Return the last line of the script at ``path`` in a traceback, if any."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(trace)
        if frame.filename == str(path)
    ]
    return lines[-1] if lines else None


def _run(code: object, module: ModuleType, path: Path) -> None:
    directory = str(path.resolve().parent)
    before = dict(sys.modules)
    for name, known in before.items():
        file = getattr(known, "__file__", None)
        if file and str(Path(file).parent) == directory:
            del sys.modules[name]
    # dataclasses, for example, look a module up by its name.
    sys.modules[NAME] = module
    sys.path.insert(0, directory)
    try:
        exec(code, module.__dict__)  # type: ignore[arg-type]
    except (Exception, SystemExit) as exc:
        # The running script keeps its modules.
        for name in set(sys.modules) - set(before):
            del sys.modules[name]
        sys.modules.update(before)
        line = line_of(exc.__traceback__, path)
        where = path if line is None else f"{path}:{line}"
        raise ScriptError(f"{where}: {type(exc).__name__}: {exc}") from exc
    finally:
        sys.path.remove(directory)


def _route_of(module: ModuleType, path: Path) -> Route:
    routes = {id(v): v for v in vars(module).values() if isinstance(v, Route)}
    if len(routes) != 1:
        found = "no" if not routes else "more than one"
        raise ScriptError(f"{path}: has {found} Route; one is needed: route = Route()")
    return next(iter(routes.values()))


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """
    Find method calls, with the names of the methods.

    Methods with common names count only if the object is an argument of a function.
    """
    parameters = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = node.func.value
            is_message = isinstance(of, ast.Name) and of.id in parameters
            if node.func.attr not in COMMON or is_message:
                yield node.func.attr, node


def _strings(*arguments: ast.expr) -> Iterator[ast.Constant]:
    """Find the string constants in arguments, also in tuples and lists."""
    for argument in arguments:
        if isinstance(argument, ast.Tuple | ast.List):
            yield from _strings(*argument.elts)
        elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument


def _expanded(call: ast.Call, expanded: Expanded) -> Iterator[ast.Constant]:
    """Find the string constants of a call that may contain pseudo-variables."""
    given = [*zip(expanded.order, call.args, strict=False)]
    given += [(one.arg or "", one.value) for one in call.keywords]
    for name, argument in given:
        if name in expanded.names:
            yield from _strings(argument)


def _wrong_strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for name, call in _calls(tree):
        expanded = EXPANDED.get(name)
        for string in () if expanded is None else _expanded(call, expanded):
            try:
                pseudo.check(str(string.value))
            except ValueError as exc:
                yield string.lineno, f"{name}: {exc}"
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and any(
                isinstance(t, ast.Attribute) and t.attr == "uri" for t in node.targets
            )
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            try:
                pseudo.check(node.value.value)
            except ValueError as exc:
                yield node.lineno, f"uri: {exc}"


def _missing_routes(tree: ast.AST, route: Route) -> Iterator[tuple[int, str]]:
    known = {"reply": route.replies, "failure": route.failures}
    for name, call in _calls(tree):
        kind = NAMED.get(name)
        if kind is None:
            continue
        for string in _strings(*call.args, *(one.value for one in call.keywords)):
            if string.value not in known[kind]:
                yield (
                    string.lineno,
                    f"{name}: there is no {kind} route {string.value!r}",
                )
