"""A publication that we keep alive at a presence server (RFC 3903 §4)."""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec

from ..sip.headers import delta_seconds
from ..sip.message import Draft, Response
from .states import PUBLICATION_TRANSITIONS, PublicationCause, PublicationState
from .waiting import LONGEST_BACK_OFF, SHORTEST_WAIT, back_off, wait_asked

GIVES_UP = frozenset({405, 415, 489, 501})
"""Responses of a server that will not accept any publication of this kind."""

REFRESH_AT = 0.5
SPREAD = 0.2
"""
A publication is refreshed after this part of its time, plus up to so much more of it:
well before the end, and not all of them at once.
"""

LONGEST_ASKED = 604_800
"""Seconds: the longest time that a 423 can make us ask for."""

LAST_WORDS = 1.0
"""
Seconds for which a publication of the `terminated` state stands before it is removed:
at a removal, some servers send their watchers nothing but an empty NOTIFY.
"""


class Operation(enum.StrEnum):
    """What a PUBLISH does (§4.1, table 1)."""

    INITIAL = "initial"
    REFRESH = "refresh"
    MODIFY = "modify"
    REMOVE = "remove"


_SENT = {
    Operation.INITIAL: PublicationCause.INITIAL,
    Operation.REFRESH: PublicationCause.REFRESH,
    Operation.MODIFY: PublicationCause.MODIFY,
    Operation.REMOVE: PublicationCause.REMOVE,
}

_UNDER_WAY = {
    PublicationState.INITIAL: Operation.INITIAL,
    PublicationState.REFRESHING: Operation.REFRESH,
    PublicationState.MODIFYING: Operation.MODIFY,
    PublicationState.REMOVING: Operation.REMOVE,
}


class Outcome(enum.Enum):
    """Result of a PUBLISH."""

    PUBLISHED = enum.auto()
    REMOVED = enum.auto()
    AGAIN = enum.auto()  # try again at `timer_at`, which may be at once
    REFUSED = enum.auto()  # the server accepts none: not before `timer_at`


