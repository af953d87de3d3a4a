"""A server that leaves for good reports that at once; one that restarts does not."""

from __future__ import annotations

import asyncio
from typing import Any

from reginfo.config.config import Config
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire

from ..io.at_rim import LOCAL, SUBSCRIBE, Places, Server, ok_to, register
from ..make import ALICE

CONFIG = '[server]\nid = "a"\ndomains = ["example.com"]\n[store]\nurl = "memory:"\n'


def watched(server: Server) -> None:
    """Have a server start, and one watcher that was told everything."""
    server.app.begin([LOCAL], Places())
    server.rim.start()
    server.receive(register(1))
    server.receive(SUBSCRIBE, ("192.0.2.9", 5060))
    (notify,) = (one for one in server.wire.sent if one.startswith(b"NOTIFY"))
    server.receive(ok_to(notify), ("192.0.2.9", 5060))
    server.wire.sent.clear()


def test_it_begins_at_once_although_nothing_else_happens() -> None:
    async def drained() -> list[bytes]:
        server = Server(None)
        server.app._rim = server.rim
        watched(server)
        server.app.drain(100.0)
        # No datagram comes and no other timer is due: the rim has set one for this.
        for _ in range(10):
            await asyncio.sleep(0)
        return server.wire.sent

    (notify,) = asyncio.run(drained())
    assert b"terminated;reason=deactivated" in notify


class Idle:
    """A resolver, or a network, that has nothing to stop."""

    def stop(self) -> None: ...


def test_no_watcher_is_notified_at_a_restart() -> None:
    """6665-27: SIGTERM may be a restart, so no subscription is terminated."""

    async def stopped() -> list[str]:
        server = Server(None)
        app = server.app
        idle: Any = Idle()
        app._rim, app._names, app._network = server.rim, idle, idle
        watched(server)
        await app.stop()
        return server.wire.first_lines()

    assert asyncio.run(stopped()) == []


def test_a_removal_by_the_administrator_is_reported_at_once() -> None:
    """3680-22: no SUBSCRIBE and no REGISTER causes the NOTIFY; no timer has to run."""
    wire = Wire()
    server = wire.serve(Config.parse(CONFIG))
    watcher, phone = ("127.0.0.9", 5060), ("127.0.0.8", 5060)
    for method, source, headers in (
        ("REGISTER", phone, ["Contact: <sip:a@127.0.0.8>", "Expires: 600"]),
        ("SUBSCRIBE", watcher, ["Contact: <sip:w@127.0.0.9>", "Event: reg"]),
    ):
        lines = [
            f"{method} {ALICE if method == 'SUBSCRIBE' else 'sip:example.com'} SIP/2.0",
            f"Via: SIP/2.0/UDP {source[0]};branch=z9hG4bK{method}",
            f"From: <{ALICE}>;tag=1",
            f"To: <{ALICE}>",
            f"Call-ID: {method}",
            f"CSeq: 1 {method}",
            *headers,
        ]
        wire.send("\r\n".join([*lines, "", ""]).encode(), source, server.address)
    (notify,) = (
        message
        for data in wire.received(watcher)
        if isinstance(message := parse(data), Request)
    )
    ok = notify.write_response(Response(200, "OK"), to_tag="")
    wire.send(ok, watcher, server.address)
    wire.pass_time(6)
    before = len(wire.packets)
    assert server.app.remove(ALICE).contacts == 1
    sent = [packet.first_line for packet in wire.packets[before:]]
    assert [line.split()[0] for line in sent] == ["NOTIFY"]
