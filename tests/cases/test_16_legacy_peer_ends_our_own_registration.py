"""What a foreign peer says of an old registration leaves a newer one alone."""

from __future__ import annotations

from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire
from reginfo.testing.wire import WireServer

from ..simulation import (
    ALICE,
    CONTACT,
    configuration,
    given,
    is_registered,
    register,
)

PEER = ("192.0.2.2", 5060)
DOCUMENT = """\
<?xml version="1.0"?>
<reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="{version}" state="full">
<registration aor="sip:alice@example.com" id="x" state="{state}">
<contact id="1" state="{state}" event="{event}" callid="c1" cseq="1"
 expires="{expires}"><uri>sip:alice@192.0.2.50</uri></contact>
</registration></reginfo>
"""


def notify(
    wire: Wire, server: WireServer, subscribe: Request, version: int, event: str
) -> None:
    """Send a NOTIFY as Kamailio does: a document without claims."""
    state = "active" if event == "registered" else "terminated"
    expires = 600 if state == "active" else 0
    body = DOCUMENT.format(version=version, state=state, event=event, expires=expires)
    lines = [
        "NOTIFY sip:server@192.0.2.1 SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKn{version}",
        f"From: {subscribe.headers['To'][0]};tag=p1",
        f"To: {subscribe.headers['From'][0]}",
        f"Call-ID: {subscribe.call_id}",
        f"CSeq: {version + 1} NOTIFY",
        "Contact: <sip:192.0.2.2>",
        "Event: reg",
        "Subscription-State: active;expires=3000",
        "Content-Type: application/reginfo+xml",
        f"Content-Length: {len(body)}",
    ]
    data = "\r\n".join([*lines, "", body]).encode()
    wire.send(data, PEER, server.address)
    (answer,) = wire.received(PEER)
    given(answer.startswith(b"SIP/2.0 200 "))


def test_the_end_of_an_old_call_id_at_a_peer_does_not_end_our_registration() -> None:
    """
    A phone registers at a Kamailio, then with another Call-ID here. The first
    registration expires there, and its `expired` has no claim of ours.
    """
    wire = Wire()
    server = wire.serve(configuration("a", ["b"]))
    wire.pass_time(1)
    data, *_ = wire.received(PEER)
    subscribe = parse(data)
    given(isinstance(subscribe, Request))
    assert isinstance(subscribe, Request)
    answer = Response(200, "OK")
    answer.headers["Expires"] = ["3600"]
    answer.headers["Contact"] = ["<sip:192.0.2.2>"]
    wire.send(subscribe.write_response(answer, to_tag="p1"), PEER, server.address)
    notify(wire, server, subscribe, 0, "registered")
    given(server.contacts(ALICE) == [CONTACT])
    wire.pass_time(100)
    given(is_registered(register(wire, server, call_id="c2", expires=3600)))
    wire.pass_time(490)
    given(server.contacts(ALICE) == [CONTACT])
    notify(wire, server, subscribe, 1, "expired")
    assert server.contacts(ALICE) == [CONTACT]