class Publication(msgspec.Struct, kw_only=True, gc=False):
    """
    One resource's state, published at one server.

    Never more than one PUBLISH is unanswered (§4.2): a change meanwhile makes the
    publication :attr:`dirty`, and the next PUBLISH carries the state of its own moment.

    Drive it by :meth:`change`, :meth:`receive_response`, :meth:`receive_failure` and
    :meth:`timer_due`; then :meth:`next` says what to send, and :meth:`draft` writes it.
    """

    uri: str
    "The resource: Request-URI, To and From."

    call_id: str
    tag: str
    cseq: int = 0

    state: PublicationState = PublicationState.UNPUBLISHED

    etag: str | None = None
    "The last SIP-ETag received; None before the first, and after a 412."

    expires_at: float = 0.0
    "When the server forgets it, in seconds on our clock."

    refresh_at: float = 0.0
    "When it is refreshed although nothing has changed, on the same clock."

    remove_at: float = 0.0
    "When it is removed unless it is wanted again, on the same clock."

    dirty: bool = True
    "Whether there is something new to publish."

    wanted: bool = True
    "Whether there is any state; if not, what was published is removed."

    asked: int = 0
    "Seconds that the last PUBLISH asked for."

    unheard_until: float = 0.0
    """
    Until when the server may hold a publication whose entity-tag we do not know, on
    the same clock.
    """

    min_expires: int = 0
    "The minimum that a 423 has stated."

    failures: int = 0
    not_before: float = 0.0
    timer_at: float | None = None
    scheduled_at: float | None = None

    def __repr__(self) -> str:
        """As a log names it: ``<Publication sip:alice@example.com, published>``."""
        return f"<Publication {self.uri}, {self.state.value}>"

    def __post_init__(self) -> None:
        if self.etag is not None and self.state is PublicationState.UNPUBLISHED:
            self.state = PublicationState.PUBLISHED

    @property
    def operation(self) -> Operation | None:
        """What the unanswered PUBLISH does; None if there is none."""
        return _UNDER_WAY.get(self.state)

    @property
    def is_over(self) -> bool:
        """Whether nothing is published, under way, or to be published."""
        return (
            self.state is PublicationState.UNPUBLISHED
            and not self.dirty
            and not self.wanted
        )

    def change(self, wanted: bool) -> None:
        """
        Note that the state has changed.

        Args:
            wanted: whether there is any left. If not, the `terminated` state is
                published, so that watchers see why, and then removed.
        """
        self.dirty = True
        self.wanted = wanted

    def next(self, now: float, *, bodiless: bool = True) -> Operation | None:
        """
        Start the operation that is due and return it; None if there is none.

        Otherwise :attr:`timer_at` says when to ask again, if nothing comes before.

        Args:
            bodiless: whether a refresh goes without a body, as §4.4 has it; else it is
                a modification.
        """
        self.timer_at = None
        if self.operation is not None:
            return None
        if self.etag is not None and now >= self.expires_at:
            self._forget()
            self.dirty = self.dirty or self.wanted
        due = self._due(now)
        if due is None:
            return None
        if now < self.not_before:
            self.timer_at = self.not_before
            return None
        if due is Operation.REFRESH and not bodiless:
            due = Operation.MODIFY
        self._enter(_SENT[due])
        if due in (Operation.INITIAL, Operation.MODIFY):
            self.dirty = False
        return due

    def draft(self, headers: str, expires: int, body: bytes) -> Draft:
        """
        Write the PUBLISH that :meth:`next` has started.

        Args:
            headers: header lines of its own, each with CRLF.
            expires: seconds to ask for; ignored by a removal.
            body: empty but for an initial or modifying one.
        """
        operation = self.operation
        assert operation is not None
        self.cseq += 1
        if operation is Operation.REMOVE:
            expires = 0
        else:
            expires = self.asked = max(expires, self.min_expires)
        match = "" if self.etag is None else f"SIP-If-Match: {self.etag}\r\n"
        return Draft(
            "PUBLISH",
            self.uri,
            f"Max-Forwards: 70\r\n"
            f"From: <{self.uri}>;tag={self.tag}\r\n"
            f"To: <{self.uri}>\r\n"
            f"Call-ID: {self.call_id}\r\n"
            f"CSeq: {self.cseq} PUBLISH\r\n"
            f"Expires: {expires}\r\n"
            f"{match}{headers}",
            body,
        )

    def receive_response(
        self, response: Response, asked: int, now: float, jitter: Callable[[], float]
    ) -> Outcome | None:
        """
        Process the response; None for a provisional one.

        Args:
            asked: seconds that were asked for; no grant is longer.
            jitter: a random number from 0 to 1.
        """
        status = response.status
        operation = self.operation
        if status < 200 or operation is None:
            return None
        if status < 300:
            return self._accepted(response, operation, asked, now, jitter)
        if operation is Operation.REMOVE and status != 503:
            # What may be left of it expires.
            self._enter(PublicationCause.REMOVED)
            self.etag = None
            return Outcome.REMOVED
        self._owe_again(operation)
        if status == 412:
            return self._dead_tag(now, jitter)
        if may_have_arrived(status):
            self.give_up(now)
        else:
            self._enter(PublicationCause.FAILED)
        if status == 423:
            minimum = delta_seconds(response.header("Min-Expires")) or 3600
            minimum = min(minimum, LONGEST_ASKED)
            learned = minimum > self.min_expires
            self.min_expires = max(self.min_expires, minimum)
            self.not_before = now if learned else now + self._pause(jitter)
            return Outcome.AGAIN
        if status in GIVES_UP:
            self.not_before = now + LONGEST_BACK_OFF
            return Outcome.REFUSED
        wait = wait_asked(response)
        pause = self._pause(jitter)
        self.not_before = now + (pause if wait is None else wait)
        return Outcome.AGAIN

    def receive_failure(self, now: float, jitter: Callable[[], float]) -> None:
        """
        Process that no response came.

        The PUBLISH may have arrived all the same: the tag is kept, and if it did, a
        412 will say so (3903-09).
        """
        self.give_up(now)
        self.not_before = now + self._pause(jitter)

    def give_up(self, now: float) -> None:
        """
        Stop waiting for the response.

        If the PUBLISH arrived, the server holds a state by a tag that we do not know;
        its end must be published all the same.
        """
        operation = self.operation
        if operation is None:
            return
        self._enter(PublicationCause.FAILED)
        if operation is not Operation.REMOVE:
            self.unheard_until = max(self.unheard_until, now + self.asked)
            self._owe_again(operation)

    def timer_due(self, now: float) -> None:
        """Note that the timer has fired; :meth:`next` says what is due."""
        self.timer_at = None

    def _enter(self, cause: PublicationCause) -> None:
        self.state = PUBLICATION_TRANSITIONS[self.state, cause]

    def _forget(self) -> None:
        """Note that the server does not know our entity-tag any more."""
        self._enter(PublicationCause.FORGOTTEN)
        self.etag = None

    def _due(self, now: float) -> Operation | None:
        held = self.etag is not None or now < self.unheard_until
        if self.dirty and (self.wanted or held):
            return Operation.INITIAL if self.etag is None else Operation.MODIFY
        self.dirty = False
        if self.etag is None:
            return None
        if not self.wanted:
            if now >= self.remove_at:
                return Operation.REMOVE
            self.timer_at = self.remove_at
            return None
        if now >= self.refresh_at:
            return Operation.REFRESH
        self.timer_at = self.refresh_at
        return None

    def _accepted(
        self,
        response: Response,
        operation: Operation,
        asked: int,
        now: float,
        jitter: Callable[[], float],
    ) -> Outcome:
        self.not_before = 0.0
        if operation is Operation.REMOVE:
            self._enter(PublicationCause.REMOVED)
            self.failures = 0
            self.etag = None
            return Outcome.REMOVED
        self.etag = response.header("SIP-ETag")
        self.unheard_until = 0.0
        granted = response.expires
        lifetime = asked if granted is None else min(granted, asked)
        self.expires_at = now + lifetime
        self.remove_at = now + LAST_WORDS
        if lifetime > SHORTEST_WAIT:
            self.failures = 0
            part = lifetime * (REFRESH_AT + SPREAD * jitter())
            self.refresh_at = now + max(SHORTEST_WAIT, part)
        else:
            # The server keeps nothing; publishing it again at once would be a loop.
            self.refresh_at = self.not_before = now + self._pause(jitter)
        if self.etag is not None:
            self._enter(PublicationCause.ACCEPTED)
        else:
            # §11.3.1: each 2xx has one. Without it nothing can be changed or
            # refreshed: the state is published anew when its refresh is due.
            self._enter(PublicationCause.NAMELESS)
            self.dirty = self.dirty or self.wanted
            self.unheard_until = self.expires_at
            self.not_before = self.refresh_at
        return Outcome.PUBLISHED

    def _dead_tag(self, now: float, jitter: Callable[[], float]) -> Outcome:
        """Process a 412 (§4.5, §5): nobody can remove what the server does not have."""
        had_tag = self.etag is not None
        self._forget()
        if not self.wanted and now >= self.unheard_until:
            self.dirty = False
            return Outcome.REMOVED
        self.dirty = True
        # An initial one has no tag that could be wrong: never loop on that.
        self.not_before = now if had_tag else now + self._pause(jitter)
        return Outcome.AGAIN

    def _owe_again(self, operation: Operation) -> None:
        if operation in (Operation.INITIAL, Operation.MODIFY):
            self.dirty = True

    def _pause(self, jitter: Callable[[], float]) -> float:
        pause = back_off(self.failures, jitter)
        self.failures += 1
        return pause


def may_have_arrived(status: int) -> bool:
    """
    Whether a PUBLISH that failed with ``status`` may have taken effect all the same.

    A proxy answers 408 or 504 for a server that it did not hear; a 5xx does not say
    how far the server got. 503 is said before anything is done (RFC 3261 §21.5.4).
    """
    return status == 408 or (500 <= status < 600 and status not in (501, 503, 505, 513))
