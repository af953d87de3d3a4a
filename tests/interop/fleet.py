"""Many phones behind one socket: they register, refresh and unregister under load."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterable
from random import Random
from typing import NamedTuple

from .phone import Phone
from .server import Binding

UNREGISTERS = 0.15
"""How often a phone that is bound unregisters, of all that it does."""


class Claim(NamedTuple):
    """What a phone has asked for."""

    cseq: int
    bound: bool


class Fleet:
    """
    Phones that each send the next REGISTER as soon as the last one is answered.

    Args:
        users: How many; each has one contact, whose parameter ``n`` is the CSeq, and
            ``a`` a token that no other REGISTER has.
        random: When they unregister; None for never.
        answers: Which statuses are answers; any other is an error.
    """

    def __init__(
        self,
        phone: Phone,
        users: int,
        *,
        random: Random | None = None,
        answers: Collection[int] = (200,),
        name: str = "u",
    ) -> None:
        self.phone = phone
        self.users = [f"{name}{number}" for number in range(users)]
        self.acknowledged = dict.fromkeys(self.users, Claim(0, False))
        "What each was answered 200 for, the last time."

        self.unanswered: dict[str, Claim] = {}
        "What is on its way, by user."

        self.statuses: Counter[int] = Counter()
        self._random = random
        self._answers = frozenset(answers)
        self._requests: dict[str, bytes] = {}
        self._cseq = dict.fromkeys(self.users, 0)

    @property
    def answers(self) -> int:
        """How many REGISTERs were answered 200 so far."""
        return self.statuses[200]

    def send(self, user: str) -> None:
        cseq = self._cseq[user] = self._cseq[user] + 1
        bound = not (
            self._random is not None
            and self.acknowledged[user].bound
            and self._random.random() < UNREGISTERS
        )
        # Twice: a page of a file may end in the middle of the one.
        token = f"~{user}.{cseq}~"
        contact = f"Contact: <{self.phone.contact(user)}>;n={cseq};a={token};b={token}"
        request = self.phone.build_register(
            user, expires=600 if bound else 0, cseq=cseq, contacts=[contact]
        )
        self.unanswered[user] = Claim(cseq, bound)
        self._requests[user] = request
        self.phone.send(request)

    def receive(self, timeout: float) -> str | None:
        """Take one answer; whose it was."""
        reply = self.phone.receive(timeout)
        if reply is None:
            return None
        assert reply.status in self._answers, reply.start
        user = reply["to"].partition("sip:")[2].partition("@")[0]
        claim = self.unanswered.get(user)
        if claim is None or claim.cseq != int(reply["cseq"].split()[0]):
            return None  # a second answer to a retransmission
        self.statuses[reply.status] += 1
        del self.unanswered[user]
        if reply.status == 200:
            self.acknowledged[user] = claim
        else:
            assert int(reply["retry-after"]) > 0
        return user

    def run_until(self, over: threading.Event, limit: float) -> None:
        """Go on as fast as the server answers, until it is ``over``."""
        deadline = time.monotonic() + limit
        for user in self.users:
            if user not in self.unanswered:
                self.send(user)
        while not over.is_set() and time.monotonic() < deadline:
            if user_answered := self.receive(0.01):
                self.send(user_answered)
        assert over.is_set()

    def run(self, seconds: float) -> None:
        """Go on for so long, and take the answers to what is on its way."""
        over = threading.Event()
        timer = threading.Timer(seconds, over.set)
        timer.start()
        self.run_until(over, limit=seconds + 20.0)
        timer.join()
        self.retransmit(within=20.0)

    def drain(self) -> None:
        """Take what the server sent before it went: it waits in our socket."""
        quiet = 0
        while quiet < 5:
            quiet = 0 if self.receive(0.01) else quiet + 1

    def retransmit(self, within: float) -> None:
        """Wait for all answers, and send again as phones do by timer E."""
        deadline = time.monotonic() + within
        while self.unanswered and time.monotonic() < deadline:
            again_at = time.monotonic() + 0.5
            while self.unanswered and (left := again_at - time.monotonic()) > 0:
                self.receive(left)
            for user in self.unanswered:
                self.phone.send(self._requests[user])
        assert not self.unanswered

    def resend(self) -> None:
        """Send again what is on its way: the same branch, the same CSeq."""
        for user in self.unanswered:
            self.phone.send(self._requests[user])

    # What a table must hold.

    def expected(self) -> dict[str, int]:
        """The CSeq of each address-of-record that is bound."""
        assert not self.unanswered
        return {
            self.phone.aor(user): claim.cseq
            for user, claim in self.acknowledged.items()
            if claim.bound
        }

    def lost(self, bindings: Iterable[Binding]) -> list[str]:
        """
        What is wrong with a table, while some of us wait for an answer.

        Each must be as it was acknowledged, or as what is on its way asks for.
        """
        table = cseqs(bindings)
        wrong = []
        for user in self.users:
            claims = {self.acknowledged[user]}
            if user in self.unanswered:
                claims.add(self.unanswered[user])
            cseq = table.get(self.phone.aor(user))
            if cseq not in {claim.cseq if claim.bound else None for claim in claims}:
                wrong.append(f"{user}: {cseq} is none of {sorted(claims)}")
        return wrong


def cseqs(bindings: Iterable[Binding]) -> dict[str, int]:
    """A table of which each address-of-record has one contact at most."""
    table: dict[str, int] = {}
    for binding in bindings:
        assert binding["aor"] not in table
        table[binding["aor"]] = binding["cseq"]
    return table
