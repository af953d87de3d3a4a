"""Route, and what a strict router makes of it (RFC 3261 §16.4, §16.6, §16.12)."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.message import Request
from reginfo.sip.route import Routed, outgoing, preprocess, request_uri_of
from reginfo.sip.uri import Uri

from .messages import parsed, request


def bye(uri: str, *route: str) -> Request:
    more = (f"Route: {', '.join(route)}",) if route else ()
    return parsed(request("BYE", uri, more=more))


class Passed(NamedTuple):
    """A request as a proxy has sent it on."""

    uri: str
    route: tuple[str, ...]
    to: str
    "The host that it was sent to."


def proxy(host: str, uri: str, *route: str) -> Passed:
    """What the loose router ``host`` makes of a request (§16.4 and §16.6)."""
    routed = preprocess(
        bye(uri, *route), lambda uri: (uri.param("maddr") or uri.host) == host
    )
    text, left, first = outgoing(routed.uri, routed.route)
    return Passed(text, left, first.host)


def strict(uri: str, *route: str) -> Passed:
    """What a router of RFC 2543 makes of it: the first Route becomes Request-URI."""
    first = route[0].strip("<>")
    return Passed(first, route[1:], Uri.parse(first).host)


P1, P2 = "<sip:p1.example.com;lr>", "<sip:p2.domain.com;lr>"
CALLER, CALLEE = "sip:caller@u1.example.com", "sip:callee@u2.domain.com"


def test_the_trapezoid_of_the_rfc_from_callee_to_caller() -> None:
    """3261-53: §16.12.1.1"""
    at_p2 = proxy("p2.domain.com", CALLER, P2, P1)
    assert at_p2 == Passed(CALLER, (P1,), "p1.example.com")
    at_p1 = proxy("p1.example.com", CALLER, *at_p2.route)
    assert at_p1 == Passed(CALLER, (), "u1.example.com")


def test_the_trapezoid_of_the_rfc_from_caller_to_callee() -> None:
    """3261-53: §16.12.1.1"""
    at_p1 = proxy("p1.example.com", CALLEE, P1, P2)
    assert at_p1 == Passed(CALLEE, (P2,), "p2.domain.com")
    at_p2 = proxy("p2.domain.com", CALLEE, *at_p1.route)
    assert at_p2 == Passed(CALLEE, (), "u2.domain.com")


# With a strict router, P3, in the middle.
R1, R2 = "<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"
R3, R4 = "<sip:p3.middle.com>", "<sip:p4.domain.com;lr>"


def test_a_strict_router_in_the_middle_from_callee_to_caller() -> None:
    """3261-41, 3261-53: §16.12.1.2, each request as the RFC shows it"""
    at_p4 = proxy("p4.domain.com", CALLER, R4, R3, R2, R1)
    assert at_p4 == Passed(
        "sip:p3.middle.com", (R2, R1, f"<{CALLER}>"), "p3.middle.com"
    )
    at_p3 = strict(at_p4.uri, *at_p4.route)
    assert at_p3 == Passed(
        "sip:p2.example.com;lr", (R1, f"<{CALLER}>"), "p2.example.com"
    )
    at_p2 = proxy("p2.example.com", at_p3.uri, *at_p3.route)
    assert at_p2 == Passed(CALLER, (R1,), "p1.example.com")
    at_p1 = proxy("p1.example.com", at_p2.uri, *at_p2.route)
    assert at_p1 == Passed(CALLER, (), "u1.example.com")


def test_a_strict_router_in_the_middle_from_caller_to_callee() -> None:
    """3261-41, 3261-53: §16.12.1.2, the other way"""
    at_p1 = proxy("p1.example.com", CALLEE, R1, R2, R3, R4)
    assert at_p1 == Passed(CALLEE, (R2, R3, R4), "p2.example.com")
    at_p2 = proxy("p2.example.com", at_p1.uri, *at_p1.route)
    assert at_p2 == Passed("sip:p3.middle.com", (R4, f"<{CALLEE}>"), "p3.middle.com")
    at_p3 = strict(at_p2.uri, *at_p2.route)
    assert at_p3 == Passed("sip:p4.domain.com;lr", (f"<{CALLEE}>",), "p4.domain.com")
    at_p4 = proxy("p4.domain.com", at_p3.uri, *at_p3.route)
    assert at_p4 == Passed(CALLEE, (), "u2.domain.com")


def test_a_strict_router_at_the_end_is_put_into_the_request_uri_and_back() -> None:
    """3261-53: the last hop before the phone"""
    at_p1 = proxy("p1.example.com", CALLEE, R1, R3)
    assert at_p1 == Passed("sip:p3.middle.com", (f"<{CALLEE}>",), "p3.middle.com")
    assert strict(at_p1.uri, *at_p1.route) == Passed(CALLEE, (), "u2.domain.com")


def test_without_route_the_request_uri_says_where() -> None:
    """3261-53"""
    assert proxy("p1.example.com", CALLEE) == Passed(CALLEE, (), "u2.domain.com")


def test_only_the_topmost_routes_of_ours_are_taken_off() -> None:
    """3261-41: RFC 5658, both of ours; a spiral comes back by the third"""
    tcp = "<sip:p1.example.com;transport=tcp;lr>"
    routed = preprocess(
        bye(CALLEE, R1, tcp, R2, R1), lambda uri: uri.host == "p1.example.com"
    )
    assert routed.route == (R2, R1)
    assert (routed.uri, routed.loose) == (CALLEE, True)


def test_a_route_of_others_did_not_bring_it_here() -> None:
    routed = preprocess(bye(CALLEE, R2), lambda uri: uri.host == "p1.example.com")
    assert (routed.uri, routed.route, routed.loose) == (CALLEE, (R2,), False)


@pytest.mark.parametrize(
    "uri",
    [
        "sip:p1.example.com",  # without lr: nothing that we have recorded
        "sip:bob@p1.example.com;lr",  # nor with a user
        "sip:p2.example.com;lr",
    ],
)
def test_what_was_never_a_record_route_of_ours_is_a_target(uri: str) -> None:
    """3261-41"""
    routed = preprocess(bye(uri, R2), lambda uri: uri.host == "p1.example.com")
    assert (routed.uri, routed.route) == (uri, (R2,))


def test_what_came_through_a_strict_router_has_its_target_in_route() -> None:
    """3261-41: "[...] as if it received this modified request" (§16.4)"""
    routed = preprocess(
        bye("sip:p1.example.com;lr", R1, R2, f"<{CALLEE}>"),
        lambda uri: uri.host == "p1.example.com",
    )
    assert (routed.uri, routed.route, routed.loose) == (CALLEE, (R2,), True)


OURS = "p1.example.com"


@pytest.mark.parametrize(
    ("uri", "route", "routed"),
    [
        (CALLEE, (), Routed(CALLEE, (), False, "", False)),
        (CALLEE, (R2,), Routed(CALLEE, (R2,), False, "", False)),
        (CALLEE, (R1, R2), Routed(CALLEE, (R2,), True, "", False)),
        (
            CALLEE,
            (f"<sip:flow.a@{OURS};lr>", R2),
            Routed(CALLEE, (R2,), True, "flow.a", False),
        ),
        (
            CALLEE,
            (f"<sip:flow.a@{OURS};lr>", f"<sip:flow.b@{OURS};lr>"),
            Routed(CALLEE, (), True, "flow.b", False),
        ),
        # One recorded in a SUBSCRIBE, wherever it is among ours.
        (CALLEE, (f"<sip:{OURS};lr;sub>",), Routed(CALLEE, (), True, "", True)),
        (CALLEE, (f"<sip:{OURS};lr;sub>", R1), Routed(CALLEE, (), True, "", True)),
        (CALLEE, (R1, f"<sip:{OURS};lr;sub>"), Routed(CALLEE, (), True, "", True)),
        (
            CALLEE,
            ("<sip:p2.example.com;lr;sub>",),
            Routed(CALLEE, ("<sip:p2.example.com;lr;sub>",), False, "", False),
        ),
        # From a strict router: our Route is the Request-URI, the target is at the end.
        (f"sip:{OURS};lr", (f"<{CALLEE}>",), Routed(CALLEE, (), True, "", False)),
        (f"sip:{OURS};lr;sub", (f"<{CALLEE}>",), Routed(CALLEE, (), True, "", True)),
        (
            f"sip:{OURS};lr;sub",
            (R1, f"<{CALLEE}>"),
            Routed(CALLEE, (), True, "", True),
        ),
        (
            f"sip:flow.a@{OURS};lr",
            (R2, f"<{CALLEE}>"),
            Routed(CALLEE, (R2,), True, "flow.a", False),
        ),
        (
            f"sip:{OURS};lr",
            ("<sips:callee@u2.domain.com>",),
            Routed("sips:callee@u2.domain.com", (), True, "", False),
        ),
    ],
)
def test_the_routes_of_ours_are_removed_and_what_they_say_is_kept(
    uri: str, route: tuple[str, ...], routed: Routed
) -> None:
    """3261-41: the flow token (RFC 5626 §5.3), the SUBSCRIBE (RFC 6665 §4.3)"""
    assert preprocess(bye(uri, *route), lambda uri: uri.host == OURS) == routed


@pytest.mark.parametrize(
    ("uri", "passed"),
    [
        ("sip:bob@a.example;maddr=p1.example.com", "sip:bob@a.example"),
        ("sip:bob@a.example;transport;maddr=p1.example.com;ob", "sip:bob@a.example;ob"),
        ("sip:None;maddr=p1.example.com", "sip:None"),
        ("sip:bob:5080@a.example;maddr=p1.example.com", "sip:bob:5080@a.example"),
        (
            "sip:bob;x?y@a.example;maddr=p1.example.com;transport=tcp",
            "sip:bob;x?y@a.example",
        ),
        *[
            (f"sip:{user}@a.example{rest}", f"sip:{user}@a.example")
            for user in [
                *["bob;maddr=p1.example.com", "bob;transport=tcp;day=monday"],
                *["bob;MADDR=x:5080", ";", "b;o:5080", "b:secret;maddr=x"],
            ]
            for rest in [
                ";maddr=p1.example.com",
                ":5080;transport=tcp;maddr=p1.example.com",
                ";%6daddr=p1.example.com",
            ]
        ],
        ("sip:[2001:db8::1]:5080;maddr=p1.example.com", "sip:[2001:db8::1]"),
        ("sip:a.example:0080;maddr=p1.example.com", "sip:a.example"),
        (
            "sip:bob@a.example:5080;maddr=p1.example.com;transport=tcp;user=phone",
            "sip:bob@a.example;user=phone",
        ),
        # Of somebody else's, it says where to send to.
        (
            "sip:bob@a.example:5080;maddr=p9.example.com",
            "sip:bob@a.example:5080;maddr=p9.example.com",
        ),
    ],
)
def test_a_maddr_of_ours_is_taken_off_with_port_and_transport(
    uri: str, passed: str
) -> None:
    """3261-41"""
    routed = preprocess(bye(uri), lambda uri: uri.param("maddr") == "p1.example.com")
    assert routed.uri == passed


@pytest.mark.parametrize(
    "route",
    [
        *[("<",), ("<sip:p2.example.com;lr", R1), ("<nonsense>",), (R1, "<sip:>")],
        *[("sip:p1.example.com;lr",), (R1, "sip:p2.example.com;lr")],  # 3261-133
    ],
)
def test_a_route_that_cannot_be_read_is_the_senders_error(
    route: tuple[str, ...],
) -> None:
    with pytest.raises(RemoteProtocolError):
        proxy("p1.example.com", CALLEE, *route)


def test_a_target_of_another_scheme_is_not_followed() -> None:
    with pytest.raises(RemoteProtocolError):
        proxy("p1.example.com", "sip:p1.example.com;lr", "<tel:+15551234>")


@pytest.mark.parametrize(
    ("uri", "sent"),
    [
        ("sip:bob@h;method=BYE?Subject=x&To=y", "sip:bob@h"),
        (
            "sip:bob@h:5070;lr;method=BYE;maddr=1.2.3.4",
            "sip:bob@h:5070;lr;maddr=1.2.3.4",
        ),
        ("sip:bob@h;%6Dethod=BYE;ob", "sip:bob@h;ob"),
        ("sip:bob;method=x?y@h;ob", "sip:bob;method=x?y@h;ob"),
        ("sip:bob;method=x@h;METHOD=INVITE;a", "sip:bob;method=x@h;a"),
        ("sip:bob@h;x=a@b;method=INVITE;y=c@d", "sip:bob@h;x=a@b;y=c@d"),
        ("sip:h;method=INVITE", "sip:h"),
        ("sip:h?Route=%3Csip:x%3E", "sip:h"),
        ("tel:+1555;ext=1", "tel:+1555;ext=1"),
        ("tel:+1555;method=x", "tel:+1555;method=x"),  # there it means nothing
    ],
)
def test_a_request_uri_has_no_method_and_no_headers(uri: str, sent: str) -> None:
    """3261-43: §16.6 step 2, §19.1.1"""
    assert request_uri_of(Uri.parse(uri)) == sent


@pytest.mark.parametrize(
    ("route", "hop"),
    [
        ((), "sips:bob@example.com"),
        (("<sip:p1.example.com;lr>",), "sips:p1.example.com;lr"),
        (("<sips:p1.example.com;lr>",), "sips:p1.example.com;lr"),
        (("<sip:p1.example.com:5070;transport=tcp;lr>",),
         "sips:p1.example.com:5070;transport=tcp;lr"),
        (("<sip:p3.middle.com>",), "sips:p3.middle.com"),
    ],
)  # fmt: skip
def test_every_hop_to_a_secure_uri_is_secure(route: tuple[str, ...], hop: str) -> None:
    """5630-01: whatever its Route says, which is sent on as it is."""
    written = outgoing("sips:bob@example.com", route)
    assert written.first.text == hop
    assert outgoing("sip:bob@example.com", route).first.scheme == (
        "sips" if "sips" in str(route) else "sip"
    )
    if route and ";lr" in route[0]:
        assert (written.uri, written.route) == ("sips:bob@example.com", route)
