"""Dialogs: tags, CSeq and route set."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.sip.dialog import Dialog, route_uri
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Request, Response
from reginfo.sip.transport import Transport

from .messages import FLOW, SERVER, parsed, request

OURS = "<sip:192.0.2.2:5060>"
FROM = '"W. \\"x\\"" <sip:W%61tcher@Example.COM;x=1>;Tag=AbC ; y'
TO = "<SIP:alice@EXAMPLE.com>"


SUBSCRIBE: dict[str, Any] = {"from_": FROM, "to": TO, "cseq": "7 SUBSCRIBE"}


def subscribe(*more: str, **headers: Any) -> Request:
    return parsed(request("SUBSCRIBE", more=more, **SUBSCRIBE | headers))


def dialog(*more: str, **headers: str) -> Dialog:
    return Dialog.uas(subscribe(*more, **headers), tag="ours", contact=OURS, flow=FLOW)


def notify(ours: Dialog) -> Request:
    """The next request of ours, as the peer reads it."""
    return parsed(ours.draft("NOTIFY", "Event: reg\r\n", b"x").write("SIP/2.0/UDP h"))


def test_a_request_of_ours_has_the_peers_uris_byte_for_byte() -> None:
    sent = notify(dialog())
    assert sent.header("To") == FROM
    assert sent.header("From") == f"{TO};tag=ours"
    assert sent.uri == "sip:alice@192.0.2.1:9988"
    assert (sent.call_id, sent.header("Contact")) == ("c@192.0.2.1", OURS)
    assert (sent.header("Max-Forwards"), sent.header("Event")) == ("70", "reg")
    assert sent.body == b"x"
    assert "Route" not in sent.headers


def test_a_request_of_ours_has_no_body_but_what_it_is_given() -> None:
    assert parsed(dialog().draft("NOTIFY", "").write("SIP/2.0/UDP h")).body == b""


def test_a_dialog_is_known_by_call_id_and_both_tags() -> None:
    assert dialog().id == ("c@192.0.2.1", "ours", "AbC")


def test_our_cseq_counts_from_one_whatever_the_peers_is() -> None:
    ours = dialog()
    assert [notify(ours).cseq.number for _ in range(3)] == [1, 2, 3]
    assert ours.remote_cseq == 7


@pytest.mark.parametrize(
    "contact",
    ["<mailto:a@b>", "<tel:+1>", "<a>", "*", "<sip:a@b>, <sip:c@d>", "<sip:a@b", ""],
)
def test_without_one_contact_of_sip_there_is_no_dialog(contact: str) -> None:
    with pytest.raises(RemoteProtocolError):
        dialog(contact=contact)


def test_a_dialog_needs_a_contact() -> None:
    message = parsed(request("SUBSCRIBE", without=("Contact",)))
    with pytest.raises(RemoteProtocolError):
        Dialog.uas(message, tag="ours", contact=OURS, flow=FLOW)


@pytest.mark.parametrize(
    ("contact", "target"),
    [
        ("<sip:a@b;lr?Subject=x>", "sip:a@b;lr"),
        ("<sip:a?b@c>", "sip:a?b@c"),
        ("<sip:a?b@c?Subject=x>", "sip:a?b@c"),
        ("sip:a@b;x", "sip:a@b"),
        ("<sips:a@b>", "sips:a@b"),
    ],
)
def test_the_target_is_the_contact_without_headers(contact: str, target: str) -> None:
    assert dialog(contact=contact).target == target


# The peer's requests.


def test_an_overtaken_request_is_refused_with_500_and_changes_nothing() -> None:
    ours = dialog()
    other = Flow(SERVER, ("192.0.2.9", 1))
    with pytest.raises(RemoteProtocolError) as caught:
        ours.receive(subscribe(cseq="6 SUBSCRIBE", contact="<sip:new@h>"), other)
    assert caught.value.status == 500  # §12.2.2
    assert (ours.target, ours.flow) == ("sip:alice@192.0.2.1:9988", FLOW)
    assert ours.remote_cseq == 7


@pytest.mark.parametrize("number", [7, 8, 1000])
def test_an_equal_or_a_higher_cseq_is_accepted(number: int) -> None:
    ours = dialog()
    ours.receive(subscribe(cseq=f"{number} SUBSCRIBE"), FLOW)
    assert ours.remote_cseq == number


def test_the_first_request_of_the_peer_may_have_any_cseq() -> None:
    ours = dialog()
    ours.remote_cseq = None
    ours.receive(subscribe(cseq="0 SUBSCRIBE"), FLOW)
    assert ours.remote_cseq == 0


def test_a_request_of_the_peer_refreshes_target_and_flow() -> None:
    """A request of the peer refreshes the remote target and the flow (6665-80)."""
    ours = dialog()
    other = Flow(SERVER, ("192.0.2.9", 1))
    ours.receive(subscribe(contact="<sip:new@h>"), other)
    assert (ours.target, ours.flow) == ("sip:new@h", other)
    ours.receive(parsed(request("SUBSCRIBE", without=("Contact",),
        cseq="9 SUBSCRIBE")), FLOW)  # fmt: skip
    assert (ours.target, ours.flow) == ("sip:new@h", FLOW)


def test_a_request_with_a_bad_contact_changes_nothing() -> None:
    ours = dialog()
    with pytest.raises(RemoteProtocolError):
        ours.receive(subscribe(cseq="8 SUBSCRIBE", contact="<http://a>"), FLOW)
    assert (ours.target, ours.remote_cseq) == ("sip:alice@192.0.2.1:9988", 7)


def test_a_2xx_refreshes_the_target() -> None:
    ours = dialog()
    ours.answered(Response(200, "OK", {"Contact": ["<sip:new@h>"]}))
    assert ours.target == "sip:new@h"
    ours.answered(Response(200, "OK"))
    assert ours.target == "sip:new@h"


# Routes.


def test_a_loose_route_is_followed_and_the_target_stays() -> None:
    ours = dialog(
        "Record-Route: <sip:p1.example.com;lr;x=%41>, <sip:p2.example.com;lr>;y",
        "Record-Route: <sip:p3.example.com>",
    )
    sent = notify(ours)  # §12.2.1.1; the order is the one of the request (§12.1.1)
    assert sent.uri == "sip:alice@192.0.2.1:9988"
    assert sent.values("Route") == [
        "<sip:p1.example.com;lr;x=%41>", "<sip:p2.example.com;lr>;y",
        "<sip:p3.example.com>",
    ]  # fmt: skip
    assert ours.first_uri.host == "p1.example.com"


def test_a_strict_router_gets_itself_as_request_uri_and_the_target_goes_last() -> None:
    ours = dialog("Record-Route: <sip:p1.example.com?a=b>, <sip:p2.example.com;lr>")
    sent = notify(ours)
    assert sent.uri == "sip:p1.example.com"
    assert sent.values("Route") == [
        "<sip:p2.example.com;lr>", "<sip:alice@192.0.2.1:9988>",
    ]  # fmt: skip
    assert ours.first_uri.host == "p1.example.com"


def test_a_route_may_have_a_name_and_parameters_with_brackets_in_them() -> None:
    ours = dialog('Record-Route: "<a>" <sip:p1.example.com;lr>;x="<b>"')
    assert ours.first_uri.text == "sip:p1.example.com;lr"


WITHOUT_BRACKETS = [
    *["sip:p1;lr", "sip:p1", 'sip:p1;x="<sip:p1>"', "sip:p1;lr;x=1", "p1"],
    'sip:p1;x="<y>"',
]


@pytest.mark.parametrize("value", WITHOUT_BRACKETS)
def test_a_route_without_brackets_is_refused(value: str) -> None:
    """3261-133: §25.1, a name-addr; RFC 3327 §4 and RFC 3608 §5 as well"""
    with pytest.raises(RemoteProtocolError) as caught:
        route_uri(value)
    assert caught.value.status == 400
    with pytest.raises(RemoteProtocolError):
        dialog(f"Record-Route: {value}")
    with pytest.raises(RemoteProtocolError):
        # Though the first could be followed, all are written.
        dialog(f"Record-Route: <sip:p0;lr>, {value}")


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        ("<sip:p1;lr>", "sip:p1;lr"),
        ('"<sip:x>" <sip:p1>;x="<y>"', "sip:p1"),
        ("edge <sip:p1;lr> ; a", "sip:p1;lr"),
    ],
)
def test_a_route_is_the_uri_in_its_brackets(value: str, uri: str) -> None:
    assert route_uri(value) == uri


@pytest.mark.parametrize("route", ["<x>", "<http://a>", "<sip:a", ">"])
@pytest.mark.parametrize("before", ["", "<sip:p0;lr>, "])
def test_a_route_that_cannot_be_followed_makes_no_dialog(
    route: str, before: str
) -> None:
    with pytest.raises(RemoteProtocolError):
        dialog(f"Record-Route: {before}{route}")


def test_without_a_route_the_target_is_resolved() -> None:
    assert dialog().first_uri.text == "sip:alice@192.0.2.1:9988"


# Where to, 6665-80 and NATs.


def test_a_long_request_by_tcp_does_not_make_a_dialog_one_of_tcp() -> None:
    ours = dialog()
    tcp = Flow(Local(Transport.TCP, SERVER.host, SERVER.port), ("192.0.2.1", 40_000))
    ours.receive(subscribe(cseq="8 SUBSCRIBE"), tcp)
    assert ours.flow == FLOW
    later = Flow(SERVER, ("192.0.2.1", 9999))
    ours.receive(subscribe(cseq="9 SUBSCRIBE"), later)
    assert ours.flow == later


def test_a_dialog_of_tcp_goes_where_its_peer_comes_from_now() -> None:
    tcp = Local(Transport.TCP, SERVER.host, SERVER.port)
    first = Flow(tcp, ("192.0.2.1", 40_000))
    ours = Dialog.uas(subscribe(), tag="ours", contact=OURS, flow=first)
    for flow in (Flow(tcp, ("192.0.2.1", 40_001)), FLOW):
        ours.receive(subscribe(cseq="8 SUBSCRIBE"), flow)
        assert ours.flow == flow
