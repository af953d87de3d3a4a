"""A server that asks for passwords, and phones that know some."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import msgspec

from reginfo.auth.account import new_account
from reginfo.auth.login import Login, Tried
from reginfo.auth.users_file import save_users
from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.sip.flow import Address
from reginfo.sip.message import Request, Response, SipMessage
from reginfo.sip.parser import parse
from reginfo.testing.wire import Wire, WireServer

ALICE, BOB = "sip:alice@example.com", "sip:bob@example.com"
OPS, MALLORY = "sip:ops@example.com", "sip:mallory@example.net"
PHONE: Address = ("192.0.2.50", 5060)
BOBS: Address = ("192.0.2.60", 5060)
PEER: Address = ("192.0.2.2", 5060)
ELSEWHERE: Address = ("192.0.2.80", 5060)
REGISTER = ("REGISTER", "sip:example.com", "Contact: <sip:alice@192.0.2.50>")
CONFIG = """
[server]
id      = "a"
listen  = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[auth]
users = "{users}"
administrators = ["sip:ops@example.com"]
{more}
"""


class Guarded:
    """
    A server with the users alice, bob and ops, whose password is `secret`.

    Args:
        more: the end of its configuration, beginning with more keys of `[auth]`.
    """

    def __init__(self, directory: Path, more: str = "") -> None:
        self.users = directory / "users"
        self.save("alice", "bob", "ops")
        self.config = Config.parse(CONFIG.format(users=self.users, more=more))
        self.wire = Wire()
        self.wire.hosts["example.net"] = ELSEWHERE
        self.server: WireServer = self.wire.serve(self.config, MemoryStorage())
        self._numbers = count(1)
        self._kept: list[tuple[Address, Request]] = []

    def save(self, *names: str) -> None:
        """Write the file of users."""
        accounts = {}
        for name in names:
            one = new_account(
                f"{name}@example.com",
                "secret",
                algorithms=["SHA-256", "MD5"],
                also=["tel:+49301"] if name == "alice" else [],
            )
            accounts[one.name] = one
        save_users(self.users, accounts)

    def restart(self) -> None:
        """Kill the server, and start it again with its database."""
        self.server = self.wire.restart(self.server)

    def send(
        self,
        method: str,
        uri: str,
        *headers: str,
        from_: str = ALICE,
        to: str | None = None,
        source: Address = PHONE,
        call_id: str = "",
        to_tag: str = "",
        body: str = "",
    ) -> Response | None:
        """Send one request; the last response to it, if there is one at once."""
        number = next(self._numbers)
        tag = f";tag={to_tag}" if to_tag else ""
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {source[0]}:{source[1]};branch=z9hG4bK-{number}",
            f"From: <{from_}>;tag=from-{number}",
            f"To: <{to or uri}>{tag}",
            f"Call-ID: {call_id or f'call-{number}'}",
            f"CSeq: {number} {method}",
            "Max-Forwards: 70",
            *headers,
            f"Content-Length: {len(body)}",
            "",
            body,
        ]
        self.wire.received(source)
        self.wire.send("\r\n".join(lines).encode(), source, self.server.address)
        got = [parse(data) for data in self.wire.received(source)]
        answers = [one for one in got if isinstance(one, Response)]
        self._kept += [(source, one) for one in got if isinstance(one, Request)]
        return answers[-1] if answers else None

    def log_in(
        self,
        method: str,
        uri: str,
        *headers: str,
        user: str = "alice",
        password: str = "secret",
        **others: str,
    ) -> Response | None:
        """Send a request, and answer its challenges; the last response."""
        login, tried = Login(user, password, lambda: "cnonce"), Tried()
        while True:
            lines = login.headers(method, uri, others.get("body", "").encode())
            sent = [*headers, *lines.splitlines()]
            response = self.send(method, uri, *sent, **others)  # type: ignore[arg-type]
            if response is None or not login.receive(response, tried):
                return response

    def status(self, *arguments: str, **others: object) -> int:
        """Send one request; the status of its response, 0 if there is none."""
        response = self.send(*arguments, **others)  # type: ignore[arg-type]
        return 0 if response is None else response.status

    def logged_in(self, *arguments: str, **others: str) -> int:
        """Send a request with its password; the status of its response."""
        response = self.log_in(*arguments, **others)
        return 0 if response is None else response.status

    def register(self, user: str = "bob", at: Address = BOBS) -> None:
        """Register a user's phone."""
        assert (
            self.logged_in(
                "REGISTER",
                "sip:example.com",
                f"Contact: <sip:{user}@{at[0]}>",
                user=user,
                from_=f"sip:{user}@example.com",
                to=f"sip:{user}@example.com",
            )
            == 200
        )

    def inbox(self, address: Address) -> list[Request]:
        """The requests that somebody got since the last call."""
        got: list[SipMessage] = [parse(data) for data in self.wire.received(address)]
        kept = [one for at, one in self._kept if at == address]
        self._kept = [pair for pair in self._kept if pair[0] != address]
        return kept + [one for one in got if isinstance(one, Request)]

    def answer(self, address: Address) -> list[Request]:
        """Answer all requests to somebody with 200, also those that follow."""
        answered = []
        while requests := self.inbox(address):
            for request in requests:
                data = request.write_response(Response(200, "OK"), to_tag="")
                self.wire.send(data, address, self.server.address)
            answered += requests
        return answered


def asking(directory: Path, more: str, script: str) -> Guarded:
    """A server with a script."""
    server = Guarded(directory, more)
    path = directory / "routes.py"
    path.write_text(script)
    section = msgspec.structs.replace(server.config.server, script=path)
    config = msgspec.structs.replace(server.config, server=section)
    server.server = server.wire.restart(server.server, config=config)
    return server
