"""Reads TOML into structs, and reports every error in it."""

from __future__ import annotations

import difflib
import typing
from typing import Annotated, Any, TypeVar

from msgspec import Struct, structs

from .lines import KeyPath
from .values import shown

S = TypeVar("S", bound=Struct)


class Reading:
    """
    One reading of a file into a ``Struct``: what was read, and what is wrong.

    A field of the struct is a table (another struct), an array of tables (a tuple
    of structs), or ``Annotated`` with the function that reads its value.
    """

    def __init__(self, root: type[Struct]) -> None:
        self._root = root
        self.errors: list[tuple[KeyPath, str]] = []
        self._tables: list[tuple[KeyPath, Struct]] = []

    def table(self, cls: type[S], values: object, path: KeyPath) -> S | None:
        """Read a table; None if it lacks what it must have."""
        if not isinstance(values, dict):
            self.errors.append((path, f"a table is needed, not {shown(values)}"))
            return None
        fields = {field.encode_name: field for field in structs.fields(cls)}
        for key in values.keys() - fields.keys():
            self.errors.append(((*path, key), self._unknown(key, list(fields), path)))
        read: dict[str, Any] = {}
        for key, info in fields.items():
            if key in values:
                try:
                    value = self._value(info.type, values[key], (*path, key))
                except ValueError as exc:
                    self.errors.append(((*path, key), str(exc)))
                else:
                    read[info.name] = value
            elif info.required:
                self.errors.append(((*path, key), "is missing"))
        if any(info.required and not read.get(info.name) for info in fields.values()):
            return None
        self._tables.append((path, table := cls(**read)))
        return table

    def _value(self, hint: Any, value: object, path: KeyPath) -> Any:
        if typing.get_origin(hint) is Annotated:
            return hint.__metadata__[0](value)
        table = _struct_in(hint)
        if typing.get_origin(hint) is not tuple:
            return self.table(table, value, path)
        if not isinstance(value, list):
            raise ValueError(f"is an array of tables: write [[{written(path)}]]")
        items = [self.table(table, item, (*path, i)) for i, item in enumerate(value)]
        return tuple(item for item in items if item is not None)

    def all(self, cls: type[S]) -> list[tuple[KeyPath, S]]:
        """The tables of a kind that could be read, and their paths."""
        return [(p, table) for p, table in self._tables if isinstance(table, cls)]

    def require(self, holds: bool, message: str, *keys: KeyPath) -> None:
        """
        Note an error at the first of ``keys``, unless ``holds``.

        No error is noted if one of them has an error already: its value is a default.
        """
        wrong = {path for path, _ in self.errors}
        if not holds and wrong.isdisjoint(keys):
            self.errors.append((keys[0], message))

    def _unknown(self, key: str, known: list[str], path: KeyPath) -> str:
        kind = "key" if path else "section"
        if near := difflib.get_close_matches(key, known, 1):
            return f"unknown {kind}; did you mean {near[0]}?"
        for section in structs.fields(self._root):
            table = _struct_in(section.type)
            if key in {info.encode_name for info in structs.fields(table)}:
                return f"unknown {kind} here; it is one of [{section.encode_name}]"
        return f"unknown {kind}; known here: {', '.join(known)}"


def _struct_in(hint: Any) -> type[Struct]:
    kinds = (hint, *typing.get_args(hint))
    return next(k for k in kinds if isinstance(k, type) and issubclass(k, Struct))


def written(path: KeyPath) -> str:
    """Write a key with dots between its names."""
    return ".".join(part for part in path if isinstance(part, str))
