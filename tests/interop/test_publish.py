"""
Our PUBLISH at a real presence server, Kamailio's, and what watchers there are told.

One watcher is a plain phone, the other one of our own servers that has subscribed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from .document import Document, read
from .kamailio import Kamailio
from .phone import Message, Phone, becomes, eventually
from .server import Server
from .tap import Exchange, Tap

pytestmark = pytest.mark.peers("kamailio")

USERS = ("ann", "ben", "cid", "dot", "eve", "fay", "gil", "hal", "ida", "joe")


@dataclass(frozen=True, slots=True)
class Published:
    """Ours, where users register, and Kamailio, where they are published."""

    ours: Server
    kamailio: Kamailio
    tap: Tap
    phone: Phone
    watcher: Phone = field(init=False)
    "At Kamailio."

    def __post_init__(self) -> None:
        object.__setattr__(self, "watcher", Phone(self.kamailio.address))

    def exchanges(self, user: str) -> list[Exchange]:
        """The PUBLISHes of ``user`` so far."""
        return [e for e in self.tap.exchanges() if f"sip:{user}@" in e.request.start]

    def answered(self, user: str, count: int) -> list[Exchange]:
        """Wait until so many PUBLISHes of ``user`` have been answered."""

        def check() -> list[Exchange] | None:
            exchanges = self.exchanges(user)
            assert len(exchanges) == count, [described(e) for e in exchanges]
            return exchanges if all(e.answers for e in exchanges) else None

        found = eventually(check)
        assert found is not None
        return found

    def watch(self, user: str) -> None:
        """Have the watcher watch somebody, of whom nothing is published yet."""
        assert self.watcher.subscribe(user).status == 200
        assert self.watcher.notify().body == b""

    def told(self) -> Document:
        """The next document that the watcher is told."""
        while not (body := self.watcher.notify().body):
            pass
        return read(body)


def described(exchange: Exchange) -> tuple[str | None, str | None, bool, int | None]:
    """What a PUBLISH was: its tag, Expires, whether it had a body, and its answer."""
    request = exchange.request
    return (
        request.get("sip-if-match"),
        request.get("expires"),
        bool(request.body),
        exchange.status,
    )


def etag(exchange: Exchange) -> str:
    return exchange.answers[-1]["sip-etag"]


def kinds(exchanges: list[Exchange]) -> list[str]:
    """What each PUBLISH was for (RFC 3903 §4.1, table 1)."""
    return [_kind(exchange.request) for exchange in exchanges]


def _kind(request: Message) -> str:
    if "sip-if-match" not in request:
        assert request.body
        return "initial"
    if request["expires"] == "0":
        assert not request.body
        return "remove"
    return "modify" if request.body else "refresh"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test has started."""
    with ExitStack() as stack:
        yield stack


def start(
    stack: ExitStack, directory: Path, *, publication: tuple[int, int] = (60, 86_400)
) -> Published:
    kamailio = stack.enter_context(Kamailio(directory / "k"))
    tap = stack.enter_context(Tap(kamailio.address))
    ours = Server(directory / "a", publish_to=[tap.uri], publication=publication)
    stack.enter_context(ours)
    return meet(stack, ours, kamailio, tap)


def meet(stack: ExitStack, ours: Server, kamailio: Kamailio, tap: Tap) -> Published:
    """A phone and a watcher of its own for who shares the servers."""
    phone = stack.enter_context(Phone(ours.address))
    published = Published(ours, kamailio, tap, phone)
    stack.enter_context(published.watcher)
    return published


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """What tests may restart, and leave running; each has a user of its own."""
    with ExitStack() as stack:
        yield start(stack, tmp_path_factory.mktemp("restarted"))


