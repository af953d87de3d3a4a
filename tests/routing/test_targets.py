"""Where a request goes: the contacts of a user, or the places of a name."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.store import LocationStore
from reginfo.routing.blocklist import AVOIDED
from reginfo.routing.domains import Domains
from reginfo.routing.nat import Nat
from reginfo.routing.target import Target
from reginfo.routing.targets import Found, Targets
from reginfo.sip.destination import Destination
from reginfo.sip.endpoint import Endpoint
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.event import AnyClient
from reginfo.sip.flow import Flow, Local
from reginfo.sip.invite import InviteClientTransaction
from reginfo.sip.message import Draft, Response
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri
from reginfo.sip.user import Nobody

from ..make import ALICE, NOW, binding, numbers, place

UDP = Local(Transport.UDP, "192.0.2.1", 5060)
SECOND = Local(Transport.UDP, "192.0.2.9", 5060)
TCP = Local(Transport.TCP, "192.0.2.1", 5060)
TCP2 = Local(Transport.TCP, "192.0.2.9", 5060)
ONE = Destination(Transport.UDP, ("192.0.2.61", 5060))
TWO = Destination(Transport.UDP, ("192.0.2.62", 5060))
SIX = Destination(Transport.UDP, ("2001:db8::6", 5060))

HEAD = "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 1 {}\r\n"


class Names:
    """Names that lead where the test says."""

    def __init__(self) -> None:
        self.hosts: dict[str, list[Destination]] = {"example.net": [ONE, TWO]}

    def find(self, uri: Uri, found: Found) -> None:
        places = self.hosts.get(uri.host)
        error = RemoteProtocolError("no such host", status=404)
        found(error if places is None else list(places))


class Finder:
    """Targets of a server at :data:`UDP`, and a clock."""

    def __init__(self, *locals: Local) -> None:
        self.now = NOW
        self.open: set[Flow] = set()
        self.source: str | None = None
        self.store = LocationStore("a", Journal())
        domains = Domains(["example.com"], use_domain=True, default_domain=None)
        domains.begin([UDP])
        nat = Nat(fix=True)
        self.names = Names()
        self.targets = Targets(
            self.store,
            domains=domains,
            nat=nat,
            is_open=lambda flow: flow in self.open,
            source_of=lambda address: self.source,
            now=lambda: self.now,
            table="location",
        )
        self.targets.begin(locals or [UDP], self.names)
        self.endpoint = Endpoint(new_id=numbers(), methods=None, headers={})

    def find(self, uri: str = "sip:example.net") -> list[Destination]:
        told: list[list[Destination] | RemoteProtocolError] = []
        self.targets.find(Uri.parse(uri), told.append)
        (found,) = told
        assert isinstance(found, list)
        return found

    def flow(self, target: Target) -> Flow | str:
        told: list[Flow | str] = []
        self.targets.flow(target, told.append)
        (found,) = told
        return found

    def sent(self, place: Destination, method: str = "MESSAGE") -> AnyClient:
        draft = Draft(method, "sip:example.net", HEAD.format(method))
        return self.endpoint.send_request(draft, Flow(UDP, place.address), Nobody())


def test_who_has_not_answered_is_tried_last_for_a_while() -> None:
    """3263-07"""
    finder = Finder()
    assert finder.find() == [ONE, TWO]
    finder.targets.failed(finder.sent(ONE))
    assert finder.find() == [TWO, ONE]
    assert finder.flow(Target(Uri.parse("sip:example.net"))) == Flow(UDP, TWO.address)
    finder.now += AVOIDED
    assert finder.find() == [ONE, TWO]


def test_who_answers_after_all_is_a_place_like_others() -> None:
    """3263-07"""
    finder = Finder()
    finder.targets.answered(finder.sent(ONE), Response(200, "OK"))
    finder.targets.failed(finder.sent(ONE))
    finder.targets.answered(finder.sent(TWO), Response(200, "OK"))
    assert finder.find() == [TWO, ONE]
    finder.targets.answered(finder.sent(ONE), Response(486, "Busy Here"))
    assert finder.find() == [ONE, TWO]


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("20", 20.0),
        ("20 (maintenance)", 20.0),
        ("20;duration=5", 20.0),
        ("18 ;duration=5", 18.0),
        ("9" * 400, 300.0),
    ],
)
def test_who_is_overloaded_is_left_alone_for_as_long_as_it_says(
    retry_after: str, seconds: float
) -> None:
    """3263-07, RFC 3261 §21.5.4"""
    finder = Finder()
    response = Response(503, "Overloaded", {"Retry-After": [retry_after]})
    finder.targets.answered(finder.sent(ONE), response)
    finder.now += seconds - 0.1
    assert finder.find() == [TWO, ONE]
    finder.now += 0.1
    assert finder.find() == [ONE, TWO]


@pytest.mark.parametrize("retry_after", [None, "soon", "", "-5"])
def test_a_503_that_does_not_say_for_how_long_is_of_that_request_alone(
    retry_after: str | None,
) -> None:
    """§21.5.4: "act as if it had received a 500"."""
    finder = Finder()
    headers = {} if retry_after is None else {"Retry-After": [retry_after]}
    finder.targets.answered(finder.sent(ONE), Response(503, "Overloaded", headers))
    assert finder.find() == [ONE, TWO]


def test_a_call_that_was_cancelled_says_nothing_of_who_was_called() -> None:
    finder = Finder()
    invite = finder.sent(ONE, "INVITE")
    assert isinstance(invite, InviteClientTransaction)
    finder.endpoint.cancel(invite, 0.0)
    finder.targets.failed(invite)
    assert finder.find() == [ONE, TWO]
    finder.targets.failed(finder.sent(ONE, "INVITE"))
    assert finder.find() == [TWO, ONE]


def test_the_first_place_of_a_kind_that_we_have_is_taken() -> None:
    finder = Finder()
    finder.names.hosts["example.net"] = [SIX, TWO]
    target = Target(Uri.parse("sip:example.net"))
    assert finder.flow(target) == Flow(UDP, TWO.address)
    finder.names.hosts["example.net"] = [SIX]
    assert finder.flow(target) == "no listening address of its kind"
    assert finder.flow(Target(Uri.parse("sip:nowhere.example"))) == "no such host"


def test_a_route_says_where_before_any_name_is_asked_for() -> None:
    """3263-05"""
    finder = Finder()
    route = ("<sip:example.net;lr>", "<sip:other.example;lr>")
    target = Target(Uri.parse("sip:bob@nowhere.example"), 1.0, route)
    assert finder.flow(target) == Flow(UDP, ONE.address)
    assert isinstance(finder.flow(Target(target.uri, 1.0, ("<",))), str)


def test_what_a_script_sends_goes_to_contacts_or_where_its_uri_leads() -> None:
    finder = Finder()
    finder.store.apply(place(ALICE), [binding()], NOW)

    def ways(uri: str) -> list[str]:
        return [way.uri.text for way in finder.targets.of(Uri.parse(uri), None)]

    assert ways(ALICE) == ["sip:alice@192.0.2.50"]
    assert ways("sip:bob@example.com") == []
    assert ways("sip:bob@example.net") == ["sip:bob@example.net"]
    # Another port of our address is somebody else.
    assert ways("sip:bob@192.0.2.1:5060") == []
    assert ways("sip:bob@192.0.2.1:5080") == ["sip:bob@192.0.2.1:5080"]


def test_a_request_leaves_from_the_address_that_the_contact_was_registered_at() -> None:
    """3261-59"""
    finder = Finder(UDP, SECOND)
    finder.names.hosts["192.0.2.50"] = [
        Destination(Transport.UDP, ("192.0.2.50", 5060))
    ]
    bound = binding(listener=str(SECOND))
    found: list[Flow | str] = []
    finder.targets.flow_of(bound, found.append)
    finder.targets.flow_of(binding(), found.append)
    phone = ("192.0.2.50", 5060)
    assert found == [Flow(SECOND, phone), Flow(UDP, phone)]


def test_an_open_stream_to_a_destination_is_used_whoever_holds_it() -> None:
    """RFC 3261 §18: "SHOULD be ... reused" """
    finder = Finder(UDP, TCP, TCP2)
    destination = Destination(Transport.TCP, ("192.0.2.50", 41000))
    assert finder.targets.by(destination) == Flow(TCP, destination.address)
    finder.open.add(Flow(TCP2, destination.address))
    assert finder.targets.by(destination, TCP) == Flow(TCP2, destination.address)


def test_else_a_request_leaves_from_the_address_that_the_routing_table_says() -> None:
    finder = Finder(UDP, SECOND)
    finder.source = "192.0.2.9"
    assert finder.targets.by(ONE) == Flow(SECOND, ONE.address)
    assert finder.targets.by(ONE, UDP) == Flow(UDP, ONE.address)
    finder.source = "192.0.2.77"
    assert finder.targets.by(ONE) == Flow(UDP, ONE.address)


def test_a_contact_that_cannot_be_used_leaves_the_others_where_they_are(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One bad row, from wherever it came, stops no call."""
    finder = Finder()
    bad = msgspec.structs.replace(binding(), contact="sip:[::g]", key="x")
    route = binding(2, contact="sip:alice@192.0.2.52", path=("<sip:[::g];lr>",))
    odd = binding(3, contact="sip:alice@192.0.2.53", q="often")
    good = binding(4, contact="sip:alice@192.0.2.54")
    finder.store.apply(place(ALICE), [bad, route, odd, good], NOW)
    found = finder.targets.contacts(place(ALICE))
    assert [one.target.uri.text for one in found] == [good.contact]
    assert caplog.text.count("cannot be used") == 3
    assert finder.targets.of(Uri.parse(ALICE), bad) == []
    told: list[Flow | str] = []
    finder.targets.flow_of(bad, told.append)
    assert isinstance(told[0], str)


