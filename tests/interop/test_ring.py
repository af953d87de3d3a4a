"""
Two of ours and a Kamailio in a ring: whoever registers anywhere is known everywhere.

There are two of them. In the one, A and B watch each other; Kamailio has subscribed at
B, and publishes at B what is registered there. In the other, Kamailio is its own
presence server: A and B watch there and each other, and Kamailio has subscribed at A.

Each of ours publishes as well, at a presence server outside. So whatever one says comes
back to it by another; and it ends there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from .kamailio import Kamailio
from .phone import DOMAIN, Address, Message, Phone, becomes, eventually
from .presence import PresenceServer
from .server import Server

pytestmark = pytest.mark.peers("kamailio")

GRANT = 4  # seconds for which Kamailio grants subscriptions: we ask again half way

LAST = "ring-last"
"Who registers after the others, in order that they are seen to have come to rest."

NewPhone = Callable[[Address], Phone]


@dataclass(frozen=True, slots=True)
class Ring:
    """The three, and a user."""

    a: Server
    b: Server
    kamailio: Kamailio
    user: str

    def of(self, user: str) -> Ring:
        """The same for another user, of whom Kamailio is told from now on."""
        ring = replace(self, user=user)
        self.kamailio.subscribe(user)
        eventually(lambda: ring.said().keys() & {"a > k", "b > k"})
        return ring

    def tables(self) -> list[set[str]]:
        """Where each of the three would reach the user."""
        return [s.contacts(self.user) for s in (self.a, self.b, self.kamailio)]

    def agree(self, *contacts: str) -> None:
        """Wait until all three would reach the user there, and nowhere else."""
        becomes(self.tables, [set(contacts)] * 3)

    def said(self) -> Counter[str]:
        """How many NOTIFYs of the user there were, by who told whom; and PUBLISHes."""
        names = {
            self.a.address: "a", self.b.address: "b", self.kamailio.address: "k",
        }  # fmt: skip
        found: Counter[str] = Counter()
        for server in (self.a, self.b):
            for notify in self._mine(server.received("NOTIFY")):
                found[f"{names[notify.source]} > {server.name}"] += 1
            for notify in self._mine(server.sent("NOTIFY")):
                if names[notify.source] == "k":
                    found[f"{server.name} > k"] += 1
            found[f"{server.name} publishes"] = len(self._mine(server.sent("PUBLISH")))
            found["k publishes"] += len(self._mine(server.received("PUBLISH")))
        found["k publishes"] += self.kamailio.published(self.user)
        return +found

    def said_since(self, before: Counter[str], phone: Phone) -> Counter[str]:
        """
        The same, less what was said before, once all have come to rest.

        Somebody else comes and goes by the same way: what was still to be said of the
        user was in front of that.
        """
        other = replace(self, user=LAST)
        with Phone(phone.server) as last:
            last.register(LAST, expires=60)
            other.agree(last.contact(LAST))
            last.register(LAST, expires=0)
            other.agree()
        return self.said() - before

    def _mine(self, messages: list[Message]) -> list[Message]:
        return [m for m in messages if f"sip:{self.user}@" in m["from"]]


def peer(server: Server | Kamailio, name: str, watched: list[str]) -> str:
    watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in watched)
    uri = f"sip:127.0.0.1:{server.port}"
    return f'name = "{name}"\nuri = "{uri}"\nwatch = [{watch}]'


def subscribed(server: Server, count: int) -> bool:
    """Whether it has subscribed so often, and was told of each the first time."""
    return len({n["call-id"] for n in server.received("NOTIFY")}) == count


# -- the one: Kamailio publishes at B


USERS = [f"ring{number}" for number in range(10)]


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ring, list[str]]]:
    directory = tmp_path_factory.mktemp("ring")
    presence = PresenceServer()
    a = Server(directory / "a", trace=True, publish_to=[presence.uri])
    b = Server(directory / "b", name="b", trace=True, publish_to=[presence.uri])
    kamailio = Kamailio(directory / "k", peer=b.port, publish=True)
    watched = [*USERS, LAST]
    a.peers = (peer(b, "b", watched),)
    b.peers = (
        peer(a, "a", watched),
        f'name = "k"\nmatch = {{ address = "127.0.0.1:{kamailio.port}" }}',
    )
    with presence, a, b, kamailio:
        # B was not there yet when A first asked.
        eventually(lambda: all(subscribed(s, len(watched)) for s in (a, b)))
        yield Ring(a, b, kamailio, LAST).of(LAST), [*USERS]


@pytest.fixture
def ring(rings: tuple[Ring, list[str]]) -> Ring:
    servers, users = rings
    return servers.of(users.pop())


def test_one_register_at_a_is_told_once_on_each_edge(
    ring: Ring, phones: NewPhone
) -> None:
    """
    The issue: the number of messages is bounded, and all three tables agree.

    A tells B, B tells Kamailio: one NOTIFY each. Nothing comes back to A, who owns it,
    and publishes it. B does not: it has learned it.
    """
    phone = phones(ring.a.address)
    before = ring.said()
    phone.register(ring.user, expires=600)
    ring.agree(phone.contact(ring.user))
    said = ring.said_since(before, phone)
    assert said == {"a > b": 1, "b > k": 1, "a publishes": 1}
    (binding,) = ring.b.bindings(ring.user)
    assert (binding["owner"], binding["source"]) == ("a", f"a/sip:{ring.user}@{DOMAIN}")

    before = ring.said()
    phone.register(ring.user, expires=0)
    ring.agree()
    said = ring.said_since(before, phone)
    # That the user has gone; and, a second later, that there is nothing more.
    assert 1 <= said.pop("a publishes") <= 2
    assert said == {"a > b": 1, "b > k": 1}


def test_one_register_at_b_is_told_once_on_each_edge(
    ring: Ring, phones: NewPhone
) -> None:
    phone = phones(ring.b.address)
    before = ring.said()
    phone.register(ring.user, expires=600)
    ring.agree(phone.contact(ring.user))
    said = ring.said_since(before, phone)
    assert said == {"b > a": 1, "b > k": 1, "b publishes": 1}

    before = ring.said()
    phone.register(ring.user, expires=0)
    ring.agree()
    said = ring.said_since(before, phone)
    assert 1 <= said.pop("b publishes") <= 2
    assert said == {"b > a": 1, "b > k": 1}


def test_one_register_at_kamailio_is_told_to_a_by_b(
    ring: Ring, phones: NewPhone
) -> None:
    """
    It publishes at B, which tells A, and tells Kamailio nothing of its own.

    But for a restart it would not: a process of its that has taken in one NOTIFY never
    publishes again (peers.md, "echo and loops").
    """
    ring.kamailio.restart()
    phone = phones(ring.kamailio.address)
    for expires in (600, 0):
        before = ring.said()
        phone.register(ring.user, expires=expires)
        ring.agree(*([phone.contact(ring.user)] if expires else []))
        said = ring.said_since(before, phone)
        assert said == {"k publishes": 1, "b > a": 1}
        for binding in ring.a.bindings(ring.user):
            assert binding["owner"] == "k"
            assert binding["source"] == f"b/sip:{ring.user}@{DOMAIN}"


def test_users_with_devices_everywhere_are_the_same_everywhere(
    ring: Ring, phones: NewPhone
) -> None:
    ring.kamailio.restart()
    contacts = []
    for server in (ring.kamailio, ring.a, ring.b):
        phone = phones(server.address)
        phone.register(ring.user, expires=600)
        contacts.append(phone.contact(ring.user))
        ring.agree(*contacts)
    phone.register(ring.user, expires=0)
    ring.agree(*contacts[:2])


def test_who_moves_on_is_where_it_is_now(ring: Ring, phones: NewPhone) -> None:
    """The same phone, at A and then at B: it is B's, and A publishes it no more."""
    phone = phones(ring.a.address)
    phone.register(ring.user, expires=600)
    ring.agree(phone.contact(ring.user))
    before = ring.said()
    phone.server = ring.b.address
    phone.register(ring.user, expires=600)

    def owners() -> list[tuple[str, int]]:
        found = [*ring.a.bindings(ring.user), *ring.b.bindings(ring.user)]
        return [(binding["owner"], binding["cseq"]) for binding in found]

    becomes(owners, [("b", 2)] * 2)
    said = ring.said_since(before, phone)
    # That it has nothing to say of the user any more; and, a second later, its removal.
    assert 1 <= said.pop("a publishes") <= 2
    assert said == {"b > a": 1, "b > k": 1, "b publishes": 1}
    ring.agree(phone.contact(ring.user))


