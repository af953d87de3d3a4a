"""Changes of the store are made known: at once to the parts, later to the log."""

from __future__ import annotations

import logging

import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.binding import BindingChange
from reginfo.location.keyring import KeyChange
from reginfo.server.announcer import Announcer

from ..make import ALICE, NOW, binding, place


@pytest.mark.parametrize(("event", "lines"), [("registered", 1), ("refreshed", 0)])
def test_the_log_has_what_came_or_went_once_it_is_durable(
    event: str, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    heard: list[object] = []
    journal = Journal()
    change = BindingChange(place(ALICE), binding(event=event), 1, at=NOW)
    Announcer(journal, [heard.append]).announce(change)
    assert heard == [change]
    assert caplog.messages == []
    journal.close().announce()
    assert len(caplog.messages) == lines


def test_a_change_of_keys_is_heard_and_not_logged() -> None:
    heard: list[object] = []
    journal = Journal()
    change = KeyChange(place(ALICE), (ALICE,), (ALICE,), None)
    Announcer(journal, [heard.append]).announce(change)
    assert heard == [change]
    assert journal.close().after == []
