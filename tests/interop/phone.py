"""
A telephone, a watcher and a notifier on real UDP: plain, synchronous, for tests.

It shares no line with the server's own stack, so that the two cannot be wrong
in the same way. It waits with deadlines, never for a fixed time.
"""

from __future__ import annotations

import itertools
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
    One socket on loopback that talks to one server.

    Requests that come in while it waits for an answer are answered 200 and
    kept in :attr:`inbox`, retransmissions but once.
    """

    def __init__(self, server: Address, *, domain: str = DOMAIN) -> None:
        self.server = server
        self.domain = domain
        self.inbox: list[Message] = []
        self._seen: set[tuple[str, str]] = set()
        self._cseq: dict[str, int] = {}
        self._numbers = itertools.count(1)
        # Part of every Call-ID, tag and branch: a later run is another phone.
        self._run = secrets.token_hex(4)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))

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
        return f"sip:{user}@127.0.0.1:{self.port};device={device}"

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
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch};rport",
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
        self, user: str, *, expires: int, device: int = 0, cseq: int | None = None
    ) -> bytes:
        """A REGISTER of one contact; each device has its own Call-ID and CSeq."""
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
                f"Contact: <{self.contact(user, device)}>",
                f"Expires: {expires}",
            ],
        )

    # -- conversations

    def register(self, user: str, *, expires: int, device: int = 0) -> Message:
        """Register, refresh or (``expires`` 0) unregister a contact."""
        reply = self.ask(self.build_register(user, expires=expires, device=device))
        assert reply.status == 200, reply.start
        return reply

    def options(self, user: str = "ping", *, headers: Sequence[str] = ()) -> Message:
        """Ask for capabilities: any server that is up answers."""
        number = next(self._numbers)
        return self.ask(
            self.request(
                "OPTIONS",
                self.aor(user),
                to=f"<{self.aor(user)}>",
                call_id=f"options-{number}-{self._run}",
                cseq=1,
                headers=headers,
            )
        )

    def subscribe(self, user: str, *, expires: int = 3600) -> Message:
        """Watch the registrations of ``user``; its NOTIFYs come by `notify`."""
        number = next(self._numbers)
        return self.ask(
            self.request(
                "SUBSCRIBE",
                self.aor(user),
                to=f"<{self.aor(user)}>",
                from_=f"<sip:watcher@{self.domain}>;tag=w{number}{self._run}",
                call_id=f"subscribe-{number}-{self._run}",
                cseq=1,
                headers=[
                    f"Contact: <sip:watcher@127.0.0.1:{self.port}>",
                    "Event: reg",
                    "Accept: application/reginfo+xml",
                    f"Expires: {expires}",
                ],
            )
        )

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
        self._socket.settimeout(max(timeout, 0.001))
        try:
            data, source = self._socket.recvfrom(65535)
        except (TimeoutError, ConnectionRefusedError):
            # Refused: the server is down just now, and its port says so.
            return None
        message = Message.parse(data, source)
        if not message.status:
            self._answer(message)
        return message

    def _answer(self, request: Message) -> None:
        headers: list[str] = []
        if request.method == "SUBSCRIBE":
            # The phone plays the notifier: the dialog needs a Contact and a time.
            headers = [
                f"Contact: <sip:phone@127.0.0.1:{self.port}>",
                f"Expires: {request.get('expires') or 3600}",
            ]
        self._socket.sendto(response(request, 200, "OK", headers), request.source)
        if (request.branch, request.method) not in self._seen:
            self._seen.add((request.branch, request.method))
            self.inbox.append(request)


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
        assert read() == expected
        return True

    eventually(check, within=within)


def free_port() -> int:
    """A UDP port of loopback that nobody uses at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _parameter(value: str, name: str) -> str:
    for part in value.split(";")[1:]:
        key, _, text = part.partition("=")
        if key.strip().lower() == name:
            return text.strip()
    return ""
