"""What goes wrong at Kamailio goes right here: each complaint, at whole servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from .document import read
from .phone import DOMAIN, Address, Phone, becomes, eventually
from .presence import PresenceServer
from .server import Server
from .test_statuses import Notifier

REGISTERS = 50
USERS = [f"right{number}" for number in range(16)]
WATCH = "watch = [{}]".format(", ".join(f'"sip:{user}@{DOMAIN}"' for user in USERS))

NewPhone = Callable[[Address], Phone]


@dataclass(frozen=True, slots=True)
class Synced:
    """A, where users register; B, which has learned from A; both publish."""

    a: Server
    b: Server
    presence_of_a: PresenceServer
    presence_of_b: PresenceServer
    user: str

    def known_at_b(self, *contacts: str) -> None:
        becomes(lambda: self.b.contacts(self.user), set(contacts))


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Server, PresenceServer, PresenceServer, Iterator[str]]]:
    directory = tmp_path_factory.mktemp("right")
    with PresenceServer(0.1) as of_a, PresenceServer(0.1) as of_b:
        a = Server(directory / "a", publish_to=[of_a.uri])
        b = Server(directory / "b", name="b", publish_to=[of_b.uri])
        a.peers = (f'name = "b"\nuri = "sip:127.0.0.1:{b.port}"\n{WATCH}',)
        b.peers = (f'name = "a"\nuri = "sip:127.0.0.1:{a.port}"\n{WATCH}',)
        with a, b:
            yield a, b, of_a, of_b, iter(USERS)


@pytest.fixture
def synced(
    servers: tuple[Server, Server, PresenceServer, PresenceServer, Iterator[str]],
) -> Synced:
    a, b, of_a, of_b, users = servers
    return Synced(a, b, of_a, of_b, next(users))


def test_after_a_storm_everybody_has_the_last(synced: Synced, phones: NewPhone) -> None:
    """
    The last NOTIFY, every late watcher, the other server and the publication show the
    last CSeq; and never are two PUBLISHes unanswered.
    """
    phone = phones(synced.a.address)
    uri = phone.contact(synced.user)
    early, amid = phones(synced.a.address), phones(synced.a.address)
    early.subscribe(synced.user)
    for number in range(REGISTERS):
        phone.send(phone.build_register(synced.user, expires=600))
        if number == REGISTERS // 2:
            amid.send(amid.build_subscribe(synced.user))
    answered: set[str] = set()
    while len(answered) < REGISTERS:
        reply = phone.receive(10.0)
        assert reply is not None and reply.status == 200
        answered.add(reply["cseq"])
    for watcher in (early, amid):
        cseqs = [0]
        while cseqs[-1] != REGISTERS:
            contacts = read(watcher.notify().body).contacts
            cseqs.append((uri in contacts and contacts[uri].cseq) or 0)
        assert cseqs == sorted(cseqs)
        # And no other after that: this is answered behind it.
        assert watcher.options().status == 200
        assert watcher.inbox == []
    becomes(lambda: [b["cseq"] for b in synced.b.bindings(synced.user)], [REGISTERS])
    for server in (synced.a, synced.b):
        late = phones(server.address)
        late.subscribe(synced.user)
        assert read(late.notify().body).contacts[uri].cseq == REGISTERS

    def published() -> bool:
        publishes = synced.presence_of_a.publishes(synced.user)
        assert publishes
        last = publishes[-1]
        return last.cseqs == [REGISTERS] and last.answered_at is not None

    eventually(published)
    assert synced.presence_of_a.overlapping(synced.user) == 0


def test_two_contacts_and_then_all_of_them_leave_no_ghost(
    synced: Synced, phones: NewPhone
) -> None:
    """One REGISTER with two contacts, then `Contact: *`: gone everywhere."""
    phone, watcher = phones(synced.a.address), phones(synced.b.address)
    watcher.subscribe(synced.user)
    watcher.notify()
    both = [phone.contact(synced.user), phone.contact(synced.user, 1)]
    lines = [f"Contact: <{both[0]}>, <{both[1]}>"]
    phone.register(synced.user, expires=600, contacts=lines)
    synced.known_at_b(*both)
    eventually(lambda: synced.user in synced.presence_of_a.held())
    phone.register(synced.user, expires=0, contacts=["Contact: *"])
    assert synced.a.contacts(synced.user) == set()
    synced.known_at_b()
    seen: dict[str, str] = {}
    while set(seen.values()) != {"terminated"}:
        told = read(watcher.notify().body).contacts
        seen |= {uri: one.state for uri, one in told.items()}
    assert seen.keys() == set(both)
    eventually(lambda: synced.user not in synced.presence_of_a.held())
    for server in (synced.a, synced.b):
        late = phones(server.address)
        late.subscribe(synced.user)
        assert read(late.notify().body).active == set()


@pytest.mark.parametrize("method", ["MESSAGE", "INVITE", "OPTIONS"])
def test_lookup_at_a_synced_server_finds_what_it_learned(
    synced: Synced, phones: NewPhone, method: str
) -> None:
    """A request to B reaches the phone that has registered at A."""
    phone, caller = phones(synced.a.address), phones(synced.b.address)
    phone.register(synced.user, expires=600)
    synced.known_at_b(phone.contact(synced.user))
    aor = caller.aor(synced.user)
    request = caller.request(
        method, aor, to=f"<{aor}>", call_id=f"call-{synced.user}", cseq=1,
        body=b"Hello",
    )  # fmt: skip
    caller.send(request)
    # B has not heard of the phone, and probes two ports of a host in 16 s.
    came = phone.incoming(method, within=30.0)
    assert came.body == b"Hello"
    assert came.start == f"{method} {phone.contact(synced.user)} SIP/2.0"
    answer = caller.receive(10.0)
    while answer is not None and answer.status < 200:
        answer = caller.receive(10.0)
    assert answer is not None and answer.status == 200


def test_lookup_at_a_synced_server_finds_the_way_through_a_nat(
    synced: Synced, phones: NewPhone
) -> None:
    """With the flow by which the phone has registered: its contact leads nowhere."""
    phone, caller = phones(synced.a.address), phones(synced.b.address)
    inside = f"sip:{synced.user}@10.1.2.3:5060"
    phone.register(synced.user, expires=600, contacts=[f"Contact: <{inside}>"])
    synced.known_at_b(inside)
    aor = caller.aor(synced.user)
    caller.send(
        caller.request("MESSAGE", aor, to=f"<{aor}>", call_id=synced.user, cseq=1)
    )
    assert phone.incoming("MESSAGE").start == f"MESSAGE {inside} SIP/2.0"


def test_a_synced_server_does_not_publish_what_has_gone_elsewhere(
    synced: Synced, phones: NewPhone
) -> None:
    """What it has learned, and expires, Kamailio publishes."""
    there, here = phones(synced.a.address), phones(synced.b.address)
    there.register(synced.user, expires=1)
    synced.known_at_b(there.contact(synced.user))
    watcher = phones(synced.b.address)
    watcher.subscribe(synced.user)
    while (told := read(watcher.notify().body)).state == "active":
        pass
    assert {one.event for one in told.contacts.values()} == {"expired"}
    there.register(synced.user, expires=600, device=1)
    there.register(synced.user, expires=0, device=1)
    while set(read(watcher.notify().body).contacts) != {there.contact(synced.user, 1)}:
        pass
    # Its own, which comes behind all that: it is the only PUBLISH.
    here.register(synced.user, expires=600)
    eventually(lambda: synced.user in synced.presence_of_b.held())
    (publish,) = synced.presence_of_b.publishes(synced.user)
    assert set(read(publish.message.body).contacts) == {here.contact(synced.user)}


def test_a_synced_server_publishes_its_own_and_nothing_else(
    synced: Synced, phones: NewPhone
) -> None:
    """It goes on publishing, and never publishes back what it learned."""
    there, here = phones(synced.a.address), phones(synced.b.address)
    there.register(synced.user, expires=600)
    synced.known_at_b(there.contact(synced.user))
    here.register(synced.user, expires=600)
    synced.known_at_b(there.contact(synced.user), here.contact(synced.user))
    eventually(lambda: synced.user in synced.presence_of_b.held())
    there.register(synced.user, expires=600)

    def learned() -> list[int]:
        bindings = synced.b.bindings(synced.user)
        return [b["cseq"] for b in bindings if b["owner"] == "a"]

    becomes(learned, [2])
    here.register(synced.user, expires=600)

    def held() -> list[int]:
        return synced.presence_of_b.held()[synced.user].cseqs

    becomes(held, [2])
    for publish in synced.presence_of_b.publishes(synced.user):
        assert set(read(publish.message.body).contacts) == {here.contact(synced.user)}
    for publish in synced.presence_of_a.publishes(synced.user):
        assert set(read(publish.message.body).contacts) == {there.contact(synced.user)}


@pytest.mark.parametrize(
    "event", ["unregistered", "rejected", "deactivated", "probation"]
)
def test_a_contact_that_was_removed_at_a_peer_is_gone_here(
    synced: Synced, phones: NewPhone, event: str
) -> None:
    """Of whatever kind its end was; who watches here is told which."""
    phone, watcher = phones(synced.a.address), phones(synced.b.address)
    phone.register(synced.user, expires=600)
    phone.register(synced.user, expires=600, device=1)
    both = {phone.contact(synced.user), phone.contact(synced.user, 1)}
    synced.known_at_b(*both)
    watcher.subscribe(synced.user)
    assert read(watcher.notify().body).active == both
    after = {"retry_after": "60"} if event == "probation" else {}
    reply = httpx2.delete(
        f"{synced.a.admin}/v1/aors/{synced.user}@{DOMAIN}",
        params={"event": event, "contact": phone.contact(synced.user)} | after,
    )
    assert reply.json() == {"removed": 1}
    synced.known_at_b(phone.contact(synced.user, 1))
    told = read(watcher.notify().body).contacts
    assert {uri: one.event for uri, one in told.items()} == {
        phone.contact(synced.user): event
    }


@pytest.fixture
def notifier(tmp_path: Path) -> Iterator[Notifier]:
    """A peer that says what a server of ours does not: `shortened`, say."""
    with Phone(("127.0.0.1", 9)) as phone:
        peer = f'name = "p"\nuri = "sip:{phone.place}"\nwatch = ["sip:ann@{DOMAIN}"]'
        with Server(tmp_path, peers=[peer]) as server:
            subscribe = phone.incoming("SUBSCRIBE")
            phone.server = server.address
            yield Notifier(server, phone, subscribe)


def document(event: str, expires: int, cseq: int = 1) -> bytes:
    state = "active" if event in ("registered", "shortened") else "terminated"
    return (
        '<?xml version="1.0"?><reginfo xmlns="urn:ietf:params:xml:ns:reginfo"'
        f' version="0" state="full"><registration aor="sip:ann@{DOMAIN}" id="r"'
        f' state="{state}"><contact id="c" state="{state}" event="{event}"'
        f' expires="{expires}" callid="x" cseq="{cseq}"><uri>sip:ann@192.0.2.7</uri>'
        "</contact></registration></reginfo>"
    ).encode()


def test_a_contact_that_was_removed_at_a_peer_of_another_make_is_gone_here(
    notifier: Notifier, phones: NewPhone
) -> None:
    """It says so with the Call-ID and CSeq of the REGISTER that it removes."""
    watcher = phones(notifier.server.address)
    watcher.subscribe("ann")
    watcher.notify()
    events = ("unregistered", "rejected", "deactivated", "probation", "expired")
    for cseq, event in enumerate(events):
        there, gone = document("registered", 600, cseq), document(event, 0, cseq)
        assert notifier.notify(2 * cseq + 5, body=there).status == 200
        assert read(watcher.notify().body).active == {"sip:ann@192.0.2.7"}
        assert notifier.notify(2 * cseq + 6, body=gone).status == 200
        told = read(watcher.notify().body)
        assert [one.event for one in told.contacts.values()] == [event]
        assert told.state == "terminated"
        assert notifier.server.bindings("ann") == []


def test_a_contact_that_was_shortened_at_a_peer_is_so_here(
    notifier: Notifier, phones: NewPhone
) -> None:
    """Kamailio skips `shortened`: the contact lives on there."""
    watcher = phones(notifier.server.address)
    watcher.subscribe("ann")
    watcher.notify()
    assert notifier.notify(5, body=document("registered", 600)).status == 200
    assert read(watcher.notify().body).active == {"sip:ann@192.0.2.7"}
    assert notifier.notify(6, body=document("shortened", 60)).status == 200
    (told,) = read(watcher.notify().body).contacts.values()
    assert (told.event, told.state) == ("shortened", "active")
    assert told.expires is not None and 55 < told.expires <= 60
    (binding,) = notifier.server.bindings("ann")
    assert 55 < binding["expires"] <= 60
    assert notifier.notify(7, body=document("probation", 0)).status == 200
    (told,) = read(watcher.notify().body).contacts.values()
    assert (told.event, notifier.server.bindings("ann")) == ("probation", [])
