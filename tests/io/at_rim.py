"""A server at the rim, between a disk and a wire that the test holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.io.rim import Rim
from reginfo.ledger.application import Done
from reginfo.ledger.journal import Entry
from reginfo.routing.targets import Found
from reginfo.server.app import App
from reginfo.sip.destination import Destination
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transaction import Datagram
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

from ..make import place

LOCAL = Local(Transport.UDP, "127.0.0.1", 5060)
PHONE = ("192.0.2.1", 5060)
WATCHER = ("192.0.2.9", 5060)
AOR = "sip:alice@example.com"

CONFIG = """
[server]
id = "a"
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
"""


class Disk:
    """A writer whose commits end when the test says so, well or badly."""

    def __init__(self) -> None:
        self.waiting: list[tuple[list[Entry], Done]] = []
        self.stopped = False

    def commit(
        self, entries: list[Entry], *, boot: float, wall: float, done: Done
    ) -> None:
        self.waiting.append((list(entries), done))

    def finish(self, failure: Exception | None = None) -> list[Entry]:
        entries, done = self.waiting.pop(0)
        done(failure)
        return entries

    def stop(self) -> None:
        self.stopped = True


class Wire:
    """A transport that keeps what it is given."""

    local = LOCAL

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...

    def send(self, datagram: Datagram) -> None:
        self.sent.append(datagram.data)

    def first_lines(self) -> list[str]:
        lines = [data.split(b"\r\n", 1)[0].decode() for data in self.sent]
        self.sent.clear()
        return lines


class Places:
    """Finds who is at an address in numbers."""

    def find(self, uri: Uri, found: Found) -> None:
        found([Destination(Transport.UDP, (uri.host, uri.port or 5060))])


class Server:
    """An application at the rim, between a disk and a wire of the test's own."""

    def __init__(self, disk: Disk | None, script: Path | None = None) -> None:
        config = Config.parse(CONFIG)
        server = msgspec.structs.replace(config.server, script=script)
        self.app = App(msgspec.structs.replace(config, server=server))
        self.app.endpoint.validation.validate_all()
        self.disk = disk or Disk()
        self.wire = Wire()
        self.turns = self.app.turns
        self.rim = Rim(self.turns, self.app, Clock().now, writer=disk)
        self.rim.add(self.wire)

    def receive(self, data: bytes, source: tuple[str, int] = PHONE) -> None:
        self.rim.receive(data, Flow(LOCAL, source))
        self.rim.settle()

    def bound(self) -> list[str]:
        now = self.app.now()
        return [binding.contact for binding in self.app.store.bindings(place(AOR), now)]


def request(
    method: str, cseq: int, *headers: str, to_tag: str = "", host: str = "192.0.2.1"
) -> bytes:
    return "\r\n".join(
        [
            f"{method} {AOR if method == 'SUBSCRIBE' else 'sip:example.com'} SIP/2.0",
            f"Via: SIP/2.0/UDP {host};branch=z9hG4bK{method}{cseq}{host}",
            f"From: <sip:alice@example.com>;tag={method}{cseq}",
            f"To: <{AOR}>{to_tag}",
            f"Call-ID: {method}@{host}",
            f"CSeq: {cseq} {method}",
            *headers,
            "",
            "",
        ]
    ).encode()


def register(cseq: int, expires: int = 600) -> bytes:
    contact = "Contact: <sip:alice@192.0.2.1>"
    return request("REGISTER", cseq, contact, f"Expires: {expires}")


SUBSCRIBE = request(
    "SUBSCRIBE", 1, "Contact: <sip:w@192.0.2.9>", "Event: reg", host="192.0.2.9"
)


def ok_to(notify: bytes) -> bytes:
    """The watcher's 200 to a NOTIFY."""
    head = notify.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    copied = [
        line
        for line in head
        if line.split(b":")[0] in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
    ]
    return b"\r\n".join([b"SIP/2.0 200 OK", *copied, b"Content-Length: 0", b"", b""])


def in_loop(
    test: Callable[[Server], Coroutine[Any, Any, None]],
) -> Callable[[], None]:
    """Run a test of a server that is durable inside an event loop."""

    def run() -> None:
        async def main() -> None:
            await test(Server(Disk()))

        asyncio.run(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
