"""Documents are written so that each kind of watcher understands them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reginfo.location.binding import Binding
from reginfo.location.place import Aor
from reginfo.reg import xml
from reginfo.reg.document import contact_id, registration_id
from reginfo.reg.legacy import Profile
from reginfo.roles.pieces import AROUND, AROUND_REGISTRATION, Written
from reginfo.roles.watch import Owed, Parted
from reginfo.roles.watcher import Watcher

from ..make import (
    ALICE,
    BOB,
    NOW,
    binding,
)
from .watched import (
    DESK,
    DOMAIN,
    EAGER,
    NUMBER,
    OLD,
    PEER_B,
    Server,
    contacts,
    golden,
    registration,
    state,
    watching,
)

# Legacy peers.


def test_a_legacy_peer_is_told_all_at_once_if_that_fits() -> None:
    server = Server(OLD)
    server.bind(binding(), binding(contact=DESK))
    server.subscribe()
    (document,) = server.documents()
    assert (document.full, len(contacts(document))) == (True, 2)
    server.answer()
    server.bind(binding(2), binding(2, contact=DESK))
    (document,) = server.documents()
    assert (document.full, len(contacts(document))) == (False, 2)


def test_a_legacy_peer_is_told_nothing_of_an_empty_registration() -> None:
    """
    A legacy peer gets no document, and no version, for an empty registration (6665-09).
    """
    # peers.md 4: `init` is an error to it.
    server = Server(OLD)
    server.subscribe()
    (notify,) = server.notifies()
    assert notify.body == b""
    assert "Content-Type" not in notify.headers
    server.answer()
    server.bind(binding())
    (document,) = server.documents()
    assert document.version == 0  # 6665-09: no document, no version


@pytest.mark.parametrize(("aor", "told"), [(NUMBER, True), (DOMAIN, False)])
def test_a_legacy_peer_is_told_nothing_of_a_name_without_a_user(
    aor: str, told: bool
) -> None:
    # peers.md 6: it ends OpenSIPS. A number is as good as a user.
    server = Server(OLD)
    server.bind(binding(), aor=aor)
    server.subscribe(aor=aor)
    (notify,) = server.notifies()
    assert (f'aor="{aor}"'.encode() in notify.body, bool(notify.body)) == (told, told)


def test_a_peer_that_is_treated_as_legacy_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()
    agent = "User-Agent: kamailio (5.6.3 (x86_64/linux))"
    server.subscribe(600, agent)
    assert caplog.text == ""  # not before it is on disk
    server.journal.close().announce()
    assert caplog.text.count("kamailio (5.6.3") == 1
    server.subscribe(600, agent, call_id="second")
    server.journal.close().announce()
    assert caplog.text.count("kamailio (5.6.3") == 1
    server.subscribe(600, agent, call_id="third", remote=("192.0.2.77", 5060))
    server.journal.close().announce()
    assert "192.0.2.77" in caplog.text


@pytest.mark.parametrize(
    "agent", ["User-Agent: kamailio (5.6.3 (x86_64/linux))", "Server: OpenSIPS (4.1)"]
)
def test_a_legacy_peer_is_recognised(agent: str) -> None:
    server = Server(Watcher())
    server.subscribe(600, agent)
    assert [n.body for n in server.notifies()] == [b""]
    server = Server(Watcher(profile=Profile.STANDARD))
    server.subscribe(600, agent)
    assert len(server.documents()) == 1


@pytest.mark.parametrize(
    ("event", "written"),
    [
        ("expired", "expired"),
        ("unregistered", "unregistered"),
        ("deactivated", "unregistered"),
        ("probation", "unregistered"),
        ("rejected", "unregistered"),
        ("shortened", "refreshed"),
    ],
)
def test_a_legacy_peer_hears_the_events_that_it_knows(event: str, written: str) -> None:
    more: dict[str, Any] = {"params": (("+x", "y"),), "path": ("<sip:p;lr>",)}
    server = watching(OLD, binding(1, **more))
    server.bind(binding(2, event, **more))
    (notify,) = server.notifies()
    assert b"claim" not in notify.body and b"unknown-param" not in notify.body
    document = xml.parse(notify.body)
    (contact,) = contacts(document)
    gone = written != "refreshed"
    assert (contact.event, contact.expires) == (written, 0 if gone else 600)
    assert registration(document).state == ("terminated" if gone else "active")
    assert (contact.callid, contact.cseq) == ("a", 2)
    assert contact.path == ("<sip:p;lr>",)


def test_what_does_not_fit_into_a_datagram_follows_in_another() -> None:
    server = Server(OLD)
    claims = [
        binding(contact=f"sip:alice@192.0.2.{n};with={'x' * 50}") for n in range(12)
    ]
    server.bind(*claims)
    server.subscribe()
    bodies: list[bytes] = []
    while server.unanswered:
        (notify,) = server.notifies()
        bodies.append(notify.body)
        server.answer()
    assert len(bodies) > 2
    assert all(len(body) <= 1300 for body in bodies)
    documents = [xml.parse(body) for body in bodies]
    assert [d.version for d in documents] == list(range(len(bodies)))
    # No part may say that what is in another one is gone.
    assert not any(d.full for d in documents)
    uris = [c.uri for d in documents for c in contacts(d)]
    assert uris == [claim.contact for claim in claims]


def long_contacts() -> list[Binding]:
    return [binding(contact=f"sip:alice@192.0.2.{n};x={'y' * 50}") for n in range(12)]


def test_a_fetch_by_a_legacy_peer_ends_with_the_last_datagram() -> None:
    """3680-111: `terminated` in the first one would cut off the others."""
    server = Server(OLD)
    server.bind(*long_contacts())
    server.subscribe(0)
    states = []
    while server.unanswered:
        states += [state(notify) for notify in server.notifies()]
        server.answer()
    assert len(states) > 2
    assert states == ["active;expires=0"] * (len(states) - 1) + [
        "terminated;reason=timeout"
    ]


def test_contacts_that_end_while_they_wait_for_a_datagram_are_told_as_gone() -> None:
    server = Server(OLD)
    server.bind(*long_contacts())
    server.subscribe()
    server.notifies()
    for contact in long_contacts():
        server.bind(binding(2, "unregistered", contact=contact.contact))
    told: dict[str, str] = {}
    while server.unanswered:
        server.answer()
        told |= dict(server.told())
    assert told == {one.contact: "unregistered" for one in long_contacts()}
    (watch,) = server.notifier.watches()
    assert not watch.waits


def test_a_contact_that_is_too_long_for_a_datagram_is_sent_all_the_same() -> None:
    server = watching(OLD)
    server.bind(binding(contact=f"sip:{'a' * 1500}@192.0.2.1"))
    assert len(server.documents()) == 1


# What goes on the wire.


def test_the_first_notify_is_as_in_the_golden_file() -> None:
    server = Server()
    server.bind(binding(1, registered_at=NOW - 60))
    server.bind(binding(
        2, "refreshed", q="0.8", display_name="Alice & Co",
        params=(("+sip.instance", '"<urn:uuid:1>"'), ("ob", None)),
        registered_at=NOW - 60,
    ))  # fmt: skip
    server.subscribe(600, event="reg;id=1")
    golden("notify-full.sip", server.sent[0][0])


def test_a_partial_notify_is_as_in_the_golden_file() -> None:
    server = watching(EAGER, binding())
    server.bind(binding(2, "unregistered"))
    golden("notify-partial.sip", server.sent[0][0])


def test_the_final_notify_is_as_in_the_golden_file() -> None:
    server = watching()
    server.subscribe(0, tag="tag1", cseq=2)
    golden("notify-final.sip", server.sent[0][0])


def test_a_notify_to_a_peer_is_as_in_the_golden_file() -> None:
    server = watching(PEER_B)
    server.bind(binding(owner="a", path=("<sip:p;lr>",), user_agent="Phone/1"))
    golden("notify-peer.sip", server.sent[0][0])


def test_a_notify_to_a_legacy_peer_is_as_in_the_golden_file() -> None:
    server = watching(OLD)
    server.bind(binding(path=("<sip:p;lr>",), user_agent="Phone/1"))
    golden("notify-legacy.sip", server.sent[0][0])


# Registrations that end, because an identity was removed.


GONE = tuple(
    binding(2, "deactivated", contact=f"sip:{name}@192.0.2.1") for name in "abc"
)
XMLNS = 'xmlns="urn:ietf:params:xml:ns:reginfo"'


def element(contact: Binding, aor: str) -> str:
    """The XML of a contact that has ended."""
    return (
        f'<contact id="{contact_id(Aor(aor), contact.key)}" state="terminated" '
        f'event="deactivated" callid="a" cseq="2">'
        f"<uri>{contact.contact}</uri></contact>"
    )


SIZE = len(element(GONE[0], ALICE))
ROOM = AROUND + AROUND_REGISTRATION + len(ALICE)
"""Octets of a document about alice without contacts."""


def parted(room: int, ended: Parted) -> tuple[Written, Parted]:
    """A document about registrations that end, and what waits after it."""
    server = watching()
    (watch,) = server.notifier.watches()
    owed = Owed(full=False, bindings=[], parted=ended)
    written = server.notifier.bodies.write(watch, owed, lambda _: room, NOW)
    rest = watch.take(NOW)
    return written, {} if rest is None else rest.parted


def test_a_registration_that_ends_is_written_with_all_its_contacts() -> None:
    """24229-03, octet by octet."""
    written, rest = parted(1 << 16, {ALICE: GONE[:2], BOB: GONE[2:]})
    both = "".join(
        f'<registration aor="{aor}" id="{registration_id(aor)}" state="terminated">'
        f"{''.join(element(one, aor) for one in ones)}</registration>"
        for aor, ones in ((ALICE, GONE[:2]), (BOB, GONE[2:]))
    )
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    assert written.body.decode().replace("\n", "") == (
        f'{head}<reginfo {XMLNS} version="1" state="partial">{both}</reginfo>'
    )
    assert (written.more, rest) == (False, {})


@pytest.mark.parametrize(
    ("room", "number"),
    [
        (0, 1),  # one contact is always sent
        (ROOM, 1),
        (ROOM + SIZE, 1),
        (ROOM + 2 * SIZE - 1, 1),
        (ROOM + 2 * SIZE, 2),
        (ROOM + 3 * SIZE - 1, 2),
        (ROOM + 3 * SIZE, 3),
    ],
)
def test_as_much_of_a_registration_that_ends_is_written_as_fits(
    room: int, number: int
) -> None:
    """6665-87: it is `active` until its last contact has been told."""
    written, rest = parted(room, {ALICE: GONE})
    (told,) = xml.parse(written.body).registrations
    assert [one.uri for one in told.contacts] == [g.contact for g in GONE[:number]]
    is_over = number == len(GONE)
    assert told.state == ("terminated" if is_over else "active")
    assert written.more is not is_over
    assert rest == ({} if is_over else {ALICE: GONE[number:]})


def test_a_registration_that_ends_waits_for_the_one_before_it() -> None:
    """In order, although a small one would fit behind a large one."""
    large = tuple(
        binding(2, "deactivated", contact=f"sip:{name}{'x' * 400}@192.0.2.1")
        for name in "ab"
    )
    ended = {ALICE: large, BOB: GONE[2:]}
    written, rest = parted(ROOM + len(element(large[0], ALICE)) + 400, ended)
    (told,) = xml.parse(written.body).registrations
    assert (told.aor, len(told.contacts)) == (ALICE, 1)
    assert rest == {ALICE: large[1:], BOB: GONE[2:]}


def test_ended_registrations_may_all_wait_if_something_else_is_told() -> None:
    server = watching(EAGER, binding())
    (watch,) = server.notifier.watches()
    owed = Owed(full=True, bindings=[], parted={BOB: GONE})
    written = server.notifier.bodies.write(watch, owed, lambda _: 0, NOW)
    assert [one.aor for one in xml.parse(written.body).registrations] == [ALICE]
    assert re.findall(rb'state="(\w+)"', written.body) == [
        b"full",
        b"active",
        b"active",
    ]
    assert written.more
