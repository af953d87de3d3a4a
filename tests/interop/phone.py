"""
A telephone, a watcher and a notifier on real sockets: plain, synchronous, for tests.

It shares no line with the server's own stack, so that the two cannot be wrong
in the same way. It waits with deadlines, never for a fixed time.
"""

from __future__ import annotations

import itertools
import random
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

T = TypeVar("T")

DOMAIN = "example.test"

T1 = 0.5  # the first interval of a retransmission (RFC 3261 §17.1.2.1), in seconds
T2 = 4.0  # and the longest
LOOPBACK = ("127.0.0.1", "[::1]")  # as they stand in a URI

PATIENCE = 10.0  # for how long an answer is awaited, in seconds

Address = tuple[str, int]

_COMPACT = {
    "f": "from",
    "i": "call-id",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "t": "to",
    "v": "via",
}


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response, as it came."""

    start: str
    headers: tuple[tuple[str, str], ...]
    "Names in lower case and in the long form."

    body: bytes
    source: Address

    @classmethod
    def parse(cls, data: bytes, source: Address) -> Self:
        head, _, body = data.partition(b"\r\n\r\n")
        start, *lines = head.decode(errors="surrogateescape").split("\r\n")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            headers.append((_COMPACT.get(name, name), value.strip()))
        return cls(start, tuple(headers), body, source)

    @property
    def status(self) -> int:
        """The status code of a response; 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The method of a request, or of the request that a response answers."""
        return self["cseq"].split()[1]

    @property
    def branch(self) -> str:
        """The branch of the topmost Via."""
        return _parameter(self["via"], "branch")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def get(self, name: str) -> str | None:
        """The first header of this name, if there is one."""
        return next(iter(self.all(name)), None)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(f"no {name} in {self.start!r}")
        return value

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None


class Phone:
    """
    One socket on loopback that talks to one server, by UDP.

    Requests that come in while it waits for an answer are answered 200 and
    kept in :attr:`inbox`, retransmissions but once.
    """

    transport = "UDP"

    def __init__(self, server: Address, *, domain: str = DOMAIN) -> None:
        self.server = server
        self.domain = domain
        self.host = LOOPBACK[":" in server[0]]
        "Our address as it stands in a URI; of the kind that the server's is."

        self.inbox: list[Message] = []
        self._seen: set[tuple[str, str]] = set()
        self._cseq: dict[str, int] = {}
        self._numbers = itertools.count(1)
        # Part of every Call-ID, tag and branch: a later run is another phone.
        self._run = secrets.token_hex(4)
        self._socket = self._connected()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- messages

    def aor(self, user: str) -> str:
        return f"sip:{user}@{self.domain}"

    def contact(self, user: str, device: int = 0) -> str:
        """Where ``user`` is reached: a URI of its own for each ``device``."""
        return f"sip:{user}@{self.place};device={device}"

    @property
    def place(self) -> str:
        """Host and port, as they stand in a URI, and the transport if it is named."""
        return f"{self.host}:{self.port}"

    def request(
        self,
        method: str,
        uri: str,
        *,
        to: str,
        call_id: str,
        cseq: int,
        headers: Sequence[str] = (),
        branch: str | None = None,
        from_: str | None = None,
        body: bytes = b"",
    ) -> bytes:
        """A request with the six mandatory headers and the ones given."""
        branch = branch or f"z9hG4bK{self._run}{next(self._numbers)}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport} {self.host}:{self.port}"
            f";branch={branch};rport",
            "Max-Forwards: 70",
            f"From: {from_ or f'<sip:phone@{self.domain}>;tag={self._run}'}",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            *headers,
            "User-Agent: reginfo-tests",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def build_register(
        self,
        user: str,
        *,
        expires: int,
        device: int = 0,
        cseq: int | None = None,
        contacts: Sequence[str] = (),
    ) -> bytes:
        """
        A REGISTER; each device has its own Call-ID and CSeq.

        Args:
            contacts: Contact lines, in the place of the one of the device.
        """
        call_id = f"register-{user}-{device}-{self._run}"
        if cseq is None:
            cseq = self._cseq.get(call_id, 0) + 1
        self._cseq[call_id] = cseq
        aor = self.aor(user)
        return self.request(
            "REGISTER",
            f"sip:{self.domain}",
            to=f"<{aor}>",
            from_=f"<{aor}>;tag={self._run}{device}",
            call_id=call_id,
            cseq=cseq,
            headers=[
                *(contacts or [f"Contact: <{self.contact(user, device)}>"]),
                f"Expires: {expires}",
            ],
        )

    # -- conversations

    def register(
        self, user: str, *, expires: int, device: int = 0, contacts: Sequence[str] = ()
    ) -> Message:
        """Register, refresh or (``expires`` 0) unregister a contact, or several."""
        reply = self.ask(
            self.build_register(user, expires=expires, device=device, contacts=contacts)
        )
        assert reply.status == 200, reply.start
        return reply

    def options(self, user: str = "", *, headers: Sequence[str] = ()) -> Message:
        """Ask ``user``, or else the server, for its capabilities: if up, it answers."""
        number = next(self._numbers)
        uri = self.aor(user) if user else f"sip:{self.domain}"
        return self.ask(
            self.request(
                "OPTIONS",
                uri,
                to=f"<{uri}>",
                call_id=f"options-{number}-{self._run}",
                cseq=1,
                headers=headers,
            )
        )

    def build_subscribe(
        self,
        user: str,
        *,
        expires: int = 3600,
        call_id: str = "",
        cseq: int = 1,
        to: str = "",
        headers: Sequence[str] = ("Event: reg", "Accept: application/reginfo+xml"),
    ) -> bytes:
        """
        A SUBSCRIBE to the registrations of ``user``.

        Args:
            call_id, to: of the dialog in which it is sent; empty to make one.
        """
        if not call_id:
            call_id = f"subscribe-{next(self._numbers)}-{self._run}"
        return self.request(
            "SUBSCRIBE",
            self.aor(user),
            to=to or f"<{self.aor(user)}>",
            from_=f"<sip:watcher@{self.domain}>;tag=w{self._run}",
            call_id=call_id,
            cseq=cseq,
            headers=[
                f"Contact: <sip:watcher@{self.place}>",
                f"Expires: {expires}",
                *headers,
            ],
        )

    def subscribe(self, user: str, *, expires: int = 3600) -> Message:
        """Watch the registrations of ``user``; its NOTIFYs come by `notify`."""
        return self.ask(self.build_subscribe(user, expires=expires))

    def resubscribe(
        self, user: str, dialog: Message, *, expires: int = 3600
    ) -> Message:
        """Refresh or (``expires`` 0) end what a SUBSCRIBE was answered with."""
        return self.ask(
            self.build_subscribe(
                user,
                expires=expires,
                call_id=dialog["call-id"],
                cseq=self._next_cseq(dialog),
                to=dialog["to"],
            )
        )

    def _next_cseq(self, dialog: Message) -> int:
        call_id = dialog["call-id"]
        last = self._cseq.get(call_id, int(dialog["cseq"].split()[0]))
        self._cseq[call_id] = last + 1
        return last + 1

    def ask(self, request: bytes, *, within: float = PATIENCE) -> Message:
        """
        Send a request until its final response comes (RFC 3261 §17.1.2).

        Raises:
            TimeoutError: none came ``within`` so many seconds.
        """
        branch = Message.parse(request, self.server).branch
        deadline = time.monotonic() + within
        interval = T1
        again_at = 0.0
        while (now := time.monotonic()) < deadline:
            if now >= again_at:
                self.send(request)
                again_at, interval = now + interval, min(2 * interval, T2)
                if self.transport != "UDP":
                    again_at = deadline  # what is reliable is not sent twice
            message = self.receive(min(again_at, deadline) - now)
            if message and message.status >= 200 and message.branch == branch:
                return message
        raise TimeoutError(f"no answer to {request.split(b' SIP')[0].decode()!r}")

    def notify(self, *, within: float = PATIENCE) -> Message:
        """The next NOTIFY, which is answered 200."""
        return self.incoming("NOTIFY", within=within)

    def incoming(self, method: str, *, within: float = PATIENCE) -> Message:
        """The next request of this method."""
        deadline = time.monotonic() + within
        while True:
            for message in self.inbox:
                if message.method == method:
                    self.inbox.remove(message)
                    return message
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no {method} within {within} s")
            self.receive(left)

    # -- datagrams

    def send(self, data: bytes) -> None:
        self._socket.sendto(data, self.server)

    def receive(self, timeout: float) -> Message | None:
        """The next message, or None after ``timeout`` seconds."""
        read = self._read(timeout)
        if read is None:
            return None
        message = Message.parse(*read)
        if not message.status:
            self._answer(message)
        return message

    def _connected(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind((self.host.strip("[]"), 0))
        return udp

    def _read(self, timeout: float) -> tuple[bytes, Address] | None:
        self._socket.settimeout(max(timeout, 0.001))
        try:
            data, source = self._socket.recvfrom(65535)
        except (TimeoutError, ConnectionRefusedError):
            # Refused: the server is down just now, and its port says so.
            return None
        return data, source[:2]

    def _answer(self, request: Message) -> None:
        headers = answer_headers(request, self.place)
        self._reply(response(request, 200, "OK", headers), request.source)
        if request.method == "OPTIONS" and "@" not in request["to"]:
            return  # the server asks whether anybody is here
        if (request.branch, request.method) not in self._seen:
            self._seen.add((request.branch, request.method))
            self.inbox.append(request)

    def _reply(self, data: bytes, to: Address) -> None:
        self._socket.sendto(data, to)


class TcpPhone(Phone):
    """The same by TCP: one stream, opened by the phone."""

    transport = "TCP"

    def __init__(self, server: Address, *, domain: str = DOMAIN) -> None:
        self._buffer = bytearray()
        self.pongs = 0
        "Ends of lines that came between messages: answers to our pings."

        super().__init__(server, domain=domain)

    @property
    def place(self) -> str:
        return f"{super().place};transport=tcp"

    def reconnect(self) -> None:
        """Close the stream and open another, from another port."""
        self._socket.close()
        self._buffer.clear()
        self._socket = self._connected()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def is_closed(self, *, within: float = PATIENCE) -> bool:
        """Whether the server has closed the stream, or does ``within`` seconds."""
        self._socket.settimeout(within)
        try:
            while self._socket.recv(65535):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass
        return True

    def _connected(self) -> socket.socket:
        stream = socket.create_connection(self.server, PATIENCE)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def _read(self, timeout: float) -> tuple[bytes, Address] | None:
        deadline = time.monotonic() + timeout
        while (message := take_message(self._buffer, self._pong)) is None:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self._socket.recv(65535)
            except TimeoutError:
                return None
            if not data:
                raise ConnectionResetError("the server has closed the stream")
            self._buffer += data
        return message, self.server

    def _pong(self) -> None:
        self.pongs += 1

    def _reply(self, data: bytes, to: Address) -> None:
        self._socket.sendall(data)


def take_message(buffer: bytearray, pong: Callable[[], None]) -> bytes | None:
    """Take the first message out of a stream, if all of it is there (§18.3)."""
    while buffer.startswith(b"\r\n"):
        del buffer[:2]
        pong()
    head, found, body = bytes(buffer).partition(b"\r\n\r\n")
    if not found:
        return None
    length = int(Message.parse(head, ("", 0)).get("content-length") or 0)
    if len(body) < length:
        return None
    size = len(head) + 4 + length
    message = bytes(buffer[:size])
    del buffer[:size]
    return message


def answer_headers(request: Message, place: str) -> list[str]:
    """What a 2xx of ours needs, as the notifier or the presence server."""
    expires = f"Expires: {request.get('expires') or 3600}"
    if request.method == "SUBSCRIBE":
        return [f"Contact: <sip:phone@{place}>", expires]
    if request.method == "PUBLISH":
        return [f"SIP-ETag: e{tag_of(request)}", expires]
    return []


def response(
    request: Message, status: int, reason: str, headers: Sequence[str] = ()
) -> bytes:
    """The response to a request (RFC 3261 §8.2.6), with a To tag that it keeps."""
    to = request["to"]
    if ";tag=" not in to:
        to += f";tag={tag_of(request)}"
    lines = [
        f"SIP/2.0 {status} {reason}",
        *(f"Via: {via}" for via in request.all("via")),
        *(f"Record-Route: {route}" for route in request.all("record-route")),
        f"From: {request['from']}",
        f"To: {to}",
        f"Call-ID: {request['call-id']}",
        f"CSeq: {request['cseq']}",
        *headers,
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def tag_of(request: Message) -> str:
    """The tag with which a request is answered: equal for a retransmission."""
    return request.branch.removeprefix("z9hG4bK").replace(".", "")[-12:]


def eventually(check: Callable[[], T], *, within: float = PATIENCE) -> T:
    """
    What ``check`` returns as soon as that is true.

    An assertion that fails in ``check`` counts as "not yet"; after ``within``
    seconds it is the test's.
    """
    deadline = time.monotonic() + within
    while True:
        try:
            value = check()
            if value:
                return value
            failure: AssertionError | None = None
        except AssertionError as error:
            failure = error
        if time.monotonic() >= deadline:
            raise failure or AssertionError(f"not so within {within} s: {value!r}")
        time.sleep(0.02)


def becomes(
    read: Callable[[], object], expected: object, *, within: float = PATIENCE
) -> None:
    """Wait until ``read`` returns what is ``expected``; if not, say what it did."""

    def check() -> bool:
        value = read()
        assert value == expected, f"{value!r} is not {expected!r}"
        return True

    eventually(check, within=within)


def free_port(host: str = "127.0.0.1") -> int:
    """
    A port of loopback that nobody uses, by UDP or by TCP.

    Below the ports that the system gives to clients: none of these can take it before
    the server does. Two runs of the tests at once begin at different ones.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in _PORTS:
        with (
            socket.socket(family, socket.SOCK_DGRAM) as probe,
            socket.socket(family, socket.SOCK_STREAM) as other,
        ):
            try:
                probe.bind((host, port))
                other.bind((host, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


_FIRST, _LAST = 12_000, 32_000
_PORTS = itertools.chain.from_iterable(
    (range(random.randrange(_FIRST, _LAST), _LAST), range(_FIRST, _LAST))
)


def _parameter(value: str, name: str) -> str:
    for part in value.split(";")[1:]:
        key, _, text = part.partition("=")
        if key.strip().lower() == name:
            return text.strip()
    return ""
