"""What was answered 200 is on disk: our server is killed under load, three times."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from .phone import Phone
from .server import Server

USERS = 200  # each has one REGISTER on its way, as a phone does
LOAD = 0.7  # seconds of load before each kill; a kill comes in the middle of it
KILLS = 3


class Fleet:
    """Many phones behind one socket, each refreshing as soon as it is answered."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.users = [f"u{number}" for number in range(USERS)]
        self.cseq = dict.fromkeys(self.users, 0)
        "CSeq of the last REGISTER that each has sent."

        self.acknowledged = dict.fromkeys(self.users, 0)
        "CSeq of the last one that was answered 200."

        self.unanswered: dict[str, bytes] = {}
        "The REGISTER that is on its way, by user."

        self.answers = 0
        self._user_of: dict[str, str] = {}

    def send(self, user: str) -> None:
        self.cseq[user] += 1
        request = self.phone.build_register(user, expires=600, cseq=self.cseq[user])
        self.unanswered[user] = request
        self.phone.send(request)

    def receive(self, timeout: float) -> str | None:
        """Take one answer; whose it was."""
        reply = self.phone.receive(timeout)
        if reply is None:
            return None
        assert reply.status == 200, reply.start
        user = reply["to"].partition("sip:")[2].partition("@")[0]
        cseq = int(reply["cseq"].split()[0])
        if cseq != self.cseq[user] or user not in self.unanswered:
            return None  # a second answer to a retransmission
        self.acknowledged[user] = cseq
        self.answers += 1
        del self.unanswered[user]
        return user

    def run_until(self, over: threading.Event, limit: float) -> None:
        """Refresh as fast as the server answers, until it is ``over``."""
        deadline = time.monotonic() + limit
        for user in self.users:
            if user not in self.unanswered:
                self.send(user)
        while not over.is_set() and time.monotonic() < deadline:
            if user_answered := self.receive(0.01):
                self.send(user_answered)
        assert over.is_set()
        # What the server sent before it went waits in our socket. It was answered.
        quiet = 0
        while quiet < 5:
            quiet = 0 if self.receive(0.01) else quiet + 1

    def retransmit(self, within: float) -> None:
        """Send the same again until each is answered, as phones do by timer E."""
        deadline = time.monotonic() + within
        while self.unanswered and time.monotonic() < deadline:
            for request in list(self.unanswered.values()):
                self.phone.send(request)
            again_at = time.monotonic() + 0.5
            while self.unanswered and (left := again_at - time.monotonic()) > 0:
                self.receive(left)


def test_three_kills_under_load_lose_nothing_that_was_acknowledged(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with Phone(server.address) as phone:
        fleet = Fleet(phone)
        for kill in range(1, KILLS + 1):
            before = fleet.answers
            over = threading.Event()

            def take_away(over: threading.Event = over) -> None:
                server.kill()
                over.set()

            timer = threading.Timer(LOAD, take_away)
            timer.start()
            fleet.run_until(over, limit=LOAD + 20.0)
            timer.join()
            answered, on_their_way = fleet.answers - before, len(fleet.unanswered)
            assert answered, "there was no load"

            server.start()
            table = {b["aor"]: b["cseq"] for b in server.all_bindings()}
            lost = [
                user
                for user, cseq in fleet.acknowledged.items()
                if cseq and not table.get(phone.aor(user), 0) >= cseq
            ]
            assert not lost

            # The phones know nothing of the kill: the same branch, the same CSeq.
            fleet.retransmit(within=20.0)
            assert not fleet.unanswered
            table = {b["aor"]: b["cseq"] for b in server.all_bindings()}
            assert table == {phone.aor(u): cseq for u, cseq in fleet.cseq.items()}
            with capsys.disabled():
                sys.stdout.write(
                    f"\nkill -9 no. {kill}: {answered} REGISTERs acknowledged, none"
                    f" lost; {on_their_way} retransmitted across it, all answered 200\n"
                )


def test_a_refresh_that_was_answered_is_answered_again_after_a_kill(
    server: Server,
) -> None:
    with Phone(server.address) as phone:
        request = phone.build_register("alice", expires=600)
        first = phone.ask(request)
        assert first.status == 200
        server.kill()
        server.start()
        # No transaction remembers it: the row knows the branch that wrote it.
        again = phone.ask(request)
        assert again.status == 200
        assert [b["cseq"] for b in server.bindings("alice")] == [1]
        # Another request with the same CSeq is out of order (§10.3 step 7).
        assert (
            phone.ask(phone.build_register("alice", expires=600, cseq=1)).status >= 400
        )
