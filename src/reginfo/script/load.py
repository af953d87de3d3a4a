"""A routing script: read from its file, and checked as far as that can be."""

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
"""What a script's module is called."""

COMMON = frozenset({"lookup", "save"})
"""Functions whose names others have, too: looked at on arguments of handlers only."""

NAMED = {"t_on_reply": "reply", "t_on_failure": "failure"}
"""Functions that take the name of a route, and of which kind that is."""


class ScriptError(ReginfoError):
    """What is wrong with a script, each with its line: ``FILE:LINE: what``."""


def load(path: Path) -> Route:
    """
    Run a script, and return its routes.

    Modules beside it can be imported; they are read anew, too.

    Raises:
        ScriptError: it cannot be read, fails, or calls for what there is not.
    """
    try:
        source = path.read_bytes()
    except OSError as exc:
        raise ScriptError(f"{path}: {exc.strerror}") from exc
    try:
        # `ast` first: wrong strings are reported before the script runs.
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
    missing = sorted(_missing_routes(tree, route))
    if missing:
        raise ScriptError("\n".join(f"{path}:{line}: {what}" for line, what in missing))
    return route


def line_of(trace: TracebackType | None, path: Path) -> int | None:
    """The line of the script at ``path`` at which an exception passed through it."""
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
    # By its name, as dataclasses and others look for a module.
    sys.modules[NAME] = module
    sys.path.insert(0, directory)
    try:
        exec(code, module.__dict__)  # type: ignore[arg-type]
    except (Exception, SystemExit) as exc:
        # The script that runs goes on with the modules that it has.
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
        raise ScriptError(f"{path}: there is {found} Route in it: route = Route()")
    return next(iter(routes.values()))


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """
    Find calls of methods, each with the name of the method.

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
    """Find the string constants among arguments, and in tuples and lists of them."""
    for argument in arguments:
        if isinstance(argument, ast.Tuple | ast.List):
            yield from _strings(*argument.elts)
        elif isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument


def _expanded(call: ast.Call, expanded: Expanded) -> Iterator[ast.Constant]:
    """Find the string constants of a call in which pseudo-variables are replaced."""
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
