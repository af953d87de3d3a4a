"""Values that tests are made of, each with no more than a test wants to say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from reginfo.ledger.journal import Entry
from reginfo.ledger.part import Found, Here
from reginfo.ledger.shelf import Rows
from reginfo.ledger.storage import StoredRow
from reginfo.location.binding import Binding
from reginfo.location.place import TABLE, Aor, Place
from reginfo.location.stamp import Stamp
from reginfo.reg.document import ContactEvent
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft, Request, Response
from reginfo.sip.moment import Moment
from reginfo.sip.parser import parse
from reginfo.sip.transport import Transport
from reginfo.sip.uri import Uri

ALICE, BOB = Aor("sip:alice@example.com"), Aor("sip:bob@example.com")
LOCAL = Local(Transport.UDP, "192.0.2.1", 5060)
PHONE = ("192.0.2.50", 5060)
PEER = ("192.0.2.2", 5060)
NOW = 1000.0
WALL = 1_700_000_000.0
EXPIRED = ContactEvent.EXPIRED


def moment(now: float = NOW, wall: float | None = None) -> Moment:
    """A moment on both clocks, which run alike if nothing else is said."""
    return Moment(now, WALL + now if wall is None else wall)


def place(aor: str, table: str = TABLE) -> Place:
    """The key of a user in the store."""
    return Place(table, Aor(aor))


class Nowhere:
    """Resolves nothing, for a part that has nothing to ask."""

    def find(self, uri: Uri, found: Found) -> None:
        raise AssertionError(f"{uri.text} is looked up")


def here(*locals: Local) -> Here:
    """A server that listens at ``locals``."""
    return Here(locals or (LOCAL,), Nowhere())


def binding(
    cseq: int = 1,
    event: str = "registered",
    *,
    contact: str = "sip:alice@192.0.2.50",
    call_id: str = "a",
    expires_at: float = NOW + 600,
    owner: str = "a",
    stamp: int | None = None,
    **others: Any,
) -> Binding:
    """
    A claim; its stamp is its CSeq if nothing else is said.

    All of one Call-ID are of one life. One that has expired is gone at the word of its
    owner, as a foreign peer gives it.
    """
    stamp = cseq if stamp is None else stamp
    others.setdefault("begin", 1)
    others.setdefault("edition", stamp)
    others.setdefault("gone", ContactEvent(event).state != "active")
    others.setdefault("until", stamp + 600_000_000)
    return Binding(
        contact=contact,
        key=Uri.parse(contact).key,
        call_id=call_id,
        cseq=cseq,
        event=ContactEvent(event),
        expires_at=expires_at,
        registered_at=others.pop("registered_at", NOW),
        owner=owner,
        stamp=Stamp(stamp),
        **others,
    )


def whole(fields: dict[str, Any]) -> Binding:
    """A claim of which only what matters is named; see :func:`binding`."""
    fields = dict(fields)
    uri, event = fields.pop("contact"), fields.pop("event")
    key = fields.pop("key")
    claim = binding(fields.pop("cseq"), str(event), contact=uri, **fields)
    return msgspec.structs.replace(claim, key=key)


def request(
    method: str,
    *headers: str,
    uri: str = "sip:example.com",
    cseq: int = 1,
    call_id: str = "call",
    from_: str = f"<{ALICE}>;tag=from",
    to: str = f"<{ALICE}>",
    branch: str = "",
    body: bytes = b"",
) -> Request:
    """A request as it comes from the network."""
    branch = branch or f"z9hG4bK{method}{cseq}"
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP 192.0.2.50;branch={branch}",
        f"From: {from_}",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *headers,
        f"Content-Length: {len(body)}",
    ]
    message = parse("\r\n".join([*lines, "", ""]).encode() + body)
    assert isinstance(message, Request)
    return message


def response(status: int, *headers: str, call_id: str = "") -> Response:
    """A response as it comes from the network."""
    found = Response(status, "Some Reason")
    for header in headers:
        name, _, value = header.partition(": ")
        found.headers.setdefault(name, []).append(value)
    if call_id:
        found.headers["Call-ID"] = [call_id]
    return found


def received(draft: Draft) -> Request:
    """What the other side receives of a request that we send."""
    message = parse(draft.write("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport"))
    assert isinstance(message, Request)
    return message


def flow(remote: tuple[str, int] = PHONE) -> Flow:
    return Flow(LOCAL, remote)


def numbers(prefix: str = "id") -> Callable[[], str]:
    """Tokens that are the same in each run."""
    count = 0

    def new_id() -> str:
        nonlocal count
        count += 1
        return f"{prefix}{count}"

    return new_id


def load(
    shelves: Sequence[Rows[Any]], entries: Iterable[Entry], shift: float = 0.0
) -> None:
    """Load entries of a journal as a start does."""
    by_kind = {shelf.kind: shelf for shelf in shelves}
    for kind, key, value in entries:
        encoded = msgspec.msgpack.encode(value)
        by_kind[kind].load(StoredRow(kind, key, encoded, shift))


def value_of(row: StoredRow) -> Any:
    """The value of a stored row, as plain values."""
    if row.is_json:
        return msgspec.json.decode(row.value)
    assert isinstance(row.value, bytes)
    return msgspec.msgpack.decode(row.value)
