"""
Kamailio's ``pua_reginfo`` publishes at ours: its users are known here, and watched.

Between the two is a wire tap, which can refuse a PUBLISH in the place of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .document import Document, read
from .kamailio import Kamailio
from .phone import Address, Message, Phone, becomes, eventually, response
from .server import Server
from .tap import Exchange, Tap

pytestmark = pytest.mark.peers("kamailio")

USERS = [f"pub{number}" for number in range(12)]


class Refusing(Tap):
    """
    A tap that answers some of what comes by itself.

    Kamailio asks for no `rport`: without one, what it is answered would pass us by.
    """

    def __init__(self, server: Address) -> None:
        super().__init__(server)
        self._refusals: list[tuple[int, tuple[str, ...]]] = []
        self._refused: dict[str, bytes] = {}

    def refuse(self, status: int, *headers: str) -> None:
        """Answer the next request like this; the server never hears of it."""
        with self.lock:
            self._refusals.append((status, headers))

    def passed(self, data: bytes, source: Address) -> bytes | None:
        if source == self._server:
            return data
        message = Message.parse(data, source)
        if message.branch not in self._exchanges and self._refusals:
            status, headers = self._refusals.pop(0)
            answer = response(message, status, "Injected", headers)
            self._refused[message.branch] = answer
        if message.branch not in self._refused:
            via = f";branch={message.branch}".encode()
            return data.replace(via, via + b";rport", 1)
        answer = self._refused[message.branch]
        exchange = self._exchanges.setdefault(message.branch, Exchange(message))
        exchange.answers.append(Message.parse(answer, self.address))
        self.udp.sendto(answer, source)
        return None


@dataclass(frozen=True, slots=True)
class Composed:
    """Kamailio, where a phone registers, and ours, where Kamailio publishes."""

    ours: Server
    kamailio: Kamailio
    tap: Refusing
    phone: Phone
    watcher: Phone
    "At ours."

    user: str

    def register(self, *, expires: int = 600, device: int = 0) -> None:
        """Register at Kamailio, and wait until all that it publishes is answered."""
        before = len(self.publishes())
        self.phone.register(self.user, expires=expires, device=device)

        def settled() -> bool:
            now = self.publishes()
            return len(now) > before and all(one.answers for one in now)

        eventually(settled)

    def publishes(self) -> list[Exchange]:
        return [e for e in self.tap.exchanges() if f":{self.user}@" in e.request.start]

    def contacts(self, *devices: int) -> set[str]:
        return {self.phone.contact(self.user, device) for device in devices}

    def here(self) -> set[str]:
        """Where ours would reach the user."""
        return self.ours.contacts(self.user)

    def told(self) -> Document:
        """The next document that the watcher is told."""
        while not (body := self.watcher.notify().body):
            pass
        return read(body)


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Kamailio, Refusing, Iterator[str]]]:
    directory = tmp_path_factory.mktemp("composed")
    ours = Server(directory / "a")
    with Refusing(ours.address) as tap:
        address = f"127.0.0.1:{tap.port}"  # where what it passes on comes from
        ours.peers = (f'name = "kam"\nmatch = {{ address = "{address}" }}',)
        with (
            ours,
            Kamailio(directory / "k", peer=tap.port, publish=True) as kamailio,
        ):
            yield ours, kamailio, tap, iter(USERS)


@pytest.fixture
def composed(
    servers: tuple[Server, Kamailio, Refusing, Iterator[str]],
    phones: Callable[[Address], Phone],
) -> Composed:
    ours, kamailio, tap, users = servers
    user = next(users)
    watcher = phones(ours.address)
    assert watcher.subscribe(user).status == 200
    assert read(watcher.notify().body).state == "init"
    return Composed(ours, kamailio, tap, phones(kamailio.address), watcher, user)


def test_who_registers_at_kamailio_is_known_here(composed: Composed) -> None:
    """The row "Kamailio `pua_reginfo` PUBLISH -> our compositor"; 3903-40."""
    composed.register()
    becomes(composed.here, composed.contacts(0))
    told = composed.told()
    assert (told.state, told.active) == ("active", composed.contacts(0))
    (binding,) = composed.ours.bindings(composed.user)
    assert (binding["owner"], binding["source"]) == ("kam", "kam/PUBLISH")
    assert 580 < binding["expires"] <= 600  # the contact's, not the publication's
    assert [e.status for e in composed.publishes()] == [200] * len(composed.publishes())


def test_watchers_hear_exactly_the_difference(composed: Composed) -> None:
    """A second device, a refresh, and an end: one row each."""
    composed.register()
    composed.told()
    composed.register(device=1)
    second = composed.told()
    assert second.contacts.keys() == composed.contacts(1)
    composed.register(expires=0)
    third = composed.told()
    ((uri, gone),) = third.contacts.items()
    assert ({uri}, gone.state, gone.event) == (
        composed.contacts(0), "terminated", "unregistered",
    )  # fmt: skip
    becomes(composed.here, composed.contacts(1))
    composed.register(device=1, expires=0)
    assert composed.told().state == "terminated"
    becomes(composed.here, set())


def test_who_expires_at_kamailio_is_gone_here(composed: Composed) -> None:
    composed.register(expires=1)
    composed.told()
    becomes(composed.here, set())
    gone = composed.told()
    assert [one.state for one in gone.contacts.values()] == ["terminated"]


def test_412_makes_kamailio_publish_afresh(composed: Composed) -> None:
    """The issue: 412 injected; peers.md 2: at once a new initial PUBLISH."""
    composed.register()
    composed.told()
    composed.tap.refuse(412)
    composed.register(device=1)
    becomes(composed.here, composed.contacts(0, 1))
    statuses = [exchange.status for exchange in composed.publishes()]
    assert 412 in statuses
    assert composed.publishes()[-1].request.get("sip-if-match") is None
    # What was published under the forgotten tag does not keep its contacts alive.
    composed.register(expires=0)
    composed.register(device=1, expires=0)
    becomes(composed.here, set())


def test_423_leaves_all_as_it_was_until_kamailio_publishes_again(
    composed: Composed,
) -> None:
    """The issue: 423 injected. Kamailio gives up until the user's next change."""
    composed.register()
    composed.told()
    composed.tap.refuse(423, "Min-Expires: 7200")
    composed.register(device=1)
    assert composed.publishes()[-1].status == 423
    assert composed.here() == composed.contacts(0)
    composed.register(device=1)
    becomes(composed.here, composed.contacts(0, 1))


