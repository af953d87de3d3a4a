"""A server that is told by peers, for the tests of the roles that listen to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from reginfo.events.subscribe import Wanted
from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding, BindingChange
from reginfo.location.keyring import KeyChange
from reginfo.location.place import TABLE, Aor
from reginfo.location.store import LocationStore
from reginfo.reg import xml
from reginfo.reg.document import (
    ClaimElement,
    Contact,
    ContactEvent,
    RecordKey,
    Reginfo,
    Registration,
    RegistrationState,
    contact_id,
    registration_id,
)
from reginfo.roles.mirror import Mirror
from reginfo.roles.subscriber import Subscriber
from reginfo.sip.flow import Flow
from reginfo.sip.message import Draft, Request
from reginfo.sip.uri import Uri

from ..make import (
    ALICE,
    NOW,
    PEER,
    WALL,
    flow,
    here,
    load,
    moment,
    numbers,
    place,
    received,
    request,
    response,
)

PHONE_URI = "sip:alice@192.0.2.50"
DESK = "sip:alice@192.0.2.51"
WANTED = Wanted(uri=ALICE, local="sip:us@192.0.2.1", event="reg", accept=xml.MEDIA_TYPE)
SOURCE = f"a/{ALICE}"
TERMINATED = RegistrationState.TERMINATED


def contact(
    uri: str = PHONE_URI,
    event: str = "registered",
    *,
    expires: int | None = 600,
    callid: str | None = "phone",
    cseq: int | None = 1,
    **others: Any,
) -> Contact:
    said = others.get("claim")
    if said is not None and not said.key:
        is_gone = ContactEvent(event).state != "active"
        others["claim"] = msgspec.structs.replace(
            said,
            key=Uri.parse(uri).key,
            gone=is_gone,
            left=None if is_gone or expires is None else expires * 1000,
        )
    return Contact(
        id=others.pop("id", None) or contact_id(ALICE, uri),
        uri=uri,
        event=ContactEvent(event),
        expires=expires,
        callid=callid,
        cseq=cseq,
        **others,
    )


def claim(owner: str = "a", stamp: int = 50, **others: Any) -> ClaimElement:
    """What makes a contact a whole claim; its key and its end are the contact's."""
    others.setdefault("begin", 1)
    others.setdefault("edition", stamp)
    others.setdefault("until", stamp + 600_000_000)
    return ClaimElement(owner=owner, stamp=stamp, **others)


def document(
    version: int,
    *contacts: Contact,
    full: bool = True,
    aor: str = ALICE,
    state: RegistrationState | None = None,
) -> Reginfo:
    if state is None:
        active = any(c.event.state == "active" for c in contacts)
        state = RegistrationState.ACTIVE if active else TERMINATED
    one = Registration(aor=aor, id=registration_id(aor), state=state, contacts=contacts)
    return Reginfo(version=version, full=full, registrations=(one,))


