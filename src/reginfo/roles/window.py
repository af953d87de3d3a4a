"""How many NOTIFYs may be under way to a peer that only UDP reaches: one."""

from __future__ import annotations

from .watch import Watch


class Window:
    """
    Has the watches of a peer send one after the other, where there is only UDP.

    A stream has TCP's congestion control. Over UDP an application should not send more
    than one datagram per round-trip time to a destination (RFC 8085 §3.1), and a peer
    may have thousands of watches. Meanwhile the changes of the others are merged.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, Watch] = {}
        self._waiting: dict[str, dict[Watch, None]] = {}

    def admits(self, watch: Watch) -> bool:
        """Whether a watch may send now; if not, it waits for :meth:`next_after`."""
        row = watch.row
        peer = row.peer
        if peer is None or row.subscription.dialog.flow.local.is_reliable:
            return True
        if watch.unanswered or not watch.waits:
            return True  # it has nothing to send
        other = self._under_way.get(peer)
        # One whose NOTIFY was taken back with its commit has nothing under way.
        if other is None or other is watch or not other.unanswered:
            return True
        self._waiting.setdefault(peer, {})[watch] = None
        return False

    def sent(self, watch: Watch) -> None:
        """Note that a NOTIFY of a watch is under way."""
        row = watch.row
        if row.peer and not row.subscription.dialog.flow.local.is_reliable:
            self._under_way[row.peer] = watch

    def next_after(self, watch: Watch) -> Watch | None:
        """Return the watch that may send next, now that a NOTIFY of another is over."""
        peer = watch.row.peer
        if peer is None:
            return None
        other = self._under_way.get(peer)
        if other is watch:
            del self._under_way[peer]
        elif other is not None and other.unanswered:
            return None
        waiting = self._waiting.get(peer)
        if not waiting:
            return None
        first = next(iter(waiting))
        del waiting[first]
        if not waiting:
            del self._waiting[peer]
        return first
