"""What values look like in a log: short, and what tells one from another."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.events.notify import ServedSubscription
from reginfo.events.publish import Publication
from reginfo.events.subscribe import HeldSubscription, Wanted
from reginfo.location.binding import BindingChange
from reginfo.routing.target import Target
from reginfo.sip.destination import Destination
from reginfo.sip.dialog import Dialog
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Response
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

from .make import ALICE, LOCAL, PHONE, binding, place, request

SIX = Local(Transport.TCP, "2001:db8::1", 5060)
WANTED = Wanted(uri=ALICE, local="sip:us@h", event="reg", accept="*/*")
DIALOG = Dialog(
    call_id="c", local="<sip:a@h>;tag=1", remote="<sip:b@h>;tag=2", local_tag="1",
    remote_tag="2", target="sip:b@h", flow=Flow(LOCAL, PHONE), contact="<sip:h>",
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (LOCAL, "udp:192.0.2.1:5060"),
        (SIX, "tcp:[2001:db8::1]:5060"),
        (Flow(LOCAL, PHONE), "udp:192.0.2.1:5060 to 192.0.2.50:5060"),
        (Flow(SIX, ("2001:db8::2", 9)), "tcp:[2001:db8::1]:5060 to [2001:db8::2]:9"),
        (Destination(Transport.UDP, PHONE), "udp:192.0.2.50:5060"),
        (Destination(Transport.TLS, ("2001:db8::2", 5061)), "tls:[2001:db8::2]:5061"),
        (place(ALICE), ALICE),
    ],
)
def test_an_address_is_written_as_the_configuration_has_it(
    value: object, shown: str
) -> None:
    """One spelling of an address everywhere: an operator searches for it."""
    assert str(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Flow(LOCAL, PHONE), "<Flow udp:192.0.2.1:5060 to 192.0.2.50:5060>"),
        (Destination(Transport.UDP, PHONE), "<Destination udp:192.0.2.50:5060>"),
        (Target(Uri.parse(ALICE), 0.5), f"Target('{ALICE}', q=0.5)"),
        (request("MESSAGE", uri=ALICE), f"<Request MESSAGE {ALICE}>"),
        (Response(200, "OK", {"Contact": ["<sip:x@h>"]}), "<Response 200 OK>"),
        (
            binding(7),
            "<Claim sip:alice@192.0.2.50 registered, CSeq 7 of a, by a>",
        ),
        (
            BindingChange(place(ALICE), binding(7, "expired"), 3),
            f"<BindingChange 3: {ALICE} sip:alice@192.0.2.50 expired>",
        ),
        (
            ServedSubscription(dialog=DIALOG, event="reg", expires_at=1.0),
            "<ServedSubscription reg of c, active>",
        ),
        (
            ServedSubscription(
                dialog=DIALOG, event="reg", expires_at=1.0, reason="timeout"
            ),
            "<ServedSubscription reg of c, terminated (timeout)>",
        ),
        (HeldSubscription(wanted=WANTED), f"<HeldSubscription {ALICE}, waiting>"),
        (
            Publication(uri=ALICE, call_id="c", tag="t"),
            f"<Publication {ALICE}, unpublished>",
        ),
    ],
)
def test_a_value_is_short_in_a_log(value: Any, shown: str) -> None:
    """A log line names a thing; it does not print its twenty fields."""
    assert repr(value) == shown