def test_a_publisher_that_nobody_has_configured_is_refused(
    composed: Composed, phones: Callable[[Address], Phone]
) -> None:
    """The issue: from configured publishers only."""
    composed.register()
    publish = composed.publishes()[0].request
    stranger = phones(composed.ours.address)
    aor = composed.phone.aor("nobody")
    answer = stranger.ask(
        stranger.request(
            "PUBLISH", aor, to=f"<{aor}>", call_id="stranger", cseq=1,
            headers=["Event: reg", "Expires: 600",
                     "Content-Type: application/reginfo+xml"],
            body=publish.body,
        )
    )  # fmt: skip
    assert answer.status == 403
    assert composed.ours.bindings("nobody") == []


def test_ours_is_killed_and_still_knows_the_entity_tag(composed: Composed) -> None:
    """ETags over a restart."""
    composed.register()
    becomes(composed.here, composed.contacts(0))
    composed.ours.kill()
    composed.ours.start()
    becomes(composed.here, composed.contacts(0))
    composed.register(device=1)
    becomes(composed.here, composed.contacts(0, 1))
    assert {exchange.status for exchange in composed.publishes()} == {200}


def test_kamailio_is_restarted_in_the_middle(composed: Composed) -> None:
    """It has forgotten its users and its tags: what it publishes anew holds."""
    composed.register()
    becomes(composed.here, composed.contacts(0))
    composed.kamailio.restart()
    assert composed.here() == composed.contacts(0)
    composed.register(device=1)
    becomes(composed.here, composed.contacts(0, 1))
    # What it had published before lists the first device still, for an hour; what it
    # says now of that device counts.
    composed.register()
    composed.register(expires=0)
    becomes(composed.here, composed.contacts(1))


