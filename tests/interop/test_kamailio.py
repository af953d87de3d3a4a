"""
A real Kamailio at the other end of the reg event, in both directions.

Its ``reginfo_subscribe`` and ``reginfo_handle_notify`` are fed by our notifier,
and our subscriber by its presence server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .kamailio import Kamailio, Row
from .phone import DOMAIN, Phone, becomes
from .server import Server

pytestmark = pytest.mark.peers("kamailio")

USERS = [f"user{number}" for number in range(20)]
"One for each test, which share the servers."


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and Kamailio, a phone at the one where users register, and its user."""

    ours: Server
    kamailio: Kamailio
    phone: Phone
    user: str

    def register(self, *, expires: int, device: int = 0) -> None:
        self.phone.register(self.user, expires=expires, device=device)

    def contacts(self, *devices: int) -> set[str]:
        """The URIs of these devices of the user."""
        return {self.phone.contact(self.user, device) for device in devices}

    def in_kamailio(self) -> set[str]:
        """Where Kamailio would reach the user."""
        return self.kamailio.contacts(self.user)

    def rows(self) -> list[Row]:
        """
        What Kamailio has of the user, that which has run out too.

        Its timer is slow where users register at ours: a row that has gone was
        taken away because Kamailio was told.
        """
        rows = self.kamailio.location()
        return [row for row in rows if row.aor.partition("@")[0] == self.user]


# -- users register at ours, Kamailio has subscribed


# Kamailio is known as a legacy peer by its configuration, or by its User-Agent.
@pytest.fixture(scope="module", params=["configured", "recognised"])
def told_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Kamailio, Iterator[str]]]:
    directory = tmp_path_factory.mktemp("told")
    ours = Server(directory / "a")
    kamailio = Kamailio(directory / "k", peer=ours.port, expiry_timer=60)
    if request.param == "configured":
        address = f"127.0.0.1:{kamailio.port}"
        ours.peers = (
            f'name = "kam"\nprofile = "legacy"\nmatch = {{ address = "{address}" }}',
        )
    with ours, kamailio:
        yield ours, kamailio, iter(USERS)


@pytest.fixture
def told(told_servers: tuple[Server, Kamailio, Iterator[str]]) -> Iterator[Pair]:
    """A phone at ours, and Kamailio to be told."""
    ours, kamailio, users = told_servers
    with Phone(ours.address) as phone:
        yield Pair(ours, kamailio, phone, next(users))


def test_kamailio_knows_who_registered_before_it_subscribed(told: Pair) -> None:
    told.register(expires=600)
    told.register(expires=600, device=1)
    told.kamailio.subscribe(told.user)
    becomes(told.in_kamailio, told.contacts(0, 1))


def test_kamailio_knows_one_contact_as_it_was_registered(told: Pair) -> None:
    told.kamailio.subscribe(told.user)
    told.register(expires=600)
    becomes(told.in_kamailio, told.contacts(0))

    (row,) = told.rows()
    (binding,) = told.ours.bindings(told.user)
    assert (row.call_id, row.cseq) == (binding["callid"], binding["cseq"])
    assert row.expires is not None
    assert 590 <= row.expires <= 600


def test_kamailio_knows_a_refresh(told: Pair) -> None:
    told.kamailio.subscribe(told.user)
    told.register(expires=600)
    told.register(expires=900)
    becomes(lambda: [row.cseq for row in told.rows()], [2])

    (row,) = told.rows()
    assert row.expires is not None
    assert row.expires > 600


def test_kamailio_knows_two_contacts(told: Pair) -> None:
    told.kamailio.subscribe(told.user)
    told.register(expires=600)
    told.register(expires=600, device=1)
    becomes(told.in_kamailio, told.contacts(0, 1))


def test_kamailio_knows_that_one_of_two_is_gone(told: Pair) -> None:
    told.kamailio.subscribe(told.user)
    told.register(expires=600)
    told.register(expires=600, device=1)
    becomes(told.in_kamailio, told.contacts(0, 1))

    told.register(expires=0, device=0)
    becomes(told.in_kamailio, told.contacts(1))


