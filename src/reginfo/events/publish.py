"""A publication that we keep alive at a presence server (RFC 3903 §4)."""

from __future__ import annotations

import enum
from collections.abc import Callable

import msgspec

from ..sip.headers import delta_seconds
from ..sip.message import Draft, Response

GIVES_UP = frozenset({405, 415, 489, 501})
"""Answers of a server that will not take any publication of this kind."""

BACK_OFF = 2.0
LONGEST_BACK_OFF = 300.0
"""Seconds: the first pause after a failure, doubled each time up to the longest."""

REFRESH_AT = 0.5
SPREAD = 0.2
"""
A publication is refreshed when this part of its time is over, and up to so much more of
it: well before the end, and not all of them at once.
"""


LAST_WORDS = 1.0
"""
Seconds for which a publication that says that all is gone stands, before it is removed:
of a removal itself, some servers tell their watchers nothing but an empty NOTIFY.
"""


class Operation(enum.StrEnum):
    """What a PUBLISH does (§4.1, table 1)."""

    INITIAL = "initial"
    REFRESH = "refresh"
    MODIFY = "modify"
    REMOVE = "remove"


class Outcome(enum.Enum):
    """What the answer to a PUBLISH comes to."""

    PUBLISHED = enum.auto()
    REMOVED = enum.auto()
    AGAIN = enum.auto()  # at `timer_at`, which may be at once
    REFUSED = enum.auto()  # the server takes none: not before `timer_at`


