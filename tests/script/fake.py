"""A server that does what it is told to, for handlers that are called by a test."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from reginfo.location.binding import Binding
from reginfo.reg.document import ContactEvent
from reginfo.routing.target import Target
from reginfo.script.message import MAIN, Message
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.flow import Flow
from reginfo.sip.message import Request, Response

from ..make import LOCAL, PHONE, request


class Core:
    """Notes what it is asked, and answers as `answers` says."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answers = answers
        self.keys: dict[tuple[str, str, str], str] = {}
        self.response = Response(0, "")

    def _ask(self, name: str, *arguments: Any) -> Any:
        self.asked.append((name, *arguments))
        answer = self.answers.get(name, True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def subscribe(self, uri: str, expires: int) -> bool:
        return bool(self._ask("subscribe", uri, expires))

    def update(self, aor: str) -> bool:
        return bool(self._ask("update", aor))

    def remove(
        self,
        table: str,
        aor: str,
        contact: str | None,
        event: ContactEvent,
        retry_after: int | None,
        publishes: bool,
    ) -> bool:
        return bool(self._ask("remove", table, aor, contact, event.value, retry_after))

    def shorten(
        self, table: str, aor: str, contact: str | None, expires: int, publishes: bool
    ) -> bool:
        return bool(self._ask("shorten", table, aor, contact, expires))

    def create(
        self,
        table: str,
        aor: str,
        contact: str,
        expires: int,
        q: str | None,
        publishes: bool,
    ) -> bool:
        return bool(self._ask("create", table, aor, contact, expires, q))

    def admit(self, table: str, aor: str) -> bool:
        return bool(self._ask("admit", table, aor))

    def key(self, table: str, aor: str, key: str) -> str | None:
        if not aor:
            raise RemoteProtocolError("no AoR")
        return self.keys.get((table, aor, key))

    def set_key(
        self, table: str, aor: str, key: str, value: str | None, publishes: bool
    ) -> bool:
        if not aor:
            raise RemoteProtocolError("no AoR")
        if value is None:
            return self.keys.pop((table, aor, key), None) is not None
        self.keys[table, aor, key] = value
        return True

    def bindings(self, aor: str, table: str) -> Sequence[Binding]:
        self._ask("bindings", aor, table)
        return ()

    def send_request(
        self,
        method: str,
        to: str,
        binding: Binding | None,
        headers: Sequence[tuple[str, str]],
        body: str | bytes,
        from_: str | None,
    ) -> Awaitable[Response]:
        self.asked.append(("send_request", method, to, binding, headers, body, from_))
        return _answered()


class Call:
    """One request, which notes what is asked of it with its :class:`Core`."""

    def __init__(self, core: Core, received: Request, flow: Flow) -> None:
        self._core = core
        self.request = Request(received.method, received.uri)
        self.request.headers = dict(received.headers)
        self.request.body = received.body
        self.flow = flow
        self.targets: list[Target] = []
        self.on_reply: str | None = None
        self.on_failure: str | None = None
        self.reply_headers: list[tuple[str, str]] = []
        self.answered = self.relayed = False
        self.texts: frozenset[str] = frozenset()
        self.publishes = True
        self.refusal: Response | None = None
        self.reason = ""

    def respond(self, response: Response) -> None:
        self._core.asked.append(("reply", response.status, response.reason))
        self._core.response = response
        self.answered = response.status >= 200

    def relay(self) -> bool:
        return bool(self._core._ask("relay", [b.uri.text for b in self.targets]))

    def save(self, table: str) -> int:
        return int(self._core._ask("save", table))

    def lookup(self, table: str) -> int:
        return int(self._core._ask("lookup", table))

    def handle_subscribe(self) -> bool:
        return bool(self._core._ask("handle_subscribe"))

    def handle_publish(self) -> bool:
        return bool(self._core._ask("handle_publish"))

    def handle_notify(self, table: str) -> int:
        return int(self._core._ask("handle_notify", table))

    def authorize(self, realm: str, status: int) -> int:
        return int(self._core._ask("authorize", realm, status))

    def challenge(self, realm: str, status: int, qop: str) -> Response:
        self._core._ask("challenge", realm, status, qop)
        return Response(status, "Challenge")

    def consume_credentials(self) -> bool:
        return bool(self._core._ask("consume_credentials"))

    def default(self) -> None:
        self._core._ask("default")


async def _answered() -> Response:
    return Response(200, "OK")


def message(
    core: Core,
    received: Request | None = None,
    *,
    kind: str = MAIN,
    reply: Response | None = None,
) -> Message:
    """A request as its handler gets it."""
    if received is None:
        received = request("REGISTER")
    call = Call(core, received, Flow(LOCAL, PHONE))
    return Message(core, call, kind=kind, reply=reply)
