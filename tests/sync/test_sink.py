"""The sink of links: two servers and more on a wire."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from reginfo.ledger.memory import MemoryStorage
from reginfo.location.claim import Claim
from reginfo.sip.message import Response
from reginfo.sync.cursor import Stretch
from reginfo.sync.envelope import document
from reginfo.testing.wire import WireServer

from ..make import binding, place
from ..simulation import (
    ALICE,
    LossyWire,
    claims,
    configuration,
    is_registered,
    register,
)
from .make import GROUP, check_document, documents, linked, notifies
from .test_reader import CLAIM, body

TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


def pair(
    transport: str = "tcp", **more: str
) -> tuple[LossyWire, WireServer, WireServer]:
    """Two servers that are linked to each other."""
    wire = LossyWire()
    a = wire.serve(linked("a", "b", transport=transport, **more), MemoryStorage())
    b = wire.serve(linked("b", "a", transport=transport, **more), MemoryStorage())
    wire.pass_time(6)
    return wire, a, b


def orders(server: WireServer) -> list[tuple[object, ...]]:
    return sorted(claim.order for claim in claims(server))


@TRANSPORTS
def test_what_is_registered_at_one_is_known_at_the_other(transport: str) -> None:
    """
    3680-130 and -132: the documents are valid, and their versions have no gap.
    """
    wire, a, b = pair(transport)
    assert is_registered(register(wire, a))
    wire.pass_time(0.1)
    assert b.contacts(ALICE) == a.contacts(ALICE) != []
    assert is_registered(register(wire, b, cseq=2, expires=0))
    wire.pass_time(0.1)
    assert a.contacts(ALICE) == b.contacts(ALICE) == []
    assert orders(a) == orders(b)
    for source, to in ((a, b), (b, a)):
        found = documents(notifies(wire, source, to))
        for one in found:
            check_document(one)
        versions = [int(one.get("version") or -1) for one in found]
        assert versions == list(range(len(found)))


@TRANSPORTS
def test_a_thousand_contacts_go_over_in_pieces(transport: str) -> None:
    wire = LossyWire()
    a = wire.serve(linked("a", "b", transport=transport), MemoryStorage())
    for n in range(1000):
        aor = f"sip:u{n}@example.com"
        a.app.store.apply(place(aor), claims_of(a, wire, aor, n), wire.now)
    b = wire.serve(linked("b", "a", transport=transport), MemoryStorage())
    wire.pass_time(20)
    assert len(b.app.aors()) == 1000
    assert b.contacts("sip:u999@example.com") == ["sip:u999@192.0.2.50"]
    [link] = b.app.sink.links()
    assert link.is_told
    assert link.elements == 1000


def claims_of(server: WireServer, wire: LossyWire, aor: str, n: int) -> list[Claim]:
    """A claim as a REGISTER makes it."""
    stamp = int((wire.links.epoch + wire.now) * 1e6) + n
    return [
        binding(
            1,
            contact=f"sip:u{n}@192.0.2.50",
            call_id=f"c{n}",
            stamp=stamp,
            begin=stamp,
            expires_at=wire.now + 3600,
            registered_at=wire.now,
            until=stamp + 3_600_000_000,
        )
    ]


@TRANSPORTS
@pytest.mark.parametrize("away", [3, 15, 40, 70, 200])
def test_after_an_outage_both_are_equal_within_35_seconds(
    transport: str, away: float
) -> None:
    """
    6446-21: the sink asks anew with its cursor, and is told what it has missed.
    """
    wire, a, b = pair(transport)
    register(wire, a, expires=7200)
    wire.pass_time(20)
    wire.cut(a, b)
    wire.pass_time(1)
    register(wire, a, cseq=2, expires=0)
    register(wire, a, "sip:alice@192.0.2.77", call_id="c9", expires=7200)
    register(wire, b, "sip:alice@192.0.2.78", call_id="c8", expires=7200)
    wire.pass_time(away)
    wire.heal()
    wire.pass_time(35)
    assert sorted(b.contacts(ALICE)) == sorted(a.contacts(ALICE))
    assert len(b.contacts(ALICE)) == 2
    assert orders(a) == orders(b)


def test_a_peer_that_is_lost_and_back_is_one_line_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`health` is degraded meanwhile."""
    wire, a, b = pair("udp")
    caplog.set_level(logging.WARNING, "reginfo.link")
    wire.cut(a, b)
    wire.pass_time(70)
    assert b.app.health().status == "degraded"
    assert "link to a: lost since" in b.app.health().problems[0]
    wire.heal()
    wire.pass_time(35)
    assert b.app.health().status == "ok"
    told = [r.getMessage() for r in caplog.records if f"a/{GROUP}" in r.getMessage()]
    assert told == [
        f"! the link to a/{GROUP} is lost: no NOTIFY for 30 s",
        told[1],
    ]
    assert told[1].startswith(f"= the link to a/{GROUP} is back after")


