"""The news of a group: each contact once, in the order of events."""

from __future__ import annotations

import pytest

from reginfo.location.place import Aor, Place
from reginfo.reg.document import ContactEvent
from reginfo.sync.news import GroupNews, NewsItem

from ..make import binding

ALICE, BOB = Aor("sip:alice@example.com"), Aor("sip:bob@example.com")
PLACE = Place("location", ALICE)
REGISTERED, REFRESHED = ContactEvent.REGISTERED, ContactEvent.REFRESHED
GONE = ContactEvent.UNREGISTERED


def add(
    news: GroupNews, key: str, event: ContactEvent = REGISTERED, aor: Aor = ALICE
) -> tuple[NewsItem, NewsItem | None]:
    return news.add(aor, PLACE, binding(event=event, contact=f"sip:{key}@192.0.2.50"))


def told(news: GroupNews, after: int = 0) -> list[tuple[int, str, ContactEvent]]:
    return [
        (item.number, item.binding.contact[4], item.event_for(after))
        for item in news.after(after)
    ]


def test_a_contact_that_changes_again_moves_to_the_end() -> None:
    news = GroupNews()
    add(news, "1")
    add(news, "2")
    add(news, "1", GONE)
    assert told(news) == [(2, "2", REGISTERED), (3, "1", GONE)]
    assert told(news, 2) == [(3, "1", GONE)]
    assert told(news, 3) == []
    assert len(news) == 2


def test_the_same_contact_of_two_registrations_is_two_items() -> None:
    news = GroupNews()
    add(news, "1")
    add(news, "1", aor=BOB)
    assert [item.aor for item in news.after(0)] == [ALICE, BOB]


def test_a_refresh_is_the_beginning_to_who_has_not_heard_of_it() -> None:
    news = GroupNews()
    add(news, "1")
    add(news, "1", REFRESHED)
    add(news, "1", REFRESHED)
    assert told(news, 0) == [(3, "1", REGISTERED)]
    assert told(news, 1) == [(3, "1", REFRESHED)]
    assert told(news, 2) == [(3, "1", REFRESHED)]


def test_a_refresh_of_what_was_there_before_is_a_refresh() -> None:
    news = GroupNews()
    add(news, "1", REFRESHED)
    assert told(news) == [(1, "1", REFRESHED)]
    add(news, "1", GONE)
    add(news, "1", REFRESHED)
    assert told(news) == [(3, "1", REFRESHED)]


def test_what_all_were_told_is_forgotten() -> None:
    news = GroupNews()
    for key in "1234":
        add(news, key)
    news.forget([3, 2])
    assert [key for _, key, _ in told(news)] == ["3", "4"]
    news.forget([])
    assert len(news) == 0 and news.last == 4


@pytest.mark.parametrize("before", [None, REGISTERED, GONE])
def test_what_was_taken_back_is_as_before(before: ContactEvent | None) -> None:
    news = GroupNews()
    if before is not None:
        add(news, "1", before)
    news.undo(*add(news, "1", REFRESHED))
    assert [event for _, _, event in told(news)] == ([before] if before else [])


def test_what_was_taken_back_after_something_later_is_gone_already() -> None:
    news = GroupNews()
    first = add(news, "1")
    add(news, "1", GONE)
    news.undo(*first)
    assert told(news) == [(2, "1", GONE)]
