"""The notifier: tells watchers about registrations (RFC 3680 §4)."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from ..events.headers import EventHeader
from ..events.notify import (
    ENDS_SUBSCRIPTION,
    RETRY_FIRST,
    RETRY_LONGEST,
    ServedSubscription,
    SubscriptionPolicy,
    check,
    granted,
)
from ..events.waiting import back_off, wait_asked
from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows, nothing
from ..location.binding import Binding, BindingChange
from ..location.claim import Claim
from ..location.keyring import KeyChange
from ..location.source import is_known_by, peer_of
from ..location.store import TABLE, LocationStore
from ..reg import legacy, xml
from ..reg.document import ContactEvent, RegistrationState, registration_id
from ..reg.legacy import MAX_DOCUMENT, Profile, profile_of
from ..sip.dialog import Dialog
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow, Local
from ..sip.headers import cached_name_addr
from ..sip.message import Draft, Request, Response
from ..sip.timer import TimerWheel
from ..sip.user import User
from ..sip.value import Record, Value
from ..sip.way import way_to
from .admission import RETRY_AFTER as FULL_RETRY_AFTER
from .admission import Admission
from .document import (
    claim_elements,
    contact_of,
    record_elements,
    speaker_element,
)
from .drain import Drain
from .pace import Pace
from .row import WatchRow
from .watch import Owed, Watch

logger = logging.getLogger("reginfo.notifier")

PACKAGE = "reg"

KIND = "watch"
PROGRESS = "told"
"""Kinds of our entries in the journal: a watch, and how far it has been told."""

RETRY_AFTER = 30.0
"""Seconds until what was due, and could not be committed, is due again."""

RESTART_RATE = 100.0
"""Watchers a second that a restart has news for, and are told."""

LEGACY_HOSTS = 1_000
"""Hosts that were said to be legacy once, and are not said to be so again."""

CACHED_CONTACTS = 10_000
"""Contacts whose XML is kept for the other watchers of the same change."""

Send = Callable[[Draft, Flow, User], object]

Progress = tuple[int, int, bool]
"""Version of the next document, CSeq of the last NOTIFY, whether all is confirmed."""


class Watcher(Value, frozen=True, kw_only=True):
    """What a watcher is, beyond being one."""

    name: str | None = None
    "The configured peer, if it is one."

    profile: Profile | None = None
    "How documents are written for it; None to go by its User-Agent."

    min_interval: float = 5.0


class Notifier:
    """
    All watches, and the NOTIFYs that they are due.

    Args:
        send: sends a request by a flow; what it is for comes back with the answer.
        recognise: says who a SUBSCRIBE comes from.
        jitter: a random number from 0 to 1.
        is_ours: whether an address-of-record is in one of our domains.
        admission: who may watch whom; anybody may watch everybody if left out.
        table: the location table that is watched.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        send: Send,
        policy: SubscriptionPolicy,
        recognise: Callable[[Request, Flow], Watcher],
        is_ours: Callable[[str], bool],
        jitter: Callable[[], float] = random.random,
        admission: Admission | None = None,
        table: str = TABLE,
    ) -> None:
        self._store = store
        self._journal = journal
        self._send = send
        self._policy = policy
        self._recognise = recognise
        self._jitter = jitter
        self._is_ours = is_ours
        self._admission = admission or Admission()
        self._table = table
        self._rows: Rows[WatchRow] = Rows(
            journal, KIND, WatchRow, self._take_watch, _shifted
        )
        self._told: Rows[Progress] = Rows(
            journal, PROGRESS, Progress, self._take_progress
        )
        self._loaded: dict[str, Progress] = {}
        self._wheel = TimerWheel()
        self._by_id: dict[str, Watch] = {}
        self._by_aor: dict[str, dict[str, Watch]] = {}
        self._watchers: Counter[str] = Counter()
        self._cache: dict[tuple[str, str, Profile, bool], _Rendered] = {}
        self._drain: Drain | None = None
        self._legacy: set[str] = set()
        self._loading = False
        self._resuming: Pace | None = None
        self._notifies = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def watches(self) -> Iterator[Watch]:
        """Every watch, in the order in which they came."""
        return iter(self._by_id.values())

    def serves(self, watch: Watch) -> bool:
        """Whether a watch is one of them still."""
        return self._by_id.get(watch.row.id) is watch

    @property
    def leaving(self) -> Drain | None:
        """How far :meth:`drain` is; None if nobody has asked for it."""
        return self._drain

    # From the network.

    def receive_subscribe(
        self, request: Request, flow: Flow, *, tag: str, aor: str, now: float
    ) -> Response:
        """
        Serve a SUBSCRIBE; the NOTIFY that must follow is sent (6665-07).

        Args:
            tag: of the dialog that a 2xx makes: the To tag of its response.
            aor: the address-of-record that the Request-URI names.

        Raises:
            Refusal, RemoteProtocolError: it cannot be.
        """
        event = check(request, PACKAGE, xml.MEDIA_TYPE)
        if request.to.tag:
            return self._refresh(request, event, flow, now)
        if self._drain is not None:
            # RFC 3263 §4.3: a 503 sends it to another server, where there is one.
            again = [("Retry-After", FULL_RETRY_AFTER)]
            raise Refusal(503, "Service Unavailable", headers=again)
        store, table = self._store, self._table
        if not self._is_ours(aor) and store.named_by(aor, table) is None:
            raise Refusal(404, "Not Found")
        peer = self._recognise(request, flow)
        names = store.identities(store.record_of(aor, table), table)
        is_peer = peer.name is not None
        self._admission.check(request, (aor, *names), is_peer=is_peer)
        expires = granted(request, self._policy)
        if expires:
            watcher = request.from_.uri
            self._admission.check_room(len(self), self._watchers[watcher])
            self._replace(request, event, aor, now)
        profile = peer.profile or self._profile_of(request, flow)
        contact = _contact(flow.local)
        dialog = Dialog.uas(request, tag=tag, contact=contact, flow=flow)
        row = WatchRow(
            id=_id(dialog.call_id, tag),
            aor=aor,
            subscription=ServedSubscription(
                dialog=dialog,
                event=request.headers["Event"][0],
                expires_at=now + expires,
                # Without a dialog to end, this fetches the state once (§4.4.3).
                reason=None if expires else "timeout",
            ),
            min_interval=peer.min_interval,
            profile=profile,
            peer=peer.name,
            instance=_instance(request),
        )
        watch = Watch(row, self)
        self._add(watch)
        self._save(watch, self._remove, watch)
        watch.owe_full()
        self._advance(watch, now)
        if expires:
            who = peer.name or dialog.remote
            self._journal.after(
                logger.info, "= %s watches %s for %d s", who, aor, expires
            )
        return self._accepted(expires, dialog)

    def receive_response(self, watch: Watch, response: Response, now: float) -> None:
        """Take in the answer to the NOTIFY under way."""
        status = response.status
        if status < 200:
            return
        if status < 300:
            try:
                watch.row.subscription.dialog.answered(response)
            except RemoteProtocolError:
                pass  # the target that we have has just served
            watch.answered()
            self._progress(watch, urgent=False)
        elif status in ENDS_SUBSCRIPTION or (watch.ended and not watch.waits):
            # §4.2.2; and a final NOTIFY is not worth a second attempt.
            self._lose(watch, f"NOTIFY was answered {status}")
            return
        else:
            delay = wait_asked(response)
            if delay is None:
                delay = back_off(
                    watch.failures,
                    self._jitter,
                    first=RETRY_FIRST,
                    longest=RETRY_LONGEST,
                )
            logger.warning(
                "! NOTIFY of %s to %s was answered %d; again in %.1f s",
                watch.row.aor, watch.row.subscription.dialog.remote, status, delay,
            )  # fmt: skip
            watch.refused(now + delay)
        if watch.ended and watch.settled:
            self._end(watch, watch.row.subscription.reason or "")
            return
        self._advance(watch, now)

    def receive_failure(self, watch: Watch, cause: str) -> None:
        """The NOTIFY under way got no answer at all (§4.2.2: the end)."""
        self._lose(watch, f"NOTIFY failed: {cause}")

    # From the store, and the clock.

    def hears(self, change: BindingChange | KeyChange) -> None:
        """Notify the watchers of what has changed, now or as soon as is polite."""
        if type(change) is BindingChange:
            self._tell(change, change.at)
        else:
            assert isinstance(change, KeyChange)
            self._tell_keys(change, change.at)

    def _tell(self, change: BindingChange, now: float) -> None:
        """Notify the watchers of a contact."""
        if change.table != self._table:
            return
        watches = self._watches_of(change.aor)
        if not watches:
            return
        # If its own contacts come or go, those of another record stand back or return.
        anew = self._store.named_by(change.aor, self._table) not in (None, change.aor)
        for watch in watches:
            if watch.ended or _is_of_our_kind(watch.row):
                continue  # a server of our kind is sent claims
            if anew and watch.row.aor == change.aor:
                self._journal.remember(watch.restore, *watch.snapshot())
                if is_known_by(
                    change.binding.owner, change.binding.source, watch.row.peer
                ):
                    watch.withdraw(change.binding.key)
                else:
                    watch.tell(change.binding)
                watch.owe_anew()
            elif not is_known_by(
                change.binding.owner, change.binding.source, watch.row.peer
            ):
                self._journal.remember(watch.restore, *watch.snapshot())
                watch.tell(change.binding)
            elif watch.waits:
                self._journal.remember(watch.restore, *watch.snapshot())
                watch.withdraw(change.binding.key)
            else:
                continue
            if not change.more:
                self._settle(watch, now)

    def hears_claims(
        self, table: str, aor: str, claims: Sequence[Claim], now: float
    ) -> None:
        """
        Send new claims to the servers of our kind that watch.

        But not to the one that they came from. See also :meth:`hears`: these servers
        evaluate the state by themselves.
        """
        if table != self._table:
            return
        for watch in self._watches_of(aor):
            if watch.ended or not _is_of_our_kind(watch.row):
                continue
            new = [
                claim
                for claim in claims
                if claim.source is None or peer_of(claim.source) != watch.row.peer
            ]
            if new:
                self._journal.remember(watch.restore, *watch.snapshot())
                for claim in new:
                    watch.tell(claim)
                self._settle(watch, now)

    def _tell_keys(self, change: KeyChange, now: float) -> None:
        """Tell who watches the identities that a user has now, and peers the key."""
        if change.table != self._table:
            return
        record = change.aor
        parted = [aor for aor in change.before if aor not in change.after]
        # Whom nobody registers any more: the user's devices are there, but not as this.
        gone = [
            msgspec.structs.replace(binding, event=ContactEvent.DEACTIVATED)
            for binding in self._store.bindings(record, now, self._table)
        ]
        for aor in dict.fromkeys((record, *change.before, *change.after)):
            if aor not in change.moved and self._store.record_of(
                aor, self._table
            ) not in (record, aor):
                continue  # it is told of by another record
            for watch in list(self._by_aor.get(aor, {}).values()):
                if watch.ended or not _concerns(change, watch.row):
                    continue
                self._journal.remember(watch.restore, *watch.snapshot())
                watch.owe_anew()
                if not _is_of_our_kind(watch.row):
                    for left in parted:
                        watch.part(left, gone)
                self._settle(watch, now)

    def update(self, aor: str, now: float) -> bool:
        """Tell whoever watches the present state once more; False if there is none."""
        store, table = self._store, self._table
        record = store.record_of(aor, table)
        if not store.is_known(record, table):
            return False
        for watch in self._watches_of(record):
            if not watch.ended:
                self._journal.remember(watch.restore, *watch.snapshot())
                watch.owe_anew()
                self._settle(watch, now)
        return True

    # From the administrator.

    def drain(self, rate: float, now: float) -> None:
        """
        Leave for good: end every subscription, so that it is asked for elsewhere.

        From now on nobody is served anew. Asking again changes the rate.

        RFC 6665 §4.4.2 and §4.1.3, `deactivated`.

        Args:
            rate: how many are ended each second, at the most.
        """
        if self._drain is not None:
            self._drain.pace(rate, now)
            return
        going_on = [watch for watch in self.watches() if not watch.ended]
        self._drain = Drain(going_on, rate=rate, total=len(self), now=now)
        logger.warning(
            "= leaving: %d watchers are told, %g each second", len(self), rate
        )

    @property
    def timer_at(self) -> float | None:
        at = self._wheel.timer_at
        for paced in (self._drain, self._resuming):
            if paced is not None and paced.timer_at is not None:
                at = paced.timer_at if at is None else min(at, paced.timer_at)
        return at

    def timer_due(self, moment: Moment) -> None:
        """Send what has waited long enough; end what was not refreshed."""
        now = moment.now
        if self._resuming is not None:
            for due in self._resuming.due(now):
                if self.serves(due):
                    self._resume(due, self._resuming, now)
        if self._drain is not None:
            for due in self._drain.due(now):
                if self.serves(due) and not due.ended:
                    self._deactivate(due, self._drain, now)

        def act(watch: Watch) -> None:
            if not watch.ended and now >= watch.row.subscription.expires_at:
                self._time_out(watch)
            self._advance(watch, now)

        work_off(self._wheel, self._journal, now, act)

    def describe(self) -> Description:
        """Describe how many watch, and how many NOTIFYs they were sent."""
        line = f"{len(self)} watches"
        if self._drain is not None:
            line += f", {self._drain.total} are being ended"
        figures = {"watches": len(self), "notifies_total": self._notifies}
        return Description("notifier", line, figures)

    # From the disk.

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """What is kept in the storage; :meth:`loaded` ends the loading."""
        return (self._rows, self._told)

    def _take_watch(self, key: str, row: WatchRow) -> None:
        self._loading = True
        self._add(Watch(row, self))
        known = self._loaded.pop(key, None)
        if known is not None:
            self._take_progress(key, known)

    def _take_progress(self, key: str, progress: Progress) -> None:
        watch = self._by_id.get(key)
        if watch is None:
            self._loaded[key] = progress
            return
        version, cseq, settled = progress
        dialog = watch.row.subscription.dialog
        # The watch may have been written later; and the CSeq only grows.
        if cseq >= dialog.local_cseq:
            watch.row.version, watch.row.settled = version, settled
            dialog.local_cseq = cseq
            watch.doubt(not settled)

    def begin(self, here: Here, moment: Moment) -> None:
        """
        Continue with the watches that were loaded.

        A restart is no news to a watcher that has confirmed everything. The others are
        notified again, at most :data:`RESTART_RATE` a second.
        """
        now = moment.now
        for watch in self.watches():
            dialog = watch.row.subscription.dialog
            if dialog.flow.local not in here.locals:
                dialog.flow = Flow(here.locals[0], dialog.flow.remote)
                dialog.contact = _contact(here.locals[0])
        self._loading = False
        self._loaded.clear()
        news = []
        for watch in self.watches():
            row = watch.row
            if (
                watch.waits
                or watch.ended
                or not row.settled
                or now >= row.subscription.expires_at
            ):
                news.append(watch)
            else:
                self._wheel.schedule(watch)
        self._resuming = Pace(news, rate=RESTART_RATE, now=now) if news else None

    def undone(self, moment: Moment) -> None:
        """Retry later what was taken back before it was sent."""
        at = moment.now + RETRY_AFTER
        for watch in self.watches():
            expires_at = watch.row.subscription.expires_at
            if not watch.stalled and moment.now < expires_at:
                continue
            watch.timer_at = at
            self._wheel.schedule(watch)

    # How.

    def _watches_of(self, record: str) -> list[Watch]:
        """Who is told of a record: who watches it, or one of its identities."""
        found = list(self._by_aor.get(record, {}).values())
        for identity in self._store.identities(record, self._table):
            if identity == record:
                continue
            watches = self._by_aor.get(identity)
            if watches and self._store.record_of(identity, self._table) == record:
                found += watches.values()
        return found

    def _settle(self, watch: Watch, now: float) -> None:
        """Tell a watcher what it is owed, now or in time."""
        if not self._loading:  # else its turn comes
            self._send_due(watch, now)
        if watch.row.settled and watch.waits:
            self._progress(watch)  # a restart must not forget what waits

    def _refresh(
        self, request: Request, event: EventHeader, flow: Flow, now: float
    ) -> Response:
        watch = self._by_id.get(_id(request.call_id, request.to.tag))
        if (
            watch is None
            or watch.ended
            or watch.row.subscription.dialog.remote_tag != request.from_.tag
            or EventHeader.parse(watch.row.subscription.event).id != event.id
        ):
            raise Refusal(481, "Subscription Does Not Exist")
        subscription = watch.row.subscription
        expires = granted(request, self._policy)
        before = _copy(subscription)
        subscription.dialog.receive(request, flow)
        undo = (watch, before, watch.snapshot())
        if expires:
            subscription.expires_at = now + expires
        else:
            subscription.reason = "timeout"
        watch.owe_full()
        self._save(watch, self._put_back, *undo)
        self._advance(watch, now)
        return self._accepted(expires, subscription.dialog)

    def _replace(
        self, request: Request, event: EventHeader, aor: str, now: float
    ) -> None:
        """
        End the subscription of the same device that it has lost, by a restart say.

        Only if a NOTIFY is unanswered: a device may well have two.
        """
        instance = _instance(request)
        if not instance:
            return
        for watch in list(self._by_aor.get(aor, {}).values()):
            dialog = watch.row.subscription.dialog
            if (
                watch.row.instance == instance
                and not watch.ended
                and watch.unanswered
                and dialog.call_id != request.call_id
                and cached_name_addr(dialog.remote).uri == request.from_.uri
                and EventHeader.parse(watch.row.subscription.event).id == event.id
            ):
                self._time_out(watch)
                self._advance(watch, now)

    def _accepted(self, expires: int, dialog: Dialog) -> Response:
        headers = {"Expires": [str(expires)], "Contact": [dialog.contact]}
        # §4.4.4: those dialog-forming responses list all packages.
        headers["Allow-Events"] = [PACKAGE]
        return Response(200, "OK", headers)

    def _resume(self, watch: Watch, pace: Pace, now: float) -> None:
        """Tell what happened while we were down, and what may not have arrived."""
        # If the disk does not take it, nobody is served by haste.
        self._journal.remember(pace.put_back, watch, now + RETRY_AFTER)
        if now >= watch.row.subscription.expires_at and not watch.ended:
            self._time_out(watch)
        elif watch.ended:
            watch.owe_full()
        self._advance(watch, now)

    def _time_out(self, watch: Watch) -> None:
        """Nobody has refreshed it: owe the final NOTIFY (§4.2.1.4)."""
        subscription = watch.row.subscription
        before = _copy(subscription)
        self._journal.remember(self._put_back, watch, before, watch.snapshot())
        subscription.reason = "timeout"
        watch.owe_full()

    def _deactivate(self, watch: Watch, drain: Drain, now: float) -> None:
        """We leave, and this is its last NOTIFY (§4.2.2, §4.1.3)."""
        subscription = watch.row.subscription
        undo = (watch, _copy(subscription), watch.snapshot())
        # If the disk does not take it, nobody is served by haste.
        self._journal.remember(drain.put_back, watch, now + RETRY_AFTER)
        subscription.reason = "deactivated"
        watch.owe_full()
        # Else it would go on after a crash, when the watcher knows nothing of it.
        self._save(watch, self._put_back, *undo)
        self._advance(watch, now)

    def _profile_of(self, request: Request, flow: Flow) -> Profile:
        """The dialect of a watcher of which nothing is configured."""
        profile = profile_of(request.user_agent)
        host = flow.remote[0]
        if profile is Profile.LEGACY and host not in self._legacy:
            if len(self._legacy) >= LEGACY_HOSTS:
                self._legacy.clear()
            self._legacy.add(host)
            self._journal.after(
                logger.warning,
                "= %s is %r: it gets documents that Kamailio and OpenSIPS understand, "
                'unless a [[peer]] says profile = "standard"',
                host,
                request.user_agent,
            )
        return profile

    def _put_back(
        self, watch: Watch, subscription: ServedSubscription, snapshot: tuple[Any, ...]
    ) -> None:
        """Have a watch as it was: what has happened to it could not be committed."""
        watch.row.subscription = subscription
        watch.restore(*snapshot)
        watch.timer_at = subscription.expires_at
        self._wheel.schedule(watch)

    def _advance(self, watch: Watch, now: float) -> None:
        """Send what is due, set the timer for what is not."""
        self._journal.remember(watch.restore, *watch.snapshot())
        self._send_due(watch, now)

    def _send_due(self, watch: Watch, now: float) -> None:
        owed = watch.take(now)
        if owed is not None:
            self._notify(watch, owed, now)
        self._wheel.schedule(watch)

    def _notify(self, watch: Watch, owed: Owed, now: float) -> None:
        row = watch.row
        subscription = row.subscription
        body = self._body(watch, owed, now)
        draft = subscription.notify(xml.MEDIA_TYPE, body, now)
        dialog = subscription.dialog
        self._send(draft, way_to(dialog.next_hop, dialog.flow), watch)
        self._notifies += 1
        if body:
            row.version += 1
        self._progress(watch)

    def _body(self, watch: Watch, owed: Owed, now: float) -> bytes:
        row, store = watch.row, self._store
        record = store.record_of(row.aor, self._table)
        if _is_of_our_kind(row):
            return self._claims_body(row, record, owed, now)
        bound = [
            binding
            for binding in store.bindings(record, now, self._table)
            if not is_known_by(binding.owner, binding.source, row.peer)
        ]
        # Also the full state says how a contact has gone; and a legacy peer does not
        # miss, in it, what is not there any more.
        bindings = owed.bindings + bound if owed.full else owed.bindings
        if row.profile is Profile.LEGACY:
            if not bound:
                bindings = [*owed.parted.get(row.aor, ()), *bindings]
            return self._legacy_body(
                watch, record, bindings, bool(bound), owed.full, now
            )
        aors = store.identities(record, self._table)
        state = (
            RegistrationState.ACTIVE
            if bound
            else RegistrationState.TERMINATED
            if bindings
            else RegistrationState.INIT
        )
        registrations = [
            self._registration(row, aor, record, state, bindings, now)
            for aor in aors
            if bound or aor not in owed.parted
        ]
        registrations += [
            self._registration(
                row, aor, record, RegistrationState.TERMINATED, parted, now
            )
            for aor, parted in owed.parted.items()
            if not (bound and aor in aors)
        ]
        return xml.reginfo_body(row.version, owed.full, registrations)

    def _registration(
        self,
        row: WatchRow,
        aor: str,
        record: str,
        state: RegistrationState,
        bindings: Sequence[Binding],
        now: float,
    ) -> bytes:
        elements = [self._element(row, aor, record, one, now) for one in bindings]
        return xml.registration_element(aor, registration_id(aor), state, elements)

    def _claims_body(self, row: WatchRow, record: str, owed: Owed, now: float) -> bytes:
        """
        A document for a server of our kind: claims and records, each whole.

        The full state has all that is kept: tombstones and what lost, too, for the
        other server may not know what beat it.
        """
        store, table = self._store, self._table
        if owed.full:
            known = list(store.rows(record, table).values())
            elements = record_elements(store.records(record, table), now)
        else:
            keys = dict.fromkeys(binding.key for binding in owed.bindings)
            known = [store.claims(record, key, table) for key in keys]
            elements = []
        contacts = [one for each in known for one in claim_elements(each, record, now)]
        if store.is_bound(record, now, table):
            state = RegistrationState.ACTIVE
        else:
            state = RegistrationState.TERMINATED if contacts else RegistrationState.INIT
        registration = xml.registration_element(
            record,
            registration_id(record),
            state,
            [*contacts, *elements, speaker_element(store.server_id)],
        )
        return xml.reginfo_body(row.version, owed.full, [registration])

    def _legacy_body(
        self,
        watch: Watch,
        record: str,
        bindings: list[Binding],
        bound: bool,
        full: bool,
        now: float,
    ) -> bytes:
        """
        A document that Kamailio and OpenSIPS read right (see reg/legacy.py).

        Of a user's identities they are told the one that they watch. What does not fit
        into a datagram is put back, for the next document.
        """
        row = watch.row
        if not bindings:
            return b""  # "init" is an error to them
        if not (row.aor.startswith("tel:") or "@" in row.aor):
            return b""  # an address-of-record without a user ends OpenSIPS
        state = RegistrationState.ACTIVE if bound else RegistrationState.TERMINATED
        elements: list[bytes] = []
        size = 0
        for at, binding in enumerate(bindings):
            element = self._element(row, row.aor, record, binding, now)
            size += len(element)
            if elements and size > MAX_DOCUMENT - _AROUND:
                watch.put_back(bindings[at:])
                full = False  # nothing is gone for having to wait
                break
            elements.append(element)
        registration = xml.registration_element(
            row.aor, registration_id(row.aor), state, elements
        )
        return xml.reginfo_body(row.version, full, [registration])

    def _element(
        self, row: WatchRow, aor: str, record: str, binding: Binding, now: float
    ) -> bytes:
        """One contact; most of its XML is shared by all who watch."""
        # A peer is told where the REGISTER came from; a mere watcher is not.
        with_more = row.peer is not None and row.profile is Profile.LEGACY
        key = (aor, binding.key, row.profile, with_more)
        rendered = self._cache.get(key)
        if rendered is None or rendered.binding is not binding:
            if len(self._cache) >= CACHED_CONTACTS:
                self._cache.clear()
            contact = contact_of(
                binding, aor, is_legacy=with_more, implicit=aor != record
            )
            if row.profile is Profile.LEGACY:
                contact = legacy.adapt(contact)
            rendered = _Rendered(binding, xml.contact_parts(contact))
            self._cache[key] = rendered
        if not binding.active:
            gone = 0 if row.profile is Profile.LEGACY else None
            return xml.contact_element(rendered.parts, gone, None)
        registered = max(0, int(now - binding.registered_at))
        return xml.contact_element(rendered.parts, binding.expires(now), registered)

    def _lose(self, watch: Watch, why: str) -> None:
        """It has ended, and the watcher has not been told all that there was."""
        if self._drain is not None:
            self._drain.gave_up += 1
        self._end(watch, why)

    def _end(self, watch: Watch, why: str) -> None:
        row = watch.row
        who = row.peer or row.subscription.dialog.remote
        self._journal.after(
            logger.info, "= %s no longer watches %s: %s", who, row.aor, why
        )
        # Nothing undoes this: should the disk still have it after a restart, it is
        # found out again.
        self._remove(watch)
        self._rows.erase(row.id, nothing, urgent=False)
        self._told.erase(row.id, nothing, urgent=False)

    def _save(self, watch: Watch, undo: Callable[..., None], *arguments: Any) -> None:
        # A copy: what is written is encoded later, when the watch has gone on.
        row = msgspec.structs.replace(
            watch.row, subscription=_copy(watch.row.subscription)
        )
        self._rows.write(row.id, row, undo, *arguments)

    def _progress(self, watch: Watch, *, urgent: bool = True) -> None:
        row = watch.row
        row.settled = watch.settled
        value = (row.version, row.subscription.dialog.local_cseq, row.settled)
        self._told.write(row.id, value, nothing, urgent=urgent)

    def _add(self, watch: Watch) -> None:
        self._by_id[watch.row.id] = watch
        self._watchers[_watcher(watch)] += 1
        self._by_aor.setdefault(watch.row.aor, {})[watch.row.id] = watch

    def _remove(self, watch: Watch) -> None:
        watch.timer_at = None
        self._wheel.schedule(watch)
        if self._by_id.pop(watch.row.id, None) is not None:
            watcher = _watcher(watch)
            self._watchers[watcher] -= 1
            if not self._watchers[watcher]:
                del self._watchers[watcher]
        watches = self._by_aor.get(watch.row.aor, {})
        watches.pop(watch.row.id, None)
        if not watches:
            self._by_aor.pop(watch.row.aor, None)