def test_a_cursor_is_committed_with_its_elements() -> None:
    """3680-134: a NOTIFY whose commit fails is 500, and comes again whole."""
    wire, a, b = pair()
    storage = b.storage
    assert isinstance(storage, MemoryStorage)
    storage.failures = 1
    register(wire, a)
    wire.pass_time(0.1)
    assert b.contacts(ALICE) == []
    wire.pass_time(5)
    assert b.contacts(ALICE) == a.contacts(ALICE) != []


def test_what_came_by_a_link_is_not_sent_back_by_it() -> None:
    """3680-139: nothing but a keep-alive goes back, and at rest nothing else at all."""
    wire, a, b = pair()
    before = len(wire.packets)
    register(wire, a)
    wire.pass_time(60)
    back = [p for p in notifies(wire, b, a) if p in wire.packets[before:]]
    assert back and all(b"<l:claim " not in p.data for p in back)


def test_after_a_restart_what_is_missing_is_told_and_nothing_else() -> None:
    wire, a, b = pair()
    register(wire, a, expires=7200)
    wire.pass_time(1)
    wire.kill(b)
    register(wire, a, "sip:alice@192.0.2.77", call_id="c9", expires=7200)
    before = len(wire.packets)
    b = wire.restart(b)
    wire.pass_time(1)
    assert sorted(b.contacts(ALICE)) == sorted(a.contacts(ALICE))
    sent = [p for p in notifies(wire, a, b) if p in wire.packets[before:]]
    assert sum(p.data.count(b"<l:claim ") for p in sent) == 1


def test_an_empty_server_gets_its_own_claims_back_and_remains_their_owner() -> None:
    """A REGISTER meanwhile is 503 with Retry-After."""
    wire, a, b = pair()
    register(wire, a, expires=7200)
    wire.pass_time(1)
    wire.cut(a, b)
    a = wire.empty(a)
    refused = register(wire, a, "sip:alice@192.0.2.77", call_id="c9")
    assert refused is not None and refused.status == 503
    assert 1 <= int(refused.header("Retry-After") or 0) <= 6
    wire.heal()
    wire.pass_time(4.9)
    assert a.contacts(ALICE) == b.contacts(ALICE) != []
    assert a.bindings(ALICE)[0].owner == "a"
    assert is_registered(register(wire, a, cseq=2))


def test_an_empty_server_waits_for_five_seconds_at_most() -> None:
    wire = LossyWire()
    a = wire.serve(linked("a", "b"), MemoryStorage())
    assert not is_registered(register(wire, a))
    wire.pass_time(4.9)
    assert not is_registered(register(wire, a, cseq=2))
    wire.pass_time(0.2)
    assert is_registered(register(wire, a, cseq=3))


def test_a_restored_backup_is_told_everything_that_it_lost(tmp_path: Path) -> None:
    """3680-136: on both sides."""
    wire, a, b = pair()
    register(wire, a, expires=7200)
    wire.pass_time(1)
    backup = a.backup(tmp_path / "a.db")
    register(wire, a, cseq=2, expires=0)
    register(wire, a, "sip:alice@192.0.2.77", call_id="c9", expires=7200)
    wire.pass_time(1)
    a = wire.restore(a, backup)
    wire.pass_time(30)
    assert a.contacts(ALICE) == b.contacts(ALICE) == ["sip:alice@192.0.2.77"]
    assert orders(a) == orders(b)


