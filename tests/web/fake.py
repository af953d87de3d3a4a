"""A server that knows what it is given, and what it may be given."""

from __future__ import annotations

from typing import Any

from reginfo.location.binding import Binding
from reginfo.reg.document import ContactEvent

NOW = 1000.0

ALICE, BOB, CAROL = (f"sip:{user}@example.com" for user in ("alice", "bob", "carol"))


def binding(user: str, **others: Any) -> Binding:
    contact = f"sip:{user}@192.0.2.1"
    fields: dict[str, Any] = {
        "contact": contact,
        "key": contact,
        "call_id": f"call-{user}",
        "cseq": 7,
        "event": ContactEvent.REGISTERED,
        "expires_at": NOW + 59.5,
        "registered_at": NOW,
        "owner": "a",
        "stamp": 1,
    }
    return Binding(**(fields | others))


class FakeApp:
    """A server that knows what it is given."""

    def __init__(self, *known: tuple[str, Binding]) -> None:
        self.known = sorted(known, key=lambda item: item[0])

    async def bindings(self, aor: str | None = None) -> list[tuple[str, Binding]]:
        return [item for item in self.known if aor in (None, item[0])]

    def now(self) -> float:
        return NOW

    def health(self) -> dict[str, object]:
        return {"status": "ok"}
