"""A subscription that has ended holds no memory."""

from __future__ import annotations

import gc

from reginfo.roles.watch import Watch
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire
from reginfo.testing.wire import WireServer

from ..simulation import ALICE, configuration, given

WATCHER = ("192.0.2.99", 5060)


def subscribe(
    wire: Wire, server: WireServer, number: int, cseq: int, to: str, expires: int
) -> str:
    """Send a SUBSCRIBE and answer the NOTIFYs; the To of the 200."""
    lines = [
        f"SUBSCRIBE {ALICE} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.99;branch=z9hG4bKs{number}.{cseq}",
        f"From: <sip:w@example.com>;tag=f{number}",
        f"To: {to}",
        f"Call-ID: w{number}",
        f"CSeq: {cseq} SUBSCRIBE",
        "Contact: <sip:w@192.0.2.99>",
        "Event: reg",
        f"Expires: {expires}",
    ]
    wire.send("\r\n".join([*lines, "", ""]).encode(), WATCHER, server.address)
    found = ""
    for data in wire.received(WATCHER):
        message = parse(data)
        if isinstance(message, Request):
            answer = message.write_response(Response(200, "OK"), to_tag="")
            wire.send(answer, WATCHER, server.address)
        elif isinstance(message, Response) and message.status == 200:
            found = message.headers["To"][0]
    given(found, "SUBSCRIBE was not answered 200")
    return found


def test_subscriptions_that_have_ended_are_forgotten() -> None:
    """Watchers subscribe for a day, and unsubscribe at once (RFC 6665 §4.4.1)."""
    wire = Wire()
    extra = "[presence_reginfo]\nmax_expires = 86400"
    server = wire.serve(configuration("a", [], extra=extra))
    gc.collect()
    before = sum(isinstance(one, Watch) for one in gc.get_objects())
    for number in range(50):
        to = subscribe(wire, server, number, 1, f"<{ALICE}>", 86_400)
        subscribe(wire, server, number, 2, to, 0)
        wire.pass_time(1)
    wire.packets.clear()
    wire.pass_time(100)
    given(len(server.app.notifier) == 0)
    gc.collect()
    after = sum(isinstance(one, Watch) for one in gc.get_objects())
    assert after - before < 5
