"""Where a request goes: the contacts of a user, or the places of a name."""

from __future__ import annotations

import pytest

from reginfo.ledger.journal import Journal
from reginfo.location.store import LocationStore
from reginfo.routing.blocklist import AVOIDED
from reginfo.routing.domains import Domains
from reginfo.routing.target import Target
from reginfo.routing.targets import Found, Targets
from reginfo.sip.destination import Destination
from reginfo.sip.endpoint import AnyClient, Endpoint
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.flow import Flow, Local
from reginfo.sip.invite import InviteClientTransaction
from reginfo.sip.message import Draft, Response
from reginfo.sip.uri import Uri

from ..make import ALICE, NOW, binding, numbers

UDP = Local("UDP", "192.0.2.1", 5060)
ONE = Destination("UDP", ("192.0.2.61", 5060))
TWO = Destination("UDP", ("192.0.2.62", 5060))
SIX = Destination("UDP", ("2001:db8::6", 5060))

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

    def __init__(self) -> None:
        self.now = NOW
        self.store = LocationStore("a", Journal())
        domains = Domains(["example.com"], use_domain=True, default_domain=None)
        domains.add([UDP])
        self.names = Names()
        self.targets = Targets(
            self.store,
            domains=domains,
            reach=lambda binding: None,
            now=lambda: self.now,
            table="location",
        )
        self.targets.begin([UDP], self.names)
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
        return self.endpoint.send_request(draft, Flow(UDP, place.address), None)


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
    assert finder.flow(target) == "we cannot send to an address of its kind"
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
    finder.store.apply(ALICE, [binding()], NOW)

    def ways(uri: str) -> list[str]:
        return [way.uri.text for way in finder.targets.ways(Uri.parse(uri), None)]

    assert ways(ALICE) == ["sip:alice@192.0.2.50"]
    assert ways("sip:bob@example.com") == []
    assert ways("sip:bob@example.net") == ["sip:bob@example.net"]
    # Another port of our address is somebody else.
    assert ways("sip:bob@192.0.2.1:5060") == []
    assert ways("sip:bob@192.0.2.1:5080") == ["sip:bob@192.0.2.1:5080"]
