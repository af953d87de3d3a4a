"""One watcher of a group that knows only RFC 3680, and its position in the changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..events.notify import RETRY_FIRST, RETRY_LONGEST
from ..events.waiting import back_off, wait_asked
from ..location.binding import Binding
from ..location.place import Aor
from ..reg.legacy import Profile
from ..roles.row import WatchRow
from ..sip.message import Response
from ..sip.moment import Moment
from .feed import NEVER
from .news import NewsItem
from .roster import FullState

LEGACY_PACE = 0.02
"""Seconds between two NOTIFYs to a watcher that gets one registration in each."""


class GroupWatchKeeper(Protocol):
    """Sends the NOTIFYs; see :class:`reginfo.sync.group_notifier.GroupNotifier`."""

    def receive_response(
        self, watch: GroupWatch, response: Response, moment: Moment
    ) -> None:
        """Receive the response to the NOTIFY under way."""

    def receive_failure(self, watch: GroupWatch, cause: str, moment: Moment) -> None:
        """Receive the news that the NOTIFY under way got no response."""


class GroupWatch:
    """
    Decides when to notify one watcher of a group.

    At most one NOTIFY is unanswered. Changes meanwhile stay in the group's news: a
    watch is only a number up to which its watcher was notified.
    """

    __slots__ = (
        "building", "failures", "full_due", "is_final", "is_lost", "keeper", "owed",
        "quiet_until", "row", "scheduled_at", "sent", "timer_at", "told",
    )  # fmt: skip

    def __init__(self, row: WatchRow, keeper: GroupWatchKeeper) -> None:
        self.row = row
        self.keeper = keeper
        self.told = 0
        "The news up to this number were answered."

        self.sent: int | None = None
        "The number up to which the unanswered NOTIFY reports; None if there is none."

        self.full_due = True
        self.building: FullState | None = None
        "The full state, while it is collected."

        self.owed: dict[Aor, dict[str, Binding]] = {}
        """
        The pending registrations of a watcher that gets one in each NOTIFY, with their
        ended contacts by key.
        """

        self.quiet_until = 0.0
        self.failures = 0
        self.is_final = False
        "Whether the final NOTIFY was sent."

        self.is_lost = False
        "Whether the last NOTIFY was not processed: then the full state is sent."

        self.timer_at: float | None = None
        self.scheduled_at: float | None = None

    @property
    def is_legacy(self) -> bool:
        """Whether it understands only one registration per document."""
        return self.row.profile is Profile.LEGACY

    @property
    def who(self) -> str:
        """The name of the watcher, for the log."""
        return self.row.peer or self.row.subscription.dialog.remote

    @property
    def ended(self) -> bool:
        """Whether it is over: what is sent from now on ends with the final NOTIFY."""
        return self.row.subscription.reason is not None

    def waits(self, last: int) -> bool:
        """
        Whether there is something to report.

        Args:
            last: the number of the latest news.
        """
        return (
            self.full_due
            or self.building is not None
            or bool(self.owed)
            or self.told < last
        )

    def next_at(self, last: int) -> float:
        """When it is due next, on the boot-time clock."""
        # A watch that has ended sends only its final NOTIFY.
        end = NEVER if self.ended else self.row.subscription.expires_at
        if self.sent is not None:
            return end
        if self.ended or self.waits(last):
            return min(self.quiet_until, end)
        return end

    def owe_full(self) -> None:
        """Report the full state without delay, as after each SUBSCRIBE."""
        self.full_due, self.building = True, None
        self.quiet_until = 0.0

    def owe(self, items: Iterable[NewsItem]) -> None:
        """Report the changed registrations, one per NOTIFY."""
        for item in items:
            gone = self.owed.setdefault(item.aor, {})
            if not item.binding.active:
                gone[item.binding.key] = item.binding

    def goes(self, to: int, now: float) -> None:
        """Note that a NOTIFY was sent that reports changes up to ``to``."""
        self.sent = to
        pause = LEGACY_PACE if self.is_legacy else self.row.min_interval
        self.quiet_until = now + pause

    def answered(self) -> None:
        """Note that the unanswered NOTIFY was accepted."""
        if self.sent is not None:
            self.told = max(self.told, self.sent)
        self.sent = None
        self.failures = 0
        self.is_lost = False

    def refused(
        self, response: Response, now: float, jitter: Callable[[], float]
    ) -> float:
        """
        Retry with the full state, after the watcher refused a NOTIFY temporarily.

        Returns:
            The delay in seconds.
        """
        pause = wait_asked(response)
        if pause is None:
            pause = back_off(
                self.failures, jitter, first=RETRY_FIRST, longest=RETRY_LONGEST
            )
        self.failures += 1
        self.sent = None
        self.is_final = False
        self.is_lost = True
        self.owe_full()
        self.quiet_until = now + pause
        return pause

    def timer_due(self, now: float) -> None:
        # Its keeper handles it.
        self.timer_at = None

    def snapshot(self) -> tuple[Any, ...]:
        """Return what sending changes, except :attr:`owed`, for :meth:`restore`."""
        row = self.row
        return (
            row.version,
            row.subscription.dialog.local_cseq,
            self.told,
            self.sent,
            self.full_due,
            self.building,
            self.quiet_until,
            self.is_final,
        )

    def restore(self, *snapshot: Any) -> None:
        """Restore a snapshot: NOTIFYs since then were never sent."""
        row = self.row
        (
            row.version,
            row.subscription.dialog.local_cseq,
            self.told,
            self.sent,
            self.full_due,
            self.building,
            self.quiet_until,
            self.is_final,
        ) = snapshot

    def put_back(self, aor: Aor, gone: dict[str, Binding]) -> None:
        """Put back a registration that was not sent, or not completely."""
        self.owed[aor] = gone | self.owed.get(aor, {})

    # The user of each NOTIFY (:class:`reginfo.sip.user.User`).

    def receive_response(self, response: Response, moment: Moment) -> None:
        self.keeper.receive_response(self, response, moment)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        self.keeper.receive_failure(self, cause, moment)

    def never_sent(self) -> None:
        """Do nothing: the undo list of the journal restores the news owed."""