def test_kamailio_knows_that_none_is_left(told: Pair) -> None:
    told.kamailio.subscribe(told.user)
    told.register(expires=600)
    told.register(expires=600, device=1)
    becomes(told.in_kamailio, told.contacts(0, 1))

    told.register(expires=0, device=0)
    told.register(expires=0, device=1)
    becomes(told.in_kamailio, set())
    assert told.rows() == []


def test_kamailio_knows_that_one_of_two_has_expired(told: Pair) -> None:
    told.kamailio.subscribe(told.user)
    told.register(expires=600)
    told.register(expires=2, device=1)
    becomes(told.in_kamailio, told.contacts(0, 1))
    becomes(told.in_kamailio, told.contacts(0))


def test_kamailio_knows_that_the_last_has_expired(told: Pair) -> None:
    told.kamailio.subscribe(told.user)
    told.register(expires=2)
    becomes(told.in_kamailio, told.contacts(0))
    becomes(told.rows, [])


def test_kamailio_knows_who_came_back(told: Pair) -> None:
    told.kamailio.subscribe(told.user)
    told.register(expires=600)
    becomes(told.in_kamailio, told.contacts(0))
    told.register(expires=0)
    becomes(told.in_kamailio, set())
    told.register(expires=600)
    becomes(told.in_kamailio, told.contacts(0))


# -- users register at Kamailio, ours has subscribed


@dataclass(frozen=True, slots=True)
class Listening(Pair):
    """The other way around: a phone at Kamailio, where ours has subscribed."""

    watcher: Phone
    "Watches the user at Kamailio."

    def register(self, *, expires: int, device: int = 0) -> None:
        """
        Register at Kamailio, and wait until its presence server knows.

        A REGISTER that comes before the PUBLISH of the one before is answered makes
        Kamailio publish twice, and forget one of the two: who subscribes later is
        told the older.
        """
        while self.watcher.receive(0.001):
            pass
        self.watcher.inbox.clear()
        self.phone.register(self.user, expires=expires, device=device)
        uri = self.phone.contact(self.user, device).encode()
        while uri not in self.watcher.notify().body:
            pass

    def in_ours(self) -> set[str]:
        return self.ours.contacts(self.user)

    def cseqs(self) -> list[int]:
        return [binding["cseq"] for binding in self.ours.bindings(self.user)]


def watching(kamailio: Kamailio, directory: Path) -> Server:
    """One of ours that has subscribed to all users at Kamailio, once it is started."""
    watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in USERS)
    uri = f"sip:127.0.0.1:{kamailio.port}"
    return Server(directory, peers=[f'name = "kam"\nuri = "{uri}"\nwatch = [{watch}]'])


@pytest.fixture(scope="module")
def telling_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Kamailio, Iterator[str]]]:
    directory = tmp_path_factory.mktemp("telling")
    kamailio = Kamailio(directory / "k", publish=True, expiry_timer=1)
    ours = watching(kamailio, directory / "a")
    with kamailio, ours:
        yield ours, kamailio, iter(USERS)


@pytest.fixture
def listening(
    telling_servers: tuple[Server, Kamailio, Iterator[str]],
) -> Iterator[Listening]:
    """A phone at Kamailio, and ours to be told."""
    ours, kamailio, users = telling_servers
    user = next(users)
    with Phone(kamailio.address) as phone, Phone(kamailio.address) as watcher:
        assert watcher.subscribe(user).status == 200
        yield Listening(ours, kamailio, phone, user, watcher)


def test_ours_knows_who_registered_before_it_started(
    listening: Listening, tmp_path: Path
) -> None:
    listening.register(expires=600)
    listening.register(expires=600, device=1)
    with watching(listening.kamailio, tmp_path) as late:
        becomes(lambda: late.contacts(listening.user), listening.contacts(0, 1))


def test_ours_knows_one_contact_as_it_was_registered(listening: Listening) -> None:
    listening.register(expires=600)
    becomes(listening.in_ours, listening.contacts(0))

    (binding,) = listening.ours.bindings(listening.user)
    (row,) = listening.rows()
    assert (binding["callid"], binding["cseq"]) == (row.call_id, row.cseq)
    assert 590 <= binding["expires"] <= 600
    # A peer that names no owner owns what it sends, and we say who told us.
    assert binding["owner"] == "kam"
    assert binding["source"]