@pytest.fixture
def alone(restarted: Published, stack: ExitStack) -> Published:
    restarted.tap.forget()
    return meet(stack, restarted.ours, restarted.kamailio, restarted.tap)


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Published, Server]]:
    """What all tests share that need a user of their own only; and who watches."""
    directory = tmp_path_factory.mktemp("publish")
    with ExitStack() as stack:
        published = start(stack, directory)
        watch = ", ".join(f'"sip:{user}@example.test"' for user in USERS)
        uri = f"sip:127.0.0.1:{published.kamailio.port}"
        peer = f'name = "kam"\nuri = "{uri}"\nwatch = [{watch}]'
        mirror = stack.enter_context(Server(directory / "m", name="m", peers=[peer]))
        yield published, mirror


@pytest.fixture
def published(both: tuple[Published, Server]) -> Published:
    return both[0]


@pytest.fixture
def mirror(both: tuple[Published, Server]) -> Server:
    """One of our servers that has subscribed at Kamailio to each user."""
    return both[1]


def test_a_registration_is_published(published: Published, mirror: Server) -> None:
    """3680-38: with Event reg, to a presence server of another make."""
    published.watch("ann")
    published.phone.register("ann", expires=600)
    here = published.phone.contact("ann")

    document = published.told()
    assert (document.aor, document.state) == ("sip:ann@example.test", "active")
    assert document.active == {here}
    (binding,) = published.ours.bindings("ann")
    told = document.contacts[here]
    assert (told.event, told.call_id, told.cseq) == ("registered", binding["callid"], 1)
    assert told.expires is not None
    assert 595 <= told.expires <= 600

    (exchange,) = published.answered("ann", 1)
    request = exchange.request
    assert request.start == "PUBLISH sip:ann@example.test SIP/2.0"
    assert request["to"] == "<sip:ann@example.test>"
    assert request["from"].startswith("<sip:ann@example.test>;tag=")
    assert request["event"] == "reg"
    assert request["content-type"] == "application/reginfo+xml"
    assert request["expires"] == "600"
    assert "contact" not in request
    assert (exchange.copies, exchange.status) == (1, 200)

    becomes(lambda: mirror.contacts("ann"), {here})
    (there,) = mirror.bindings("ann")
    assert (there["callid"], there["cseq"]) == (binding["callid"], binding["cseq"])


def test_a_refresh_is_published(published: Published, mirror: Server) -> None:
    published.watch("ben")
    published.phone.register("ben", expires=600)
    published.told()
    (first,) = published.answered("ben", 1)
    published.phone.register("ben", expires=900)

    document = published.told()
    (told,) = document.contacts.values()
    assert (told.event, told.cseq) == ("refreshed", 2)
    assert told.expires is not None
    assert told.expires > 600
    becomes(lambda: [b["cseq"] for b in mirror.bindings("ben")], [2])

    _, second = published.answered("ben", 2)
    assert second.request["sip-if-match"] == etag(first)
    assert second.request["expires"] == "900"
    assert second.request["call-id"] == first.request["call-id"]


def test_a_second_contact_is_published_with_the_first(
    published: Published, mirror: Server
) -> None:
    published.watch("cid")
    published.phone.register("cid", expires=600)
    published.told()
    published.answered("cid", 1)
    published.phone.register("cid", expires=300, device=1)
    contacts = {published.phone.contact("cid", device) for device in (0, 1)}
    assert published.told().active == contacts
    becomes(lambda: mirror.contacts("cid"), contacts)
    # For as long as the longest of them lasts.
    assert int(published.answered("cid", 2)[1].request["expires"]) > 590


def test_one_of_two_that_is_gone_is_published_as_gone(
    published: Published, mirror: Server
) -> None:
    published.watch("dot")
    for device in (0, 1):
        published.phone.register("dot", expires=600, device=device)
        published.told()
        published.answered("dot", device + 1)
    published.phone.register("dot", expires=0, device=0)

    gone, left = (published.phone.contact("dot", device) for device in (0, 1))
    document = published.told()
    assert (document.state, document.active) == ("active", {left})
    told = document.contacts[gone]
    assert (told.state, told.event, told.expires) == ("terminated", "unregistered", 0)
    becomes(lambda: mirror.contacts("dot"), {left})
    assert kinds(published.answered("dot", 3)) == ["initial", "modify", "modify"]


