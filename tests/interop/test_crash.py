"""What was answered 200 is on disk: our server is killed under load, many times."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from . import folding
from .document import read
from .fleet import Fleet, cseqs
from .phone import Phone, becomes
from .presence import PresenceServer, Publish
from .publishers import Publishers
from .server import Server
from .watchers import Watchers

T = TypeVar("T")

LOAD = 0.7  # seconds of load before each of three kills; it comes in the middle of it


def killed(fleet: Fleet, server: Server, seconds: float) -> int:
    """Kill a server under load; how many REGISTERs it had acknowledged since."""
    before = fleet.answers
    over = threading.Event()

    def take_away() -> None:
        server.kill()
        over.set()

    timer = threading.Timer(seconds, take_away)
    timer.start()
    fleet.run_until(over, limit=seconds + 20.0)
    timer.join()
    fleet.drain()
    return fleet.answers - before


def test_three_kills_under_load_lose_nothing_that_was_acknowledged(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with Phone(server.address) as phone:
        fleet = Fleet(phone, 200)
        for kill in range(1, 4):
            answered = killed(fleet, server, LOAD)
            assert answered, "there was no load"
            on_their_way = len(fleet.unanswered)
            server.start()
            assert not fleet.lost(server.all_bindings())
            # The phones know nothing of the kill: the same branch, the same CSeq.
            fleet.resend()
            fleet.retransmit(within=20.0)
            assert cseqs(server.all_bindings()) == fleet.expected()
            with capsys.disabled():
                sys.stdout.write(
                    f"\nkill -9 no. {kill}: {answered} REGISTERs acknowledged, none"
                    f" lost; {on_their_way} retransmitted across it, all answered 200\n"
                )


KILLS = int(os.environ.get("REGINFO_KILLS") or 20)
USERS, WATCHED, PUBLISHED = 40, 15, 5


class Network:
    """
    A server that is killed, and all that depend on it.

    Phones register at A, some of them with watchers; B is one of our servers, and has
    subscribed to the same ones; others publish users at A; A publishes all that is
    registered at a presence server.
    """

    def __init__(self, stack: ExitStack, directory: Path, random: Random) -> None:
        program = [str(Path(folding.__file__))]
        self.presence = stack.enter_context(PresenceServer())
        users = [f"p{number}" for number in range(PUBLISHED)]
        self.publishers = stack.enter_context(Publishers(users))
        self.a = Server(
            directory / "a",
            publish_to=[self.presence.uri],
            peers=[f'name = "p"\nuri = "{self.publishers.uri}"'],
            program=program,
        )
        self.phone = stack.enter_context(Phone(self.a.address))
        self.fleet = Fleet(self.phone, USERS, random=random)
        self.watched = self.fleet.users[:WATCHED]
        aors = ", ".join(f'"{self.phone.aor(user)}"' for user in self.watched)
        self.b = Server(
            directory / "b",
            name="b",
            peers=[
                f'name = "a"\nuri = "sip:127.0.0.1:{self.a.port}"\nwatch = [{aors}]'
            ],
            program=program,
        )
        stack.enter_context(self.a)
        stack.enter_context(self.b)
        self.watchers = stack.enter_context(Watchers(self.a.address, self.watched))
        becomes(lambda: self.watchers.subscribed, True)
        self.publishers.server = self.a.address
        self.kills: list[float] = []
        "When A was killed, on the monotonic clock."

    def check_a(self) -> None:
        """A has all that was acknowledged, at once."""
        # Read first: what is answered from now on need not be in the bindings.
        answered = self.publishers.answered()
        bindings = self.a.all_bindings()
        own = [binding for binding in bindings if binding["source"] is None]
        learned = cseqs(binding for binding in bindings if binding["source"])
        assert not self.fleet.lost(own)
        # What they have on its way may be there, or not yet.
        wrong = {
            aor: (learned.get(aor), number)
            for aor, number in answered.items()
            if learned.get(aor) not in (number, number + 1)
        }
        assert not wrong, "what A has, and what it has answered last"

    def check_all(self, *, published: bool) -> None:
        """Wait until everybody knows what phones and publishers have been told."""
        expected = self.fleet.expected()
        learned = self.publishers.answered()
        assert cseqs(self.a.all_bindings()) == expected | learned
        aor, contact = self.phone.aor, self.phone.contact
        there = {u: expected[aor(u)] for u in self.watched if aor(u) in expected}
        tables = {user: {contact(user): str(cseq)} for user, cseq in there.items()}
        _become(self.watchers.tables, tables)
        at_b = {aor(user): cseq for user, cseq in there.items()}
        _become(lambda: cseqs(self.b.all_bindings()), at_b)
        if published:
            _become(
                self.published,
                {u: expected[aor(u)] for u in self.fleet.users if aor(u) in expected},
            )

    def published(self) -> dict[str, int]:
        """The CSeq of each user who is registered, as the presence server has it."""
        return {
            user: contact.cseq
            for user, publish in self.presence.held().items()
            if not self.is_orphan(user, publish)
            for contact in read(publish.message.body).contacts.values()
            if contact.state == "active" and contact.cseq is not None
        }

    def is_orphan(self, user: str, publish: Publish) -> bool:
        """
        Whether a publication is one that A cannot remove: it does not know its tag.

        A was killed when the 200 had not come, and since then the user is gone. It
        ends when it expires (RFC 3903 §4.1).
        """
        bound = self.fleet.acknowledged[user].bound
        return not bound and any(at - 0.5 < publish.at <= at for at in self.kills)


def _become(read: Callable[[], dict[str, T]], expected: dict[str, T]) -> None:
    def differences() -> dict[str, tuple[T | None, T | None]]:
        value = read()
        return {
            key: (value.get(key), expected.get(key))
            for key in value | expected
            if value.get(key) != expected.get(key)
        }

    becomes(differences, {})


def test_many_kills_leave_nothing_missing_and_nobody_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("REGINFO_SEED") or secrets.randbelow(1_000_000))
    random = Random(seed)
    with capsys.disabled():
        sys.stdout.write(f"\n{KILLS} kill -9: REGINFO_SEED={seed}\n")
    with ExitStack() as stack:
        network = Network(stack, tmp_path, random)
        a, b, fleet = network.a, network.b, network.fleet
        watchers, publishers = network.watchers, network.publishers
        across = 0
        for kill in range(KILLS):
            publishers.paused = False
            killed(fleet, a, random.uniform(0.05, 0.4))
            publishers.paused = True
            network.kills.append(time.monotonic())
            across += len(fleet.unanswered)
            if random.random() < 0.2:
                b.kill()
                b.start()
            while random.random() < 0.2:
                a.launch()  # and kill it before it is ready, or soon after
                threading.Event().wait(random.uniform(0.0, 0.8))
                a.kill()
                network.kills.append(time.monotonic())
            a.start()
            network.check_a()
            fleet.resend()
            fleet.retransmit(within=20.0)
            becomes(lambda: publishers.quiet, True)
            network.check_all(published=kill % 5 == 4)
        orphans = sum(
            network.is_orphan(*one) for one in network.presence.held().items()
        )
        with capsys.disabled():
            sys.stdout.write(
                f"{fleet.answers} REGISTERs acknowledged, none lost; {across} sent"
                f" again across a kill, all answered 200\n{publishers.answers}"
                " PUBLISHes taken, every entity-tag known\n"
                f"{watchers.notifies} NOTIFYs in order, {watchers.full} of them full\n"
                f"PUBLISHes sent, by status: {dict(network.presence.statuses())};"
                f" {orphans} publications left to expire at the end\n"
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