def test_a_store_that_was_lost_is_filled_by_what_is_published(
    tmp_path: Path, phones: Callable[[Address], Phone]
) -> None:
    """A real 412: ours has lost all tags, and is told everything at the next change."""
    ours = Server(tmp_path / "a")
    with Kamailio(tmp_path / "k", peer=ours.port, publish=True) as kamailio:
        ours.peers = (
            f'name = "kam"\nmatch = {{ address = "127.0.0.1:{kamailio.port}" }}',
        )
        with ours:
            phone = phones(kamailio.address)
            phone.register("lost", expires=600)
            becomes(lambda: ours.contacts("lost"), {phone.contact("lost")})
            ours.kill()
            for file in ours.directory.glob("reginfo.db*"):
                file.unlink()
            ours.start()
            assert ours.contacts("lost") == set()
            phone.register("lost", expires=600, device=1)
            both = {phone.contact("lost"), phone.contact("lost", 1)}
            becomes(lambda: ours.contacts("lost"), both)


class Reluctant(Server):
    """One of ours that would have all last for longer than others ask for."""

    def configuration(self) -> str:
        least = f"min_expires = {self.min_expires}"
        usual = f"{least}\ndefault_expires = {self.min_expires}"
        return super().configuration().replace(least, usual)


def test_an_hour_is_never_too_brief(
    tmp_path: Path, phones: Callable[[Address], Phone]
) -> None:
    """
    3903-33: Kamailio always asks for 3601 s; to a 423 of ours it would fall silent.

    What is less than an hour, and too brief, is refused.
    """
    ours = Reluctant(tmp_path / "a", min_expires=3700)
    with Kamailio(tmp_path / "k", peer=ours.port, publish=True) as kamailio:
        place = phones(ours.address)
        ours.peers = tuple(
            f'name = "{name}"\nmatch = {{ address = "127.0.0.1:{port}" }}'
            for name, port in (("kam", kamailio.port), ("other", place.port))
        )
        with ours:
            phone = phones(kamailio.address)
            phone.register("brief", expires=600)
            becomes(lambda: ours.contacts("brief"), {phone.contact("brief")})
            aor = place.aor("brief")
            answer = place.ask(
                place.request(
                    "PUBLISH", aor, to=f"<{aor}>", call_id="brief", cseq=1,
                    headers=["Event: reg", "Expires: 3599"],
                )
            )  # fmt: skip
            assert (answer.status, answer["min-expires"]) == (423, "3700")


# -- what Kamailio does wrong, and its own watchers are told


def settled(composed: Composed, changes: int) -> list[Exchange]:
    """Wait until Kamailio has published so many changes, 412 by 412."""

    def check() -> bool:
        found = composed.publishes()
        again = [exchange for exchange in found if exchange.status == 412]
        return len(found) == changes + len(again) and all(e.answers for e in found)

    eventually(check)
    return composed.publishes()


def test_a_storm_at_kamailio_ends_with_the_last_cseq_here(composed: Composed) -> None:
    """
    3903-39: of PUBLISHes with one tag the first wins, and Kamailio sends all others
    anew: one after the other they bring old states, or publications of their own.
    """
    composed.register()
    (uri,) = composed.contacts(0)
    phone, last = composed.phone, 21
    for _ in range(last - 1):
        phone.send(phone.build_register(composed.user, expires=600))

    def cseqs() -> dict[str, int]:
        return {b["uri"]: b["cseq"] for b in composed.ours.bindings(composed.user)}

    becomes(cseqs, {uri: last})
    assert {e.status for e in settled(composed, last)} == {200, 412}
    assert cseqs() == {uri: last}
    seen = 0
    while seen != last:
        cseq = composed.told().contacts[uri].cseq
        assert cseq is not None and cseq > seen
        seen = cseq
    # And however many publications there are now, they bring nobody back.
    phone.register(composed.user, expires=0)
    assert composed.told().state == "terminated"
    settled(composed, last + 1)
    assert composed.here() == set()


def test_a_star_at_kamailio_leaves_no_ghost_here(composed: Composed) -> None:
    """To its own late watchers, one of the two is there for up to an hour more."""
    both = composed.contacts(0, 1)
    lines = [f"Contact: <{uri}>" for uri in both]
    composed.phone.register(composed.user, expires=600, contacts=lines)
    settled(composed, 2)
    assert composed.here() == both
    composed.phone.register(composed.user, expires=0, contacts=["Contact: *"])
    settled(composed, 4)
    told = composed.told()
    seen = dict(told.contacts)
    while told.state != "terminated":
        told = composed.told()
        seen |= told.contacts
    assert {uri: one.event for uri, one in seen.items()} == dict.fromkeys(
        both, "unregistered"
    )
    assert composed.here() == set()
