"""Tests a routing script: sends it requests, and shows what it sent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..config.config import Config
from ..location.binding import Binding
from ..location.place import TABLE, Aor, Place
from ..sip.flow import Address
from ..sip.message import Draft, Request, Response
from ..sip.parser import parse
from .wire import Wire, WireServer

CONFIG = """
[server]
id      = "test"
listen  = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
[pua_reginfo]
server_address = "sip:reginfo@192.0.2.1"
"""
"""The default configuration of a server under test."""

PHONE: Address = ("192.0.2.50", 5060)
"""The default source of requests."""


class SentMessage(msgspec.Struct, frozen=True):
    """A message that the server sent, and its destination."""

    message: Request | Response
    to: Address

    @property
    def method(self) -> str:
        """The method of a request, or of the request of a response."""
        return self.message.cseq.method

    @property
    def status(self) -> int:
        """The status of a response; 0 for a request."""
        return self.message.status if isinstance(self.message, Response) else 0

    @property
    def uri(self) -> str:
        """The Request-URI of a request; empty for a response."""
        return self.message.uri if isinstance(self.message, Request) else ""

    def header(self, name: str) -> str | None:
        """Return the first value of a header field."""
        return self.message.header(name)


class Script:
    """
    A server with a script; the test plays its peers and phones::

        script = Script("routes.py")
        script.register("sip:bob@example.com", "sip:bob@192.0.2.60")
        script.send("MESSAGE", "sip:bob@example.com", body="Hi")
        [relayed] = script.sent()
        assert relayed.uri == "sip:bob@192.0.2.60"
        script.answer(relayed, 200, "OK")
        assert [one.status for one in script.sent()] == [200]

    Time passes only in :meth:`pass_time`. If a handler awaits something, the test must
    be a coroutine.

    Args:
        path: the path of the script.
        config: the configuration of the server, without `[server] script`.
        hosts: the host names that can be resolved, with their addresses.
    """

    def __init__(
        self,
        path: str | Path,
        config: str = CONFIG,
        *,
        hosts: dict[str, Address] | None = None,
    ) -> None:
        read = Config.parse(config)
        server = msgspec.structs.replace(read.server, script=Path(path))
        self.wire = Wire()
        self.wire.hosts.update(hosts or {})
        self.server: WireServer = self.wire.serve(
            msgspec.structs.replace(read, server=server)
        )
        self._number = 0
        self._seen = len(self.wire.packets)

    def send(
        self,
        method: str,
        uri: str,
        *headers: str,
        to: str | None = None,
        from_: str = "sip:alice@example.com",
        body: str | bytes = b"",
        source: Address = PHONE,
    ) -> Response | None:
        """
        Send a request through the script.

        Args:
            headers: further header lines, such as `Event: reg`.
            to: the URI in To; by default ``uri``.

        Returns:
            The last response that ``source`` got at once; None if there was none.
        """
        self._number += 1
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {source[0]}:{source[1]};branch=z9hG4bK-{self._number}",
            f"From: <{from_}>;tag=from-{self._number}",
            f"To: <{uri if to is None else to}>",
            f"Call-ID: call-{self._number}",
            f"CSeq: {self._number} {method}",
            "Max-Forwards: 70",
            *headers,
        ]
        data = body.encode() if isinstance(body, str) else body
        lines += [f"Content-Length: {len(data)}", "", ""]
        before = len(self.wire.packets)
        self.wire.send("\r\n".join(lines).encode() + data, source, self.server.address)
        responses = [
            message
            for packet in self.wire.packets[before:]
            if packet.destination == source
            and isinstance(message := parse(packet.data), Response)
        ]
        return responses[-1] if responses else None

    def register(
        self, aor: str, contact: str, *headers: str, expires: int = 600
    ) -> int:
        """Register a contact; return the status of the response."""
        response = self.send(
            "REGISTER",
            "sip:example.com",
            f"Contact: <{contact}>",
            f"Expires: {expires}",
            *headers,
            to=aor,
            from_=aor,
        )
        return 0 if response is None else response.status

    def sent(self) -> list[SentMessage]:
        """Return the messages that the server sent since the last call."""
        packets = self.wire.packets[self._seen :]
        self._seen = len(self.wire.packets)
        return [
            SentMessage(parse(packet.data), packet.destination)
            for packet in packets
            if packet.source == self.server.address
        ]

    def answer(
        self,
        sent: SentMessage,
        status: int,
        reason: str = "OK",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Answer a request that the server sent."""
        request = sent.message
        assert isinstance(request, Request), "a response is not answered"
        response = Response.of(status, reason, headers)
        response.body = body
        tag = "" if request.to.tag else "answered"
        data = request.write_response(response, to_tag=tag)
        self.wire.send(data, sent.to, self.server.address)

    def request(self, draft: Draft, source: Address = PHONE) -> None:
        """Send a complete request, such as one in a dialog."""
        self._number += 1
        via = f"SIP/2.0/UDP {source[0]}:{source[1]};branch=z9hG4bK-{self._number}"
        self.wire.send(draft.write(via), source, self.server.address)

    def pass_time(self, seconds: float) -> None:
        """Let time pass; timers that are due fire one after the other."""
        self.wire.pass_time(seconds)

    def bindings(self, aor: str, table: str = TABLE) -> list[Binding]:
        """Return the bindings of a user."""
        return self.server.app.store.bindings(Place(table, Aor(aor)), self.wire.now)

    def reload(self) -> None:
        """
        Load the script again, as on SIGHUP.

        Raises:
            ScriptError: it is wrong; the previous one stays in use.
        """
        self.server.app.reload()