def test_the_last_is_published_as_gone_and_then_removed(
    published: Published, mirror: Server
) -> None:
    published.watch("eve")
    published.phone.register("eve", expires=600)
    assert published.told().state == "active"
    here = published.phone.contact("eve")
    becomes(lambda: mirror.contacts("eve"), {here})
    published.answered("eve", 1)
    published.phone.register("eve", expires=0)

    document = published.told()
    assert (document.state, document.active) == ("terminated", set())
    assert document.contacts[here].event == "unregistered"
    becomes(lambda: mirror.contacts("eve"), set())

    exchanges = published.answered("eve", 3)
    assert kinds(exchanges) == ["initial", "modify", "remove"]
    assert [e.status for e in exchanges] == [200, 200, 200]
    # RFC 3903 §4.5: what has a body asks for time.
    assert int(exchanges[1].request["expires"]) >= 60
    # Nothing is left there for who comes later.
    with Phone(published.kamailio.address) as late:
        assert late.subscribe("eve").status == 200
        assert late.notify().body == b""


def test_who_has_expired_is_published_as_expired(
    published: Published, mirror: Server
) -> None:
    published.watch("fay")
    published.phone.register("fay", expires=600)
    published.told()
    published.answered("fay", 1)
    published.phone.register("fay", expires=1, device=1)
    published.told()
    stays, goes = (published.phone.contact("fay", device) for device in (0, 1))

    document = published.told()
    assert document.active == {stays}
    assert (document.contacts[goes].state, document.contacts[goes].event) == (
        "terminated", "expired",
    )  # fmt: skip
    becomes(lambda: mirror.contacts("fay"), {stays})


def test_when_the_last_has_expired_the_publication_is_removed(
    published: Published, mirror: Server
) -> None:
    published.watch("gil")
    published.phone.register("gil", expires=1)
    assert published.told().state == "active"
    document = published.told()
    assert document.state == "terminated"
    (told,) = document.contacts.values()
    assert told.event == "expired"
    becomes(lambda: mirror.contacts("gil"), set())
    assert kinds(published.answered("gil", 3)) == ["initial", "modify", "remove"]


def test_who_is_back_within_the_second_is_not_removed(
    published: Published, mirror: Server
) -> None:
    published.watch("hal")
    for expires in (600, 0, 600):
        published.phone.register("hal", expires=expires)
        assert published.told().state == ("active" if expires else "terminated")
    # Somebody who goes later, and stays away, is removed later than he would be.
    published.phone.register("ida", expires=600)
    published.answered("ida", 1)
    published.phone.register("ida", expires=0)
    eventually(lambda: kinds(published.exchanges("ida"))[2:] == ["remove"])

    exchanges = published.answered("hal", 3)
    assert kinds(exchanges) == ["initial", "modify", "modify"]
    assert [e.status for e in exchanges] == [200, 200, 200]
    becomes(lambda: mirror.contacts("hal"), {published.phone.contact("hal")})


def test_who_watches_later_is_told_the_present(published: Published) -> None:
    published.phone.register("joe", expires=600)
    published.answered("joe", 1)
    published.phone.register("joe", expires=600, device=1)
    published.answered("joe", 2)
    published.phone.register("joe", expires=0)
    published.answered("joe", 3)
    assert published.watcher.subscribe("joe").status == 200
    assert published.told().active == {published.phone.contact("joe", 1)}


# -- restarts, theirs and ours


