"""
What Kamailio's ``pua_reginfo`` publishes, at our compositor (RFC 3903 §6).

Phones register at Kamailio, who watches has subscribed at ours. Between the two is a
tap, which can refuse a PUBLISH in our place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .document import Told, read
from .kamailio import Kamailio
from .phone import Phone, becomes, eventually
from .server import Server
from .tap import Exchange, Tap

pytestmark = pytest.mark.peers("kamailio")

STORM = 20  # REGISTERs that overlap: Kamailio makes up to 210 PUBLISHes of them


class Reluctant(Server):
    """One of ours that wants all to be for longer than by default."""

    def configuration(self) -> str:
        least = f"min_expires = {self.min_expires}"
        usual = f"{least}\ndefault_expires = {self.min_expires}"
        return super().configuration().replace(least, usual)


@dataclass(frozen=True, slots=True)
class Publishing:
    """A Kamailio that publishes at ours, a phone there, a watcher here."""

    ours: Server
    kamailio: Kamailio
    tap: Tap
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

    def cseqs(self) -> dict[str, int]:
        """The CSeq that ours has of each contact."""
        return {b["uri"]: b["cseq"] for b in self.ours.bindings(self.user)}

    def watch(self) -> None:
        assert self.watcher.subscribe(self.user).status == 200
        assert read(self.watcher.notify().body).state == "init"

    def told(self) -> dict[str, Told]:
        """What the next NOTIFY tells of contacts."""
        return read(self.watcher.notify().body).contacts

    def late(self) -> set[str]:
        """Where somebody who subscribes only now is told that the user is."""
        with Phone(self.ours.address) as late:
            assert late.subscribe(self.user).status == 200
            return read(late.notify().body).active

    def publishes(self) -> list[Exchange]:
        """The PUBLISHes of the user so far."""
        aor = f"sip:{self.user}@"
        return [e for e in self.tap.exchanges() if aor in e.request.start]

    def answered(self, count: int) -> list[Exchange]:
        """Wait until so many PUBLISHes of the user have been answered."""

        def check() -> bool:
            found = self.publishes()
            return len(found) == count and all(e.answers for e in found)

        eventually(check)
        return self.publishes()

    def settled(self, changes: int) -> list[Exchange]:
        """Wait until Kamailio has published so many changes, 412 by 412."""

        def check() -> bool:
            found = self.publishes()
            again = [e for e in found if e.status == 412]
            return len(found) == changes + len(again) and all(e.answers for e in found)

        eventually(check)
        return self.publishes()

    def modified(self, count: int) -> list[Exchange]:
        """The same, where each but the first modifies what the one before has made."""
        found = self.answered(count)
        assert [e.status for e in found] == [200] * count
        assert tag(found[0]) is None
        for before, after in zip(found, found[1:], strict=False):
            assert tag(after) == etag(before)
        return found


def tag(exchange: Exchange) -> str | None:
    """The publication that a PUBLISH changes; None if it makes one."""
    return exchange.request.get("sip-if-match")


def etag(exchange: Exchange) -> str:
    return exchange.answers[-1]["sip-etag"]


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Kamailio, Tap, Iterator[str]]]:
    """What all tests share; each has a user of its own, and may restart ours."""
    directory = tmp_path_factory.mktemp("compositor")
    ours = Server(directory / "a")
    with ExitStack() as stack:
        tap = stack.enter_context(Tap(ours.address))
        address = f"127.0.0.1:{tap.port}"
        ours.peers = (f'name = "kam"\nmatch = {{ address = "{address}" }}',)
        stack.enter_context(ours)
        kamailio = Kamailio(directory / "k", peer=tap.port, publish=True)
        stack.enter_context(kamailio)
        yield ours, kamailio, tap, iter(f"user{number}" for number in range(20))


@pytest.fixture
def publishing(
    servers: tuple[Server, Kamailio, Tap, Iterator[str]],
) -> Iterator[Publishing]:
    ours, kamailio, tap, users = servers
    with Phone(kamailio.address) as phone, Phone(ours.address) as watcher:
        yield Publishing(ours, kamailio, tap, phone, watcher, next(users))


def test_who_registers_at_kamailio_is_known_here(publishing: Publishing) -> None:
    """3903-34, 3903-41"""
    publishing.watch()
    publishing.register(expires=600)
    (contact,) = publishing.contacts(0)
    told = publishing.told()
    assert set(told) == {contact}
    # Kamailio says that it has created what has registered.
    assert (told[contact].state, told[contact].event) == ("active", "created")

    (binding,) = publishing.ours.bindings(publishing.user)
    (row,) = [r for r in publishing.kamailio.location() if r.uri == contact]
    assert (binding["callid"], binding["cseq"]) == (row.call_id, row.cseq)
    assert (told[contact].call_id, told[contact].cseq) == (row.call_id, row.cseq)
    assert 595 <= binding["expires"] <= 600
    assert (binding["owner"], binding["source"]) == ("kam", "kam/PUBLISH")
    (publish,) = publishing.modified(1)
    # RFC 3903 §6 step 5: never more than was asked for.
    assert 0 < int(publish.answers[-1]["expires"]) <= int(publish.request["expires"])


def test_a_refresh_at_kamailio_is_known_here(publishing: Publishing) -> None:
    publishing.watch()
    publishing.register(expires=600)
    publishing.told()
    publishing.modified(1)
    publishing.register(expires=900)
    (told,) = publishing.told().values()
    assert (told.event, told.cseq) == ("refreshed", 2)
    (binding,) = publishing.ours.bindings(publishing.user)
    assert binding["cseq"] == 2
    assert binding["expires"] > 600
    publishing.modified(2)


def test_of_two_contacts_at_kamailio_one_goes_and_then_the_other(
    publishing: Publishing,
) -> None:
    """Watchers here hear the difference, and no more."""
    publishing.watch()
    (first,), (second,) = publishing.contacts(0), publishing.contacts(1)
    publishing.register(expires=600)
    assert set(publishing.told()) == {first}
    publishing.modified(1)
    publishing.register(expires=600, device=1)
    told = publishing.told()
    assert (told[second].state, told[second].event) == ("active", "created")
    assert publishing.known() == {first, second}
    publishing.modified(2)

    publishing.register(expires=0)
    told = publishing.told()
    assert set(told) == {first}
    assert (told[first].state, told[first].event) == ("terminated", "unregistered")
    assert publishing.known() == {second}
    publishing.modified(3)

    publishing.register(expires=0, device=1)
    document = read(publishing.watcher.notify().body)
    assert document.state == "terminated"
    assert document.contacts[second].event == "unregistered"
    assert publishing.known() == set()
    # What Kamailio leaves published there is a document of what has gone.
    publishing.modified(4)
    assert publishing.late() == set()


def test_who_expires_at_kamailio_is_gone_here(publishing: Publishing) -> None:
    """3903-36"""
    publishing.watch()
    publishing.register(expires=600)
    publishing.told()
    publishing.modified(1)
    publishing.register(expires=2, device=1)
    (goes,) = publishing.contacts(1)
    assert goes in publishing.told()
    # Kamailio publishes no more of it than that it is not there.
    told = publishing.told()
    assert (told[goes].state, told[goes].event) == ("terminated", "expired")
    becomes(publishing.known, publishing.contacts(0))


def test_a_publisher_that_is_not_configured_is_refused(publishing: Publishing) -> None:
    """3903-37: and nobody is registered by it."""
    publishing.register(expires=600)
    (publish,) = publishing.answered(1)
    stranger = publishing.watcher
    reply = stranger.ask(
        stranger.request(
            "PUBLISH",
            stranger.aor("mallory"),
            to=f"<{stranger.aor('mallory')}>",
            call_id="mallory",
            cseq=10,
            headers=[
                "Event: reg",
                "Expires: 3601",
                "Content-Type: application/reginfo+xml",
            ],
            body=publish.request.body.replace(
                publishing.user.encode() + b"@example.test", b"mallory@example.test"
            ),
        )
    )
    assert reply.status == 403
    assert publishing.ours.contacts("mallory") == set()


# -- refusals, in our place and by us


def test_412_makes_kamailio_publish_anew_and_all_is_known(
    publishing: Publishing,
) -> None:
    """3903-31: what it has published before does not come back, and none is doubled."""
    publishing.watch()
    publishing.register(expires=600)
    publishing.told()
    publishing.modified(1)
    publishing.tap.refuse(412)
    publishing.register(expires=600, device=1)
    first, dead, fresh = publishing.answered(3)
    assert (dead.status, fresh.status) == (412, 200)
    assert (tag(dead), tag(fresh)) == (etag(first), None)
    assert dead.request.body == fresh.request.body
    (second,) = publishing.contacts(1)
    assert publishing.told()[second].event == "created"
    assert publishing.known() == publishing.contacts(0, 1)

    # Of the two publications that there are now, the older has the first contact, too;
    # yet when it goes at Kamailio, it is gone.
    publishing.register(expires=0)
    (gone,) = publishing.contacts(0)
    told = publishing.told()
    assert (told[gone].state, told[gone].event) == ("terminated", "unregistered")
    assert publishing.known() == {second}
    assert publishing.late() == {second}
    *_, last = publishing.answered(4)
    assert (tag(last), last.status) == (etag(fresh), 200)
    publishing.register(expires=0, device=1)
    becomes(publishing.known, set())


def test_ours_that_has_lost_its_database_is_told_all_by_the_next_publish(
    publishing: Publishing,
) -> None:
    """The 412 is ours."""
    publishing.register(expires=600)
    publishing.modified(1)
    assert publishing.ours.terminate() == 0
    for file in publishing.ours.directory.glob("reginfo.db*"):
        file.unlink()
    publishing.ours.start()
    assert publishing.known() == set()
    publishing.register(expires=600, device=1)
    first, dead, fresh = publishing.answered(3)
    assert (dead.status, fresh.status) == (412, 200)
    assert (tag(dead), tag(fresh)) == (etag(first), None)
    becomes(publishing.known, publishing.contacts(0, 1))
    publishing.register(expires=0)
    becomes(publishing.known, publishing.contacts(1))


def test_after_a_crash_of_ours_kamailios_tags_are_known(publishing: Publishing) -> None:
    publishing.register(expires=600)
    publishing.modified(1)
    publishing.ours.kill()
    publishing.ours.start()
    assert publishing.known() == publishing.contacts(0)
    publishing.register(expires=600, device=1)
    publishing.modified(2)
    assert publishing.known() == publishing.contacts(0, 1)


def test_423_makes_kamailio_forget_and_its_next_publish_puts_it_right(
    publishing: Publishing,
) -> None:
    """
    It does not ask for longer: what it wanted to say is lost, as is its entity-tag.

    Ours believes what it was told before, and has all once Kamailio has news.
    """
    publishing.watch()
    publishing.register(expires=600)
    publishing.told()
    publishing.modified(1)
    publishing.tap.refuse(423, "Min-Expires: 7200")
    publishing.register(expires=600)
    # Behind what it might have sent at once; that would be here by now.
    with Phone(publishing.kamailio.address) as other:
        after = f"after-{publishing.user}"
        other.register(after, expires=600)
        becomes(lambda: publishing.ours.contacts(after), {other.contact(after)})
    (contact,), (second,) = publishing.contacts(0), publishing.contacts(1)
    first, refused = publishing.publishes()
    assert (tag(refused), refused.status) == (etag(first), 423)
    assert publishing.cseqs() == {contact: 1}

    publishing.register(expires=600, device=1)
    *_, fresh = publishing.answered(3)
    assert (tag(fresh), fresh.status) == (None, 200)
    assert publishing.cseqs() == {contact: 2, second: 1}
    assert set(publishing.told()) == {contact, second}
    # The publication that Kamailio forgot brings nothing back.
    publishing.register(expires=0)
    assert publishing.told()[contact].event == "unregistered"
    assert publishing.late() == {second}
    publishing.register(expires=0, device=1)
    becomes(publishing.known, set())
    assert publishing.late() == set()


def test_a_time_that_is_too_brief_to_us_is_not_refused_if_it_is_an_hour(
    tmp_path: Path,
) -> None:
    """3903-33: a 423 would silence Kamailio, which never asks for more than this."""
    with ExitStack() as stack:
        ours = Reluctant(tmp_path / "a", min_expires=3700)
        kamailio = Kamailio(tmp_path / "k", peer=ours.port, publish=True)
        address = f"127.0.0.1:{kamailio.port}"
        ours.peers = (f'name = "kam"\nmatch = {{ address = "{address}" }}',)
        stack.enter_context(ours)
        stack.enter_context(kamailio)
        phone = stack.enter_context(Phone(kamailio.address))
        phone.register("ann", expires=600)
        becomes(lambda: ours.contacts("ann"), {phone.contact("ann")})


# -- what Kamailio does wrong, and its watchers are told


def test_a_storm_at_kamailio_ends_with_the_last_cseq_here(
    publishing: Publishing,
) -> None:
    """3903-39: PUBLISHes overtake each other, 412 by 412; a contact has a CSeq."""
    publishing.register(expires=600)
    publishing.modified(1)
    requests = [
        publishing.phone.build_register(publishing.user, expires=600)
        for _ in range(STORM)
    ]
    for request in requests:
        publishing.phone.send(request)
    (contact,) = publishing.contacts(0)
    becomes(publishing.cseqs, {contact: STORM + 1})
    publishes = publishing.settled(STORM + 1)
    assert {e.status for e in publishes} == {200, 412}
    assert publishing.cseqs() == {contact: STORM + 1}
    with Phone(publishing.ours.address) as late:
        assert late.subscribe(publishing.user).status == 200
        (told,) = read(late.notify().body).contacts.values()
    assert (told.state, told.cseq) == ("active", STORM + 1)
    # And many publications that there may be now bring nobody back.
    publishing.register(expires=0)
    becomes(publishing.known, set())
    publishing.settled(STORM + 2)
    assert publishing.late() == set()


def test_a_star_at_kamailio_leaves_no_ghost_here(publishing: Publishing) -> None:
    """Its own late watchers are told that one of the two is there for an hour more."""
    both = publishing.contacts(0, 1)
    publishing.watch()
    phone, user = publishing.phone, publishing.user
    phone.register(user, expires=600, contacts=[f"Contact: <{c}>" for c in both])
    becomes(publishing.known, both)
    publishing.settled(2)
    phone.register(user, expires=0, contacts=["Contact: *"])
    publishing.settled(4)
    told: dict[str, Told] = {}
    while read((notify := publishing.watcher.notify()).body).state != "terminated":
        told |= read(notify.body).contacts
    told |= read(notify.body).contacts
    assert {t.event for t in told.values()} == {"unregistered"}
    assert set(told) == both
    assert publishing.known() == set()
    assert publishing.late() == set()
