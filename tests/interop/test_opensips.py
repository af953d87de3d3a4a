"""
A peer that behaves as OpenSIPS does, mistakes and all: fed by us, and feeding us.

It is a stand-in of ours (opensips.py), for Debian has no package of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from .document import read
from .opensips import NO_EXPIRES, SOME_EXPIRES, OpenSips, Row, overwritten
from .phone import DOMAIN, Message, Phone, becomes, eventually
from .server import Server
from .tap import Tap

CAPTURES = Path(__file__).parent.parent / "captures" / "opensips"

USERS = [f"user{number}" for number in range(30)]
"One for each test, which share the servers."

GRANT = 2  # seconds for which one of them grants subscriptions: we ask again half way

AMPERSAND = "sip:bob@192.0.2.1;x=a&b"
"A contact whose URI is a trap for who writes XML by hand."


@dataclass(frozen=True, slots=True)
class Pair:
    """One of ours and one of theirs, a phone and a watcher at ours, and a user."""

    ours: Server
    opensips: OpenSips
    phone: Phone
    watcher: Phone
    user: str

    def register(self, *, expires: int, device: int = 0) -> None:
        self.phone.register(self.user, expires=expires, device=device)

    def contacts(self, *devices: int) -> set[str]:
        """The URIs of these devices of the user."""
        return {self.phone.contact(self.user, device) for device in devices}

    def known(self) -> set[str]:
        """Where ours would reach the user."""
        return self.ours.contacts(self.user)

    def learned(self) -> set[str]:
        """Where the other one would."""
        return self.opensips.contacts(self.user)

    def remove(self, device: int, event: str) -> None:
        """Have the administrator of ours remove a contact."""
        (contact,) = self.contacts(device)
        reply = httpx.delete(
            f"{self.ours.admin}/v1/aors/sip:{self.user}@{DOMAIN}",
            params={
                "contact": contact,
                "event": event,
                **({"retry_after": 600} if event == "probation" else {}),
            },
            timeout=10.0,
        )
        assert reply.status_code == 200, reply.text

    def watch(self) -> None:
        """Have the watcher watch the user at ours."""
        assert self.watcher.subscribe(self.user).status == 200
        self.watcher.notify()


def served(ours: Server, opensips: OpenSips, users: Iterator[str]) -> Iterator[Pair]:
    with Phone(ours.address) as phone, Phone(ours.address) as watcher:
        yield Pair(ours, opensips, phone, watcher, next(users))


def watching(directory: Path, opensips: OpenSips, *users: str) -> Server:
    """One of ours that has subscribed to users at it, and takes what it publishes."""
    watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in users)
    return Server(
        directory, peers=[f'name = "os"\nuri = "{opensips.uri}"\nwatch = [{watch}]']
    )


# -- the stand-in is like what was captured


def test_the_stand_in_writes_over_a_body_what_was_seen() -> None:
    for name, before in {
        "10-notify-damaged-by-overwrite": b'version="0" state="full">',
        "11-notify-placeholder-replaced": b'version="00000000000" state="full">',
    }.items():
        body = _body(CAPTURES / f"{name}.sip")
        head, _, rest = body.partition(b"><registration")
        at = head.index(b"version=", 34)
        version = int(head[at + 9 : at + 10])
        original = head[:at] + before + b"<registration" + rest
        assert overwritten(original, version) == body


def test_the_stand_in_publishes_what_was_seen(tmp_path: Path) -> None:
    with OpenSips() as opensips, Phone(("127.0.0.1", 9)) as ours:
        opensips.peer = ("127.0.0.1", ours.port)
        opensips.register("bob", "sip:bob@192.0.2.1:5060;transport=udp")
        sent = ours.incoming("PUBLISH")
    whole = (CAPTURES / "01-publish-first.sip").read_bytes()
    seen = Message.parse(whole, ("", 0))
    for name in ("cseq", "event", "expires", "content-type", "user-agent"):
        assert sent[name] == seen[name]
    assert set(dict(seen.headers)) == set(dict(sent.headers))
    theirs, mine = read(seen.body), read(sent.body)
    (seen_uri, seen_contact), (uri, contact) = (
        *theirs.contacts.items(),
        *mine.contacts.items(),
    )
    assert uri == seen_uri
    assert contact == replace(seen_contact, call_id=contact.call_id)
    assert mine.state == theirs.state


# -- it is our presence server


@pytest.fixture(scope="module")
def publishing_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, OpenSips, Server, Iterator[str]]]:
    directory = tmp_path_factory.mktemp("publishing")
    with ExitStack() as stack:
        opensips = stack.enter_context(OpenSips())
        ours = Server(directory / "a", publish_to=[opensips.uri])
        stack.enter_context(ours)
        mirror = watching(directory / "m", opensips, *USERS[:8])
        mirror.name = "m"
        stack.enter_context(mirror)
        yield ours, opensips, mirror, iter(USERS[:8])


@pytest.fixture
def publishing(
    publishing_servers: tuple[Server, OpenSips, Server, Iterator[str]],
) -> Iterator[Pair]:
    """Ours publishes at it."""
    ours, opensips, _, users = publishing_servers
    yield from served(ours, opensips, users)


@pytest.fixture
def mirror(
    publishing_servers: tuple[Server, OpenSips, Server, Iterator[str]],
) -> Server:
    """Another one of ours that has subscribed there."""
    return publishing_servers[2]


def test_what_it_writes_over_our_document_leaves_it_whole(
    publishing: Pair, mirror: Server
) -> None:
    with Phone(publishing.opensips.address) as watcher:
        assert watcher.subscribe(publishing.user).status == 200
        assert watcher.notify().body == b""
        for number in range(12):  # until its version has two digits
            publishing.register(expires=600 + number)
            body = watcher.notify().body
            # Its version, which counts the NOTIFY without a body, and our attributes.
            assert f' version="{number + 1}" '.encode() in body
            assert b' state="full"' in body
            (told,) = read(body).contacts.values()
            assert told.cseq == number + 1
    becomes(lambda: mirror.contacts(publishing.user), publishing.contacts(0))


def test_what_is_published_there_is_known_at_the_other_end(
    publishing: Pair, mirror: Server
) -> None:
    def there() -> set[str]:
        return mirror.contacts(publishing.user)

    publishing.register(expires=600)
    publishing.register(expires=600, device=1)
    becomes(there, publishing.contacts(0, 1))
    publishing.register(expires=0)
    becomes(there, publishing.contacts(1))
    publishing.remove(1, "rejected")
    becomes(there, set())
    # Of a removal it tells twice, first what is being removed: nobody comes back.
    becomes(lambda: publishing.opensips.publications(publishing.user), [])
    publishing.register(expires=600)
    becomes(there, publishing.contacts(0))


def test_it_has_forgotten_us_and_gets_one_fresh_publish(
    publishing: Pair, mirror: Server
) -> None:
    """3903-06; and whoever had subscribed there, asks again."""
    publishing.register(expires=600)
    becomes(lambda: mirror.contacts(publishing.user), publishing.contacts(0))
    publishing.opensips.restart()
    publishing.register(expires=600, device=1)

    def published() -> set[str]:
        bodies = publishing.opensips.publications(publishing.user)
        assert len(bodies) == 1
        return read(bodies[0]).active

    becomes(published, publishing.contacts(0, 1))


# -- it is a consumer of ours


@pytest.fixture(scope="module")
def telling_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, OpenSips, Iterator[str]]]:
    with Server(tmp_path_factory.mktemp("telling")) as ours:
        with OpenSips(ours.address) as opensips:
            yield ours, opensips, iter(USERS)


@pytest.fixture
def telling(
    telling_servers: tuple[Server, OpenSips, Iterator[str]],
) -> Iterator[Pair]:
    """It subscribes at ours."""
    yield from served(*telling_servers)


def test_it_asks_for_ages_and_is_granted_what_we_grant(telling: Pair) -> None:
    """6665-30: that is not refused, which it would not understand."""
    before = len(telling.opensips.granted())
    telling.opensips.subscribe(telling.user, SOME_EXPIRES)
    eventually(lambda: len(telling.opensips.granted()) > before)
    answer = telling.opensips.granted()[-1]
    assert answer.status == 200
    assert int(answer["expires"]) == 86_400
    telling.register(expires=600)
    becomes(telling.learned, telling.contacts(0))


def test_it_asks_for_no_time_at_all_and_is_told_once(telling: Pair) -> None:
    telling.register(expires=600)
    telling.opensips.subscribe(telling.user, NO_EXPIRES)
    becomes(telling.learned, telling.contacts(0))
    told = len(telling.opensips.notifies())
    last = telling.opensips.notifies()[-1]
    assert last["subscription-state"].startswith("terminated")
    # There is no subscription that a change would be told by: others come first.
    telling.register(expires=600, device=1)
    telling.watch()
    telling.register(expires=600, device=2)
    telling.watcher.notify()
    assert len(telling.opensips.notifies()) == told


def test_it_knows_what_has_become_of_each_contact(telling: Pair) -> None:
    """Also of what it has no word for: see reg/legacy.py."""
    telling.opensips.subscribe(telling.user, SOME_EXPIRES)
    for device in range(5):
        telling.register(expires=600, device=device)
    becomes(telling.learned, telling.contacts(0, 1, 2, 3, 4))
    telling.register(expires=0)
    becomes(telling.learned, telling.contacts(1, 2, 3, 4))
    left = [1, 2, 3, 4]
    for event in ("deactivated", "rejected", "probation", "unregistered"):
        telling.remove(left.pop(0), event)
        becomes(telling.learned, telling.contacts(*left))
    telling.register(expires=600)
    becomes(telling.learned, telling.contacts(0))
    assert telling.opensips.dead() == ""


def test_it_knows_call_id_and_cseq_as_they_were_registered(telling: Pair) -> None:
    telling.opensips.subscribe(telling.user, SOME_EXPIRES)
    telling.register(expires=600)
    telling.register(expires=900)
    (contact,) = telling.contacts(0)

    def rows() -> dict[str, Row]:
        return telling.opensips.learned(telling.user)

    becomes(lambda: {uri: row.cseq for uri, row in rows().items()}, {contact: 2})
    row = rows()[contact]
    (binding,) = telling.ours.bindings(telling.user)
    assert (row.call_id, row.cseq) == (binding["callid"], binding["cseq"])
    assert 890 <= row.expires <= 900


def test_nothing_that_a_phone_registers_ends_it(telling: Pair) -> None:
    telling.opensips.subscribe(telling.user, SOME_EXPIRES)
    line = (
        f'Contact: <{AMPERSAND}>;+sip.instance="<urn:uuid:1>";audio;q=0.1'
        ';description="<&>"'
    )
    telling.phone.register(telling.user, expires=600, contacts=[line])
    # And its parameters have not become a part of the URI.
    becomes(telling.learned, {AMPERSAND})
    assert telling.opensips.dead() == ""


def test_it_leaves_a_notify_unanswered_and_gets_no_other(
    telling: Pair, tmp_path: Path
) -> None:
    """What it cannot take costs it a worker each time; we and the others go on."""
    telling.watch()
    with OpenSips(telling.ours.address, use_domain=True) as stuck:
        stuck.subscribe(telling.user, SOME_EXPIRES)
        telling.register(expires=600)
        telling.watcher.notify()
        # The first without a body, for nobody was registered; the second it can take.
        eventually(lambda: len({n.branch for n in stuck.notifies()}) == 2)
        before = {n.branch for n in stuck.notifies()}
        for device in range(1, 4):
            telling.register(expires=600, device=device)
            assert telling.contacts(device) <= set(
                read(telling.watcher.notify().body).contacts
            )
        eventually(lambda: {n.branch for n in stuck.notifies()} - before)
        # Behind what might be sent to it: another one is told, and again.
        telling.register(expires=0, device=3)
        telling.watcher.notify()
        unanswered = {n.branch for n in stuck.notifies()} - before
        assert len(unanswered) == 1
        assert stuck.dead() == ""
    assert telling.known() == telling.contacts(0, 1, 2)


# -- it publishes at our compositor


@pytest.fixture(scope="module")
def composing_servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, OpenSips, Tap, Iterator[str]]]:
    ours = Server(tmp_path_factory.mktemp("composing"))
    with ExitStack() as stack:
        tap = stack.enter_context(Tap(ours.address))
        opensips = stack.enter_context(OpenSips(tap.address))
        address = f"127.0.0.1:{tap.port}"
        ours.peers = (f'name = "os"\nmatch = {{ address = "{address}" }}',)
        stack.enter_context(ours)
        yield ours, opensips, tap, iter(USERS)


@pytest.fixture
def composing(
    composing_servers: tuple[Server, OpenSips, Tap, Iterator[str]],
) -> Iterator[Pair]:
    ours, opensips, _, users = composing_servers
    yield from served(ours, opensips, users)


@pytest.fixture
def tap(composing_servers: tuple[Server, OpenSips, Tap, Iterator[str]]) -> Tap:
    """Between it and our compositor."""
    return composing_servers[2]


def _statuses(pair: Pair) -> list[int | None]:
    return [sent.status for sent in pair.opensips.published(pair.user)]


def test_what_it_publishes_is_known_and_told_here(composing: Pair) -> None:
    """3903-41"""
    one, two = f"sip:{composing.user}@192.0.2.1", f"sip:{composing.user}@192.0.2.2"
    opensips, user = composing.opensips, composing.user
    composing.watch()

    def told() -> dict[str, str]:
        document = read(composing.watcher.notify().body)
        return {uri: contact.event for uri, contact in document.contacts.items()}

    opensips.register(user, one)
    assert told() == {one: "registered"}
    opensips.register(user, one)
    assert told() == {one: "refreshed"}
    opensips.register(user, two)
    assert told() == {two: "registered"}
    assert composing.known() == {one, two}
    opensips.register(user, one, expires=0)
    assert told() == {one: "unregistered"}
    assert composing.known() == {two}
    opensips.register(user, two, expires=0)
    assert told() == {two: "unregistered"}
    assert composing.known() == set()
    becomes(lambda: _statuses(composing), [200] * 5)
    # And on in the publication that it has left there.
    opensips.register(user, one)
    assert told() == {one: "registered"}
    becomes(lambda: _statuses(composing), [200] * 6)


def test_all_that_it_has_queued_is_taken_in_turn(composing: Pair) -> None:
    """Nothing that we answer makes it drop its queue."""
    uris = [f"sip:{composing.user}@192.0.2.{number}" for number in range(1, 11)]
    composing.opensips.register(composing.user, *uris)
    composing.opensips.register(composing.user, *uris[:5], expires=0)
    becomes(composing.known, set(uris[5:]))
    becomes(lambda: _statuses(composing), [200] * 15)


@pytest.mark.parametrize("status", [412, 423, 503, 401])
def test_after_a_refusal_it_is_silent_and_its_next_change_puts_it_right(
    composing: Pair, tap: Tap, status: int
) -> None:
    opensips, user = composing.opensips, composing.user
    one, two = f"sip:{user}@192.0.2.1", f"sip:{user}@192.0.2.2"
    opensips.register(user, one)
    becomes(lambda: _statuses(composing), [200])
    tap.refuse(status, "Min-Expires: 7200", "Retry-After: 1")
    opensips.register(user, one, two)  # the second is queued, and dropped with it
    becomes(lambda: _statuses(composing), [200, status])
    assert composing.known() == {one}
    assert [b["cseq"] for b in composing.ours.bindings(user)] == [1]

    opensips.register(user, one, expires=0)
    becomes(lambda: _statuses(composing), [200, status, 200])
    *_, last = opensips.published(user)
    assert "sip-if-match" not in last.request
    # Its first publication stands for an hour yet, and says that the one is there.
    becomes(composing.known, {two})
    opensips.register(user, two, expires=0)
    becomes(composing.known, set())


def test_a_contact_whose_uri_it_has_lost_loses_no_other(composing: Pair) -> None:
    good = f"sip:{composing.user}@192.0.2.1"
    # Alone, there is nothing in the document that could be taken.
    composing.opensips.register(composing.user, AMPERSAND)
    becomes(lambda: _statuses(composing), [400])
    composing.opensips.register(composing.user, good)
    becomes(composing.known, {good})
    composing.opensips.register(composing.user, AMPERSAND)
    becomes(lambda: _statuses(composing), [400, 200, 200])
    assert composing.known() == {good}


# -- it is a presence server at which ours has subscribed


@pytest.fixture(scope="module", params=["newest", "aggregated"])
def mirroring_servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, OpenSips, Iterator[str]]]:
    aggregate = request.param == "aggregated"
    with OpenSips(aggregate=aggregate, grant=GRANT) as opensips:
        opensips.peer = opensips.address
        with watching(tmp_path_factory.mktemp("m"), opensips, *USERS) as ours:
            eventually(lambda: opensips.watchers() == len(USERS))
            yield ours, opensips, iter(USERS)


@pytest.fixture
def mirroring(
    mirroring_servers: tuple[Server, OpenSips, Iterator[str]],
) -> Iterator[Pair]:
    yield from served(*mirroring_servers)


def test_who_registers_at_it_is_known_and_told_here(mirroring: Pair) -> None:
    """From its registrar to its own presence server, and from there to us."""
    opensips, user = mirroring.opensips, mirroring.user
    one, two = f"sip:{user}@192.0.2.1", f"sip:{user}@192.0.2.2"
    mirroring.watch()
    opensips.register(user, one)
    assert set(read(mirroring.watcher.notify().body).contacts) == {one}
    opensips.register(user, two)
    assert set(read(mirroring.watcher.notify().body).contacts) == {two}
    becomes(mirroring.known, {one, two})
    opensips.register(user, one, expires=0)
    becomes(mirroring.known, {two})
    opensips.register(user, two, expires=0)
    becomes(mirroring.known, set())


def test_what_another_has_published_there_reaches_us_or_is_refused(
    mirroring: Pair,
) -> None:
    """
    A body without a place for the version arrives damaged, unless it is made anew.

    Then nothing here has changed, and the next good one is taken.
    """
    opensips, user = mirroring.opensips, mirroring.user
    one, two = f"sip:{user}@192.0.2.1", f"sip:{user}@192.0.2.2"
    opensips.register(user, one)
    becomes(mirroring.known, {one})
    opensips.publish(user, published(user, two))
    if opensips.aggregate:
        # Two registrations of one address-of-record: they are one.
        becomes(mirroring.known, {one, two})
    else:
        eventually(lambda: "not well-formed" in mirroring.ours.log)
        assert mirroring.known() == {one}
    opensips.register(user, one)
    becomes(
        lambda: {b["uri"]: b["cseq"] for b in mirroring.ours.bindings(user)},
        {one: 2, two: 1} if opensips.aggregate else {one: 2},
    )


def test_it_has_forgotten_us_and_we_ask_again(mirroring: Pair) -> None:
    """Within the time that it grants: it says nothing when a subscription is gone."""
    opensips, user = mirroring.opensips, mirroring.user
    one, two = f"sip:{user}@192.0.2.1", f"sip:{user}@192.0.2.2"
    opensips.register(user, one)
    becomes(mirroring.known, {one})
    opensips.restart()
    assert mirroring.known() == {one}
    eventually(lambda: opensips.watchers() == len(USERS))
    opensips.register(user, two)
    becomes(mirroring.known, {two})
    assert opensips.watchers() == len(USERS)


def published(user: str, uri: str) -> bytes:
    """A document as Kamailio writes it, with no place for another version."""
    return (
        '<?xml version="1.0"?>\n'
        '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="full">'
        f'<registration aor="sip:{user}@{DOMAIN}" id="r" state="active">'
        '<contact id="c" state="active" event="registered" expires="500"'
        f' callid="p" cseq="1"><uri>{uri}</uri></contact></registration></reginfo>'
    ).encode()


def _body(path: Path) -> bytes:
    return path.read_bytes().partition(b"\r\n\r\n")[2]