def test_who_expires_is_gone_everywhere(ring: Ring, phones: NewPhone) -> None:
    """Time passing makes no claim: A sends nothing, and B sees by itself."""
    phone = phones(ring.a.address)
    before = ring.said()
    phone.register(ring.user, expires=2)
    ring.agree(phone.contact(ring.user))
    ring.agree()
    becomes(lambda: (ring.said() - before)["b > k"], 2)
    said = ring.said_since(before, phone)
    assert said.pop("k publishes", 0) <= 1
    assert 2 <= said.pop("a publishes") <= 3
    # To a foreign peer one to come, one to go.
    assert said == {"a > b": 1, "b > k": 2}


@pytest.mark.parametrize("which", ["a", "b"])
def test_one_of_ours_is_killed_in_the_middle(
    ring: Ring, phones: NewPhone, which: str
) -> None:
    phone = phones(ring.a.address)
    phone.register(ring.user, expires=600)
    ring.agree(phone.contact(ring.user))
    server = ring.a if which == "a" else ring.b
    server.kill()
    server.start()
    phone.register(ring.user, expires=600, device=1)
    ring.agree(phone.contact(ring.user), phone.contact(ring.user, 1))


def test_kamailio_is_restarted_in_the_middle(ring: Ring, phones: NewPhone) -> None:
    """The row of the ring: it has forgotten all, and learns it when it asks again."""
    phone = phones(ring.a.address)
    phone.register(ring.user, expires=600)
    ring.agree(phone.contact(ring.user))
    ring.kamailio.restart()
    assert ring.kamailio.contacts(ring.user) == set()
    ring.kamailio.subscribe(ring.user)
    ring.agree(phone.contact(ring.user))
    phone.register(ring.user, expires=0)
    ring.agree()


