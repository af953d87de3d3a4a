"""
Decides what is sent next on one link, and when: the state machine of a source.

There is no queue. The changes of the store are numbered; a feed is the number up to
which everything has been delivered, and the few documents in flight. If none is in
flight, a change is sent at once; the changes made until the answer comes are sent
together, so batches grow with the load. Several documents are in flight only when the
link is far behind.
"""

from __future__ import annotations

from collections import deque

WINDOW = 8
"""The most documents in flight on a stream; 1 where there is only UDP."""

KEEP_ALIVE = 10.0
"""Seconds after which a document is due even if nothing has changed."""

BULK = 64
"""From this many changes behind, documents are sent in parallel, and paced."""

PACE = 0.004
"""Seconds between two documents of a transfer, so that REGISTERs keep their latency."""

CHECK_PACE = 0.25
"""The same, during a verification."""

NEVER = float("inf")


class Flight:
    """One document in flight."""

    __slots__ = ("at", "count", "is_told", "to")

    def __init__(self, to: int, count: int, at: float) -> None:
        self.at = at
        "When it was sent."

        self.to = to
        self.count = count
        self.is_told = False


class Feed:
    """
    The progress of one link.

    :meth:`next_at` says when a document is due; report what was sent by :meth:`sends`
    or :meth:`passes`, and how the sink answered by :meth:`answered`, :meth:`failed` or
    :meth:`suspend`.

    Args:
        window: how many documents may be in flight.
        verify: seconds from one verification to the next; 0 for none.
    """

    __slots__ = (
        "about", "behind_since", "check", "count", "failures", "goal", "kept_back",
        "seen", "sent", "suspect_since", "told", "verify", "window", "_check_at",
        "_in_flight", "_is_owed", "_held_until", "_paced_at", "_quiet_at",
    )  # fmt: skip

    def __init__(self, window: int, verify: float) -> None:
        self.window = window
        self.verify = verify
        self.told = 0
        "Everything up to this change was answered 200."

        self.sent = 0
        "The documents in flight reach up to this change."

        self.seen = 0
        "The changes after :attr:`sent` up to here are not for this link."

        self.kept_back = 0
        "After this change, changes that came from the peer are not sent back to it."

        self.goal = 0
        "The last change when the transfer began."

        self.about = self.count = 0
        "How many elements that transfer has, about; and how many were delivered."

        self.check: int | None = None
        "How far a verification has come; None if there is none."

        self.failures = 0
        self.behind_since: float | None = None
        self.suspect_since: float | None = None
        self._in_flight: deque[Flight] = deque()
        self._is_owed = False
        self._held_until = self._paced_at = self._quiet_at = 0.0
        self._check_at = NEVER

    @property
    def under_way(self) -> int:
        """How many documents are in flight."""
        return len(self._in_flight)

    @property
    def is_syncing(self) -> bool:
        """Whether a transfer is in progress."""
        return self.told < self.goal

    def resume(self, number: int, last: int, about: int, now: float) -> None:
        """
        Begin, after the first SUBSCRIBE or one after a silence.

        Args:
            number: the number in its cursor.
            last: the last change so far: up to there everything is sent, whatever its
                origin.
            about: how many elements there are after ``number``, about.
        """
        self.told = self.sent = self.seen = number
        self.kept_back = self.goal = last
        self.about, self.count = about, 0
        self.suspect_since = None
        self.failures = 0
        self._in_flight.clear()
        self._is_owed = True
        self._held_until = self._paced_at = 0.0
        self.check = None
        self._check_at = now + self.verify if self.verify else NEVER

    def owe(self) -> None:
        """Owe a document, as after each SUBSCRIBE, even if it is only a cursor."""
        self._is_owed = True

    def next_at(self, last: int) -> float:
        """
        When the next document is due.

        Args:
            last: the last change so far.
        """
        flying = len(self._in_flight)
        if self.suspect_since is not None or flying >= self.window:
            return NEVER
        behind = last - self.seen
        if behind >= BULK:
            return max(self._held_until, self._paced_at)
        if flying:
            return NEVER
        if behind or self._is_owed:
            return self._held_until
        return max(self._held_until, min(self._quiet_at, self._check_at))

    def is_quiet(self, now: float) -> bool:
        """Whether a document is due even though there is no change to send."""
        return self._is_owed or now >= self._quiet_at

    def check_from(self, now: float) -> int | None:
        """
        Return the change after which to verify next; None if that is not due.

        A verification begins when it is due and everything else has been delivered.
        """
        if now < self._check_at or self._in_flight:
            return None
        if self.check is None:
            self.check = 0
        return self.check

    def passes(self, to: int, now: float) -> None:
        """Note that no change up to ``to`` is for this link."""
        self.seen = to
        if self.sent == self.told and not self._in_flight:
            self.behind_since = None

    def sends(self, to: int, count: int, now: float) -> Flight:
        """Note that a document that reaches up to ``to`` is sent."""
        if self.behind_since is None and to > self.told:
            self.behind_since = now
        self.sent = self.seen = to
        flight = Flight(to, count, now)
        self._in_flight.append(flight)
        self._is_owed = False
        self._quiet_at = now + KEEP_ALIVE
        self._paced_at = now + PACE
        return flight

    def checks(self, to: int, is_end: bool, now: float) -> Flight:
        """Note that a document of a verification, up to ``to``, is sent."""
        flight = self.sends(self.sent, 0, now)
        if is_end:
            self.check = None
            self._check_at = now + self.verify
        else:
            self.check = to
            self._check_at = now + CHECK_PACE
        return flight

    def answered(self, flight: Flight, last: int = 0) -> bool:
        """
        Process a 2xx; the changes delivered are the unbroken prefix of the answered.

        Args:
            last: the last change so far.

        Returns:
            False if that document is already being sent again.
        """
        if flight not in self._in_flight:
            return False
        flight.is_told = True
        self.failures = 0
        while self._in_flight and self._in_flight[0].is_told:
            first = self._in_flight.popleft()
            self.told = first.to
            self.count += first.count
        if self.told == self.sent:
            # What waits now was changed after that document was sent.
            self.behind_since = flight.at if last > self.seen else None
        return True

    def failed(self, flight: Flight, until: float) -> bool:
        """
        Go back to the last change delivered, because a document was refused.

        Args:
            until: when to continue.

        Returns:
            False if that document is already being sent again.
        """
        if flight not in self._in_flight:
            return False
        self.failures += 1
        self.go_back()
        self._held_until = until
        return True

    def go_back(self) -> None:
        """Send again everything that was not delivered, with what follows it."""
        self._in_flight.clear()
        self.sent = self.seen = self.told
        self._is_owed = True
        self.check = None

    def suspend(self, now: float) -> None:
        """Send nothing until the sink subscribes again: it was not reached."""
        if self.suspect_since is None:
            self.suspect_since = now
        self.go_back()
