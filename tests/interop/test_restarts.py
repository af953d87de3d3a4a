"""Kamailio is restarted in the middle and has forgotten all: both agree again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .document import read
from .kamailio import Kamailio
from .phone import Phone, becomes, eventually
from .server import Server

pytestmark = pytest.mark.peers("kamailio")

ALICE = "sip:alice@example.test"

GRANT = 4  # seconds for which Kamailio grants subscriptions: we ask again half way
BOUND = GRANT + 3.0  # seconds until ours must have noticed that Kamailio forgot us


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test has started."""
    with ExitStack() as stack:
        yield stack


# -- Kamailio has subscribed to ours


def test_kamailio_that_forgot_us_knows_all_once_it_asks_again(
    tmp_path: Path, stack: ExitStack
) -> None:
    ours = stack.enter_context(Server(tmp_path / "a"))
    kamailio = Kamailio(tmp_path / "k", peer=ours.port, expiry_timer=60)
    stack.enter_context(kamailio)
    phone = stack.enter_context(Phone(ours.address))

    def contacts(*devices: int) -> set[str]:
        return {phone.contact("alice", device) for device in devices}

    def known() -> set[str]:
        return kamailio.contacts("alice")

    kamailio.subscribe("alice")
    phone.register("alice", expires=600)
    phone.register("alice", expires=600, device=1)
    becomes(known, contacts(0, 1))
    kamailio.stop()
    # What happens while it is away, it cannot be told; what has not, it has forgotten.
    phone.register("alice", expires=0)
    phone.register("alice", expires=600, device=2)
    kamailio.start()
    kamailio.subscribe("alice")
    becomes(known, contacts(1, 2))
    # And from there on, although its old subscription may live on here.
    phone.register("alice", expires=0, device=1)
    phone.register("alice", expires=600, device=3)
    becomes(known, contacts(2, 3))
    # Rows that have run out stay until its timer takes them away.
    rows = {
        (row.uri, row.call_id) for row in kamailio.location() if row.expires is not None
    }
    assert rows == {(b["uri"], b["callid"]) for b in ours.bindings("alice")}
    for device in (2, 3):
        phone.register("alice", expires=0, device=device)
    becomes(known, set())


def test_a_notify_that_kamailio_was_not_there_for_comes_again(
    tmp_path: Path, stack: ExitStack
) -> None:
    ours = stack.enter_context(Server(tmp_path / "a"))
    kamailio = Kamailio(tmp_path / "k", peer=ours.port, expiry_timer=60)
    stack.enter_context(kamailio)
    phone = stack.enter_context(Phone(ours.address))
    kamailio.subscribe("alice")
    phone.register("alice", expires=600)
    becomes(lambda: kamailio.contacts("alice"), {phone.contact("alice")})
    kamailio.stop()
    phone.register("alice", expires=600, device=1)
    kamailio.start()
    # Nobody asks again: the full state comes as soon as its port is open, and Kamailio
    # takes any NOTIFY.
    here = {phone.contact("alice"), phone.contact("alice", 1)}
    becomes(lambda: kamailio.contacts("alice"), here)


# -- ours has subscribed to Kamailio


def test_ours_asks_again_when_kamailio_has_forgotten_it(
    tmp_path: Path, stack: ExitStack
) -> None:
    kamailio = Kamailio(tmp_path / "k", publish=True, grant=GRANT)
    uri = f"sip:127.0.0.1:{kamailio.port}"
    peer = f'name = "kam"\nuri = "{uri}"\nwatch = ["{ALICE}"]'
    stack.enter_context(kamailio)
    ours = stack.enter_context(Server(tmp_path / "a", peers=[peer]))
    phone = stack.enter_context(Phone(kamailio.address))

    def known() -> set[str]:
        return ours.contacts("alice")

    phone.register("alice", expires=600)
    becomes(known, {phone.contact("alice")})
    kamailio.restart()
    # A restart of a peer ends no registration: the phone may come back to either.
    assert known() == {phone.contact("alice")}
    phone.register("alice", expires=600, device=1)
    here = {phone.contact("alice", 1)}
    becomes(known, here, within=BOUND)
    assert kamailio.contacts("alice") == here
    # It has a new subscription, one, and hears of the next change at once.
    assert kamailio.subscribers() == 1
    phone.register("alice", expires=600)
    becomes(known, here | {phone.contact("alice")}, within=2.0)
    for device in (0, 1):
        phone.register("alice", expires=0, device=device)
        # It must have been published before the next: see test_kamailio.py.
        becomes(known, {phone.contact("alice", 1)} if device == 0 else set())


def test_ours_waits_for_a_kamailio_that_is_not_there_yet(
    tmp_path: Path, stack: ExitStack
) -> None:
    kamailio = Kamailio(tmp_path / "k", publish=True, grant=GRANT)
    uri = f"sip:127.0.0.1:{kamailio.port}"
    peer = f'name = "kam"\nuri = "{uri}"\nwatch = ["{ALICE}"]'
    ours = stack.enter_context(Server(tmp_path / "a", peers=[peer]))
    stack.enter_context(kamailio)
    phone = stack.enter_context(Phone(kamailio.address))
    # Its SUBSCRIBE is sent again until somebody answers (RFC 3261 §17.1.2).
    eventually(lambda: kamailio.received("SUBSCRIBE"))
    phone.register("alice", expires=600)
    becomes(lambda: ours.contacts("alice"), {phone.contact("alice")})
    assert kamailio.subscribers() == 1


# -- ours publishes at Kamailio, where another of ours has subscribed


@pytest.mark.parametrize("how", ["registers", "refreshes"])
def test_what_ours_published_is_there_again_when_kamailio_has_forgotten_it(
    tmp_path: Path, stack: ExitStack, how: str
) -> None:
    """
    The watcher asks again half way, and the publisher hears 412.

    That is at the next change; if there is none, when the publication is refreshed.
    """
    kamailio = stack.enter_context(Kamailio(tmp_path / "k", grant=GRANT))
    uri = f"sip:127.0.0.1:{kamailio.port}"
    life = (GRANT, GRANT) if how == "refreshes" else (60, 600)
    ours = Server(tmp_path / "a", publish_to=[uri], publication=life)
    peer = f'name = "kam"\nuri = "{uri}"\nwatch = ["{ALICE}"]'
    mirror = Server(tmp_path / "m", name="m", peers=[peer], trace=True)
    stack.enter_context(ours)
    stack.enter_context(mirror)
    phone = stack.enter_context(Phone(ours.address))

    def known() -> set[str]:
        return mirror.contacts("alice")

    def at_kamailio() -> set[str]:
        """What a watcher is told there that comes now."""
        with Phone(kamailio.address) as late:
            assert late.subscribe("alice").status == 200
            body = late.notify().body
        return read(body).active if body else set()

    phone.register("alice", expires=600)
    contacts = {phone.contact("alice")}
    becomes(known, contacts)
    kamailio.restart()
    assert (known(), at_kamailio()) == (contacts, set())
    if how == "registers":
        phone.register("alice", expires=600, device=1)
        contacts.add(phone.contact("alice", 1))
    becomes(at_kamailio, contacts)
    becomes(known, contacts)

    # From there on it is as before: one subscription, and each change at once.
    def dialogs() -> int:
        return len({subscribe["call-id"] for subscribe in mirror.sent("SUBSCRIBE")})

    becomes(dialogs, 2, within=BOUND)
    phone.register("alice", expires=0)
    contacts.remove(phone.contact("alice"))
    becomes(known, contacts, within=2.0)
    becomes(at_kamailio, contacts)