# -- the other: all are watched, and by two ways


@contextmanager
def cycle(directory: Path, *users: str, grant: int = 7200) -> Iterator[Ring]:
    """The three, once each has subscribed to all users; with the first of these."""
    presence = PresenceServer()
    a = Server(directory / "a", trace=True, publish_to=[presence.uri])
    b = Server(directory / "b", name="b", trace=True, publish_to=[presence.uri])
    kamailio = Kamailio(directory / "k", publish=True, asks=a.port, grant=grant)
    watched = list(users)
    a.peers = (peer(b, "b", watched), peer(kamailio, "k", watched))
    b.peers = (peer(a, "a", watched), peer(kamailio, "k", watched))
    with presence, kamailio, a, b:
        eventually(lambda: all(subscribed(s, 2 * len(watched)) for s in (a, b)))
        ring = Ring(a, b, kamailio, "")
        *_, first = [ring.of(user) for user in reversed(watched)]
        yield first


@pytest.fixture(scope="module")
def cycles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    users = ("at-k", "at-a", "at-b", LAST)
    with cycle(tmp_path_factory.mktemp("cycle"), *users) as ring:
        yield ring


# Kamailio first: once it has taken in a contact, it publishes no more.
def test_what_comes_from_kamailio_by_two_ways_goes_round_once(
    cycles: Ring, phones: NewPhone
) -> None:
    """
    One PUBLISH at Kamailio, and one NOTIFY for each subscription, at most.

    Kamailio notifies A and B. Each tells the other, unless it was told by that before;
    what it says then is known there. Nobody tells Kamailio what is its own.
    """
    ring = replace(cycles, user="at-k")
    phone = phones(ring.kamailio.address)
    for expires in (600, 0):
        before = ring.said()
        phone.register(ring.user, expires=expires)
        ring.agree(*([phone.contact(ring.user)] if expires else []))
        said = ring.said_since(before, phone)
        # Both may have made a claim of what they heard at the same moment; who is told
        # the one that loses says which one holds.
        assert said["a > b"] <= 2
        assert said["b > a"] <= 2
        del said["a > b"], said["b > a"]
        assert said == {"k publishes": 1, "k > a": 1, "k > b": 1}


@pytest.mark.parametrize(
    ("name", "notifies"),
    [("a", {"a > b": 1, "a > k": 1}), ("b", {"b > a": 1, "a > k": 1})],
)
def test_what_is_registered_at_ours_goes_round_once(
    cycles: Ring, phones: NewPhone, name: str, notifies: dict[str, int]
) -> None:
    """One NOTIFY between A and B, and one to Kamailio; who has learned it is silent."""
    ring = replace(cycles, user=f"at-{name}")
    phone = phones(ring.a.address if name == "a" else ring.b.address)
    for expires in (600, 0):
        before = ring.said()
        phone.register(ring.user, expires=expires)
        ring.agree(*([phone.contact(ring.user)] if expires else []))
        said = ring.said_since(before, phone)
        assert said.pop(f"{name} publishes") in ([1] if expires else [1, 2])
        assert said == notifies


def test_kamailio_is_restarted_in_the_middle_of_a_cycle(
    tmp_path: Path, phones: NewPhone
) -> None:
    """It has forgotten its own, which goes; what it learned, it is told again."""
    with cycle(tmp_path, "ann", grant=GRANT) as ring:
        there, here = phones(ring.kamailio.address), phones(ring.a.address)
        there.register("ann", expires=600)
        ring.agree(there.contact("ann"))
        here.register("ann", expires=600)
        ring.agree(there.contact("ann"), here.contact("ann"))
        ring.kamailio.restart()
        there.register("ann", expires=600, device=1)
        # They are told when they ask again: it knows none of their subscriptions.
        left = {there.contact("ann", 1), here.contact("ann")}
        becomes(lambda: ring.tables()[:2], [left, left])
        ring.kamailio.subscribe("ann")
        ring.agree(*left)
        here.register("ann", expires=0)
        ring.agree(there.contact("ann", 1))
