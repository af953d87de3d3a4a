"""
What one link has been told, and what is to be told next: the machine of a source.

There is no queue. The changes of the store are numbered; a feed is a number up to which
everything is told, and the few documents that are under way. When nothing is under way,
a change goes at once; what changes until the answer comes goes together, so that load
makes batches by itself. Only a long way behind are several documents under way.
"""

from __future__ import annotations

from collections import deque

WINDOW = 8
"""Documents that may be under way on a stream; 1 where there is only UDP."""

KEEP_ALIVE = 10.0
"""Seconds after which a document is due although nothing has changed."""

BULK = 64
"""Changes behind, from which on documents are sent side by side, and paced."""

PACE = 0.004
"""Seconds between two documents of a transfer, so that REGISTERs keep their latency."""

CHECK_PACE = 0.25
"""The same while everything is verified."""

NEVER = float("inf")


class Flight:
    """One document under way."""

    __slots__ = ("count", "is_told", "to")

    def __init__(self, to: int, count: int) -> None:
        self.to = to
        self.count = count
        self.is_told = False


class Feed:
    """
    What one link has been told.

    Ask :meth:`next_at` when a document is due; say by :meth:`sends` or :meth:`passes`
    what has become of it, and by :meth:`answered`, :meth:`failed` and :meth:`suspend`
    what the sink has made of it.

    Args:
        window: how many documents may be under way.
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
        "The documents that are under way reach up to this change."

        self.seen = 0
        "What follows :attr:`sent` up to here is not for this link."

        self.kept_back = 0
        "From here on, what came from the peer itself is not sent back to it."

        self.goal = 0
        "What was the last change when the transfer began."

        self.about = self.count = 0
        "How many elements that transfer has, about; and how many are told."

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
        """How many documents are under way."""
        return len(self._in_flight)

    @property
    def is_syncing(self) -> bool:
        """Whether a transfer goes on."""
        return self.told < self.goal

    def resume(self, number: int, last: int, about: int, now: float) -> None:
        """
        Begin, after a SUBSCRIBE that is the first or comes out of silence.

        Args:
            number: what its cursor says.
            last: the last change so far: up to there all is sent, whoever told it.
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
        """Owe a document, as after each SUBSCRIBE, were it only a cursor."""
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
        """Whether a document is due although there is nothing to tell."""
        return self._is_owed or now >= self._quiet_at

    def check_from(self, now: float) -> int | None:
        """
        Return after which change to verify next; None if that is not due.

        A verification begins when its time has come and everything else is told.
        """
        if now < self._check_at or self._in_flight:
            return None
        if self.check is None:
            self.check = 0
        return self.check

    def passes(self, to: int, now: float) -> None:
        """Take it that nothing up to ``to`` is for this link."""
        self.seen = to
        if self.sent == self.told and not self._in_flight:
            self.behind_since = None

    def sends(self, to: int, count: int, now: float) -> Flight:
        """Take it that a document is sent that reaches up to ``to``."""
        if self.behind_since is None and to > self.told:
            self.behind_since = now
        self.sent = self.seen = to
        flight = Flight(to, count)
        self._in_flight.append(flight)
        self._is_owed = False
        self._quiet_at = now + KEEP_ALIVE
        self._paced_at = now + PACE
        return flight

    def checks(self, to: int, is_end: bool, now: float) -> Flight:
        """Take it that a document of a verification is sent, up to ``to``."""
        flight = self.sends(self.sent, 0, now)
        if is_end:
            self.check = None
            self._check_at = now + self.verify
        else:
            self.check = to
            self._check_at = now + CHECK_PACE
        return flight

    def answered(self, flight: Flight) -> bool:
        """
        Take in a good answer; told is the unbroken prefix of these.

        Returns:
            False if that document is sent again already.
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
            self.behind_since = None
        return True

    def failed(self, flight: Flight, until: float) -> bool:
        """
        Go back to what is told, because a document was refused.

        Args:
            until: when to go on.

        Returns:
            False if that document is sent again already.
        """
        if flight not in self._in_flight:
            return False
        self.failures += 1
        self.go_back()
        self._held_until = until
        return True

    def go_back(self) -> None:
        """Send again, with what follows, whatever is not told."""
        self._in_flight.clear()
        self.sent = self.seen = self.told
        self._is_owed = True
        self.check = None

    def suspend(self, now: float) -> None:
        """Send nothing until the sink asks anew: it was not reached."""
        if self.suspect_since is None:
            self.suspect_since = now
        self.go_back()