def test_a_presence_server_that_has_forgotten_us_gets_one_fresh_publish(
    alone: Published,
) -> None:
    """3903-06"""
    alone.phone.register("kay", expires=600)
    (first,) = alone.answered("kay", 1)
    alone.kamailio.restart()
    alone.watch("kay")
    alone.tap.forget()
    alone.phone.register("kay", expires=600, device=1)

    contacts = {alone.phone.contact("kay", device) for device in (0, 1)}
    assert alone.told().active == contacts
    dead, fresh = alone.answered("kay", 2)
    assert (dead.status, fresh.status) == (412, 200)
    assert dead.request["sip-if-match"] == etag(first)
    assert "sip-if-match" not in fresh.request
    # And on from there, with the new tag: nothing else has been sent meanwhile.
    alone.phone.register("kay", expires=600)
    *_, last = alone.answered("kay", 3)
    assert (last.request["sip-if-match"], last.status) == (etag(fresh), 200)
    assert alone.told().active == contacts


def test_a_presence_server_that_was_away_is_told_when_it_is_back(
    alone: Published,
) -> None:
    alone.phone.register("leo", expires=600)
    alone.answered("leo", 1)
    alone.kamailio.stop()
    alone.tap.forget()
    alone.phone.register("leo", expires=600, device=1)
    alone.phone.register("leo", expires=0)
    eventually(lambda: alone.exchanges("leo"))
    alone.kamailio.start()
    assert alone.watcher.subscribe("leo").status == 200
    here = alone.phone.contact("leo", 1)
    while alone.told().active != {here}:
        pass
    # What waited while nobody answered is told in one.
    exchanges = alone.exchanges("leo")
    assert len(exchanges) <= 3, [described(e) for e in exchanges]


def test_after_a_crash_its_publications_continue(alone: Published) -> None:
    """3903-12"""
    alone.watch("moe")
    alone.phone.register("moe", expires=600)
    alone.told()
    (first,) = alone.answered("moe", 1)
    alone.tap.forget()
    # Behind the answer to the PUBLISH: once this is answered, ours has that.
    alone.phone.register("qua", expires=600)
    alone.answered("qua", 1)
    alone.ours.kill()
    alone.ours.start()

    # Once, in case that something has happened meanwhile.
    (again,) = alone.answered("moe", 1)
    assert again.request["sip-if-match"] == etag(first)
    assert again.status == 200
    assert again.request["call-id"] == first.request["call-id"]
    assert _cseq(again) > _cseq(first)
    assert alone.told().active == {alone.phone.contact("moe")}
    # Then only what is new.
    alone.phone.register("moe", expires=600)
    *_, last = alone.answered("moe", 2)
    assert last.request["sip-if-match"] == etag(again)
    assert last.status == 200


def test_what_expired_while_ours_was_down_is_published_as_expired(
    alone: Published,
) -> None:
    alone.watch("ned")
    alone.phone.register("ned", expires=1)
    assert alone.told().state == "active"
    alone.answered("ned", 1)
    alone.ours.kill()
    alone.ours.start()
    document = alone.told()
    while document.state == "active":  # it may have come back before the end
        document = alone.told()
    assert document.contacts[alone.phone.contact("ned")].event == "expired"


def test_a_publication_is_refreshed_before_it_ends(
    tmp_path: Path, stack: ExitStack
) -> None:
    """
    3903-05

    With its document: to a refresh without one Kamailio says 200, and has nothing any
    more for who comes later, if it keeps publications in memory.
    """
    published = start(stack, tmp_path, publication=(3, 3))
    published.watch("ann")
    published.phone.register("ann", expires=600)
    here = published.phone.contact("ann")
    assert published.told().active == {here}
    eventually(lambda: len(published.exchanges("ann")) >= 3)
    exchanges = published.exchanges("ann")
    assert kinds(exchanges) == ["initial", "modify", "modify"]
    assert [e.request["expires"] for e in exchanges] == ["3", "3", "3"]
    first, second, third = exchanges
    assert second.request["sip-if-match"] == etag(first)
    assert third.request["sip-if-match"] == etag(second)
    # It stands longer than any of them: who comes now is told.
    with Phone(published.kamailio.address) as late:
        assert late.subscribe("ann").status == 200
        assert read(late.notify().body).active == {here}


def _cseq(exchange: Exchange) -> int:
    return int(exchange.request["cseq"].split()[0])