@pytest.mark.parametrize(
    ("uri", "user"),
    [
        ("sip:alice@example.com", "sip:alice@example.com"),
        ("sip:alice@example.com:5060", "sip:alice@example.com"),
        ("sip:carol@elsewhere.example", "sip:carol@elsewhere.example"),
        ("sip:dave@elsewhere.example", None),
        ("mailto:alice@example.com", None),
    ],
)
def test_a_user_is_served_in_our_domains_or_as_an_identity(
    uri: str, user: str | None
) -> None:
    """An identity that one of our users names may be in a foreign domain."""
    finder = Finder()
    store = LocationStore("a", Journal(), identities_key="ids")
    finder.targets._store = store
    store.set_key(place(ALICE), "ids", "<sip:carol@elsewhere.example>", NOW, 0.0)
    assert finder.targets.served(Uri.parse(uri)) == user


# sips:


TLS = Local(Transport.TLS, "192.0.2.1", 5061)


def secure_finder() -> Finder:
    """A user with a phone by UDP, one by TLS that says sips:, and one that does not."""
    finder = Finder(UDP, TLS)
    came = "sip:192.0.2.{}:41000;transport=tls"
    finder.store.apply(
        place(ALICE),
        [
            binding(1, contact="sip:alice@192.0.2.51"),
            binding(
                2,
                contact="sips:alice@192.0.2.52;x=1",
                received=came.format(52),
                listener=str(TLS),
            ),
            binding(
                3,
                contact="sip:alice@192.0.2.53;transport=tls",
                received=came.format(53),
                listener=str(TLS),
            ),
        ],
        NOW,
    )
    return finder


