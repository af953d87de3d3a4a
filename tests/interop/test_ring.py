"""
Two of ours and a Kamailio that all tell each other, all they can, in both directions.

A and B have subscribed to each other, and both to Kamailio, where they publish, too;
Kamailio has subscribed to A, and publishes there. So there are loops of two and of
three, by NOTIFY and by PUBLISH, and nothing must go round in any of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from .document import read
from .kamailio import Kamailio
from .phone import DOMAIN, Phone, becomes, eventually
from .server import Server

pytestmark = pytest.mark.peers("kamailio")

USERS = [f"user{number}" for number in range(20)]
"Taken one by one: some by a test, one by its last question, whether all is over."

GRANT = 4  # seconds for which Kamailio grants subscriptions: we ask again half way


class Hop(NamedTuple):
    """A document that one of them has sent to another."""

    by: str
    to: str
    method: str


AT_A = Counter(
    [
        Hop("a", "b", "NOTIFY"),
        Hop("a", "kam", "NOTIFY"),
        Hop("a", "kam", "PUBLISH"),
        # Its watchers, whoever they are.
        Hop("kam", "a", "NOTIFY"),
        Hop("kam", "b", "NOTIFY"),
    ]
)
"What one REGISTER at A makes."

AT_B = Counter(
    [
        Hop("b", "a", "NOTIFY"),
        Hop("b", "kam", "PUBLISH"),
        Hop("kam", "a", "NOTIFY"),
        Hop("kam", "b", "NOTIFY"),
        # Kamailio has not asked B.
        Hop("a", "kam", "NOTIFY"),
    ]
)

AT_KAMAILIO = Counter([Hop("kam", "a", "PUBLISH"), Hop("a", "b", "NOTIFY")])

BACK = Counter({Hop("kam", "a", "PUBLISH"): 2})
"""
What Kamailio publishes although it has learned it: that contacts are gone.

