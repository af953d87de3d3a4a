"""
A real Kamailio at the other end of the reg event, in both directions.

Its ``reginfo_subscribe`` and ``reginfo_handle_notify`` are fed by our notifier,
and our subscriber by its presence server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .kamailio import Kamailio
from .phone import Phone, becomes, eventually
from .server import Server

pytestmark = pytest.mark.peers("kamailio")

ALICE = "sip:alice@example.test"


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and Kamailio, and a phone at the one where users register."""

    ours: Server
    kamailio: Kamailio
    phone: Phone
    watcher: Phone | None = None
    "Watches alice where she registers."

    def register(self, *, expires: int, device: int = 0) -> None:
        """
        Register at Kamailio, and wait until its presence server knows.

        A REGISTER that comes before the PUBLISH of the one before is answered makes
        Kamailio publish twice, and forget one of the two: who subscribes later is
        told the older.
        """
        assert self.watcher is not None
        while self.watcher.receive(0.001):
            pass
        self.watcher.inbox.clear()
        self.phone.register("alice", expires=expires, device=device)
        uri = self.phone.contact("alice", device).encode()
        while uri not in self.watcher.notify().body:
            pass

    def contacts(self, *devices: int) -> set[str]:
        """The URIs of these devices of alice."""
        return {self.phone.contact("alice", device) for device in devices}

    def in_kamailio(self) -> set[str]:
        """Where Kamailio would reach alice."""
        return self.kamailio.contacts("alice")

    def rows(self) -> int:
        """
        How many rows Kamailio has, those that have run out too.

        Its timer is slow where users register at ours: a row that has gone was
        taken away because Kamailio was told.
        """
        return len(self.kamailio.location())


# -- users register at ours, Kamailio has subscribed