def test_a_verification_repairs_what_has_gone_wrong_and_counts_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    extra = '[sync]\nverify = "10m"'
    wire, a, b = pair(extra=extra)
    register(wire, a, expires=7200)
    wire.pass_time(1300)
    [link] = b.app.sink.links()
    assert link.drift == 0, "nothing has gone wrong"
    row = b.app.store._records[place(ALICE)].rows["sip:alice@192.0.2.50"]
    b.app.store._drop(row, wire.now)
    assert b.contacts(ALICE) == []
    wire.pass_time(700)
    assert b.contacts(ALICE) == a.contacts(ALICE) != []
    assert link.drift == 1
    assert "repaired 1 elements" in caplog.text
    wire.pass_time(700)
    assert link.drift == 1


def test_verifications_find_nothing_where_nothing_is_wrong() -> None:
    """Whatever has ended, was forgotten, or is on its way."""
    wire, a, b = pair(extra='[sync]\nverify = "1m"')
    for n in range(300):
        at = (a, b)[n % 2]
        expires = (0, 60, 90, 7200)[n % 4]
        register(wire, at, f"sip:alice@192.0.2.{n % 7 + 60}", call_id=f"c{n % 7}",
                 cseq=n + 1, expires=expires)  # fmt: skip
        wire.pass_time(31)
    wire.pass_time(100_000)
    for server in (a, b):
        assert [link.drift for link in server.app.sink.links()] == [0]


