"""docs/states.md draws the state machines as the code has them."""

from __future__ import annotations

from pathlib import Path

from reginfo.events.states import (
    PUBLICATION_TRANSITIONS,
    SUBSCRIBER_TRANSITIONS,
    PublicationState,
    SubscriberState,
    diagram,
)

PAGE = Path(__file__).parents[1] / "docs" / "states.md"


def test_the_page_draws_the_tables() -> None:
    page = PAGE.read_text("utf-8")
    subscriber = diagram(
        SUBSCRIBER_TRANSITIONS, start=SubscriberState.WAITING, end=SubscriberState.ENDED
    )
    publication = diagram(PUBLICATION_TRANSITIONS, start=PublicationState.UNPUBLISHED)
    assert f"```mermaid\n{subscriber}```" in page
    assert f"```mermaid\n{publication}```" in page
