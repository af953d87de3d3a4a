"""A presence server that the tests can make slow, silent or unwilling (RFC 3903 §6)."""

from __future__ import annotations

import heapq
import itertools
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from .phone import Address, Message, response
from .worker import Worker

SILENCE = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """How to answer one PUBLISH; silence is for all its retransmissions, too."""

    status: int
    reason: str = "-"
    headers: Sequence[str] = ()


@dataclass(slots=True)
class Publish:
    """A PUBLISH that came, retransmissions but once."""

    at: float
    "When it came, on the monotonic clock."

    message: Message
    answered_at: float | None = None
    status: int = SILENCE
    copies: int = 1
    "How often it came."

    @property
    def user(self) -> str:
        return self.message.start.partition("sip:")[2].partition("@")[0]

    @property
    def cseqs(self) -> list[int]:
        """CSeqs of the REGISTERs that its document tells."""
        parts = self.message.body.decode().split(' cseq="')[1:]
        return [int(part.partition('"')[0]) for part in parts]


class PresenceServer(Worker):
    """
    Takes publications as RFC 3903 §6 says, and answers late.

    Args:
        delay: Seconds from a PUBLISH to its answer.
    """

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__()
        self._delay = delay
        self._plans: dict[str, list[Answer]] = {}
        self._tags: dict[str, str] = {}
        self._held: dict[str, Publish] = {}
        self._numbers = itertools.count(1)
        self._publishes: dict[str, Publish] = {}
        self._answers: dict[str, bytes] = {}
        self._due: list[tuple[float, int, str, bytes, Address]] = []

    def answer(self, user: str, *answers: Answer) -> None:
        """Answer the next PUBLISHes of ``user`` like this; those after them, well."""
        with self.lock:
            self._plans[user] = list(answers)

    def publishes(self, user: str) -> list[Publish]:
        """What came for ``user``, in its order."""
        with self.lock:
            return [p for p in self._publishes.values() if p.user == user]

    def held(self) -> dict[str, Publish]:
        """What it holds of each user: the last PUBLISH with a document."""
        with self.lock:
            return dict(self._held)

    def statuses(self) -> Counter[int]:
        """How often each was answered."""
        with self.lock:
            return Counter(p.status for p in self._publishes.values())

    def forget(self, user: str) -> None:
        """What a restart does to a presence server that keeps all in memory."""
        with self.lock:
            del self._tags[user]

    def overlapping(self, user: str) -> int:
        """How many PUBLISHes came while the one before was unanswered."""
        publishes = self.publishes(user)
        return sum(
            first.answered_at is None or second.at < first.answered_at
            for first, second in itertools.pairwise(publishes)
        )

    def readable(self, ready: socket.socket, now: float) -> None:
        data, source = ready.recvfrom(65535)
        message = Message.parse(data, source)
        if message.method == "OPTIONS":  # is anybody here?
            ready.sendto(response(message, 200, "OK"), source)
            return
        assert message.method == "PUBLISH", message.start
        known = self._publishes.get(message.branch)
        if known is not None:
            known.copies += 1
            if known.answered_at is not None:
                ready.sendto(self._answers[message.branch], source)
            return
        publish = self._publishes[message.branch] = Publish(now, message)
        plan = self._plans.get(publish.user) or [self._well(publish)]
        answer = plan.pop(0)
        publish.status = answer.status
        if answer.status != SILENCE:
            reply = response(message, answer.status, answer.reason, answer.headers)
            entry = (now + self._delay, next(self._numbers))
            heapq.heappush(self._due, (*entry, message.branch, reply, source))

    def tick(self, now: float) -> float | None:
        while self._due and self._due[0][0] <= now:
            _, _, branch, reply, source = heapq.heappop(self._due)
            # Before it is sent: what comes next comes after it.
            self._publishes[branch].answered_at = now
            self._answers[branch] = reply
            self.udp.sendto(reply, source)
        return self._due[0][0] if self._due else None

    def _well(self, publish: Publish) -> Answer:
        message, user = publish.message, publish.user
        match = message.get("sip-if-match")
        if match is not None and match != self._tags.get(user):
            return Answer(412, "Conditional Request Failed")
        expires = message["expires"]
        tag = f"{user}{next(self._numbers)}"
        if expires == "0":
            self._tags.pop(user, None)
            self._held.pop(user, None)
        else:
            self._tags[user] = tag
            if message.body:
                self._held[user] = publish
        return Answer(200, "OK", [f"SIP-ETag: {tag}", f"Expires: {expires}"])
