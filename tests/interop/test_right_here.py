"""
What goes wrong at Kamailio goes right here: what its users complain of, one by one.

A publishes at a presence server that is slow to answer. B has subscribed to A, and to
a server of another make, and publishes what is registered at B.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from .document import Document, Told, read
from .opensips import OpenSips
from .phone import DOMAIN, Message, Phone, becomes, eventually
from .presence import PresenceServer, Publish
from .server import Server

USERS = [f"user{number}" for number in range(50)]
"Taken one by one, by the tests and by what they ask last."

DELAY = 0.1  # seconds from a PUBLISH to its answer
REGISTERS = 50
LATE = 5  # who come later, and ask


@dataclass(frozen=True, slots=True)
class Network:
    """All of them, a phone, a watcher at each of ours, and a user."""

    a: Server
    b: Server
    at_a: PresenceServer
    "Where A publishes; and B there."

    at_b: PresenceServer
    other: OpenSips
    "The other server that B has subscribed to; it can also publish at B."

    phone: Phone
    watcher: Phone
    mirrors: Phone
    "The watcher at B."

    user: str
    users: Iterator[str]

    def contacts(self, *devices: int) -> set[str]:
        """The URIs of these devices of the user."""
        return {self.phone.contact(self.user, device) for device in devices}

    def known(self) -> list[set[str]]:
        """Where A would reach the user, and where B would."""
        return [server.contacts(self.user) for server in (self.a, self.b)]

    def watch(self) -> None:
        """Have the watchers watch the user."""
        for watcher in (self.watcher, self.mirrors):
            assert watcher.subscribe(self.user).status == 200
            watcher.notify()

    def late(self, server: Server) -> Document:
        """What somebody is told who subscribes only now."""
        with Phone(server.address) as late:
            assert late.subscribe(self.user).status == 200
            return read(late.notify().body)

    def remove(self, event: str, retry_after: int | None = None) -> None:
        """Have the administrator of A remove the user."""
        params: dict[str, str | int] = {"event": event}
        if retry_after is not None:
            params["retry_after"] = retry_after
        reply = httpx.delete(
            f"{self.a.admin}/v1/aors/sip:{self.user}@{DOMAIN}",
            params=params,
            timeout=10.0,
        )
        assert reply.status_code == 200, reply.text

    def published(self, presence: PresenceServer) -> list[Publish]:
        """
        The PUBLISHes of the user, when no more will come for what has happened.

        What is owed is sent as soon as the one before is answered: once what happened
        later has been published, and answered, there is none left.
        """
        later = next(self.users)
        server = self.a if presence is self.at_a else self.b
        with Phone(server.address) as phone:
            phone.register(later, expires=600)
        eventually(lambda: _answered(presence.publishes(later)))
        eventually(lambda: _answered(presence.publishes(self.user) or None))
        return presence.publishes(self.user)


def _answered(publishes: list[Publish] | None) -> bool:
    if publishes is None:
        return True  # it need not be published at all
    return bool(publishes) and all(p.answered_at is not None for p in publishes)


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[
    tuple[Server, Server, PresenceServer, PresenceServer, OpenSips, Iterator[str]]
]:
    directory = tmp_path_factory.mktemp("right")
    with ExitStack() as stack:
        at_a, at_b = (stack.enter_context(PresenceServer(DELAY)) for _ in "ab")
        other = stack.enter_context(OpenSips())
        a = Server(directory / "a", name="a", publish_to=[at_a.uri])
        b = Server(directory / "b", name="b", publish_to=[at_b.uri])
        watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in USERS)
        b.peers = tuple(
            f'name = "{name}"\nuri = "sip:127.0.0.1:{port}"\nwatch = [{watch}]'
            for name, port in (("a", a.port), ("os", other.port))
        )
        # Who is a peer of A is told the way to a phone, too.
        a.peers = (f'name = "b"\nuri = "sip:127.0.0.1:{b.port}"',)
        other.peer = b.address
        for server in (a, b):
            stack.enter_context(server)
        eventually(lambda: other.watchers() == len(USERS))
        yield a, b, at_a, at_b, other, iter(USERS)


@pytest.fixture
def net(
    servers: tuple[
        Server, Server, PresenceServer, PresenceServer, OpenSips, Iterator[str]
    ],
) -> Iterator[Network]:
    a, b, at_a, at_b, other, users = servers
    with Phone(a.address) as phone, Phone(a.address) as one, Phone(b.address) as two:
        yield Network(
            a, b, at_a, at_b, other, phone, one, two, next(users), users
        )  # fmt: skip


# -- many REGISTERs at once


@pytest.mark.parametrize("devices", [1, 5])
def test_after_a_storm_everybody_knows_the_last(net: Network, devices: int) -> None:
    """Kamailio with four workers has ended with CSeq 8 of 51, for good."""
    net.watch()
    last = REGISTERS // devices
    for _ in range(last):
        for device in range(devices):
            net.phone.send(
                net.phone.build_register(net.user, expires=600, device=device)
            )
    for _ in range(REGISTERS):
        reply = net.phone.receive(10.0)
        assert reply is not None
        assert reply.status == 200
    expected = dict.fromkeys(net.contacts(*range(devices)), last)

    def cseqs(server: Server) -> dict[str, int]:
        return {b["uri"]: b["cseq"] for b in server.bindings(net.user)}

    for server in (net.a, net.b):
        becomes(partial(cseqs, server), expected)
    for watcher in (net.watcher, net.mirrors):
        told: dict[str, int] = {}
        while told != expected:
            for uri, contact in read(watcher.notify().body).contacts.items():
                assert contact.cseq is not None
                assert contact.cseq > told.get(uri, 0)
                told[uri] = contact.cseq
        # That was the last: nothing older comes behind it.
        assert watcher.options().status == 200
        assert watcher.inbox == []
    for server in (net.a, net.b):
        for _ in range(LATE):
            contacts = net.late(server).contacts
            assert {uri: c.cseq for uri, c in contacts.items()} == expected
            assert {c.state for c in contacts.values()} == {"active"}

    publishes = net.published(net.at_a)
    assert sorted(publishes[-1].cseqs) == [last] * devices
    assert net.at_a.overlapping(net.user) == 0
    assert {p.status for p in publishes} == {200}
    # At Kamailio there have been 1275.
    assert len(publishes) <= 6


# -- one REGISTER with several contacts


def test_a_star_leaves_no_ghost(net: Network) -> None:
    """Not in a table, nor with a watcher, nor at a presence server."""
    both = net.contacts(0, 1)
    net.watch()
    net.phone.register(
        net.user, expires=600, contacts=[f"Contact: <{c}>" for c in both]
    )
    becomes(net.known, [both, both])
    for watcher in (net.watcher, net.mirrors):
        assert read(watcher.notify().body).active == both
    reply = net.phone.register(net.user, expires=0, contacts=["Contact: *"])
    assert reply.all("contact") == []
    becomes(net.known, [set(), set()])
    for watcher in (net.watcher, net.mirrors):
        document = read(watcher.notify().body)
        assert document.state == "terminated"
        assert set(document.contacts) == both
        assert {c.event for c in document.contacts.values()} == {"unregistered"}
    for server in (net.a, net.b):
        assert net.late(server).contacts == {}
    # One PUBLISH for both to come, one for both to go, and the removal.
    eventually(lambda: net.user not in net.at_a.held())
    first, second, removal = net.published(net.at_a)
    assert read(first.message.body).active == both
    gone = read(second.message.body)
    assert (gone.state, gone.active, set(gone.contacts)) == ("terminated", set(), both)
    assert removal.message["expires"] == "0"
    assert net.at_b.publishes(net.user) == []


# -- a server that is in sync


@pytest.mark.parametrize("method", ["MESSAGE", "INVITE"])
@pytest.mark.parametrize("way", ["ours", "NOTIFY", "PUBLISH"])
def test_lookup_finds_what_was_learned(net: Network, way: str, method: str) -> None:
    """From one of ours, and from what another make has notified, or published."""
    contact = net.phone.contact(net.user)
    if way == "ours":
        net.phone.register(net.user, expires=600)
    elif way == "PUBLISH":
        net.other.register(net.user, contact)
    else:
        net.other.publish(net.user, document(net.user, contact, "registered", 600))
    becomes(lambda: net.b.contacts(net.user), {contact})
    got = call(net, method)
    assert got.start == f"{method} {contact} SIP/2.0"


def test_lookup_finds_the_way_to_a_phone_behind_a_nat(net: Network) -> None:
    inside = f"sip:{net.user}@10.1.2.3:5060"
    net.phone.register(net.user, expires=600, contacts=[f"Contact: <{inside}>"])
    becomes(lambda: net.b.contacts(net.user), {inside})
    got = call(net, "MESSAGE")
    assert got.start == f"MESSAGE {inside} SIP/2.0"


def test_lookup_finds_nobody_who_has_gone(net: Network) -> None:
    net.phone.register(net.user, expires=600)
    becomes(net.known, [net.contacts(0)] * 2)
    net.phone.register(net.user, expires=0)
    becomes(net.known, [set()] * 2)
    with Phone(net.b.address) as caller:
        assert caller.ask(_request(caller, net.user, "MESSAGE")).status in (404, 480)


def call(net: Network, method: str) -> Message:
    """Call the user at B; what the phone has got, which it answered 200."""
    with Phone(net.b.address) as caller:
        request = _request(caller, net.user, method)
        caller.send(request)
        got = net.phone.incoming(method)
        while (reply := caller.receive(10.0)) is None or reply.status < 200:
            assert reply is not None
        assert reply.status == 200, reply.start
        return got


def _request(caller: Phone, user: str, method: str) -> bytes:
    return caller.request(
        method,
        caller.aor(user),
        to=f"<{caller.aor(user)}>",
        call_id=f"{method}-{user}-{caller.port}",
        cseq=1,
        headers=[f"Contact: <sip:caller@{caller.place}>"],
    )


def test_a_server_in_sync_publishes_its_own_and_no_others(net: Network) -> None:
    """After one NOTIFY, Kamailio publishes nothing any more; what expires, it does."""
    net.phone.register(net.user, expires=600)
    net.phone.register(net.user, expires=2, device=1)
    becomes(net.known, [net.contacts(0, 1)] * 2)
    assert net.published(net.at_b) == []

    # Its own, of the same user, and of nobody else.
    net.phone.server = net.b.address
    net.phone.register(net.user, expires=600, device=2)
    # A does not ask B; and one of its own has expired.
    becomes(net.known, [net.contacts(0), net.contacts(0, 2)])
    net.phone.register(net.user, expires=900, device=2)
    published = net.published(net.at_b)
    assert [p.cseqs for p in published] == [[1], [2]]
    assert [read(p.message.body).active for p in published] == [net.contacts(2)] * 2

    # The others go, and that is not for B to say.
    net.phone.server = net.a.address
    net.phone.register(net.user, expires=0)
    becomes(net.known, [set(), net.contacts(2)])
    assert net.published(net.at_b) == published
    for publish in net.published(net.at_a):
        if publish.message.body:
            assert set(read(publish.message.body).contacts) <= net.contacts(0, 1)


# -- how it went elsewhere is how it went here


@pytest.mark.parametrize(
    "event", ["unregistered", "rejected", "deactivated", "probation"]
)
@pytest.mark.parametrize("make", ["ours", "another"])
def test_who_is_gone_at_a_peer_is_gone_here_for_the_same_reason(
    net: Network, make: str, event: str
) -> None:
    """Kamailio takes no notice of three of them, and the contact lives on."""
    (contact,) = net.contacts(0)
    assert net.mirrors.subscribe(net.user).status == 200
    net.mirrors.notify()
    if make == "ours":
        net.phone.register(net.user, expires=600)
    else:
        net.other.publish(net.user, document(net.user, contact, "registered", 600))
    assert read(net.mirrors.notify().body).active == {contact}
    assert net.b.contacts(net.user) == {contact}

    if make == "another":
        net.other.publish(net.user, document(net.user, contact, event, 0))
    elif event == "unregistered":
        net.phone.register(net.user, expires=0)
    else:
        net.remove(event, 77 if event == "probation" else None)
    notify = net.mirrors.notify()
    document_ = read(notify.body)
    assert document_.state == "terminated"
    told = document_.contacts[contact]
    assert (told.state, told.event) == ("terminated", event)
    assert (b' retry-after="77"' in notify.body) == (event == "probation")
    assert net.b.contacts(net.user) == set()
    assert net.late(net.b).active == set()


def test_who_is_shortened_at_a_peer_is_shortened_here(net: Network) -> None:
    """Its phone has to refresh soon, and its time is over soon; it lives until then."""
    (contact,) = net.contacts(0)
    assert net.mirrors.subscribe(net.user).status == 200
    net.mirrors.notify()
    net.other.publish(net.user, document(net.user, contact, "registered", 600))
    assert read(net.mirrors.notify().body).active == {contact}
    net.other.publish(net.user, document(net.user, contact, "shortened", 3))
    told: Told = read(net.mirrors.notify().body).contacts[contact]
    assert (told.state, told.event) == ("active", "shortened")
    assert told.expires is not None
    assert 1 <= told.expires <= 3
    (binding,) = net.b.bindings(net.user)
    assert binding["expires"] <= 3
    # And with that time it goes.
    becomes(lambda: net.b.contacts(net.user), set())


def document(user: str, contact: str, event: str, expires: int) -> bytes:
    """What another server publishes of one contact: always of the same REGISTER."""
    state = "active" if expires else "terminated"
    retry = ' retry-after="77"' if event == "probation" else ""
    return (
        '<?xml version="1.0"?>\n<reginfo xmlns="urn:ietf:params:xml:ns:reginfo"'
        ' version="00000000000" state="full">\n'
        f'<registration aor="sip:{user}@{DOMAIN}" id="r" state="{state}">'
        f'<contact id="c" state="{state}" event="{event}" expires="{expires}"{retry}'
        f' callid="elsewhere" cseq="1"><uri>{contact}</uri></contact>'
        "</registration></reginfo>"
    ).encode()
