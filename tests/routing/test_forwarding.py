"""What is checked and changed in any request (RFC 3261 §16.3, §16.6)."""

from __future__ import annotations

import pytest

from .relayed import (
    BOB,
    BOB2,
    CALLER,
    Relay,
    message,
    target,
    whats,
)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (message(hops="0"), 483),
        (message(hops="x"), 400),
        (message("OPTIONS", "Proxy-Require: foo"), 420),
        (message(uri="mailto:bob@example.com"), 416),
        (message("OPTIONS", "Route: <http://x>"), 416),
        (message("OPTIONS", "Route: <"), 400),
        (message("OPTIONS", "Max-Breadth: 0"), 440),
        (message("OPTIONS", "Max-Breadth: x"), 400),
        (message("OPTIONS", f"Max-Breadth: {'0' * 5000}"), 440),
    ],
)
def test_what_cannot_be_sent_on_is_refused(request_: str, status: int) -> None:
    """3261-40"""
    relay = Relay()
    relay.targets = []
    (sent,) = relay.receive(request_, CALLER)
    assert (sent.what, sent.to) == (str(status), CALLER)
    assert len(relay.proxy) == 0


def test_what_is_required_of_a_proxy_is_named_as_unsupported() -> None:
    """3261-40"""
    relay = Relay()
    (sent,) = relay.receive(message("OPTIONS", "Proxy-Require: foo, bar"), CALLER)
    assert sent.response.headers["Unsupported"] == ["foo, bar"]


def test_a_request_that_comes_back_unchanged_is_a_loop() -> None:
    """3261-44, RFC 5393 §4.2"""
    relay = Relay()
    relay.targets = []
    request = message("MESSAGE", uri="sip:bob@192.0.2.60")
    (first,) = relay.receive(request, CALLER)
    (again,) = relay.receive(first.data, BOB)
    assert again.what == "482"
    # Another Request-URI is a spiral, and in good order.
    spiral = first.data.replace(b"MESSAGE sip:bob@", b"MESSAGE sip:carol@", 1)
    (on,) = relay.receive(spiral.replace(b"branch=z", b"branch=z9hG4bKx", 1), BOB)
    assert on.what == "MESSAGE"


def test_what_is_wrong_in_several_ways_is_refused_for_the_first() -> None:
    """3261-40: in the order of §16.3"""
    relay = Relay()
    relay.targets = []
    require = "Proxy-Require: foo"
    (sent,) = relay.receive(
        message("OPTIONS", require, uri="mailto:bob@example.com", hops="0"), CALLER
    )
    assert sent.what == "416"
    uri = "sip:bob@192.0.2.60"
    (sent,) = relay.receive(message("OPTIONS", require, uri=uri, hops="0"), CALLER)
    assert sent.what == "483"
    (first,) = relay.receive(message("OPTIONS", uri=uri, branch="z9hG4bK2"), CALLER)
    again = first.data.replace(b"Call-ID", f"{require}\r\nCall-ID".encode(), 1)
    (sent,) = relay.receive(again, BOB)
    assert sent.what == "420"  # with it, it is not the request that was here
    (sent,) = relay.receive(first.data.replace(b"branch=", b"branch=z9hG4bK3", 1), BOB)
    assert sent.what == "482"


def test_credentials_for_another_proxy_are_passed_on() -> None:
    """3261-40: §22.3; we have no realm of our own"""
    relay = Relay()
    credentials = 'Digest realm="other", username="alice"'
    (sent,) = relay.receive(
        message("OPTIONS", f"Proxy-Authorization: {credentials}"), CALLER
    )
    assert sent.request.headers["Proxy-Authorization"] == [credentials]


def test_max_forwards_counts_down_and_is_given_to_who_has_none() -> None:
    """3261-43"""
    relay = Relay()
    (sent,) = relay.receive(message("MESSAGE", hops="1"), CALLER)
    assert sent.request.headers["Max-Forwards"] == ["0"]
    (sent,) = relay.receive(message("MESSAGE", branch="z9hG4bK2", hops=None), CALLER)
    assert sent.request.headers["Max-Forwards"] == ["70"]


