"""
A presence server that is slow, silent or unwilling: what we send to it, and when.

Kamailio's own pua makes 1275 PUBLISHes of 50 overlapping REGISTERs in the worst case,
and may leave a state that is not the last.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .phone import Phone, eventually
from .presence import Answer, PresenceServer, Publish
from .server import Server

DELAY = 0.2  # seconds from a PUBLISH to its answer
REGISTERS = 50
STORM = 0.1  # seconds for them all

LOOPING = "looping"


@dataclass(frozen=True, slots=True)
class Slow:
    """Ours, and the presence server to which it publishes."""

    ours: Server
    presence: PresenceServer
    phone: Phone

    def until(self, user: str, count: int, *, within: float = 10.0) -> list[Publish]:
        """Wait until the PUBLISHes of ``user`` are so many, all answered."""

        def check() -> list[Publish] | None:
            found = self.presence.publishes(user)
            if len(found) < count or found[-1].answered_at is None:
                return None
            assert len(found) == count
            return found

        found = eventually(check, within=within)
        assert found is not None
        return found

    def settled(self, user: str) -> list[Publish]:
        """
        The PUBLISHes of ``user``, when no more will come for what has happened.

        What is owed is sent as soon as the one before is answered: once that of
        somebody else has come, which began later, that of ``user`` would have, too.
        """
        before = self.presence.publishes(user)
        other = f"after-{user}"
        self.phone.register(other, expires=600)
        self.until(other, 1)
        after = self.presence.publishes(user)
        assert after == before
        return after


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    """One of each for all tests: each has a user of its own."""
    directory = tmp_path_factory.mktemp("storm")
    with PresenceServer(DELAY) as presence:
        with (
            Server(directory, publish_to=[presence.uri]) as ours,
            Phone(ours.address) as phone,
        ):
            slow = Slow(ours, presence, phone)
            # For the last test: it takes some seconds, and need not wait for them all.
            presence.answer(LOOPING, Answer(412), Answer(412))
            phone.register(LOOPING, expires=600)
            yield slow


def test_a_storm_of_registers_makes_at_most_three_publishes(slow: Slow) -> None:
    """3903-04"""
    phone = slow.phone
    requests = [phone.build_register("ann", expires=600) for _ in range(REGISTERS)]
    begin = time.monotonic()
    for number, request in enumerate(requests):
        while time.monotonic() < begin + 0.5 * STORM * number / REGISTERS:
            pass
        phone.send(request)
    assert time.monotonic() - begin < STORM
    answered: set[int] = set()
    while len(answered) < REGISTERS:
        reply = phone.receive(10.0)
        assert reply is not None
        assert reply.status == 200
        answered.add(int(reply["cseq"].split()[0]))

    eventually(lambda: slow.presence.publishes("ann")[-1].cseqs == [REGISTERS])
    eventually(lambda: slow.presence.publishes("ann")[-1].answered_at)
    publishes = slow.settled("ann")
    assert len(publishes) <= 3
    delays = [p.answered_at - p.at for p in publishes if p.answered_at is not None]
    assert len(delays) == len(publishes)
    assert min(delays) >= DELAY
    assert slow.presence.overlapping("ann") == 0
    assert publishes[-1].cseqs == [REGISTERS]
    assert {publish.status for publish in publishes} == {200}
    assert {publish.copies for publish in publishes} == {1}


def test_a_storm_of_devices_ends_with_all_of_them(slow: Slow) -> None:
    phone = slow.phone
    for device in range(20):
        phone.send(phone.build_register("ben", expires=600, device=device))

    def all_told() -> bool:
        last = slow.presence.publishes("ben")[-1]
        return len(last.cseqs) == 20 and last.answered_at is not None

    eventually(lambda: slow.presence.publishes("ben") and all_told())
    assert len(slow.settled("ben")) <= 3
    assert slow.presence.overlapping("ben") == 0


def test_users_do_not_wait_for_each_other(slow: Slow) -> None:
    users = [f"one{number}" for number in range(10)]
    begin = time.monotonic()
    for user in users:
        slow.phone.register(user, expires=600)
    last = max(slow.until(user, 1)[0].at for user in users)
    assert last - begin < 5 * DELAY  # one after the other, it would be ten times


def test_412_makes_one_fresh_publish(slow: Slow) -> None:
    """3903-06"""
    slow.phone.register("cid", expires=600)
    slow.until("cid", 1)
    slow.presence.forget("cid")
    slow.phone.register("cid", expires=600)
    first, dead, fresh = slow.until("cid", 3)
    assert (dead.status, fresh.status) == (412, 200)
    assert dead.message["sip-if-match"] != ""
    assert "sip-if-match" not in fresh.message
    assert fresh.cseqs == [2]
    assert len(slow.settled("cid")) == 3


def test_412_while_more_has_happened_makes_one_publish_for_both(slow: Slow) -> None:
    slow.phone.register("eve", expires=600)
    slow.until("eve", 1)
    slow.presence.answer("eve", Answer(412))
    for _ in range(5):
        slow.phone.register("eve", expires=600)
    publishes = slow.until("eve", 3)
    assert [publish.status for publish in publishes] == [200, 412, 200]
    assert publishes[-1].cseqs == [6]
    assert slow.presence.overlapping("eve") == 0
    assert len(slow.settled("eve")) == 3


def test_423_is_asked_again_for_as_long_as_it_says(slow: Slow) -> None:
    """3903-07"""
    brief = Answer(423, "Interval Too Brief", ["Min-Expires: 1800"])
    slow.presence.answer("fay", brief)
    slow.phone.register("fay", expires=600)
    first, second = slow.until("fay", 2)
    assert [first.message["expires"], second.message["expires"]] == ["600", "1800"]
    assert second.at - first.at < DELAY + 0.5
    assert len(slow.settled("fay")) == 2
    # Once is enough to learn it.
    slow.phone.register("fay", expires=600)
    assert slow.until("fay", 3)[-1].message["expires"] == "1800"


def test_503_is_asked_again_when_it_says_and_not_before(slow: Slow) -> None:
    """3903-08"""
    slow.presence.answer("gil", Answer(503, "Later", ["Retry-After: 2"]))
    slow.phone.register("gil", expires=600)
    (first,) = slow.until("gil", 1)
    # What happens meanwhile waits, too.
    slow.phone.register("gil", expires=600)
    slow.phone.register("gil", expires=600)
    assert len(slow.settled("gil")) == 1
    _, second = slow.until("gil", 2)
    assert first.answered_at is not None
    assert 1.9 <= second.at - first.answered_at < 3.0
    assert second.cseqs == [3]
    assert len(slow.settled("gil")) == 2


@pytest.mark.parametrize("status", [489, 405, 415, 501])
def test_who_takes_no_publications_is_not_asked_again(slow: Slow, status: int) -> None:
    """3903-08"""
    user = f"no{status}"
    slow.presence.answer(user, Answer(status))
    slow.phone.register(user, expires=600)
    slow.until(user, 1)
    slow.phone.register(user, expires=600)
    assert len(slow.settled(user)) == 1
    assert "refuses all publications" in slow.ours.log


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_what_was_under_way_when_ours_ended_is_published_after(
    slow: Slow, tmp_path: Path, how: str
) -> None:
    """The presence server may have taken it: then the tag that we have is dead."""
    presence = slow.presence
    user = how.lower()
    ours = Server(tmp_path, publish_to=[presence.uri])
    with ours, Phone(ours.address) as phone:
        phone.register(user, expires=600)
        slow.until(user, 1)
        # Behind the answer: once this is answered, ours has that and its tag.
        assert phone.options().status == 200
        phone.register(user, expires=600, device=1)
        eventually(lambda: len(presence.publishes(user)) == 2)
        ours.kill() if how == "SIGKILL" else ours.terminate()
        eventually(lambda: presence.publishes(user)[-1].answered_at)
        ours.start()
        eventually(lambda: len(presence.publishes(user)) == 4, within=20.0)
        first, unheard, dead, fresh = slow.until(user, 4)
        assert dead.message["sip-if-match"] == unheard.message["sip-if-match"]
        assert (dead.status, fresh.status) == (412, 200)
        assert len(fresh.cseqs) == 2
        assert "sip-if-match" not in fresh.message


def test_what_went_while_its_first_publish_was_unanswered_is_no_ghost(
    slow: Slow, tmp_path: Path
) -> None:
    """3903-09: ours has never heard the tag by which the presence server holds it."""
    ours = Server(tmp_path, publish_to=[slow.presence.uri])
    with ours, Phone(ours.address) as phone:
        phone.register("ghost", expires=1)
        eventually(lambda: "ghost" in slow.presence.held())
        ours.kill()
        over = slow.presence.held()["ghost"].at + 1.0
        eventually(lambda: time.monotonic() > over)
        ours.start()
        eventually(lambda: "ghost" not in slow.presence.held())
        *_, told, removal = slow.presence.publishes("ghost")
        assert b'event="expired"' in told.message.body
        assert removal.message["expires"] == "0"


def test_412_to_what_has_no_tag_is_no_loop(slow: Slow) -> None:
    """3903-06"""
    first, second, third = slow.until(LOOPING, 3)
    assert second.at - first.at >= 1.0
    assert third.at - second.at >= 2.0
    assert [p.status for p in (first, second, third)] == [412, 412, 200]
