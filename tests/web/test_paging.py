"""One page of many things, whatever order they are in, a slice at a time."""

from __future__ import annotations

import asyncio
import random

import pytest

from reginfo.web import paging
from reginfo.web.paging import Picked, in_domain, pick, text

NAMES = [f"{number:04d}" for number in range(200)]
random.Random(1).shuffle(NAMES)


def picked(
    names: list[str], *, after: str = "", limit: int = 10, even: bool = False
) -> Picked[str]:
    def wanted(name: str) -> bool:
        return not even or name[-1] in "02468"

    return asyncio.run(pick(names, str, wanted, after=after, limit=limit))


@pytest.mark.parametrize("size", [1, 7, 200, 5_000])
@pytest.mark.parametrize("limit", [1, 7, 99, 200, 10_000])
def test_the_pages_are_all_there_is_in_order(
    monkeypatch: pytest.MonkeyPatch, size: int, limit: int
) -> None:
    monkeypatch.setattr(paging, "SLICE", size)
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = picked(NAMES, after=after, limit=limit, even=True)
        found += page.things
        after = page.next
    assert found == sorted(name for name in NAMES if int(name) % 2 == 0)


def test_only_a_page_that_more_follows_has_a_next() -> None:
    assert picked(["a", "b"], limit=2) == Picked(["a", "b"], None)
    assert picked(["c", "a", "b"], limit=2) == Picked(["a", "b"], "b")
    assert picked([]) == Picked([], None)
    assert picked(["a", "b"], after="b") == Picked([], None)


def test_few_things_beyond_the_page_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paging, "SLICE", 10)
    asked: list[str] = []

    def wanted(name: str) -> bool:
        asked.append(name)
        return True

    page = asyncio.run(pick(NAMES, str, wanted, after="0100", limit=2))
    assert page.things == ["0101", "0102"]
    assert len(asked) < 30


def test_others_have_their_turn_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "SLICE", 50)
    turns: list[int] = []

    async def both() -> None:
        async def other() -> None:
            for turn in range(100):
                turns.append(turn)
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        await pick(NAMES, str, lambda name: True, after="", limit=1)
        assert len(turns) == 3  # one between each two of four slices
        await task

    asyncio.run(both())


@pytest.mark.parametrize(
    ("aor", "domain", "expected"),
    [
        ("sip:al@example.com", "example.com", True),
        ("sip:al@example.com:5070", "example.com", True),
        ("sip:example.com", "example.com", True),
        ("sip:al@[2001:db8::1]:5070", "[2001:db8::1]", True),
        ("sip:al@an.example.com", "example.com", False),
        ("sip:al@example.com.au", "example.com", False),
        ("sip:example.com@example.net", "example.com", False),
        ("tel:+1555", "example.com", False),
    ],
)
def test_an_address_of_record_is_in_one_domain(
    aor: str, domain: str, expected: bool
) -> None:
    assert in_domain(aor, domain) is expected


def test_a_value_that_is_not_utf8_is_still_text() -> None:
    assert text("a\udcffb") == "a\ufffdb"
    assert text("é") == "é"