def test_ours_knows_a_refresh(listening: Listening) -> None:
    listening.register(expires=600)
    listening.register(expires=900)
    becomes(listening.cseqs, [2])
    assert listening.ours.bindings(listening.user)[0]["expires"] > 600


def test_ours_knows_two_contacts(listening: Listening) -> None:
    listening.register(expires=600)
    listening.register(expires=600, device=1)
    becomes(listening.in_ours, listening.contacts(0, 1))


def test_ours_knows_that_one_of_two_is_gone(listening: Listening) -> None:
    listening.register(expires=600)
    listening.register(expires=600, device=1)
    becomes(listening.in_ours, listening.contacts(0, 1))

    listening.register(expires=0, device=0)
    becomes(listening.in_ours, listening.contacts(1))


def test_ours_knows_that_none_is_left(listening: Listening) -> None:
    listening.register(expires=600)
    listening.register(expires=600, device=1)
    becomes(listening.in_ours, listening.contacts(0, 1))

    listening.register(expires=0, device=0)
    listening.register(expires=0, device=1)
    becomes(listening.in_ours, set())


def test_ours_knows_that_one_of_two_has_expired(listening: Listening) -> None:
    listening.register(expires=600)
    listening.register(expires=3, device=1)
    becomes(listening.in_ours, listening.contacts(0, 1))
    # Kamailio leaves it out of its next full document, and says no more.
    becomes(listening.in_ours, listening.contacts(0))


def test_ours_knows_that_the_last_has_expired(listening: Listening) -> None:
    listening.register(expires=3)
    becomes(listening.in_ours, listening.contacts(0))
    becomes(listening.in_ours, set())


def test_ours_knows_who_came_back(listening: Listening) -> None:
    listening.register(expires=600)
    becomes(listening.in_ours, listening.contacts(0))
    listening.register(expires=0)
    becomes(listening.in_ours, set())
    listening.register(expires=600)
    becomes(listening.in_ours, listening.contacts(0))


def test_ours_tells_its_own_watchers_what_kamailio_told(listening: Listening) -> None:
    with Phone(listening.ours.address) as watcher:
        assert watcher.subscribe(listening.user).status == 200
        watcher.notify()
        listening.register(expires=600)
        body = watcher.notify().body.decode()
        assert listening.phone.contact(listening.user) in body
        assert 'state="active"' in body


def test_ours_does_not_register_at_kamailio_what_came_from_there(
    listening: Listening,
) -> None:
    listening.register(expires=600)
    listening.register(expires=600)
    becomes(listening.cseqs, [2])
    assert [row.cseq for row in listening.rows()] == [2]


# -- both directions, as docs/sync.md says


def test_both_directions_go_on_if_notifies_have_an_address_of_their_own(
    tmp_path: Path, phones: Callable[[tuple[str, int]], Phone]
) -> None:
    """
    The how-to of docs/sync.md: a process of Kamailio that has taken in a NOTIFY never
    publishes again, so NOTIFYs come to processes of their own.
    """
    users = ["at-ours", "at-theirs"]
    watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in users)
    ours = Server(tmp_path / "a")
    kamailio = Kamailio(tmp_path / "k", publish=True, asks=ours.port, notified=True)
    uri = f"sip:127.0.0.1:{kamailio.port}"
    ours.peers = (
        f'name = "kamailio"\nuri = "{uri}"\nprofile = "legacy"\nwatch = [{watch}]',
    )
    with kamailio, ours:
        for user in users:
            kamailio.subscribe(user)
        here, there = phones(ours.address), phones(kamailio.address)
        for count in range(1, 4):
            here.register("at-ours", expires=600, device=count)
            becomes(lambda: len(kamailio.contacts("at-ours")), count)
            there.register("at-theirs", expires=600, device=count)
            becomes(lambda: len(ours.contacts("at-theirs")), count)
        there.register("at-theirs", expires=0, device=2)
        left = {there.contact("at-theirs", device) for device in (1, 3)}
        becomes(lambda: ours.contacts("at-theirs"), left)