# Kamailio is known as a legacy peer by its configuration, or by its User-Agent.
@pytest.fixture(params=["configured", "recognised"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    """A phone at ours, and Kamailio to be told."""
    ours = Server(tmp_path / "a")
    kamailio = Kamailio(tmp_path / "k", peer=ours.port, expiry_timer=60)
    if request.param == "configured":
        address = f"127.0.0.1:{kamailio.port}"
        ours.peers = (
            f'name = "kam"\nprofile = "legacy"\nmatch = {{ address = "{address}" }}',
        )
    with ours, kamailio, Phone(ours.address) as phone:
        yield Pair(ours, kamailio, phone)


def test_kamailio_knows_who_registered_before_it_subscribed(told: Pair) -> None:
    told.phone.register("alice", expires=600)
    told.phone.register("alice", expires=600, device=1)
    told.kamailio.subscribe("alice")
    becomes(told.in_kamailio, told.contacts(0, 1))


def test_kamailio_knows_one_contact_as_it_was_registered(told: Pair) -> None:
    told.kamailio.subscribe("alice")
    told.phone.register("alice", expires=600)
    becomes(told.in_kamailio, told.contacts(0))

    (row,) = told.kamailio.location()
    (binding,) = told.ours.bindings("alice")
    assert (row.call_id, row.cseq) == (binding["callid"], binding["cseq"])
    assert row.expires is not None
    assert 590 <= row.expires <= 600


def test_kamailio_knows_a_refresh(told: Pair) -> None:
    told.kamailio.subscribe("alice")
    told.phone.register("alice", expires=600)
    told.phone.register("alice", expires=900)
    becomes(lambda: [row.cseq for row in told.kamailio.location()], [2])

    (row,) = told.kamailio.location()
    assert row.expires is not None
    assert row.expires > 600


def test_kamailio_knows_two_contacts(told: Pair) -> None:
    told.kamailio.subscribe("alice")
    told.phone.register("alice", expires=600)
    told.phone.register("alice", expires=600, device=1)
    becomes(told.in_kamailio, told.contacts(0, 1))


def test_kamailio_knows_that_one_of_two_is_gone(told: Pair) -> None:
    told.kamailio.subscribe("alice")
    told.phone.register("alice", expires=600)
    told.phone.register("alice", expires=600, device=1)
    becomes(told.in_kamailio, told.contacts(0, 1))

    told.phone.register("alice", expires=0, device=0)
    becomes(told.in_kamailio, told.contacts(1))


def test_kamailio_knows_that_none_is_left(told: Pair) -> None:
    told.kamailio.subscribe("alice")
    told.phone.register("alice", expires=600)
    told.phone.register("alice", expires=600, device=1)
    becomes(told.in_kamailio, told.contacts(0, 1))

    told.phone.register("alice", expires=0, device=0)
    told.phone.register("alice", expires=0, device=1)
    becomes(told.in_kamailio, set())
    assert told.rows() == 0


def test_kamailio_knows_that_one_of_two_has_expired(told: Pair) -> None:
    told.kamailio.subscribe("alice")
    told.phone.register("alice", expires=600)
    told.phone.register("alice", expires=2, device=1)
    becomes(told.in_kamailio, told.contacts(0, 1))
    becomes(told.in_kamailio, told.contacts(0))


def test_kamailio_knows_that_the_last_has_expired(told: Pair) -> None:
    told.kamailio.subscribe("alice")
    told.phone.register("alice", expires=2)
    becomes(told.in_kamailio, told.contacts(0))
    becomes(told.rows, 0)


def test_kamailio_knows_who_came_back(told: Pair) -> None:
    told.kamailio.subscribe("alice")
    told.phone.register("alice", expires=600)
    becomes(told.in_kamailio, told.contacts(0))
    told.phone.register("alice", expires=0)
    becomes(told.in_kamailio, set())
    told.phone.register("alice", expires=600)
    becomes(told.in_kamailio, told.contacts(0))


# -- users register at Kamailio, ours has subscribed


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test has started."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def telling(tmp_path: Path, stack: ExitStack) -> Pair:
    """A phone at Kamailio, and ours, which is not yet started, to be told."""
    kamailio = Kamailio(tmp_path / "k", publish=True, expiry_timer=1)
    peer = f'name = "kam"\nuri = "sip:127.0.0.1:{kamailio.port}"\nwatch = ["{ALICE}"]'
    ours = Server(tmp_path / "a", peers=[peer])
    stack.enter_context(kamailio)
    phone = stack.enter_context(Phone(kamailio.address))
    watcher = stack.enter_context(Phone(kamailio.address))
    assert watcher.subscribe("alice").status == 200
    return Pair(ours, kamailio, phone, watcher)


@pytest.fixture
def listening(telling: Pair, stack: ExitStack) -> Pair:
    """The same, with ours started."""
    stack.enter_context(telling.ours)
    return telling


def in_ours(pair: Pair) -> set[str]:
    return pair.ours.contacts("alice")


def test_ours_knows_who_registered_before_it_started(
    telling: Pair, stack: ExitStack
) -> None:
    telling.register(expires=600)
    telling.register(expires=600, device=1)
    stack.enter_context(telling.ours)
    becomes(lambda: in_ours(telling), telling.contacts(0, 1))


def test_ours_knows_one_contact_as_it_was_registered(listening: Pair) -> None:
    listening.register(expires=600)
    becomes(lambda: in_ours(listening), listening.contacts(0))

    (binding,) = listening.ours.bindings("alice")
    (row,) = listening.kamailio.location()
    assert (binding["callid"], binding["cseq"]) == (row.call_id, row.cseq)
    assert 590 <= binding["expires"] <= 600
    # A peer that names no owner owns what it sends, and we say who told us.
    assert binding["owner"] == "kam"
    assert binding["source"]


def test_ours_knows_a_refresh(listening: Pair) -> None:
    listening.register(expires=600)
    listening.register(expires=900)
    becomes(lambda: [b["cseq"] for b in listening.ours.bindings("alice")], [2])
    assert listening.ours.bindings("alice")[0]["expires"] > 600


def test_ours_knows_two_contacts(listening: Pair) -> None:
    listening.register(expires=600)
    listening.register(expires=600, device=1)
    becomes(lambda: in_ours(listening), listening.contacts(0, 1))


def test_ours_knows_that_one_of_two_is_gone(listening: Pair) -> None:
    listening.register(expires=600)
    listening.register(expires=600, device=1)
    becomes(lambda: in_ours(listening), listening.contacts(0, 1))

    listening.register(expires=0, device=0)
    becomes(lambda: in_ours(listening), listening.contacts(1))


def test_ours_knows_that_none_is_left(listening: Pair) -> None:
    listening.register(expires=600)
    listening.register(expires=600, device=1)
    becomes(lambda: in_ours(listening), listening.contacts(0, 1))

    listening.register(expires=0, device=0)
    listening.register(expires=0, device=1)
    becomes(lambda: in_ours(listening), set())


def test_ours_knows_that_one_of_two_has_expired(listening: Pair) -> None:
    listening.register(expires=600)
    listening.register(expires=3, device=1)
    becomes(lambda: in_ours(listening), listening.contacts(0, 1))
    # Kamailio leaves it out of its next full document, and says no more.
    becomes(lambda: in_ours(listening), listening.contacts(0))


def test_ours_knows_that_the_last_has_expired(listening: Pair) -> None:
    listening.register(expires=3)
    becomes(lambda: in_ours(listening), listening.contacts(0))
    becomes(lambda: in_ours(listening), set())


def test_ours_knows_who_came_back(listening: Pair) -> None:
    listening.register(expires=600)
    becomes(lambda: in_ours(listening), listening.contacts(0))
    listening.register(expires=0)
    becomes(lambda: in_ours(listening), set())
    listening.register(expires=600)
    becomes(lambda: in_ours(listening), listening.contacts(0))


def test_ours_tells_its_own_watchers_what_kamailio_told(listening: Pair) -> None:
    with Phone(listening.ours.address) as watcher:
        assert watcher.subscribe("alice").status == 200
        watcher.notify()
        listening.register(expires=600)
        body = watcher.notify().body.decode()
        assert listening.phone.contact("alice") in body
        assert 'state="active"' in body


def test_ours_does_not_register_at_kamailio_what_came_from_there(
    listening: Pair,
) -> None:
    listening.register(expires=600)
    listening.register(expires=600)
    eventually(lambda: [b["cseq"] for b in listening.ours.bindings("alice")] == [2])
    assert [row.cseq for row in listening.kamailio.location()] == [2]
