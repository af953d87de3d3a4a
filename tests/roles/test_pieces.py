"""A state that is too long for one document is sent in pieces, whoever watches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from reginfo.location.binding import Binding
from reginfo.reg import xml
from reginfo.reg.document import Piece, Reginfo
from reginfo.reg.table import Table
from reginfo.roles.pieces import DocumentSizes, fitting
from reginfo.roles.watch import LONGEST_DOCUMENT, SHORTEST_DOCUMENT
from reginfo.roles.watcher import Watcher
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Request
from reginfo.sip.transport import Transport

from ..make import ALICE, NOW, PEER, WALL, binding, place, request
from .watched import EAGER, OLD, PEER_B, Server, contacts, state

SCHEMA = etree.XMLSchema(
    etree.parse(str(Path(__file__).parents[1] / "reg" / "reginfo.xsd"))
)
TCP = Local(Transport.TCP, "192.0.2.1", 5060)


def many(number: int, event: str = "registered", cseq: int = 1) -> list[Binding]:
    instance = '"<urn:uuid:00000000-0000-1000-8000-{:012d}>"'
    return [
        binding(
            cseq, event, contact=f"sip:alice{n}@192.0.2.{n % 250}:5060;transport=udp",
            params=(("+sip.instance", instance.format(n)), ("reg-id", "1")),
            user_agent="Phone/1.2.3 (Example; build 2026)",
        )
        for n in range(number)
    ]  # fmt: skip


def pieces(server: Server) -> list[Request]:
    """All NOTIFYs that come, each answered with 200."""
    found: list[Request] = []
    for _ in range(10_000):
        sent = server.notifies()
        if not sent:
            return found
        assert len(sent) == 1  # 6665-23: one at a time
        found += sent
        server.answer()
    raise AssertionError("no end of pieces")


def uris(table: Table) -> set[str]:
    return {row.contact.uri for row in table}


def folded(notifies: list[Request], table: Table | None = None) -> Table:
    """What a watcher of RFC 3680 knows after these NOTIFYs."""
    table = table or Table()
    for notify in notifies:
        assert not table.take(xml.parse(notify.body), notify.cseq.number, NOW).missed
    return table


@pytest.mark.parametrize(
    ("only_udp", "longest"),
    [(False, LONGEST_DOCUMENT), (True, SHORTEST_DOCUMENT)],
    ids=["stream", "datagram"],
)
@pytest.mark.parametrize(
    "peer", [EAGER, PEER_B, Watcher(min_interval=5.0)], ids=["any", "peer", "polite"]
)
@pytest.mark.parametrize("number", [1, 3, 130, 600])
def test_each_piece_is_valid_and_short_and_together_they_are_all(
    only_udp: bool, longest: int, peer: Watcher, number: int
) -> None:
    """6665-87, 3680-111: full first, then partial; `<complete/>` is in the last."""
    server = Server(peer)
    server.datagram_only = only_udp
    server.bind(*many(number))
    server.subscribe()
    began = server.now
    sent = pieces(server)
    assert server.now == began  # and they do not wait for each other
    for notify in sent:
        assert len(notify.body) <= longest
        assert SCHEMA.validate(etree.fromstring(notify.body))
        assert state(notify) == "active;expires=600"
    documents = [xml.parse(notify.body) for notify in sent]
    assert [d.version for d in documents] == list(range(len(sent)))
    assert [d.full for d in documents] == [True] + [False] * (len(sent) - 1)
    marks = [d.piece for d in documents]
    if len(sent) == 1:
        assert marks == [Piece.WHOLE]
    else:
        assert marks == [Piece.MORE] * (len(sent) - 1) + [Piece.LAST]
    assert (len(sent) > 1) is (sum(len(one.body) for one in sent) > longest)
    assert uris(folded(sent)) == {one.contact for one in many(number)}
    assert len(server.notifier) == 1


def test_one_contact_at_least_is_in_each_piece() -> None:
    """Each piece has at least one contact (6665-87)."""
    server = Server(PEER_B)
    server.datagram_only = True
    long = [
        binding(contact=f"sip:{n}@192.0.2.1", user_agent="x" * 2000) for n in range(3)
    ]
    server.bind(*long)
    server.subscribe()
    sent = pieces(server)
    assert [len(contacts(xml.parse(one.body))) for one in sent] == [1, 1, 1]


def test_by_tcp_a_piece_is_as_long_as_by_a_stream() -> None:
    server = Server(PEER_B)
    server.datagram_only = True  # which says nothing of a stream
    server.bind(*many(130))
    message = request(
        "SUBSCRIBE", "Event: reg", "Contact: <sip:w@192.0.2.60;transport=tcp>",
        "Expires: 600", uri=ALICE,
    )  # fmt: skip
    flow = Flow(TCP, PEER)
    server.datagram_only = False
    server.notifier.receive_subscribe(message, flow, tag="t", aor=ALICE, now=NOW)
    sent = pieces(server)
    assert max(len(one.body) for one in sent) > SHORTEST_DOCUMENT * 10


@pytest.mark.parametrize("only_udp", [True, False])
@pytest.mark.parametrize("peer", [EAGER, PEER_B], ids=["any", "peer"])
def test_many_changes_at_once_are_partial_documents(
    peer: Watcher, only_udp: bool
) -> None:
    """6665-87: an un-REGISTER of all; nobody is told before its turn that all ended."""
    server = Server(peer)
    server.datagram_only = only_udp
    server.bind(*many(300))
    server.subscribe()
    table = folded(pieces(server))
    gone = many(300, "unregistered", 2)
    server.bind(*gone)
    sent = pieces(server)
    documents = [xml.parse(one.body) for one in sent]
    assert len(sent) > 1 and not any(d.full for d in documents)
    assert {d.piece for d in documents} == {Piece.WHOLE}
    states = [d.registrations[0].state.value for d in documents]
    assert states == ["active"] * (len(sent) - 1) + ["terminated"]
    events = [c.event.value for d in documents for c in contacts(d)]
    assert events == ["unregistered"] * 300
    assert len(folded(sent, table)) == 0


def test_what_changes_between_two_pieces_is_told_as_it_is_then() -> None:
    """A change between two pieces is sent with its newest state (3680-111)."""
    server = Server(PEER_B)
    server.datagram_only = True
    server.bind(*many(20))
    server.subscribe()
    first = server.notifies()
    listed = {one.uri for one in contacts(xml.parse(first[0].body))}
    gone, _ = (one for one in (many(20)[0], many(20)[19]))
    assert gone.contact in listed
    server.bind(
        *[c for c in many(20, "unregistered", 2) if c.contact in (gone.contact,)],
        many(20, "unregistered", 2)[19],
        binding(contact="sip:new@192.0.2.1"),
    )
    server.answer()
    table = folded(first + pieces(server))
    expected = {one.contact for one in many(19)} - {gone.contact}
    assert uris(table) == expected | {"sip:new@192.0.2.1"}


@pytest.mark.parametrize("event", ["refused", "refresh", "restart"])
def test_a_series_that_breaks_off_begins_again(event: str) -> None:
    """A series of pieces that breaks off begins again (6665-20, -36)."""
    server = Server(PEER_B)
    server.datagram_only = True
    server.bind(*many(20))
    server.subscribe()
    sent = server.notifies()
    server.answer()
    sent += server.notifies()
    if event == "refused":
        server.answer(500)
        server.pass_time(1)
    elif event == "refresh":
        server.subscribe(600, tag="tag1", cseq=2)
        server.answer()
    else:
        server.commit()
        server = server.restart()
    again = pieces(server)
    assert xml.parse(again[0].body).full
    table = folded(sent)
    for notify in again:
        table.take(xml.parse(notify.body), notify.cseq.number, NOW)
    assert uris(table) == {one.contact for one in many(20)}
    assert xml.parse(again[-1].body).piece is Piece.LAST


@pytest.mark.parametrize("expires", [0, 600])
def test_only_the_last_piece_ends_a_subscription(expires: int) -> None:
    """6665-14, 6665-17: a fetch, or one that was not refreshed."""
    server = Server(EAGER)
    server.datagram_only = True
    server.bind(*many(20))
    server.subscribe(expires)
    sent = pieces(server)
    if expires:
        server.pass_time(601)
        sent = pieces(server)
    states = [state(one) for one in sent]
    assert states == ["active;expires=0"] * (len(sent) - 1) + [
        "terminated;reason=timeout"
    ]
    assert not len(server.notifier)


def test_a_long_document_that_cannot_be_sent_does_not_cost_the_watcher() -> None:
    """6665-87: there is no TCP; the same state goes in pieces, at once."""
    server = Server(PEER_B)
    server.bind(*many(130))
    server.subscribe()
    (whole,) = server.notifies()
    assert len(whole.body) > 10_000
    server.datagram_only = True  # as the endpoint knows from now on
    server.notifier.served.receive_failure(
        server.unanswered.pop(), "transport", server.now
    )
    sent = pieces(server)
    assert max(len(one.body) for one in sent) <= SHORTEST_DOCUMENT
    assert xml.parse(sent[0].body).full
    assert uris(folded(sent)) == {one.contact for one in many(130)}


def test_nor_one_that_is_too_large_for_its_server() -> None:
    """RFC 3261 §21.5.14: 513 Message Too Large."""
    server = Server(PEER_B)
    server.bind(*many(130))
    server.subscribe()
    sizes = []
    for _ in range(3):
        (notify,) = server.notifies()
        sizes.append(len(notify.body))
        server.answer(513)
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] <= 8192
    assert uris(folded(pieces(server))) == {one.contact for one in many(130)}


def test_one_that_cannot_be_shorter_is_lost_like_any_other() -> None:
    """A NOTIFY that cannot be shorter is lost like any other (6665-18)."""
    server = Server(PEER_B)
    server.datagram_only = True
    server.bind(*many(20))
    server.subscribe()
    server.notifier.served.receive_failure(
        server.unanswered.pop(), "timeout", server.now
    )
    assert not len(server.notifier)


def test_a_short_document_is_never_a_reason_to_try_again() -> None:
    """The length of a short document is never a reason to try again (6665-18)."""
    server = Server(PEER_B)
    server.bind(binding())
    server.subscribe()
    server.notifier.served.receive_failure(
        server.unanswered.pop(), "timeout", server.now
    )
    assert not len(server.notifier)


def test_kamailio_gets_no_marks() -> None:
    """Kamailio gets no elements that mark pieces (3680-111)."""
    server = Server(OLD)
    server.bind(*many(20))
    server.subscribe()
    sent = pieces(server)
    assert len(sent) > 1
    assert not any(b"urn:x-reginfo" in one.body for one in sent)
    told = [one.uri for notify in sent for one in contacts(xml.parse(notify.body))]
    assert told == [one.contact for one in many(20)]


KEY = "identities"


def test_identities_that_end_are_told_in_pieces_too() -> None:
    server = Server(EAGER, identities_key=KEY)
    server.store.listener = server.notifier.hears
    server.datagram_only = True
    al, ann = "sip:al@example.com", "sip:ann@example.com"
    server.store.set_key(place(ALICE), KEY, f"<{ALICE}>, <{al}>, <{ann}>", NOW, WALL)
    server.bind(*many(8))
    server.subscribe()
    table = folded(pieces(server))
    assert set(table.aors()) == {ALICE, al, ann}
    server.store.set_key(place(ALICE), KEY, f"<{ALICE}>", NOW, WALL)
    sent = pieces(server)
    told: dict[str, list[tuple[str, str]]] = {}
    for notify in sent:
        assert len(notify.body) <= SHORTEST_DOCUMENT
        for one in xml.parse(notify.body).registrations:
            told.setdefault(one.aor, []).extend(
                (c.uri, c.event.value) for c in one.contacts
            )
    for aor in (al, ann):
        assert {uri for uri, _ in told[aor]} == {one.contact for one in many(8)}
        assert {event for _, event in told[aor]} == {"deactivated"}
    table = folded(sent, table)
    assert table.aors() == (ALICE,)
    assert len(table) == 8


@pytest.mark.parametrize(
    ("sizes", "room", "arguments", "number"),
    [
        ([], 0, {}, 0),
        ([5], 0, {}, 1),
        ([5, 5], 5, {}, 1),
        ([5, 5], 9, {}, 1),
        ([5, 5], 10, {}, 2),
        ([9, 1], 5, {}, 1),
        ([5], 4, {"at_least": 0}, 0),
        ([5, 5, 5], -100, {"at_least": 0}, 0),
    ],
)
def test_as_many_fit_as_there_is_room_for(
    sizes: list[int], room: int, arguments: dict[str, Any], number: int
) -> None:
    taken = []

    def elements() -> Iterator[bytes]:
        for size in sizes:
            taken.append(size)
            yield b"x" * size

    assert len(fitting(elements(), room, **arguments)) == number
    assert len(taken) <= number + 1, "the rest is written with the next document"
    assert len(fitting([[b"x" * size] for size in sizes], room, **arguments)) == number


def test_documents_are_compared_with_their_piece() -> None:
    one = Reginfo(version=0, full=True)
    assert one != Reginfo(version=0, full=True, piece=Piece.MORE)
    with pytest.raises(TypeError, match=r"Reginfo\.piece"):
        Reginfo(version=0, full=True, piece="more")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("longest", "only_udp", "takes_streams"),
    [
        (SHORTEST_DOCUMENT, False, False),
        (SHORTEST_DOCUMENT + 1, False, True),
        (SHORTEST_DOCUMENT + 1, True, False),
        (LONGEST_DOCUMENT, False, True),
    ],
)
def test_a_document_is_as_long_as_the_way_to_the_watcher_allows(
    longest: int, only_udp: bool, takes_streams: bool
) -> None:
    """6665-87"""
    server = Server(EAGER)
    server.subscribe()
    (watch,) = server.notifier.watches()
    watch.longest = longest
    sizes = DocumentSizes(lambda flow: only_udp)
    assert sizes.takes_streams(watch) is takes_streams
    assert sizes.of(watch) == (longest if takes_streams else SHORTEST_DOCUMENT)
