"""A group finds the URIs that equal a given one, without comparing all (§19.1.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reginfo.sip import uri_group
from reginfo.sip.uri import Uri
from reginfo.sip.uri_group import COMPARED, FEW, UriGroup

params = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["", "=1", "=2", "=%31"])),
    max_size=3,
    unique_by=lambda item: item[0],
)
uris = params.map(
    lambda ones: Uri.parse("sip:h" + "".join(f";{n}{value}" for n, value in ones))
)


@given(st.lists(st.tuples(uris, st.integers(0, 3), st.booleans()), max_size=40), uris)
def test_a_group_finds_what_a_search_through_all_finds(
    steps: list[tuple[Uri, int, bool]], asked: Uri
) -> None:
    """3261-150: whatever was added and removed, and divided meanwhile."""
    group: UriGroup[tuple[str, int]] = UriGroup()
    kept: dict[tuple[str, int], Uri] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uri_group, "FEW", 2)
        group = UriGroup()
        for uri, id, added in steps:
            if added:
                group.add(uri, id, (uri.key, id))
                kept[uri.key, id] = uri
            else:
                group.remove(uri, id)
                kept.pop((uri.key, id), None)
    found = list(group.find(asked))
    assert sorted(found) == sorted(
        item for item, uri in kept.items() if asked.matches(uri)
    )
    assert sorted(group) == sorted(kept)
    assert len(group) == len({key for key, _ in kept})
    same = [item for item in found if item[0] == asked.key]
    assert found[: len(same)] == same


@pytest.mark.parametrize("text", ["sip:h;a={}", "sip:h;ob;a={}", "sip:h;a={};b{}=1"])
def test_the_work_of_a_search_does_not_depend_on_the_size(text: str) -> None:
    """3261-150"""
    group: UriGroup[int] = UriGroup()
    for number in range(1000):
        group.add(Uri.parse(text.format(number, number)), number, number)
    assert list(group.find(Uri.parse(text.format(7, 7)))) == [7]
    assert list(group.find(Uri.parse(text.format(1007, 1007)))) == []
    assert group.compared < 2 * FEW


def test_what_cannot_be_divided_is_compared_up_to_a_limit() -> None:
    """Any two of these have a parameter in common, with another value (3261-150)."""
    group: UriGroup[int] = UriGroup()
    names = ["a={0};b={0}", "b={0};c={0}", "a={0};c={0}"]
    for number in range(3000):
        uri = Uri.parse("sip:h;" + names[number % 3].format(number))
        assert list(group.find(uri)) == []
        group.add(uri, number, number)
    before = group.compared
    assert list(group.find(Uri.parse("sip:h;b=x;c=x"))) == []
    assert group.compared == before + COMPARED


def test_results_do_not_count_against_the_limit() -> None:
    group: UriGroup[int] = UriGroup()
    for number in range(2 * COMPARED):
        group.add(Uri.parse(f"sip:h;a={number}"), number, number)
    assert len(list(group.find(Uri.parse("sip:h")))) == 2 * COMPARED


def test_removing_what_is_not_there_changes_nothing() -> None:
    group: UriGroup[int] = UriGroup()
    group.add(Uri.parse("sip:h"), 1, 1)
    group.remove(Uri.parse("sip:h;a"), 1)
    group.remove(Uri.parse("sip:h"), 2)
    assert list(group) == [1]
    group.remove(Uri.parse("sip:h"), 1)
    assert not len(group)