class _Rendered(Record):
    binding: Binding
    parts: tuple[bytes, bytes]


_AROUND = 300
"""Octets of a document around its contacts, generously."""


def _is_of_our_kind(row: WatchRow) -> bool:
    """Whether a watcher keeps the same records, and expands them itself."""
    return row.peer is not None and row.profile is Profile.STANDARD


def _concerns(change: KeyChange, row: WatchRow) -> bool:
    """Whether a watcher is told of a change of keys."""
    if _is_of_our_kind(row):
        return change.source is None or change.source.partition("/")[0] != row.peer
    if change.before == change.after and row.aor not in change.moved:
        return False
    if row.profile is not Profile.LEGACY:
        return True
    # It is told of one identity only.
    return row.aor != change.aor and (
        row.aor in change.moved
        or (row.aor in change.before) != (row.aor in change.after)
    )


def _contact(local: Local) -> str:
    return f"<{local.uri}>"


def _watcher(watch: Watch) -> str:
    return cached_name_addr(watch.row.subscription.dialog.remote).uri


def _instance(request: Request) -> str:
    """The device that a request comes from (RFC 5626 §4.1); empty if it is not said."""
    contact = request.contact()
    return "" if contact is None else contact.params.get("+sip.instance") or ""


def _id(call_id: str, tag: str) -> str:
    return f"{call_id}\0{tag}"


def _copy(subscription: ServedSubscription) -> ServedSubscription:
    dialog = msgspec.structs.replace(subscription.dialog)
    return msgspec.structs.replace(subscription, dialog=dialog)


def _shifted(row: WatchRow, by: float) -> WatchRow:
    row.subscription.expires_at += by
    return row
