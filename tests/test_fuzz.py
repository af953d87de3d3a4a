"""The inputs that fuzzing has kept are replayed, and its engine finds an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reginfo.roles import registrar

from .test_conformance import ROOT, load

fuzz = load(ROOT / "tools" / "fuzz.py")


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_no_input_of_the_corpus_fails(name: str) -> None:
    inputs = fuzz.corpus(name)
    assert inputs, "run `make fuzz`"
    for data in inputs:
        fuzz.TARGETS[name](data)


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_each_target_has_seeds(name: str) -> None:
    seeds = list(fuzz.seeds(name))
    assert len(seeds) > 10
    for data in seeds[:100:10]:
        fuzz.TARGETS[name](data)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fuzz, "CORPUS", tmp_path)
    return tmp_path


def test_an_input_is_kept_once(folder: Path) -> None:
    assert fuzz.keep("uri", [b"b", b"a\0\xff", b"b"]) == 2
    assert fuzz.keep("uri", [b"b", b"c"]) == 1
    assert sorted(fuzz.corpus("uri")) == [b"a\0\xff", b"b", b"c"]
    assert fuzz.corpus("header") == []


def test_an_input_that_fails_is_found_without_atheris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def target(data: bytes) -> None:
        assert b"%" not in data

    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "0").write_bytes(b"sip:a@example.com")
    monkeypatch.setitem(fuzz.TARGETS, "uri", target)
    monkeypatch.setattr(fuzz, "quieten", lambda: None)
    with pytest.raises(AssertionError):
        fuzz.with_hypothesis("uri", tmp_path, 60)
    assert b"%" in (tmp_path / "crash-hypothesis").read_bytes()


def test_a_stream_that_depends_on_its_pieces_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        error = None
        pongs = 0

        def __init__(self, max_message: int) -> None:
            pass

        def receive(self, data: bytes) -> list[bytes]:
            return [data]

    monkeypatch.setattr("reginfo.sip.framing.Framer", Broken)
    with pytest.raises(AssertionError):
        fuzz.TARGETS["framing"](b"\x01abc")


@pytest.mark.skipif(
    not registrar.__file__.endswith(".py"),
    reason="compiled code calls its functions directly: none can be replaced",
)
def test_an_error_in_a_server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr("reginfo.roles.registrar.decide", broken)
    with pytest.raises(AssertionError):
        fuzz.TARGETS["server"](b"")
