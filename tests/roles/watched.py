"""A server that is watched, for the tests of the roles that notify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from reginfo.events.notify import SubscriptionPolicy
from reginfo.ledger.journal import Journal
from reginfo.location.binding import Binding
from reginfo.location.place import TABLE, Aor
from reginfo.location.store import LocationStore
from reginfo.reg import xml
from reginfo.reg.document import Contact, Reginfo, Registration
from reginfo.reg.legacy import Profile
from reginfo.roles.admission import Admission
from reginfo.roles.notifier import Notifier
from reginfo.roles.watch import Watch
from reginfo.roles.watcher import Watcher
from reginfo.sip.dialog_flow import dialog_flow
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Draft, Request, Response

from ..make import (
    ALICE,
    LOCAL,
    NOW,
    PEER,
    flow,
    here,
    load,
    moment,
    place,
    received,
    request,
    response,
)

DESK = "sip:alice@192.0.2.51"
WATCHER = "sip:bob@192.0.2.60"
NUMBER, DOMAIN = Aor("tel:+15550100"), Aor("sip:example.com")
GOLDEN = Path(__file__).parents[1] / "golden"
EAGER = Watcher(min_interval=0.0)
POLITE = Watcher(min_interval=5.0)
PEER_B = Watcher(name="b", min_interval=0.0)
OLD = Watcher(name="old", min_interval=0.0, profile=Profile.LEGACY)


class Server:
    """A notifier over a store, and watchers that answer when they are told to."""

    def __init__(
        self,
        peer: Watcher = EAGER,
        now: float = NOW,
        admission: Admission | None = None,
        table: str = TABLE,
        identities_key: str | None = None,
    ) -> None:
        self.table = table
        self.journal = Journal()
        self.store = LocationStore("a", self.journal, identities_key=identities_key)
        self.peer = peer
        self.datagram_only = False
        self.now = now
        self.sent: list[tuple[Draft, Flow, Watch]] = []
        self.unanswered: list[Watch] = []
        self.failing: Watch | None = None
        self.tags = 0
        self.rows: dict[tuple[str, str], Any] = {}
        self.notifier = Notifier(
            self.store,
            self.journal,
            send=self.send,
            policy=SubscriptionPolicy(),
            recognise=self.recognise,
            jitter=lambda: 0.5,
            datagram_only=lambda flow: self.datagram_only,
            is_ours=lambda aor: aor.endswith("@example.com") or aor in (NUMBER, DOMAIN),
            admission=admission,
            table=table,
        )
        self.store.listener = self.notifier.hears
        self.store.claim_listener = self.notifier.hears_claims

    def recognise(self, request: Request, flow: Flow) -> Watcher:
        assert (request.method, flow.local.host) == ("SUBSCRIBE", LOCAL.host)
        return self.peer

    def send(self, draft: Draft, watch: Watch) -> None:
        if watch is self.failing:
            self.failing = None
            raise ZeroDivisionError
        dialog = watch.row.subscription.dialog
        flow = dialog_flow(dialog.first_uri, dialog.flow)
        self.sent.append((draft, flow, watch))
        self.unanswered.append(watch)

    def subscribe(
        self,
        expires: int | str | None = 600,
        *headers: str,
        event: str = "reg",
        tag: str = "",
        cseq: int = 1,
        call_id: str = "watch",
        aor: str = ALICE,
        from_: str = "<sip:bob@example.com>;tag=bobs",
        contact: str = f"<{WATCHER}>",
        remote: tuple[str, int] = PEER,
        body: bytes = b"",
    ) -> Response:
        """Send a SUBSCRIBE, within a dialog if there is a tag."""
        lines = [f"Event: {event}"] if event else []
        lines += [f"Contact: {contact}"] if contact else []
        lines += [] if expires is None else [f"Expires: {expires}"]
        message = request(
            "SUBSCRIBE", *lines, *headers, uri=aor, cseq=cseq, call_id=call_id,
            from_=from_, to=f"<{aor}>{f';tag={tag}' if tag else ''}", body=body,
        )  # fmt: skip
        self.tags += 1
        return self.notifier.receive_subscribe(
            message,
            flow(remote),
            tag=f"tag{self.tags}",
            aor=Aor(aor),
            now=self.now,
        )

    def bind(self, *claims: Binding, aor: str = ALICE) -> None:
        self.store.apply(place(aor, self.table), claims, self.now)

    def answer(self, status: int = 200, *headers: str) -> None:
        """Answer the NOTIFY that has waited longest."""
        watch = self.unanswered.pop(0)
        self.notifier.served.receive_response(
            watch, response(status, *headers), self.now
        )

    def settle(self) -> None:
        """Answer until no more NOTIFYs come, and forget them."""
        while self.unanswered:
            self.answer()
        self.sent.clear()

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = [t for t in (self.store.timer_at, self.notifier.timer_at) if t]
            self.now = min([*due, end])
            if not due or min(due) > end:
                break
            self.store.timer_due(moment(self.now))
            self.notifier.timer_due(moment(self.now))
        self.now = end

    def notifies(self) -> list[Request]:
        """What was sent since this was last asked."""
        sent, self.sent = self.sent, []
        return [received(draft) for draft, _, _ in sent]

    def documents(self) -> list[Reginfo]:
        return [xml.parse(notify.body) for notify in self.notifies() if notify.body]

    def told(self) -> list[tuple[str, str]]:
        """Contact and event of each row that was sent since, in their order."""
        return [(c.uri, c.event.value) for d in self.documents() for c in contacts(d)]

    def commit(self) -> None:
        for kind, key, value in self.journal.close().entries:
            if value is None:
                self.rows.pop((kind, key), None)
            else:
                self.rows[kind, key] = msgspec.to_builtins(value)

    def fail(self, number: int) -> None:
        """Have the next NOTIFY of a watch fail by a bug of ours."""
        self.failing = list(self.notifier.watches())[number]

    def restart(
        self,
        seconds: float = 1.0,
        local: Local = LOCAL,
        shift: float = 0.0,
        failing: int | None = None,
        admission: Admission | None = None,
    ) -> Server:
        """The server that a start makes of what has been committed."""
        after = Server(self.peer, self.now + seconds + shift, admission)
        after.rows = self.rows
        after.datagram_only = self.datagram_only
        shelves = [*after.store.shelves, *after.notifier.shelves]
        load(shelves, [(*key, value) for key, value in self.rows.items()], shift)
        after.store.begin(here(local), moment(after.now))
        after.notifier.begin(here(local), moment(after.now))
        if failing is not None:
            after.fail(failing)
        after.pass_time(0)
        return after


def registration(document: Reginfo) -> Registration:
    (found,) = document.registrations
    return found


def contacts(document: Reginfo) -> tuple[Contact, ...]:
    return registration(document).contacts


def state(notify: Request) -> str:
    return notify.headers["Subscription-State"][0]


def watching(peer: Watcher = EAGER, *claims: Binding) -> Server:
    """A server with one watcher that has been told of ``claims``."""
    server = Server(peer)
    server.bind(*claims)
    server.subscribe()
    server.settle()
    server.journal.close()
    return server


def golden(name: str, draft: Draft) -> None:
    """Compare octets with a file; what stands there was looked at by somebody."""
    sent = draft.write("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKgolden;rport")
    assert sent.decode() == (GOLDEN / name).read_bytes().decode()
