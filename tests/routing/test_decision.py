"""Where a request goes: to this server, to a user of ours, or onward."""

from __future__ import annotations

import pytest

from reginfo.location.place import Aor
from reginfo.routing.decision import Decider, Onward, Ours, UserOf
from reginfo.routing.domains import Domains
from reginfo.routing.nat import Nat
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.flow import Flow, Local
from reginfo.sip.token import Tokens
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

from ..make import request

UDP = Local(Transport.UDP, "192.0.2.1", 5070)
SIX = Local(Transport.UDP, "2001:db8::1", 5070)
PHONE = Flow(UDP, ("198.51.100.7", 41000))
TOKENS = Tokens(b"secret")
TOKENS.begin([UDP, SIX])


def decide(uri: str, *route: str, method: str = "MESSAGE") -> Ours | UserOf | Onward:
    domains = Domains(["example.com"], use_domain=True, default_domain=None)
    domains.begin([UDP, SIX])

    def served(uri: Uri) -> Aor | None:
        return domains.aor(uri) if uri.aor and domains.is_ours(uri) else None

    decider = Decider(
        domains,
        TOKENS,
        served=served,
        is_open=lambda flow: True,
        needs_flow=Nat(fix=True).needs_flow,
    )
    lines = [f"Route: {value}" for value in route]
    return decider.decide(request(method, *lines, uri=uri))


@pytest.mark.parametrize(
    "uri",
    [
        "sip:example.com",
        "sip:EXAMPLE.com:5070",
        "sip:example.com;transport=udp",
        "sip:192.0.2.1",
        "sip:192.0.2.1:5070",
        "sip:[2001:DB8::1]:5070",
    ],
)
def test_a_uri_of_ours_without_a_user_is_for_this_server(uri: str) -> None:
    """3261-55"""
    assert type(decide(uri)) is Ours
    assert type(decide(uri, "<sip:example.com:5070;lr>")) is Ours


@pytest.mark.parametrize(
    ("uri", "aor"),
    [
        ("sip:bob@example.com", "sip:bob@example.com"),
        ("sip:bob@example.com:5070;user=phone", "sip:bob@example.com"),
        ("sip:bob@192.0.2.1", "sip:bob@192.0.2.1"),
        ("sip:bob@[2001:db8::1]:5070", "sip:bob@[2001:db8::1]"),
        ("tel:+1-555", "tel:+1555"),
    ],
)
@pytest.mark.parametrize(
    "route",
    [
        (),
        ("<sip:example.com;lr>",),
        ("<sip:example.com:5070;lr>",),
        ("<sip:EXAMPLE.com:5070;transport=udp;lr>",),
        ("<sip:192.0.2.1:5070;lr>",),
        ("<sip:[2001:db8::1]:5070;lr>", "<sip:192.0.2.1:5070;lr>"),
        ("<sip:edge.example.org;maddr=192.0.2.1;lr>",),
    ],
)
def test_a_user_of_ours_is_one_however_our_route_is_written(
    uri: str, aor: str, route: tuple[str, ...]
) -> None:
    """3261-41, 3261-55"""
    decision = decide(uri, *route)
    assert isinstance(decision, UserOf)
    assert decision.aor == aor


@pytest.mark.parametrize(
    ("uri", "route", "left", "in_path"),
    [
        ("sip:bob@example.net", (), (), False),
        # Another port of an address of ours: a phone on this host.
        ("sip:bob@192.0.2.1:5090", (), (), False),
        ("sip:bob@example.com;maddr=192.0.2.9", (), (), False),
        ("sip:bob@example.net", ("<sip:example.com;lr>",), (), True),
        # What is left of the Route leads on, wherever the URI would.
        ("sip:bob@example.com", ("<sip:p;lr>",), ("<sip:p;lr>",), True),
        (
            "sip:bob@example.com",
            ("<sip:example.com:5070;lr>", "<sip:p;lr>"),
            ("<sip:p;lr>",),
            True,
        ),
        (
            "sip:bob@example.com",
            ("<sip:192.0.2.1:5090;lr>",),
            ("<sip:192.0.2.1:5090;lr>",),
            True,
        ),
        (
            "sip:bob@example.com",
            ("<sip:example.com;maddr=192.0.2.9;lr>",),
            ("<sip:example.com;maddr=192.0.2.9;lr>",),
            True,
        ),
    ],
)
def test_anything_else_goes_onward(
    uri: str, route: tuple[str, ...], left: tuple[str, ...], in_path: bool
) -> None:
    """3261-41, 3261-42, 3261-55"""
    decision = decide(uri, *route)
    assert isinstance(decision, Onward)
    assert (decision.route, decision.in_path) == (left, in_path)
    assert decision.flow is None
    assert decision.uri.user == "bob"


def test_a_route_of_ours_may_name_a_flow() -> None:
    """5626-04"""
    token = TOKENS.write(PHONE)
    decision = decide("sip:bob@10.0.0.1", f"<sip:{token}@192.0.2.1:5070;lr>")
    assert isinstance(decision, Onward)
    assert (decision.flow, decision.in_path) == (PHONE, True)
    # The callee has named itself by a URI of our domain.
    decision = decide("sip:bob@example.com", f"<sip:{token}@192.0.2.1:5070;lr>")
    assert isinstance(decision, Onward) and decision.flow == PHONE


def test_it_says_whether_our_route_is_that_of_a_subscribe() -> None:
    """6665-95"""
    route = "<sip:192.0.2.1:5070;lr;sub>"
    assert decide("sip:w@example.net", route, method="NOTIFY").is_subscription
    assert decide("sip:w@example.com", route, method="NOTIFY").is_subscription
    assert not decide("sip:w@example.net", route.replace(";sub", "")).is_subscription
    assert not decide("sip:example.com").is_subscription


@pytest.mark.parametrize("route", ["<sip:[::g];lr>", "nonsense", "<sip:example.com"])
def test_a_route_that_cannot_be_read_is_400(route: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decide("sip:bob@example.com", route)
    assert caught.value.status == 400


def test_a_uri_of_another_scheme_is_416() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decide("mailto:bob@example.com")
    assert caught.value.status == 416