It does so when it takes them out of its table, or not. Nobody believes it.
"""

BY_WHOM = {"kam": AT_KAMAILIO, "a": AT_A, "b": AT_B}


@dataclass(frozen=True, slots=True)
class Ring:
    """All three, a phone, and who registers."""

    a: Server
    b: Server
    kamailio: Kamailio
    phone: Phone
    users: Iterator[str]

    def take_user(self) -> str:
        """Somebody of whom nothing has been said yet."""
        return next(self.users)

    def register(self, user: str, who: str, *, expires: int, device: int = 0) -> None:
        """Have the phone register at one of them."""
        self.phone.server = self._servers[who].address
        self.phone.register(user, expires=expires, device=device)

    @property
    def _servers(self) -> dict[str, Server | Kamailio]:
        return {"a": self.a, "b": self.b, "kam": self.kamailio}

    def agree(self, user: str, contacts: set[str]) -> None:
        """Wait until all of them know these contacts of a user, and no others."""
        for server in self._servers.values():
            becomes(partial(server.contacts, user), contacts)

    def settle(self) -> None:
        """
        Wait until nothing is under way any more of what has happened so far.

        What somebody else's registering makes comes behind it, by all ways.
        """
        for who, expected in (("a", AT_A), ("b", AT_B)):
            user = self.take_user()
            self.register(user, who, expires=600)
            becomes(partial(self.said, user), expected)

    def said(self, user: str) -> Counter[Hop]:
        """
        The documents with a contact of a user that they have sent to each other.

        Kamailio talks to nobody but A and B.
        """
        names = {server.port: name for name, server in self._servers.items()}
        found: dict[str, Hop] = {}
        for server in (self.a, self.b):
            for direction, message in server.trace():
                if (
                    not message.status
                    and f"sip:{user}@{DOMAIN}" in message["to"] + message["from"]
                    and b"<contact" in message.body
                    and message.source[1] in names
                ):
                    other = names[message.source[1]]
                    ends = (
                        (server.name, other)
                        if direction == ">"
                        else (other, server.name)
                    )
                    found[message.branch] = Hop(*ends, message.method)
        return Counter(found.values())


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Server, Kamailio, Iterator[str]]]:
    directory = tmp_path_factory.mktemp("ring")
    with ExitStack() as stack:
        a, b, kamailio = build(stack, directory, USERS)
        yield a, b, kamailio, iter(USERS)


def build(
    stack: ExitStack, directory: Path, users: list[str], grant: int = 7200
) -> tuple[Server, Server, Kamailio]:
    """Start them, and have each ask each other about ``users``."""
    a = Server(directory / "a", name="a", traced=True)
    b = Server(directory / "b", name="b", traced=True)
    kamailio = Kamailio(directory / "k", peer=a.port, publish=True, grant=grant)
    watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in users)
    ports = {"a": a.port, "b": b.port, "kam": kamailio.port}
    for server in (a, b):
        server.publish_to = (f"sip:127.0.0.1:{kamailio.port}",)
        server.peers = tuple(
            f'name = "{name}"\nuri = "sip:127.0.0.1:{port}"\nwatch = [{watch}]'
            for name, port in ports.items()
            if name != server.name
        )
    stack.enter_context(kamailio)
    for server in (a, b):
        stack.enter_context(server)
    for user in users:
        kamailio.subscribe(user)
    # Each of them has been asked by both others; Kamailio does not ask B.
    eventually(lambda: kamailio.subscribers() == 2 * len(users))
    eventually(lambda: len(_watchers(a)) == 2 * len(users))
    eventually(lambda: len(_watchers(b)) == len(users))
    return a, b, kamailio


def _watchers(server: Server) -> set[str]:
    return {
        message["call-id"]
        for direction, message in server.trace()
        if direction == ">" and message.method == "NOTIFY" and not message.status
    }


@pytest.fixture
def ring(servers: tuple[Server, Server, Kamailio, Iterator[str]]) -> Iterator[Ring]:
    with Phone(servers[0].address) as phone:
        yield Ring(*servers[:3], phone, servers[3])


# Kamailio comes first: once it has taken a contact in, it publishes no more.
@pytest.mark.parametrize("who", ["kam", "a", "b"])
def test_one_register_makes_a_few_messages_and_all_tables_agree(
    ring: Ring, who: str
) -> None:
    """And nobody but who was asked to register publishes it."""
    user = ring.take_user()
    ring.register(user, who, expires=600)
    ring.agree(user, {ring.phone.contact(user)})
    ring.settle()
    assert ring.said(user) == BY_WHOM[who]
    (here,), (there,) = ring.a.bindings(user), ring.b.bindings(user)
    assert here["owner"] == there["owner"] == who
    assert (here["callid"], here["cseq"]) == (there["callid"], there["cseq"])


def test_a_refresh_and_an_end_make_as_many(ring: Ring) -> None:
    user = ring.take_user()
    (first, second) = (ring.phone.contact(user, device) for device in (0, 1))
    for device, expires, contacts in (
        (0, 600, {first}),
        (0, 900, {first}),
        (1, 600, {first, second}),
        (0, 0, {second}),
        (1, 0, set()),
    ):
        before = ring.said(user)
        ring.register(user, "b", expires=expires, device=device)
        becomes(partial(ring.said, user), before + AT_B)
        ring.agree(user, contacts)
    ring.settle()
    assert ring.said(user) - BACK == Counter({hop: 5 * n for hop, n in AT_B.items()})


def test_who_expires_is_gone_everywhere(ring: Ring) -> None:
    """Kamailio says so itself, and is not believed: the owner is."""
    user = ring.take_user()
    with Phone(ring.b.address) as watcher:
        assert watcher.subscribe(user).status == 200
        watcher.notify()
        ring.register(user, "a", expires=2)
        (told,) = read(watcher.notify().body).contacts.values()
        assert told.event == "registered"
        (told,) = read(watcher.notify().body).contacts.values()
        assert told.event == "expired"
    ring.agree(user, set())
    ring.settle()
    assert ring.said(user) - BACK == AT_A + AT_A


def test_who_moves_on_is_where_it_is_now(ring: Ring) -> None:
    user = ring.take_user()
    contact = ring.phone.contact(user)
    ring.register(user, "a", expires=600)
    becomes(partial(ring.said, user), AT_A)
    ring.agree(user, {contact})
    ring.register(user, "b", expires=600)

    def owners() -> list[tuple[str, int]]:
        found = [*ring.a.bindings(user), *ring.b.bindings(user)]
        return [(binding["owner"], binding["cseq"]) for binding in found]

    becomes(owners, [("b", 2), ("b", 2)])
    ring.settle()
    ring.agree(user, {contact})
    assert owners() == [("b", 2), ("b", 2)]
    assert ring.said(user) == AT_A + AT_B

    # And what A had published there does not hide what B has.
    def told_late() -> set[str]:
        with Phone(ring.kamailio.address) as late:
            assert late.subscribe(user).status == 200
            body = late.notify().body
            return read(body).active if body else set()

    becomes(told_late, {contact})


# -- and Kamailio is restarted in the middle


def test_a_ring_that_was_broken_is_whole_again(tmp_path: Path) -> None:
    users = USERS[:2]
    with ExitStack() as stack:
        a, b, kamailio = build(stack, tmp_path, users, grant=GRANT)
        phone = stack.enter_context(Phone(a.address))
        ring = Ring(a, b, kamailio, phone, iter(users))
        user, other = users
        first, second = (phone.contact(user, device) for device in (0, 1))
        ring.register(user, "a", expires=600)
        ring.agree(user, {first})
        kamailio.stop()
        ring.register(user, "b", expires=600, device=1)
        for server in (a, b):
            becomes(partial(server.contacts, user), {first, second})
        kamailio.start()
        # It has forgotten what it had asked for; ours have not.
        for name in users:
            kamailio.subscribe(name)
        ring.agree(user, {first, second})
        eventually(lambda: kamailio.subscribers() >= 2 * len(users), within=20.0)
        ring.register(user, "a", expires=0)
        ring.agree(user, {second})
        ring.register(other, "b", expires=600)
        ring.agree(other, {phone.contact(other)})
        ring.register(user, "b", expires=0, device=1)
        ring.agree(user, set())