def test_a_secure_request_reaches_secure_contacts_only() -> None:
    """5630-02"""
    targets = secure_finder().targets
    (found,) = targets.contacts(place(ALICE), is_secure=True)
    assert found.target.uri.text == "sips:alice@192.0.2.52;x=1"
    assert found.target.flow == Flow(TLS, ("192.0.2.52", 41000))


def test_another_request_reaches_secure_contacts_as_what_it_is() -> None:
    """5630-03: and by the same secure flow."""
    targets = secure_finder().targets
    found = {one.target.uri.text: one.target for one in targets.contacts(place(ALICE))}
    assert found.keys() == {
        "sip:alice@192.0.2.51",
        "sip:alice@192.0.2.52;x=1",
        "sip:alice@192.0.2.53;transport=tls",
    }
    flow = found["sip:alice@192.0.2.52;x=1"].flow
    assert flow == Flow(TLS, ("192.0.2.52", 41000))


def test_a_secure_contact_behind_a_path_stays_secure() -> None:
    """5630-01: we have no flow to it, so that its URI says how the next hop is."""
    finder = Finder(UDP, TLS)
    path = ("<sip:edge.example.net;lr>",)
    secure = binding(contact="sips:alice@192.0.2.52", path=path)
    finder.store.apply(place(ALICE), [secure], NOW)
    (found,) = finder.targets.contacts(place(ALICE))
    assert found.target.uri.scheme == "sips"


def test_the_name_of_a_domain_goes_with_its_flow() -> None:
    """5922-04"""
    finder = Finder(UDP, TLS)
    there = ("192.0.2.61", 5061)
    one = Destination(Transport.TLS, there, "example.net")
    assert finder.targets.by(one) == Flow(TLS, there, "example.net")
