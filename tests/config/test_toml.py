"""Reading TOML into structs, with all its errors."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from msgspec import Struct

from reginfo.config.toml import Reading, written
from reginfo.config.values import text, whole


class Spot(Struct, frozen=True):
    host: Annotated[str, text]
    port: Annotated[int, whole(1)] = 5060


class Options(Struct, frozen=True):
    fast: Annotated[str, text] = "no"


class Root(Struct, frozen=True):
    options: Options = Options()
    place: tuple[Spot, ...] = ()


def read(values: Any) -> tuple[Root | None, dict[str, str]]:
    reading = Reading(Root)
    found = reading.table(Root, values, ())
    return found, {written(path): error for path, error in reading.errors}


def test_a_missing_key_has_its_default() -> None:
    assert read({}) == (Root(), {})


def test_tables_and_arrays_of_tables_are_read() -> None:
    found, errors = read(
        {"options": {"fast": "yes"}, "place": [{"host": "a"}, {"host": "b", "port": 1}]}
    )
    assert errors == {}
    assert found == Root(Options("yes"), (Spot("a"), Spot("b", 1)))


def test_all_errors_are_reported_together() -> None:
    """docs/configuration.md: `reginfo check` names all errors, not the first."""
    _, errors = read({"options": {"fast": 1}, "place": [{"port": 0}], "other": 1})
    assert errors.keys() == {"options.fast", "place.host", "place.port", "other"}
    assert errors["place.host"] == "is missing"


@pytest.mark.parametrize(
    ("values", "path", "said"),
    [
        ({"option": {}}, "option", "unknown section; did you mean options?"),
        ({"options": {"fest": "x"}}, "options.fest", "did you mean fast?"),
        ({"options": {"host": "x"}}, "options.host", "it is one of [place]"),
        ({"options": {"zzz": 1}}, "options.zzz", "unknown key; known here: fast"),
        ({"options": 1}, "options", "a table is needed, not 1"),
        ({"place": {"host": "a"}}, "place", "is an array of tables: write [[place]]"),
        ({"place": ["a"]}, "place", 'a table is needed, not "a"'),
    ],
)
def test_an_error_says_what_to_write(values: Any, path: str, said: str) -> None:
    _, errors = read(values)
    assert said in errors[path]


def test_a_table_that_lacks_a_required_key_is_left_out() -> None:
    found, _ = read({"place": [{"port": 1}, {"host": "b"}]})
    assert found is not None and found.place == (Spot("b"),)


def test_tables_are_found_by_their_kind_with_their_paths() -> None:
    reading = Reading(Root)
    reading.table(Root, {"place": [{"host": "a"}, {"host": "b"}]}, ())
    assert reading.all(Spot) == [
        (("place", 0), Spot("a")),
        (("place", 1), Spot("b")),
    ]


@pytest.mark.parametrize(("port", "count"), [(1, 1), (0, 1)])
def test_keys_that_disagree_are_reported_unless_a_value_is_wrong(
    port: int, count: int
) -> None:
    """A default in the place of a wrong value contradicts nothing."""
    reading = Reading(Root)
    reading.table(Root, {"place": [{"host": "a", "port": port}]}, ())
    reading.require(False, "do not agree", ("place", 0, "port"))
    reading.require(True, "is never said", ("place", 0, "port"))
    assert len(reading.errors) == count