class Server:
    """A subscriber over a store, and a peer called ``a`` that the test plays."""

    def __init__(
        self,
        now: float = NOW,
        prefix: str = "id",
        table: str = TABLE,
        longest: Callable[[str], int] | None = None,
    ) -> None:
        self.journal = Journal()
        self.store = LocationStore("us", self.journal)
        self.store.listener = self.listen
        self.now = now
        self.sent: list[tuple[Draft, Flow, Mirror]] = []
        self.changes: list[BindingChange] = []
        self.cseq = 0
        self.rows: dict[tuple[str, str], Any] = {}
        self.subscriber = Subscriber(
            self.store,
            self.journal,
            send=self.send,
            new_id=numbers(prefix),
            jitter=lambda: 0.5,
            max_expires=7200,
            longest=longest,
            location=table,
        )
        self.store.prolong = self.subscriber.prolonged

    def send(self, draft: Draft, flow: Flow, user: object) -> None:
        assert isinstance(user, Mirror)
        self.sent.append((draft, flow, user))

    def listen(self, change: BindingChange | KeyChange) -> None:
        assert change.at == self.now
        if isinstance(change, BindingChange):
            self.changes.append(change)

    def watch(self, peer: str = "a", aor: str = ALICE, wanted: Wanted = WANTED) -> None:
        self.subscriber.watch(peer, Aor(aor), wanted, flow(PEER), self.now)
        self.pass_time(0)

    def mirror(self, source: str = SOURCE) -> Mirror:
        return next(m for m in self.subscriber.mirrors() if m.source == source)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = [t for t in (self.store.timer_at, self.subscriber.timer_at) if t]
            if not due or min(due) > end:
                break
            self.now = max(self.now, min(due))
            self.store.timer_due(moment(self.now))
            self.subscriber.timer_due(moment(self.now))
        self.now = end

    def subscribes(self) -> list[Request]:
        sent, self.sent = self.sent, []
        return [received(draft) for draft, _, _ in sent]

    def receive(
        self,
        body: bytes,
        *headers: str,
        state: str = "active;expires=3600",
        source: str = SOURCE,
        cseq: int | None = None,
        event: str = "reg",
        from_tag: str = "theirs",
        call_id: str = "",
        to: str = "",
        content_type: str = xml.MEDIA_TYPE,
    ) -> tuple[str, ...]:
        dialog = self.mirror(source).subscription.dialog
        assert dialog is not None or call_id
        self.cseq = self.cseq + 1 if cseq is None else cseq
        lines = [f"Event: {event}", "Contact: <sip:notifier@192.0.2.2>"]
        lines += [f"Subscription-State: {state}"] if state else []
        lines += [f"Content-Type: {content_type}"] if body and content_type else []
        message = request(
            "NOTIFY", *lines, *headers, body=body, cseq=self.cseq,
            call_id=call_id or (dialog.call_id if dialog else ""),
            from_=f"<{ALICE}>;tag={from_tag}",
            to=to or (dialog.local if dialog else ""),
        )  # fmt: skip
        return self.subscriber.receive_notify(
            message, flow(PEER), self.now, WALL + self.now
        )

    def notify(self, told: Reginfo, **others: Any) -> None:
        aors = {registration.aor for registration in told.registrations}
        assert aors.issuperset(self.receive(xml.serialize(told), **others))

    def stray(
        self,
        told: Reginfo | None,
        *,
        peer: str = "p",
        state: str = "active;expires=3600",
        event: str = "reg",
        call_id: str = "stray",
        cseq: int | None = None,
        location: str | None = None,
    ) -> tuple[str, ...]:
        """A NOTIFY that nobody has asked for."""
        self.cseq = self.cseq + 1 if cseq is None else cseq
        message = request(
            "NOTIFY", f"Event: {event}", f"Subscription-State: {state}",
            f"Content-Type: {xml.MEDIA_TYPE}", cseq=self.cseq, call_id=call_id,
            to=f"<{ALICE}>;tag=ours", body=xml.serialize(told) if told else b"",
        )  # fmt: skip
        assert not self.subscriber.knows(message)
        return self.subscriber.receive_unsolicited(
            peer, message, self.now, WALL + self.now, location
        )

    def respond(self, status: int, *headers: str) -> None:
        mirror = self.mirror()
        dialog = mirror.subscription.dialog
        assert dialog is not None
        answer = response(status, *headers, call_id=dialog.call_id)
        mirror.receive_response(answer, moment(self.now))

    def bound(self, aor: str = ALICE) -> list[Binding]:
        return self.store.bindings(place(aor), self.now)

    def contacts(self, aor: str = ALICE) -> list[str]:
        return [one.contact for one in self.bound(aor)]

    def events(self) -> list[str]:
        """What happened since this was last asked, and to which contact."""
        changes, self.changes = self.changes, []
        return [f"{c.binding.contact[-2:]} {c.binding.event.value}" for c in changes]

    def commit(self) -> None:
        for kind, key, value in self.journal.close().entries:
            row = None if value is None else msgspec.to_builtins(value)
            self.rows[kind, key] = row

    def restart(self, seconds: float = 1.0, shift: float = 0.0) -> Server:
        after = Server(self.now + seconds + shift, prefix="after")
        after.rows = self.rows
        shelves = [*after.subscriber.shelves, *after.store.shelves]
        entries = [(*key, value) for key, value in self.rows.items()]
        load(shelves, [entry for entry in entries if entry[2] is not None], shift)
        after.store.begin(here(), moment(after.now))
        after.cseq = self.cseq
        return after


def watching(
    *contacts: Contact,
    wanted: Wanted = WANTED,
    longest: Callable[[str], int] | None = None,
) -> Server:
    """A server that has been told of ``contacts``."""
    server = Server(longest=longest)
    server.watch(wanted=wanted)
    server.respond(200, "Expires: 3600")
    server.notify(document(0, *contacts))
    server.subscribes()
    server.journal.close()
    server.changes.clear()
    return server


def with_keys(told: Reginfo, *keys: RecordKey) -> Reginfo:
    (one,) = told.registrations
    one = msgspec.structs.replace(one, keys=keys)
    return msgspec.structs.replace(told, registrations=(one,))
