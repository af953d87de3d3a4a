"""A server that knows what it is given, and what it may be given."""

from __future__ import annotations

from typing import Any

import msgspec

from reginfo.config.sections import PeerSection
from reginfo.events.notify import ServedSubscription as Served
from reginfo.events.states import SubscriberState
from reginfo.events.subscribe import HeldSubscription, Wanted
from reginfo.location.binding import Binding
from reginfo.location.place import Aor
from reginfo.location.record import Record
from reginfo.reg.document import (
    Contact,
    ContactEvent,
    Reginfo,
    Registration,
    RegistrationState,
)
from reginfo.roles.administrator import ActResult
from reginfo.roles.health import ServerHealth
from reginfo.roles.published_item import PublicationItem
from reginfo.roles.row import WatchRow
from reginfo.roles.subscriber import Mirror
from reginfo.roles.watch import Watch
from reginfo.routing.domains import Domains
from reginfo.sip.dialog import Dialog
from reginfo.sip.errors import LocalProtocolError, RemoteProtocolError
from reginfo.sync.item import LinkItem

from ..make import flow, whole

NOW = 1000.0

ALICE, BOB, CAROL = (
    Aor(f"sip:{user}@example.com") for user in ("alice", "bob", "carol")
)


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
    return whole(fields | others)


def dialog(call_id: str, **others: Any) -> Dialog:
    fields: dict[str, Any] = {
        "call_id": call_id,
        "local": f"<{ALICE}>;tag=ours",
        "remote": "<sip:bob@example.org>;tag=theirs",
        "local_tag": "ours",
        "remote_tag": "theirs",
        "target": "sip:bob@192.0.2.50",
        "flow": flow(),
        "contact": "<sip:192.0.2.1>",
    }
    return Dialog(**(fields | others))


LINK = LinkItem(
    peer="b",
    group="sip:allusers@example.com",
    role="source",
    state="syncing 41 200 of about 100 000",
    lag=0.25,
    behind=58_800,
    cursor="k3/41200",
    window="8 of 8",
    refused=0,
    drift=0,
    problem=None,
)

PUBLICATION = PublicationItem(
    server="sip:presence.example.com",
    state="publishing 2 of 100",
    publications=100,
    waiting=2,
    problem=None,
)

NO_KEEPER: Any = None
"""Nobody sends anything for what is only shown."""


def watch(
    aor: str,
    call_id: str,
    *,
    watcher: str = "sip:bob@example.org",
    reason: str | None = None,
    event: str = "reg",
    **others: Any,
) -> Watch:
    subscription = Served(
        dialog=dialog(call_id, remote=f"<{watcher}>;tag=theirs"),
        event=event,
        expires_at=NOW + 600,
        reason=reason,
    )
    fields: dict[str, Any] = {"min_interval": 5.0}
    return Watch(
        WatchRow(
            id=f"{call_id}\0ours",
            aor=Aor(aor),
            subscription=subscription,
            **(fields | others),
        ),
        NO_KEEPER,
    )


def mirror(peer: str, aor: str, *contacts: str, **others: Any) -> Mirror:
    """What a peer has told of an address-of-record."""
    wanted = Wanted(uri=aor, local="sip:a@192.0.2.1", event="reg", accept="*/*")
    fields: dict[str, Any] = {
        "wanted": wanted,
        "flow": flow(),
        "state": SubscriberState.ACTIVE,
        "dialog": dialog(f"held-{aor}"),
        "expires_at": NOW + 600,
        "timer_at": NOW + 300,
    }
    one = Mirror(peer, Aor(aor), HeldSubscription(**(fields | others)), NO_KEEPER)
    listed = tuple(
        Contact(id=uri, uri=uri, event=ContactEvent.REGISTERED) for uri in contacts
    )
    active = RegistrationState.ACTIVE
    registration = Registration(aor=aor, id="r", state=active, contacts=listed)
    document = Reginfo(version=0, full=True, registrations=(registration,))
    one.table.take(document, 1, NOW)
    return one


WELL: dict[str, Any] = {
    "status": "ok",
    "problems": [],
    "server": "a",
    "version": "1",
    "sip": [],
    "store": {"url": "memory:", "problem": None},
    "clock": {"time": 1.0, "behind": 0.0, "stepped": 0.0},
    "draining": None,
    "commits": 0,
    "watchers": 0,
    "malformed": 0,
    "parts": [],
}
"""The health of a server, unless the test says otherwise."""


