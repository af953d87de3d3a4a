"""The server's side of `reginfo.script.core`."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..ledger.turn import Turns
from ..location.binding import Binding
from ..location.place import Place
from ..location.store import LocationStore
from ..pua_reginfo import PuaReginfo
from ..reg.document import ContactEvent
from ..routing.domains import Domains
from ..sip.message import Response
from .acts import Acts
from .sending import Sender


class ServerCore:
    """The server, as a script sees it; see :class:`reginfo.script.core.Core`."""

    def __init__(
        self,
        turns: Turns,
        domains: Domains,
        *,
        store: LocationStore,
        sender: Sender,
        pua_reginfo: PuaReginfo,
        acts: Acts,
    ) -> None:
        self._turns = turns
        self._domains = domains
        self._store = store
        self._sender = sender
        self._pua_reginfo = pua_reginfo
        self._acts = acts

    def subscribe(self, uri: str, expires: int) -> bool:
        self._turns.wake()
        return self._pua_reginfo.subscribe(uri, expires, self._turns.moment().now)

    def update(self, aor: str) -> bool:
        self._turns.wake()
        return self._pua_reginfo.update(
            self._domains.named(aor), self._turns.moment().now
        )

    def remove(
        self,
        table: str,
        aor: str,
        contact: str | None,
        event: ContactEvent,
        retry_after: int | None,
        publishes: bool,
    ) -> bool:
        self._turns.wake()
        acts = self._acts
        return bool(acts.remove(table, aor, contact, event, retry_after, publishes))

    def shorten(
        self, table: str, aor: str, contact: str | None, expires: int, publishes: bool
    ) -> bool:
        self._turns.wake()
        return bool(self._acts.shorten(table, aor, contact, expires, publishes))

    def create(
        self,
        table: str,
        aor: str,
        contact: str,
        expires: int,
        q: str | None,
        publishes: bool,
    ) -> bool:
        self._turns.wake()
        self._acts.create(table, aor, str(contact), expires, q, publishes)
        return True

    def admit(self, table: str, aor: str) -> bool:
        self._turns.wake()
        return bool(self._acts.admit(table, aor))

    def key(self, table: str, aor: str, key: str) -> str | None:
        return self._store.keys(Place(table, self._domains.named(aor))).get(key)

    def set_key(
        self, table: str, aor: str, key: str, value: str | None, publishes: bool
    ) -> bool:
        self._turns.wake()
        moment = self._turns.moment()
        return self._store.set_key(
            Place(table, self._domains.named(aor)),
            str(key),
            # A plain `str`: no storage takes the texts of a message that scripts see.
            None if value is None else str(value),
            moment.now,
            moment.wall,
            is_published=publishes,
        )

    def bindings(self, aor: str, table: str) -> Sequence[Binding]:
        return self._store.bindings(
            Place(table, self._domains.named(aor)), self._turns.moment().now
        )

    def send_request(
        self,
        method: str,
        to: str,
        binding: Binding | None,
        headers: Sequence[tuple[str, str]],
        body: str | bytes,
        from_: str | None,
    ) -> Awaitable[Response]:
        self._turns.wake()
        data = body.encode() if isinstance(body, str) else body
        return self._sender.send(method, to, binding, headers, data, from_)
