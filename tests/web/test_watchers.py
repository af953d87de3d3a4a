"""Watchers, as the API shows them."""

from __future__ import annotations

import pytest

from reginfo.web.watchers import key, row, watcher

from .fake import ALICE, NOW, watch


def test_a_watch_is_shown_with_its_dialog_and_its_state() -> None:
    """docs/api.md: the fields of a watcher."""
    one = row(watch(ALICE, "one"), NOW)
    assert (one.aor, one.watcher) == (ALICE, "sip:bob@example.org")
    assert (one.contact, one.callid) == ("sip:bob@192.0.2.50", "one")
    assert (one.state, one.reason, one.expires) == ("active", None, 600)
    assert (one.peer, one.id, one.instance) == (None, None, None)
    assert (one.profile, one.min_interval) == ("standard", 5.0)


def test_a_subscription_that_ends_is_shown_with_its_reason() -> None:
    """RFC 6665 §4.1.3"""
    one = row(watch(ALICE, "one", reason="timeout"), NOW)
    assert (one.state, one.reason) == ("terminated", "timeout")


@pytest.mark.parametrize(("event", "id"), [("reg", None), ("reg;id=7", "7")])
def test_the_id_of_its_event_is_shown(event: str, id: str | None) -> None:
    """RFC 6665 §8.2.1"""
    assert row(watch(ALICE, "one", event=event), NOW).id == id


def test_watches_are_sorted_by_their_user_and_their_dialog() -> None:
    watches = [watch(ALICE, "two"), watch(ALICE, "one"), watch("sip:a@b", "three")]
    assert [one.row.id.split("\0")[0] for one in sorted(watches, key=key)] == [
        "three",
        "one",
        "two",
    ]
    assert "\0" not in key(watches[0])


def test_a_watcher_is_named_by_the_uri_in_from() -> None:
    assert watcher(watch(ALICE, "one", watcher="sip:w@h;x=1")) == "sip:w@h;x=1"
