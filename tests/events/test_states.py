"""The transition tables are complete."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import pytest

from reginfo.events.states import (
    PUBLICATION_TRANSITIONS,
    SUBSCRIBER_TRANSITIONS,
    PublicationCause,
    PublicationState,
    SubscriberCause,
    SubscriberState,
    diagram,
)


@pytest.mark.parametrize(
    ("table", "start", "states", "causes"),
    [
        (
            SUBSCRIBER_TRANSITIONS,
            SubscriberState.WAITING,
            SubscriberState,
            SubscriberCause,
        ),
        (
            PUBLICATION_TRANSITIONS,
            PublicationState.UNPUBLISHED,
            PublicationState,
            PublicationCause,
        ),
    ],
)
def test_every_state_is_reached_and_every_cause_has_an_effect(
    table: Mapping[tuple[enum.StrEnum, enum.StrEnum], enum.StrEnum],
    start: enum.StrEnum,
    states: type[enum.StrEnum],
    causes: type[enum.StrEnum],
) -> None:
    reached, new = {start}, {start}
    while new:
        new = {to for (of, _), to in table.items() if of in new} - reached
        reached |= new
    assert reached == set(states)
    assert {cause for _, cause in table} == set(causes)


def test_a_diagram_has_one_arrow_for_several_causes() -> None:
    class S(enum.StrEnum):
        A = "not-yet"
        B = "done"

    class C(enum.StrEnum):
        X = "x"
        Y = "y"

    table = {(S.A, C.X): S.B, (S.A, C.Y): S.B, (S.B, C.X): S.B}
    assert diagram(table, start=S.A, end=S.B) == (
        "stateDiagram-v2\n"
        "    [*] --> not_yet\n"
        "    not_yet --> done: x / y\n"
        "    done --> [*]\n"
    )
