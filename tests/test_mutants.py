"""The tool for mutation tests hides no survivor, and says what it measured."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from .test_conformance import ROOT, load

mutants = load(ROOT / "tools" / "mutants.py")

KEPT: dict[str, Any] = {
    "equivalent": [
        {"reason": "Wording.", "was": r"\braise ", "change": "prose"},
        {
            "reason": "Slower.",
            "module": "sip/*.py",
            "mutants": [["a = 1", "a = 2"], ["b = 1", "b = 2"]],
        },
    ],
    "left": [{"reason": "No promise.", "mutants": [["c < 1", "c <= 1"]]}],
}


def mutant(
    was: str, now: str, outcome: str = "survived", module: str = "sip/x.py"
) -> Any:
    return mutants.Mutant(
        module=module, function="f", name="1", was=was, now=now, outcome=outcome
    )


def judged(*arguments: str) -> tuple[str, str]:
    found = mutants.judged(mutant(*arguments), KEPT)
    return found.outcome, found.reason


def test_a_survivor_is_judged_by_the_kept_list() -> None:
    assert judged("a = 1", "a = 2") == ("equivalent", "Slower.")
    assert judged("a = 1", "a = 2", "untested") == ("equivalent", "Slower.")
    assert judged("c < 1", "c <= 1") == ("survived", "No promise.")
    assert judged("a = 1", "a = 3") == ("survived", "")


def test_what_was_killed_or_is_elsewhere_is_not_excused() -> None:
    assert judged("a = 1", "a = 2", "killed") == ("killed", "")
    assert judged("a = 1", "a = 2", "survived", "reg/x.py") == ("survived", "")


@pytest.mark.parametrize(
    ("now", "excused"),
    [
        ('raise E(423, "XXToo BriefXX", [("Min-Expires", x)])', True),
        ('raise E(423, "too brief", [("Min-Expires", x)])', True),
        ('raise E(423, None, [("Min-Expires", x)])', True),
        ('raise E(424, "Too Brief", [("Min-Expires", x)])', False),
        ('raise E(423, "Too Brief", [("XXMin-ExpiresXX", x)])', False),
        ('raise E(423, "Too Brief", [("min-expires", x)])', False),
        ('raise E(423, "Too Brief", None)', False),
    ],
)
def test_only_words_are_no_promise(now: str, excused: bool) -> None:
    was = 'raise E(423, "Too Brief", [("Min-Expires", x)])'
    assert (judged(was, now)[0] == "equivalent") == excused


def test_each_survivor_is_on_the_page_and_counts() -> None:
    found = [
        mutants.judged(one, KEPT)
        for one in (
            mutant("x", "y", "killed"), mutant("x", "z", "timeout"),
            mutant("a = 1", "a = 2"), mutant("c < 1", "c <= 1"), mutant("d", "e"),
        )
    ]  # fmt: skip
    page = mutants.page(found)
    assert "| all | 5 | 1 | 1 | 2 | 0 | 1 | 0 | 40.0 % | 50.0 % |" in page
    assert "- `sip/x.py` f: `c < 1` → `c <= 1`. No promise.\n" in page
    assert "- `sip/x.py` f: `d` → `e`. Not looked at yet.\n" in page
    assert "- 1: Slower.\n" in page
    assert mutants.stale(found, KEPT) == [["b = 1", "b = 2"]]


def test_each_layer_names_files_that_exist() -> None:
    source = ROOT / "src" / "reginfo"
    for layer in mutants.LAYERS:
        if not (source / layer).is_dir():
            continue
        assert any(
            list(ROOT.glob(pattern)) for pattern in mutants.mutated_files(layer)
        ), layer


def test_every_kept_pattern_is_of_a_module_that_exists() -> None:
    source = ROOT / "src" / "reginfo"
    modules = [str(path.relative_to(source)) for path in source.rglob("*.py")]
    without = [
        group["module"]
        for groups in mutants.looked_at().values()
        for group in groups
        if not any(fnmatch(name, group.get("module", "*")) for name in modules)
    ]
    assert without == []


def test_the_files_of_a_layer_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mutants.LAYERS, "server", "{router,uas}.py")
    assert mutants.mutated_files("sip") == ["src/reginfo/sip/*.py"]
    assert mutants.mutated_files("server") == [
        "src/reginfo/server/router.py",
        "src/reginfo/server/uas.py",
    ]


def test_the_page_says_of_which_commits_its_figures_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mutants, "SESSIONS", tmp_path)
    for layer, commit in (("sip", "1111111"), ("reg", "2222222"), ("roles", "1111111")):
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "commit").write_text(commit)
    (tmp_path / "events").mkdir()
    marks = list(mutants.measured(["sip", "events", "reg", "roles"]))
    assert marks == [
        "<!-- measured: 1111111 src/reginfo/sip src/reginfo/roles -->",
        "",
        "<!-- measured: 2222222 src/reginfo/reg -->",
        "",
    ]
    page = mutants.page([mutants.judged(mutant("x", "y", "killed"), KEPT)], marks)
    assert page.index("at least 85%.") < page.index(marks[0]) < page.index("| module")