def test_bad_elements_are_refused_and_named_and_the_link_continues(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """3680-138: the table keeps the truth."""
    wire, a, b = pair()
    register(wire, a)
    wire.pass_time(1)
    bad = body(
        CLAIM.replace('stamp="5"', f'stamp="{2**53 + 1}"')
        + CLAIM.replace('"c"', f'"{"c" * 10_000}"')
    )
    [link] = b.app.sink.links()
    response = notify(wire, a, b, bad)
    assert response.status == 200
    assert link.refused == 2
    assert "stamp of" in caplog.text and "8192 allowed" in caplog.text
    assert b.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    other = body(CLAIM, aor="sip:bob@example.org")
    assert notify(wire, a, b, other).status == 200
    assert not b.app.store.is_known(place("sip:bob@example.org"))
    assert "sip:bob@example.org: not in the group" in caplog.text
    assert notify(wire, a, b, b"nonsense").status == 400
    register(wire, a, cseq=2, expires=0)
    wire.pass_time(40)
    assert b.contacts(ALICE) == []


EMPTY = '<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="0" state="partial"/>'
TERMINATED = EMPTY[:-2] + f'><registration aor="{ALICE}" id="r" state="terminated"/>'


@pytest.mark.parametrize("state", ["partial", "full"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(body(CLAIM), id="another contact of the user"),
        pytest.param(body(CLAIM, aor="sip:bob@example.com"), id="another user"),
        pytest.param(body(""), id="a contact without a claim"),
        pytest.param(EMPTY.encode(), id="nothing"),
        pytest.param(f"{TERMINATED}</reginfo>".encode(), id="terminated"),
    ],
)
def test_what_a_document_of_a_link_does_not_list_is_not_gone(
    data: bytes, state: str
) -> None:
    """3680-131: whatever it calls itself; an element removes, and nothing else does."""
    wire, a, b = pair()
    register(wire, a)
    wire.pass_time(1)
    before = claims(b)
    assert before
    data = data.replace(b'state="partial"', f'state="{state}"'.encode())
    assert notify(wire, a, b, data).status in (200, 400)
    wire.pass_time(1)
    assert [claim for claim in claims(b) if claim.call_id != "c"] == before
    assert "sip:alice@192.0.2.50" in b.contacts(ALICE)
    # The link goes on, and a removal that is said is done.
    register(wire, a, cseq=2, expires=0)
    wire.pass_time(40)
    assert "sip:alice@192.0.2.50" not in b.contacts(ALICE)


@pytest.mark.parametrize(
    "said", [Stretch("e9", 7, 9), Stretch("e9", 2**40, 2**50)], ids=["gap", "far"]
)
def test_a_series_that_breaks_off_moves_no_cursor(said: Stretch) -> None:
    """3680-134: what comes next begins where the cursor is."""
    wire, a, b = pair()
    register(wire, a)
    wire.pass_time(1)
    [link] = b.app.sink.links()
    before = link.cursor
    assert notify(wire, a, b, document(9, [], said)).status == 200
    assert link.cursor == before


def notify(wire: LossyWire, a: WireServer, b: WireServer, data: bytes) -> Response:
    """Send a NOTIFY with ``data`` in the dialog of a link, as A would."""
    [link] = a.app.source.links()
    dialog = link.subscription.dialog
    draft = dialog.draft(
        "NOTIFY",
        f"Event: {link.subscription.event}\r\n"
        "Subscription-State: active;expires=600\r\n"
        "Content-Type: application/reginfo+xml\r\n",
        data,
    )
    answers: list[Response] = []

    class User:
        def receive_response(self, response: Response, moment: object) -> None:
            answers.append(response)

        def receive_failure(self, cause: str, moment: object) -> None:
            raise AssertionError(cause)

        def never_sent(self) -> None: ...

    a.app.endpoint.send_request(draft, dialog.flow, User())
    a.settle()
    wire.send(b"\r\n\r\n", ("192.0.2.99", 5060), a.address)
    [answer] = answers
    return answer


def test_a_peer_of_another_kind_is_watched_as_rfc_3680_has_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """6665-134: its 200 has no `Reginfo-Link`, for it has no such group."""
    wire = LossyWire()
    a = wire.serve(configuration("a", [], extra=""), MemoryStorage())
    b = wire.serve(linked("b", "a", transport="udp"), MemoryStorage())
    wire.pass_time(5)
    assert not list(b.app.sink.links())
    [mirror] = b.app.subscriber.mirrors()
    assert (mirror.peer, mirror.aor) == ("a", GROUP)
    assert "is of another kind, and is watched" in caplog.text
    assert b.app.health().status == "ok"
    del a


def test_a_calendar_that_is_off_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    wire, a, b = pair()
    [link] = b.app.sink.links()
    assert link.skew == 0
    said = Stretch("e", 9, 9, time=int((wire.links.epoch + wire.now + 7200) * 1000))
    notify(wire, a, b, document(9, [], said))
    assert link.skew == pytest.approx(7200, abs=1)
    assert "the wall clock of a differs by 7200 s" in caplog.text


def test_the_longest_time_that_is_granted_is_said_and_stored() -> None:
    wire, a, b = pair()
    a.app.store.hear_longest_life(200_000.0)
    register(wire, a)
    wire.pass_time(1)
    assert b.app.store.longest_life == 200_000
    b = wire.restart(b)
    assert b.app.store.longest_life == 200_000
    notify_with = Stretch("e", 9, 9, longest=2**31)
    wire.pass_time(5)
    notify(wire, a, b, document(9, [], notify_with))
    assert b.app.store.longest_life == 200_000, "nobody grants 68 years"


def test_three_in_a_row_pass_on_what_is_news() -> None:
    wire = LossyWire()
    a = wire.serve(linked("a", "b"), MemoryStorage())
    b = wire.serve(linked("b", "ac"), MemoryStorage())
    c = wire.serve(linked("c", "b"), MemoryStorage())
    wire.pass_time(6)
    register(wire, a)
    wire.pass_time(1)
    assert c.contacts(ALICE) == a.contacts(ALICE) != []
    register(wire, c, cseq=2, expires=0)
    wire.pass_time(1)
    assert a.contacts(ALICE) == []
    assert orders(a) == orders(b) == orders(c)


def test_keys_and_identities_go_over() -> None:
    wire, a, b = pair(extra='ul_identities_key = "ids"')
    wall = wire.links.epoch + wire.now
    with a.turns.attempt():
        a.app.store.set_key(place(ALICE), "ids", "<sip:al@example.com>", wire.now, wall)
    a.settle()
    wire.pass_time(1)
    assert b.app.store.keys(place(ALICE)) == {"ids": "<sip:al@example.com>"}
    assert b.app.store.identities(place(ALICE)) == ("sip:al@example.com",)


def test_other_domains_stay_where_they_are() -> None:
    wire, a, b = pair()
    register(wire, a, aor="sip:bob@example.org")
    wire.pass_time(1)
    assert a.contacts("sip:bob@example.org")
    assert not b.contacts("sip:bob@example.org")
