"""The contacts of a REGISTER, read once, and listed in its response."""

from __future__ import annotations

import pytest

from reginfo.location.claim import Claim
from reginfo.roles.requested import (
    contact_value,
    listener,
    path_of,
    received,
    requested_contact,
)
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import TCP, UDP, Transport
from reginfo.sip.uri import LONGEST_CACHED, Uri

from ..make import NOW, binding, request

PHONE = "sip:alice@192.0.2.50"


@pytest.mark.parametrize(
    ("params", "expires"),
    [
        ("", None),
        (";expires=60", 60),
        (";expires=0", 0),
        (";Expires=60", 60),
        (";expires", 3600),
        (";expires=soon", 3600),
        (";expires=-1", 3600),
        (";expires=99999999999", 2**32 - 1),
    ],
)
def test_a_malformed_expires_is_an_hour(params: str, expires: int | None) -> None:
    """3261-09 (§20.10)"""
    assert requested_contact(f"<{PHONE}>{params}").expires == expires


@pytest.mark.parametrize(("q", "kept"), [("0.50", "0.5"), ("1.000", "1"), ("", None)])
def test_q_is_kept_in_its_shortest_form(q: str, kept: str | None) -> None:
    """3680-70"""
    assert requested_contact(f"<{PHONE}>;q={q}").q == kept


@pytest.mark.parametrize(
    "value", [f"<{PHONE}>;q=2", f"<{PHONE}>;q=high", "<nonsense", "<>", "<no uri>"]
)
def test_a_contact_that_is_malformed_is_refused_each_time(value: str) -> None:
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            requested_contact(value)


def test_parameters_of_the_header_are_kept_as_they_are_written() -> None:
    contact = requested_contact(
        f'"Alice \\"A\\"" <{PHONE};transport=udp>;expires=60;+sip.instance="<urn:x>"'
        ";q=0.7;reg-id=1;video"
    )
    assert contact.uri == Uri.parse(f"{PHONE};transport=udp")
    assert contact.params == (
        ("+sip.instance", '"<urn:x>"'),
        ("reg-id", "1"),
        ("video", None),
    )
    assert contact.display_name == 'Alice "A"'


def test_a_contact_is_read_once_unless_it_is_very_long() -> None:
    short = f"<{PHONE};x=1>"
    assert requested_contact(short) is requested_contact(short)
    long = f"<{PHONE};x={'1' * LONGEST_CACHED}>"
    assert requested_contact(long) is not requested_contact(long)
    assert requested_contact(long) == requested_contact(long)


@pytest.mark.parametrize(
    ("contact", "local", "source", "kept"),
    [
        (PHONE, UDP, ("192.0.2.50", 5060), ""),
        (f"{PHONE}:5062", UDP, ("192.0.2.50", 5062), ""),
        (PHONE, UDP, ("192.0.2.50", 5062), "sip:192.0.2.50:5062"),
        (PHONE, UDP, ("198.51.100.1", 5060), "sip:198.51.100.1:5060"),
        (PHONE, TCP, ("198.51.100.1", 9), "sip:198.51.100.1:9;transport=tcp"),
        ("sip:a@[2001:DB8::0:1]", UDP, ("2001:db8::1", 5060), ""),
        ("sip:a@[2001:db8::1]", UDP, ("2001:db8::2", 9), "sip:[2001:db8::2]:9"),
        ("sip:a@phone.example", UDP, ("192.0.2.50", 5060), "sip:192.0.2.50:5060"),
    ],
)
def test_the_source_is_kept_if_it_is_not_the_contact(
    contact: str, local: Transport, source: tuple[str, int], kept: str
) -> None:
    flow = Flow(Local(local, "192.0.2.1", 5060), source)
    assert received(Uri.parse(contact), flow) == kept


def test_a_listener_is_named_as_the_configuration_writes_it() -> None:
    assert listener(Local(UDP, "192.0.2.1", 5060)) == "udp:192.0.2.1:5060"
    assert listener(Local(TCP, "2001:db8::1", 5061)) == "tcp:[2001:db8::1]:5061"


def test_a_path_keeps_its_order_and_leads_somewhere() -> None:
    """RFC 3327 §5.3"""
    first, second = "<sip:p1.example.com;lr>", "<sips:p2.example.com;lr>"
    assert path_of(request("REGISTER", f"Path: {first}, {second}")) == (first, second)
    with pytest.raises(RemoteProtocolError, match="Path"):
        path_of(request("REGISTER", "Path: <tel:+123>"))
    with pytest.raises(RemoteProtocolError, match="without angle brackets"):
        path_of(request("REGISTER", f"Path: {first}, sip:p;lr"))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        (binding(expires_at=NOW + 60), f"<{PHONE}>;expires=60"),
        (binding(expires_at=NOW + 59.2), f"<{PHONE}>;expires=60"),
        (binding(expires_at=NOW - 5), f"<{PHONE}>;expires=0"),
        (
            binding(expires_at=NOW + 60, display_name='A "B"', q="0.5"),
            f'"A \\"B\\"" <{PHONE}>;expires=60;q=0.5',
        ),
        (
            binding(expires_at=NOW + 60, params=(("x", "1"), ("y", None))),
            f"<{PHONE}>;expires=60;x=1;y",
        ),
    ],
)
def test_a_binding_is_listed_with_all_that_was_registered(
    claim: Claim, value: str
) -> None:
    """RFC 3261 §10.3 step 8"""
    assert contact_value(claim, NOW) == value
