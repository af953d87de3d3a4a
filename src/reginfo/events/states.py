"""
States of a subscription that we hold and of a publication, and what changes them.

The machines run on these tables, and ``docs/states.md`` draws them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

S = TypeVar("S", bound=enum.StrEnum)
C = TypeVar("C", bound=enum.StrEnum)


class SubscriberState(enum.StrEnum):
    """State of a subscription at its subscriber (RFC 6665 §4.1.2, figure 1)."""

    WAITING = "waiting"  # a new SUBSCRIBE is sent at `timer_at`
    NOTIFY_WAIT = "notify-wait"  # a SUBSCRIBE was sent, and no NOTIFY came since
    ACTIVE = "active"
    REFUSED = "refused"  # the notifier will not serve us, and we do not insist
    ENDED = "ended"  # we no longer want it


class SubscriberCause(enum.StrEnum):
    """What changes the state of a subscription."""

    SUBSCRIBE = "SUBSCRIBE sent"
    NOTIFY = "NOTIFY received"
    KEPT = "204, or refresh failed"
    LOST = "refused, terminated, no answer, Timer N"
    REFUSED = "rejected, noresource or invariant, without rearm"
    UNWANTED = "unsubscribed"


def _subscriber() -> dict[tuple[SubscriberState, SubscriberCause], SubscriberState]:
    waiting, notify_wait = SubscriberState.WAITING, SubscriberState.NOTIFY_WAIT
    active, refused = SubscriberState.ACTIVE, SubscriberState.REFUSED
    ended, cause = SubscriberState.ENDED, SubscriberCause
    return {
        (waiting, cause.SUBSCRIBE): notify_wait,
        (waiting, cause.LOST): waiting,
        (waiting, cause.UNWANTED): ended,
        (notify_wait, cause.SUBSCRIBE): notify_wait,
        (notify_wait, cause.NOTIFY): active,
        (notify_wait, cause.KEPT): active,
        (notify_wait, cause.LOST): waiting,
        (notify_wait, cause.REFUSED): refused,
        (notify_wait, cause.UNWANTED): ended,
        (active, cause.SUBSCRIBE): notify_wait,
        (active, cause.NOTIFY): active,
        (active, cause.KEPT): active,
        (active, cause.LOST): waiting,
        (active, cause.REFUSED): refused,
        (active, cause.UNWANTED): ended,
        (refused, cause.LOST): waiting,
        (refused, cause.UNWANTED): ended,
        (ended, cause.SUBSCRIBE): ended,
        (ended, cause.NOTIFY): ended,
        (ended, cause.UNWANTED): ended,
    }


SUBSCRIBER_TRANSITIONS = _subscriber()
"""The next state, for each state and cause; any other pair is a bug of ours."""


class PublicationState(enum.StrEnum):
    """State of a publication at its publisher (RFC 3903 §4)."""

    UNPUBLISHED = "unpublished"  # no entity-tag is known
    INITIAL = "initial"  # a PUBLISH without an entity-tag is unanswered
    PUBLISHED = "published"
    REFRESHING = "refreshing"  # a PUBLISH without a body is unanswered
    MODIFYING = "modifying"  # a PUBLISH of a new state is unanswered
    REMOVING = "removing"  # a PUBLISH with Expires: 0 is unanswered


class PublicationCause(enum.StrEnum):
    """What changes the state of a publication."""

    INITIAL = "initial PUBLISH sent"
    REFRESH = "refresh sent"
    MODIFY = "modification sent"
    REMOVE = "removal sent"
    ACCEPTED = "2xx with an entity-tag"
    NAMELESS = "2xx without an entity-tag"
    REMOVED = "removal answered"
    FAILED = "refused, or no answer"
    FORGOTTEN = "412, or expired"


def _publication() -> dict[tuple[PublicationState, PublicationCause], PublicationState]:
    unpublished, published = PublicationState.UNPUBLISHED, PublicationState.PUBLISHED
    initial, removing = PublicationState.INITIAL, PublicationState.REMOVING
    refreshing, modifying = PublicationState.REFRESHING, PublicationState.MODIFYING
    cause = PublicationCause
    return {
        (unpublished, cause.INITIAL): initial,
        (initial, cause.ACCEPTED): published,
        (initial, cause.NAMELESS): unpublished,
        (initial, cause.FAILED): unpublished,
        (initial, cause.FORGOTTEN): unpublished,
        (published, cause.REFRESH): refreshing,
        (published, cause.MODIFY): modifying,
        (published, cause.REMOVE): removing,
        (published, cause.FORGOTTEN): unpublished,
        (refreshing, cause.ACCEPTED): published,
        (refreshing, cause.NAMELESS): unpublished,
        (refreshing, cause.FAILED): published,
        (refreshing, cause.FORGOTTEN): unpublished,
        (modifying, cause.ACCEPTED): published,
        (modifying, cause.NAMELESS): unpublished,
        (modifying, cause.FAILED): published,
        (modifying, cause.FORGOTTEN): unpublished,
        (removing, cause.REMOVED): unpublished,
        (removing, cause.FAILED): published,
    }


PUBLICATION_TRANSITIONS = _publication()
"""The next state, for each state and cause; any other pair is a bug of ours."""


def diagram(
    transitions: Mapping[tuple[S, C], S], *, start: S, end: S | None = None
) -> str:
    """
    Render a transition table as a Mermaid state diagram.

    A cause that leaves the state as it is has no arrow.

    Args:
        transitions: the next state for each state and cause.
        start: the initial state.
        end: the final state, if there is one.
    """
    arrows: dict[tuple[S, S], list[C]] = {}
    for (state, cause), following in transitions.items():
        if following is not state:
            arrows.setdefault((state, following), []).append(cause)
    lines = ["stateDiagram-v2", f"    [*] --> {_name(start)}"]
    lines += [
        f"    {_name(state)} --> {_name(following)}: {' / '.join(causes)}"
        for (state, following), causes in arrows.items()
    ]
    if end is not None:
        lines.append(f"    {_name(end)} --> [*]")
    return "\n".join(lines) + "\n"


def _name(state: enum.StrEnum) -> str:
    # An identifier of Mermaid's has no hyphen.
    return state.value.replace("-", "_")