class FakeApp:
    """A server that knows what it is given."""

    def __init__(
        self,
        *known: tuple[str, Binding],
        watches: tuple[Watch, ...] = (),
        peers: tuple[PeerSection, ...] = (),
        mirrors: tuple[Mirror, ...] = (),
        health: dict[str, Any] | None = None,
        problem: str | None = None,
    ) -> None:
        self.problem = problem
        "Why the users cannot be read."

        self.known = list(known)
        self.watching = list(watches)
        self.peering = list(peers)
        self.mirroring = list(mirrors)
        self.well = health or {"status": "ok", "draining": None}
        self.unreachable: dict[str, str] = {}
        self.drained: list[float] = []
        self.removed: list[tuple[ContactEvent, int | None]] = []
        self.barring: list[tuple[Aor, Record]] = []
        self.domains = Domains(
            ["example.com", "example.net"], use_domain=True, default_domain=None
        )
        self.taken_back: list[bool] = []
        "Whether each of the next reads turns out not to be true."

    def now(self) -> float:
        return NOW

    def health(self) -> ServerHealth:
        return msgspec.convert(WELL | self.well, ServerHealth)

    def named(self, name: str) -> Aor:
        return self.domains.named(name)

    def aors(self) -> list[Aor]:
        return [Aor(name) for name in dict(self.known)]

    def bindings(self, aor: Aor) -> list[Binding]:
        return [binding for name, binding in self.known if name == aor]

    def watches(self) -> list[Watch]:
        return self.watching

    def serves(self, watch: Watch) -> bool:
        return watch in self.watching

    def peers(self) -> list[PeerSection]:
        return self.peering

    def links(self) -> list[LinkItem]:
        return [LINK] if self.peering else []

    def publications(self) -> list[PublicationItem]:
        return [PUBLICATION] if self.peering else []

    def peer_problems(self) -> dict[str, str]:
        return self.unreachable

    def mirrors(self) -> list[Mirror]:
        return self.mirroring

    async def committed(self) -> bool:
        if not self.taken_back:
            return True
        self.taken_back.pop()
        self.known.pop()
        return False

    def remove(
        self,
        aor: str,
        *,
        contact: str | None,
        event: ContactEvent,
        retry_after: int | None,
    ) -> ActResult:
        if (event is ContactEvent.PROBATION) != (retry_after is not None):
            raise LocalProtocolError("probation, and only probation, needs retry-after")
        gone = [
            (name, binding)
            for name, binding in self.known
            if name == aor and contact in (None, binding.contact)
        ]
        self.removed.append((event, retry_after))
        self.known = [one for one in self.known if one not in gone]
        return ActResult(len(gone), event is ContactEvent.REJECTED)

    def shorten(self, aor: str, *, expires: int, contact: str | None) -> ActResult:
        ends_at, count = NOW + expires, 0
        for at, (name, known) in enumerate(self.known):
            is_meant = name == aor and contact in (None, known.contact)
            if is_meant and known.expires_at > ends_at:
                sooner = msgspec.structs.replace(known, expires_at=ends_at)
                self.known[at] = (name, sooner)
                count += 1
        return ActResult(count)

    def is_bound(self, aor: Aor, contact: str | None) -> bool:
        if contact == "nobody":
            raise RemoteProtocolError("no URI: 'nobody'")
        return any(contact in (None, b.contact) for b in self.bindings(aor))

    def create(self, aor: str, contact: str, *, expires: int, q: str | None) -> Binding:
        if aor in dict(self.barring):
            raise LocalProtocolError("the user is rejected")
        made = whole(
            {
                "contact": contact, "key": contact, "call_id": "new", "cseq": 1,
                "event": ContactEvent.CREATED, "expires_at": NOW + min(expires, 86_400),
                "q": q,
            }
        )  # fmt: skip
        self.known.append((aor, made))
        return made

    def barred(self) -> list[tuple[Aor, Record]]:
        return self.barring

    def admit(self, aor: str) -> ActResult:
        before = self.barring
        self.barring = [one for one in before if one[0] != aor]
        return ActResult(0, len(before) > len(self.barring))

    def reload_users(self) -> int:
        if self.problem is not None:
            raise LocalProtocolError(self.problem)
        return 2

    def drain(self, rate: float) -> None:
        self.drained.append(rate)
        left = len(self.watching)
        self.well["status"] = "draining"
        self.well["draining"] = {
            "watchers": left, "left": left, "gave_up": 0, "rate": rate
        }  # fmt: skip
