"""All streams of a server: how many there may be, and which makes room."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Protocol

from ..ledger.part import Description
from ..sip.value import Value

logger = logging.getLogger("reginfo.transport")

UNSENT = 1 << 20
"""The default number of octets that a peer may leave unread."""

WHOLE = 30.0
"""
Seconds in which a message must be complete once it has begun, if there is a limit for
the first one.
"""


class StreamLimits(Value, frozen=True, kw_only=True):
    """The limits of streams; see ``[limits]`` of the configuration. 0: no limit."""

    connections: int = 0
    silent: int = 0
    first_message: float = 0.0
    unsent: int = UNSENT
    opening: int = 0


class Member(Protocol):
    """A stream; see :class:`reginfo.io.tcp.StreamTransport`."""

    def abort(self) -> None:
        """Close the stream; :meth:`Crowd.leave` is called later, or at once."""


class Crowd:
    """
    The streams of all transports.

    A stream is *silent* until its first whole message, and *established* when a
    registration or subscription was accepted on it, or if this server has opened it. At
    the limit the stream makes room that has been without a whole message for longest: a
    silent one, else one that is not established. If all are established, the new one
    is closed.
    """

    def __init__(self, limits: StreamLimits | None = None) -> None:
        self.limits = limits or StreamLimits()
        # Each with the time of its last whole message, or of its beginning.
        self._silent: OrderedDict[Member, float] = OrderedDict()
        self._spoken: OrderedDict[Member, float] = OrderedDict()
        self._established: OrderedDict[Member, float] = OrderedDict()
        self._unfinished: OrderedDict[Member, float] = OrderedDict()
        self._sources: dict[Member, str] = {}
        self._by_source: dict[str, OrderedDict[Member, None]] = {}
        "The silent ones."

        self.opening = 0
        "The number of connections that are being opened."

        self.displaced = 0
        "The number of streams that made room for others, or found none."

        self.timed_out = 0
        "The number of streams that were silent, or left a message unfinished."

        self.unread = 0
        "The number of streams whose peer did not read."

        self.refused = 0
        "The number of connections that were not opened, because too many were being."

    def __len__(self) -> int:
        return len(self._sources)

    def enter(self, member: Member, source: str, now: float) -> None:
        """Add a stream that was accepted; another one may make room for it."""
        self._sources[member] = source
        self._silent[member] = now
        of_source = self._by_source.setdefault(source, OrderedDict())
        of_source[member] = None
        limits = self.limits
        if len(of_source) > limits.silent > 0:
            self._displace(next(iter(of_source)))
        elif len(self._sources) > limits.connections > 0:
            oldest = next(iter(self._silent))
            if oldest is member and self._spoken:
                oldest = next(iter(self._spoken))
            self._displace(oldest)

    def enter_opened(self, member: Member, source: str, now: float) -> None:
        """Add a stream that this server has opened."""
        self._sources[member] = source
        self._established[member] = now

    def heard(self, member: Member, now: float) -> None:
        """Note a whole message."""
        if member in self._established:
            self._established[member] = now
            self._established.move_to_end(member)
        elif member in self._spoken:
            self._spoken[member] = now
            self._spoken.move_to_end(member)
        elif self._silent.pop(member, None) is not None:
            self._forget_silent(member)
            self._spoken[member] = now

    def establish(self, member: Member, now: float) -> None:
        """Note that a registration or subscription was accepted on a stream."""
        if self._spoken.pop(member, None) is not None:
            self._established[member] = now

    def begun(self, member: Member, now: float) -> None:
        """Note that a message has begun and is not complete."""
        self._unfinished.setdefault(member, now)

    def finished(self, member: Member) -> None:
        """Note that no message is incomplete."""
        self._unfinished.pop(member, None)

    def leave(self, member: Member) -> None:
        """Remove a stream that was closed."""
        self.finished(member)
        if self._silent.pop(member, None) is not None:
            self._forget_silent(member)
        self._spoken.pop(member, None)
        self._established.pop(member, None)
        self._sources.pop(member, None)

    @property
    def may_open(self) -> bool:
        """Whether one more connection may be opened now."""
        return not 0 < self.limits.opening <= self.opening

    def timer_due(self, now: float) -> None:
        """Close streams that have been silent or unfinished for too long."""
        longest = self.limits.first_message
        if not longest:
            return
        for waiting, patience in ((self._silent, longest), (self._unfinished, WHOLE)):
            while waiting:
                member, since = next(iter(waiting.items()))
                if now - since < patience:
                    break
                self.timed_out += 1
                self._end(member)

    def describe(self) -> Description:
        """Describe the number of streams, and of those that were closed."""
        count, silent = len(self._sources), len(self._silent)
        figures = {
            "streams": count,
            "silent": silent,
            "established": len(self._established),
            "opening": self.opening,
            "displaced_total": self.displaced,
            "timed_out_total": self.timed_out,
            "unread_total": self.unread,
            "not_opened_total": self.refused,
        }
        return Description("streams", f"streams: {count}, silent: {silent}", figures)

    def _displace(self, member: Member) -> None:
        self.displaced += 1
        self._end(member)

    def _end(self, member: Member) -> None:
        self.leave(member)
        member.abort()

    def _forget_silent(self, member: Member) -> None:
        source = self._sources[member]
        of_source = self._by_source[source]
        of_source.pop(member, None)
        if not of_source:
            del self._by_source[source]