class Publication(msgspec.Struct, kw_only=True, gc=False):
    """
    One resource's state, published at one server.

    Never more than one PUBLISH is unanswered (§4.2): what happens meanwhile makes
    the publication :attr:`dirty`, and the next one carries the state of its own moment.

    Drive it by :meth:`change`, :meth:`receive_response`, :meth:`receive_failure` and
    :meth:`timer_due`; then :meth:`next` says what to send, and :meth:`draft` writes it.
    """

    uri: str
    "The resource: Request-URI, To and From."

    call_id: str
    tag: str
    cseq: int = 0

    etag: str | None = None
    "The last SIP-ETag received; None before the first, and after a 412."

    expires_at: float = 0.0
    "When the server forgets it, in seconds on our clock."

    refresh_at: float = 0.0
    "When it is to be refreshed although nothing has changed, on the same clock."

    remove_at: float = 0.0
    "When it is removed if nothing comes back, on the same clock."

    dirty: bool = True
    "Whether there is something new to publish."

    wanted: bool = True
    "Whether there is any state; if not, what was published is removed."

    operation: Operation | None = None
    "What is under way."

    asked: int = 0
    "Seconds that the last PUBLISH asked for."

    unheard_until: float = 0.0
    "Until when the server may hold what it has not told us of, on the same clock."

    min_expires: int = 0
    "What a 423 has taught us."

    failures: int = 0
    not_before: float = 0.0
    timer_at: float | None = None
    scheduled_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing is published, under way, or to be published."""
        return (
            self.operation is None
            and self.etag is None
            and not self.dirty
            and not self.wanted
        )

    def change(self, wanted: bool) -> None:
        """
        The state has changed.

        Args:
            wanted: whether there is any left. What is gone is published once more, so
                that watchers see how it went, and then removed.
        """
        self.dirty = True
        self.wanted = wanted

    def next(self, now: float) -> Operation | None:
        """
        What is to be sent now, and is from now on under way; None if nothing.

        Otherwise :attr:`timer_at` says when to ask again, if nothing comes before.
        """
        self.timer_at = None
        if self.operation is not None:
            return None
        if self.etag is not None and now >= self.expires_at:
            # The server has forgotten it.
            self.etag = None
            self.dirty = self.dirty or self.wanted
        due = self._due(now)
        if due is not None and now < self.not_before:
            self.timer_at = self.not_before
            return None
        self.operation = due
        if due in (Operation.INITIAL, Operation.MODIFY):
            self.dirty = False
        return due

    def draft(self, headers: str, expires: int, body: bytes) -> Draft:
        """
        The PUBLISH that :meth:`next` asked for.

        Args:
            headers: header lines of its own, each with CRLF.
            expires: seconds asked for; ignored when removing.
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
        Take in the answer; None for a provisional one.

        Args:
            asked: seconds that were asked for, granted if the answer does not say.
            jitter: a random number from 0 to 1.
        """
        status = response.status
        operation = self.operation
        if status < 200 or operation is None:
            return None
        self.operation = None
        if status < 300:
            return self._accepted(response, operation, asked, now, jitter)
        if operation is Operation.REMOVE and status != 503:
            # It is as good as gone: whatever is left of it expires.
            self.etag = None
            return Outcome.REMOVED
        self._owe_again(operation)
        if status == 412:
            # §4.5, §5: the tag is dead; and what the server has not, nobody removes.
            fresh = self.etag is None
            self.etag = None
            if not self.wanted and now >= self.unheard_until:
                self.dirty = False
                return Outcome.REMOVED
            self.dirty = True
            # An initial one has no tag that could be wrong: never loop on that.
            self.not_before = now + self._pause(jitter) if fresh else now
            return Outcome.AGAIN
        if status == 423:
            minimum = delta_seconds(response.header("Min-Expires")) or 3600
            fresh = minimum > self.min_expires
            self.min_expires = max(self.min_expires, minimum)
            self.not_before = now if fresh else now + self._pause(jitter)
            return Outcome.AGAIN
        if status in GIVES_UP:
            self.not_before = now + LONGEST_BACK_OFF
            return Outcome.REFUSED
        wait = delta_seconds((response.header("Retry-After") or "").split(";")[0])
        pause = self._pause(jitter)
        self.not_before = now + (pause if wait is None else max(1.0, wait))
        return Outcome.AGAIN

    def receive_failure(self, now: float, jitter: Callable[[], float]) -> None:
        """
        No answer came. It may have arrived all the same: the tag is kept, and if it
        did, a 412 will say so (3903-09).
        """
        self.give_up(now)
        self.not_before = now + self._pause(jitter)

    def give_up(self, now: float) -> None:
        """
        The answer to what is under way will not be heard.

        If it arrived, the server holds it, by a tag that we do not know: who goes
        meanwhile must be told of all the same.
        """
        operation, self.operation = self.operation, None
        if operation is not None and operation is not Operation.REMOVE:
            self.unheard_until = max(self.unheard_until, now + self.asked)
            self._owe_again(operation)

    def timer_due(self, now: float) -> None:
        # What is due, :meth:`next` says.
        self.timer_at = None

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
            self.failures = 0
            self.etag = None
            return Outcome.REMOVED
        self.etag = response.header("SIP-ETag")
        self.unheard_until = 0.0
        granted = response.expires
        lifetime = asked if granted is None else granted
        self.expires_at = now + lifetime
        self.remove_at = now + LAST_WORDS
        self.refresh_at = now + lifetime * (REFRESH_AT + SPREAD * jitter())
        if self.etag is None:
            # §11.3.1: there is one in each 2xx. Without it nothing can be changed or
            # refreshed: it is published anew when it would be refreshed, not before.
            self.dirty = self.dirty or self.wanted
            self.unheard_until = self.expires_at
            self.not_before = self.refresh_at
        if lifetime:
            self.failures = 0
        else:
            # It has it no longer: to publish it at once would be a loop.
            self.not_before = now + self._pause(jitter)
        return Outcome.PUBLISHED

    def _owe_again(self, operation: Operation) -> None:
        if operation in (Operation.INITIAL, Operation.MODIFY):
            self.dirty = True

    def _pause(self, jitter: Callable[[], float]) -> float:
        pause = min(BACK_OFF * 2.0 ** min(self.failures, 10), LONGEST_BACK_OFF)
        self.failures += 1
        return pause * (0.5 + 0.5 * jitter())