def test_only_what_makes_a_dialog_is_record_routed() -> None:
    relay = Relay()
    for number, (method, to, recorded) in enumerate(
        [
            ("INVITE", "<sip:bob@example.com>", True),
            ("SUBSCRIBE", "<sip:bob@example.com>", True),
            ("MESSAGE", "<sip:bob@example.com>", False),
            ("INVITE", "<sip:bob@example.com>;tag=bob", False),
        ]
    ):
        request = message(method, to=to, branch=f"z9hG4bK{number}")
        *_, sent = relay.receive(request, CALLER)
        assert ("Record-Route" in sent.request.headers) == recorded, method
    off = Relay(record_route=False)
    *_, sent = off.receive(message(), CALLER)
    assert "Record-Route" not in sent.request.headers


def test_notifies_are_record_routed_if_their_subscribe_was() -> None:
    """6665-95: RFC 6665 §4.3, "MUST NOT" if the proxy has not done so before"""
    relay = Relay()
    subscribe = message("SUBSCRIBE", "Contact: <sip:alice@192.0.2.50>")
    (sent,) = relay.receive(subscribe, CALLER)
    ours = sent.request.headers["Record-Route"]
    assert ours == ["<sip:192.0.2.1:5060;lr;sub>"]
    relay.targets = []
    tagged = "<sip:alice@example.com>;tag=alice"
    uri = "sip:alice@192.0.2.50"
    for number, (route, recorded) in enumerate(
        [
            (ours, ["<sip:192.0.2.1:5060;lr>"]),
            # Our Record-Route of an INVITE, a Route by configuration, and none.
            (["<sip:192.0.2.1:5060;lr>"], None),
            (["<sip:192.0.2.1;lr>"], None),
            ([], None),
        ]
    ):
        lines = [f"Route: {value}" for value in route]
        notify = message(
            "NOTIFY", *lines, uri=uri, to=tagged, branch=f"z9hG4bKn{number}"
        )
        (notified,) = relay.receive(notify, BOB)
        assert notified.to == CALLER
        assert notified.request.headers.get("Record-Route") == recorded, route


def test_without_record_route_no_notify_is_record_routed() -> None:
    """6665-95"""
    relay = Relay(record_route=False)
    relay.targets = []
    notify = message(
        "NOTIFY",
        "Route: <sip:192.0.2.1:5060;lr;sub>",
        uri="sip:alice@192.0.2.50",
        to="<sip:alice@example.com>;tag=alice",
    )
    (notified,) = relay.receive(notify, BOB)
    assert "Record-Route" not in notified.request.headers


def test_breadth_is_never_more_than_ours() -> None:
    """5393-01: RFC 5393 §5.3.3: 60 if nothing is said, and whatever is said"""
    relay = Relay()
    relay.targets = [target(BOB), target(BOB2)]
    for number, asked in enumerate(([], ["Max-Breadth: 1000"])):
        request = message("MESSAGE", *asked, branch=f"z9hG4bK{number}")
        sent = relay.receive(request, CALLER)
        assert [one.request.headers["Max-Breadth"] for one in sent] == [["30"]] * 2
    relay.targets = [target(BOB)]
    request = message("MESSAGE", "Max-Breadth: 7", branch="z9hG4bKone")
    (sent_one,) = relay.receive(request, CALLER)
    assert sent_one.request.headers["Max-Breadth"] == ["7"]
    wrong = message("MESSAGE", "Max-Breadth: many", branch="z9hG4bKwrong")
    assert whats(relay.receive(wrong, CALLER)) == ["400"]
    none = message("MESSAGE", "Max-Breadth: 0", branch="z9hG4bKnone")
    assert whats(relay.receive(none, CALLER)) == ["440"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        # Each has the fault of the next one as well.
        (message("OPTIONS", "Proxy-Require: foo", hops="0", uri="mailto:b@a.org"), 416),
        (message("OPTIONS", "Proxy-Require: foo", hops="0"), 483),
        (message("OPTIONS", "Proxy-Require: foo"), 420),
    ],
)
def test_of_several_faults_the_first_in_the_order_of_the_rfc_is_answered(
    request_: str, status: int
) -> None:
    """3261-40: scheme, Max-Forwards, Proxy-Require (§16.3)."""
    relay = Relay()
    relay.targets = []
    (sent,) = relay.receive(request_, CALLER)
    assert sent.what == str(status)
