"""
Two of ours and a Kamailio in a ring: whoever registers anywhere is known everywhere.

In the one ring, each of ours watches the other. Kamailio has subscribed at B, and
publishes at B what is registered there. In the other, each has subscribed to the next
and ours to the one before, too: a Kamailio that has learned something tells nobody. So
whatever one says comes back to it by another; and it ends there.

Ours publish, too, at a presence server that is outside: what is registered with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from .kamailio import Kamailio
from .phone import DOMAIN, Address, Phone, becomes, eventually
from .presence import PresenceServer
from .server import Server

pytestmark = pytest.mark.peers("kamailio")

GRANT = 4  # seconds for which Kamailio grants subscriptions: we ask again half way

LAST = "ring-last"
"Who registers after the others, in order that they are seen to have come to rest."

USERS = [f"ring{number}" for number in range(8)]
WATCH = "watch = [{}]".format(
    ", ".join(f'"sip:{user}@{DOMAIN}"' for user in (*USERS, LAST))
)


@dataclass(frozen=True, slots=True)
class Ring:
    a: Server
    b: Server
    kamailio: Kamailio
    user: str

    def tables(self) -> list[set[str]]:
        """Where each of the three would reach the user."""
        return [
            self.a.contacts(self.user),
            self.b.contacts(self.user),
            self.kamailio.contacts(self.user),
        ]

    def agree(self, *contacts: str) -> None:
        becomes(self.tables, [set(contacts)] * 3)

    def said(self) -> dict[str, int]:
        """How many NOTIFYs and PUBLISHes of the user there were, by sender."""

        def mine(server: Server, method: str) -> int:
            aor = f"sip:{self.user}@"
            return sum(
                aor in message["from" if method == "NOTIFY" else "to"]
                for message in server.sent(method)
            )

        return {
            "a notifies": mine(self.a, "NOTIFY"),
            "b notifies": mine(self.b, "NOTIFY"),
            "a publishes": mine(self.a, "PUBLISH"),
            "b publishes": mine(self.b, "PUBLISH"),
        }

    def quiet(self, phone: Phone) -> dict[str, int]:
        """
        The same, once another user has come and gone everywhere, by the same way.

        What was still to be said of this one was in front of that.
        """
        other = Ring(self.a, self.b, self.kamailio, LAST)
        with Phone(phone.server) as phone:
            phone.register(LAST, expires=60)
            other.agree(phone.contact(LAST))
            phone.register(LAST, expires=0)
            other.agree()
        return self.said()


def told(server: Server, kamailio: Kamailio, user: str) -> bool:
    """Whether Kamailio has subscribed to this user, and was told the first time."""
    return any(
        f"sip:{user}@" in notify["from"] and notify.source == kamailio.address
        for notify in server.sent("NOTIFY")
    )


def subscribed(server: Server, count: int) -> bool:
    """Whether it has subscribed so often, and was told of each the first time."""
    return len({n["call-id"] for n in server.received("NOTIFY")}) == count


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Server, Kamailio, Iterator[str]]]:
    directory = tmp_path_factory.mktemp("ring")
    presence = PresenceServer()
    a = Server(directory / "a", trace=True, publish_to=[presence.uri])
    b = Server(directory / "b", name="b", trace=True, publish_to=[presence.uri])
    kamailio = Kamailio(directory / "k", peer=b.port, publish=True)
    a.peers = (f'name = "b"\nuri = "sip:127.0.0.1:{b.port}"\n{WATCH}',)
    b.peers = (
        f'name = "a"\nuri = "sip:127.0.0.1:{a.port}"\n{WATCH}',
        f'name = "k"\nmatch = {{ address = "127.0.0.1:{kamailio.port}" }}',
    )
    with presence, a, b, kamailio:
        # B was not there yet when A first asked.
        eventually(lambda: all(subscribed(s, len(USERS) + 1) for s in (a, b)))
        kamailio.subscribe(LAST)
        eventually(lambda: told(b, kamailio, LAST))
        yield a, b, kamailio, iter(USERS)


@pytest.fixture
def ring(servers: tuple[Server, Server, Kamailio, Iterator[str]]) -> Ring:
    a, b, kamailio, users = servers
    user = next(users)
    kamailio.subscribe(user)
    eventually(lambda: told(b, kamailio, user))
    return Ring(a, b, kamailio, user)


NewPhone = Callable[[Address], Phone]


def test_one_register_at_a_is_told_once_on_each_edge(
    ring: Ring, phones: NewPhone
) -> None:
    """
    The issue: the number of messages is bounded, and all three tables agree.

    A tells B, B tells Kamailio: one NOTIFY each. Nothing comes back to A, who owns it,
    and publishes it. B does not: it has learned it.
    """
    before = ring.said()
    phone = phones(ring.a.address)
    phone.register(ring.user, expires=600)
    ring.agree(phone.contact(ring.user))
    after = ring.quiet(phone)
    assert {key: after[key] - before[key] for key in after} == {
        "a notifies": 1, "b notifies": 1, "a publishes": 1, "b publishes": 0,
    }  # fmt: skip
    (binding,) = ring.b.bindings(ring.user)
    assert (binding["owner"], binding["source"]) == ("a", f"a/sip:{ring.user}@{DOMAIN}")
    phone.register(ring.user, expires=0)
    ring.agree()
    after = ring.quiet(phone)
    # That she has gone, and, a second later, that there is nothing more.
    assert after.pop("a publishes") - before["a publishes"] in (2, 3)
    assert {key: after[key] - before[key] for key in after} == {
        "a notifies": 2, "b notifies": 2, "b publishes": 0,
    }  # fmt: skip


def test_one_register_at_b_is_told_once_on_each_edge(
    ring: Ring, phones: NewPhone
) -> None:
    before = ring.said()
    phone = phones(ring.b.address)
    phone.register(ring.user, expires=600)
    ring.agree(phone.contact(ring.user))
    after = ring.quiet(phone)
    assert {key: after[key] - before[key] for key in after} == {
        "a notifies": 0, "b notifies": 2, "a publishes": 0, "b publishes": 1,
    }  # fmt: skip
    phone.register(ring.user, expires=0)
    ring.agree()
    after = ring.quiet(phone)
    assert after.pop("b publishes") - before["b publishes"] in (2, 3)
    assert {key: after[key] - before[key] for key in after} == {
        "a notifies": 0, "b notifies": 4, "a publishes": 0,
    }  # fmt: skip


def test_one_register_at_kamailio_is_told_to_a_by_b(
    ring: Ring, phones: NewPhone
) -> None:
    """
    It publishes at B, which tells A, and tells Kamailio nothing of its own.

    But for a restart it would not: a process of its that has taken in one NOTIFY never
    publishes again (peers.md, "echo and loops").
    """
    ring.kamailio.restart()
    before = ring.said()
    phone = phones(ring.kamailio.address)
    phone.register(ring.user, expires=600)
    ring.agree(phone.contact(ring.user))
    after = ring.quiet(phone)
    assert {key: after[key] - before[key] for key in after} == {
        "a notifies": 0, "b notifies": 1, "a publishes": 0, "b publishes": 0,
    }  # fmt: skip
    (binding,) = ring.a.bindings(ring.user)
    assert (binding["owner"], binding["source"]) == ("k", f"b/sip:{ring.user}@{DOMAIN}")
    phone.register(ring.user, expires=0)
    ring.agree()
    after = ring.quiet(phone)
    assert {key: after[key] - before[key] for key in after} == {
        "a notifies": 0, "b notifies": 2, "a publishes": 0, "b publishes": 0,
    }  # fmt: skip


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
    both = {phone.contact(ring.user), phone.contact(ring.user, 1)}
    ring.agree(*both)


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


# -- each has subscribed to the next, and ours to the one before


@dataclass(frozen=True, slots=True)
class Round:
    """
    Kamailio is its own presence server, where A and B watch; it watches at A.

    A and B watch each other, too: what happens at one comes to another by two ways.
    """

    a: Server
    b: Server
    kamailio: Kamailio
    user: str

    def tables(self) -> list[set[str]]:
        """Where each of the three would reach the user."""
        return [s.contacts(self.user) for s in (self.a, self.b, self.kamailio)]

    def agree(self, *contacts: str) -> None:
        becomes(self.tables, [set(contacts)] * 3)

    def said(self) -> Counter[str]:
        """How many NOTIFYs of the user there were, by who told whom; and PUBLISHes."""
        places = {
            self.a.address: "a", self.b.address: "b", self.kamailio.address: "k",
        }  # fmt: skip
        found = Counter({"k publishes": self.kamailio.published(self.user)})
        for server in (self.a, self.b):
            for publish in server.sent("PUBLISH"):
                if f"sip:{self.user}@" in publish["to"]:
                    found[f"{server.name} publishes"] += 1
            for notify in server.received("NOTIFY"):
                if f"sip:{self.user}@" in notify["from"]:
                    found[f"{places[notify.source]}>{places[server.address]}"] += 1
            for notify in server.sent("NOTIFY"):
                if f"sip:{self.user}@" in notify["from"]:
                    if places[notify.source] == "k":
                        found[f"{places[server.address]}>k"] += 1
        return found

    def rest(self, phone: Phone, *, before: Counter[str]) -> dict[str, int]:
        """
        What was said since then, once another user has come and gone everywhere.

        By the same way: what was still to be said of this one was in front of that.
        """
        other = Round(self.a, self.b, self.kamailio, LAST)
        with Phone(phone.server) as last:
            last.register(LAST, expires=60)
            other.agree(last.contact(LAST))
            last.register(LAST, expires=0)
            other.agree()
        return dict(self.said() - before)


IN_ROUND = ("at-kamailio", "at-a", "at-b")


@contextmanager
def round_of(directory: Path, *users: str, grant: int = 7200) -> Iterator[Round]:
    """Start the three; when all have subscribed, they are yielded."""
    watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in users)
    presence = PresenceServer()
    a = Server(directory / "a", trace=True, publish_to=[presence.uri])
    b = Server(directory / "b", name="b", trace=True, publish_to=[presence.uri])
    kamailio = Kamailio(directory / "k", publish=True, asks=a.port, grant=grant)
    at_a, at_b, at_k = (
        f'name = "{name}"\nuri = "sip:127.0.0.1:{port}"\nwatch = [{watch}]'
        for name, port in (("a", a.port), ("b", b.port), ("k", kamailio.port))
    )
    a.peers, b.peers = (at_b, at_k), (at_a, at_k)
    with presence, kamailio, a, b:
        eventually(lambda: all(subscribed(s, 2 * len(users)) for s in (a, b)))
        for user in users:
            kamailio.subscribe(user)
        eventually(lambda: all(told(a, kamailio, user) for user in users))
        yield Round(a, b, kamailio, users[0])


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Round]:
    with round_of(tmp_path_factory.mktemp("round"), *IN_ROUND, LAST) as found:
        yield found


def test_what_comes_from_kamailio_by_two_ways_goes_round_once(
    rounds: Round, phones: NewPhone
) -> None:
    """
    One PUBLISH at Kamailio, and one NOTIFY for each subscription, at most.

    Kamailio tells A and B. Each tells the other, unless it was told by that before;
    what it says then is known there. Nobody tells Kamailio what is its own.
    """
    ring = replace(rounds, user="at-kamailio")
    phone = phones(ring.kamailio.address)
    for expires in (600, 0):
        before = ring.said()
        phone.register(ring.user, expires=expires)
        ring.agree(*([phone.contact(ring.user)] if expires else []))
        said = ring.rest(phone, before=before)
        assert 0 <= said.pop("a>b", 0) <= 1
        assert 0 <= said.pop("b>a", 0) <= 1
        assert said == {"k publishes": 1, "k>a": 1, "k>b": 1}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a", {"a>b": 1, "a>k": 1}),
        ("b", {"b>a": 1, "a>k": 1}),
    ],
)
def test_what_is_registered_at_ours_goes_round_once(
    rounds: Round, phones: NewPhone, name: str, said: dict[str, int]
) -> None:
    """One NOTIFY of A to Kamailio, one between A and B; who learned it publishes not."""
    ring = replace(rounds, user=f"at-{name}")
    phone = phones(ring.a.address if name == "a" else ring.b.address)
    for expires in (600, 0):
        before = ring.said()
        phone.register(ring.user, expires=expires)
        ring.agree(*([phone.contact(ring.user)] if expires else []))
        found = ring.rest(phone, before=before)
        # That he has gone, and, a second later, that there is nothing more.
        assert found.pop(f"{name} publishes") in ((1,) if expires else (1, 2))
        assert found == said


def test_kamailio_is_restarted_in_the_middle_of_a_round(
    tmp_path: Path, phones: NewPhone
) -> None:
    """It has forgotten its own, which goes; what it learned, it is told again."""
    with round_of(tmp_path, "ann", grant=GRANT) as ring:
        there, here = phones(ring.kamailio.address), phones(ring.a.address)
        there.register("ann", expires=600)
        ring.agree(there.contact("ann"))
        here.register("ann", expires=600)
        ring.agree(there.contact("ann"), here.contact("ann"))
        ring.kamailio.restart()
        there.register("ann", expires=600, device=1)
        # They are told when they ask again: it knows none of their subscriptions.
        left = {there.contact("ann", 1), here.contact("ann")}
        becomes(lambda: [ring.a.contacts("ann"), ring.b.contacts("ann")], [left, left])
        ring.kamailio.subscribe("ann")
        ring.agree(*left)
        here.register("ann", expires=0)
        ring.agree(there.contact("ann", 1))
