"""The subscriber: what peers notify becomes known here (RFC 3680 §4.8, §5.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from ..events.headers import EventHeader, SubscriptionState
from ..events.states import SubscriberState
from ..events.subscribe import HeldSubscription, Wanted
from ..ledger.due import work_off
from ..ledger.journal import Journal
from ..ledger.part import Description, Here, Moment
from ..ledger.shelf import Rows, nothing
from ..location.store import TABLE, LocationStore
from ..reg.document import Contact, Reginfo
from ..reg.table import Table, TableDump
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow, Local
from ..sip.message import Draft, Request, Response
from ..sip.timer import TimerWheel
from ..sip.uri import Uri
from ..sip.user import User
from .document import read_body
from .learner import DocumentOrigin, Learner
from .naming import Name, as_written, named

logger = logging.getLogger("reginfo.subscriber")

PACKAGE = "reg"

KIND = "held"
"""The kind of our entries in the journal."""

RESTART_RATE = 100.0
"""Subscriptions refreshed a second after a restart: it is no storm for the peers."""

RETRY_AFTER = 5.0
"""Seconds until what was due, and could not be committed, is due again."""

UNSOLICITED = 10_000
"""Dialogs that we have not asked for, and whose documents we know, at the most."""

SUBSCRIPTIONS = 100_000
"""
Subscriptions that a script can ask for, at the most: each is a dialog that is kept
alive, and one more for every URI that somebody sends would fill the memory.
"""

Send = Callable[[Draft, Flow, User], object]


class HeldRow(msgspec.Struct, kw_only=True, gc=False):
    """What of a subscription is kept on disk."""

    subscription: HeldSubscription
    table: TableDump
    requested: bool = False
    "Whether it was asked for while we ran, and not by the configuration."

    aor: str = ""
    peer: str = ""


class MirrorKeeper(Protocol):
    """Holds subscriptions; see :class:`Subscriber`."""

    def receive_response(self, mirror: Mirror, response: Response, now: float) -> None:
        """Receive the response to the SUBSCRIBE under way."""

    def receive_failure(self, mirror: Mirror, cause: str, now: float) -> None:
        """Receive the news that the SUBSCRIBE under way got no response."""


class Mirror:
    """One address-of-record of a peer, and what it has told us of it."""

    __slots__ = (
        "aor",
        "held",
        "keeper",
        "listed",
        "missed",
        "notified_at",
        "peer",
        "problem",
        "requested",
        "scheduled_at",
        "source",
        "subscription",
        "table",
    )

    def __init__(
        self,
        peer: str,
        aor: str,
        subscription: HeldSubscription,
        keeper: MirrorKeeper,
    ) -> None:
        self.keeper = keeper
        "Receives what becomes of its SUBSCRIBEs."

        self.peer = peer
        self.aor = aor
        self.source = f"{peer}/{aor}"
        "How bindings learned by it are marked; the same over restarts."

        self.subscription = subscription
        self.table = Table()
        self.held: tuple[str, str] | None = None
        "Call-ID and local tag under which it is found."

        self.listed: frozenset[str] = frozenset()
        "Addresses-of-record under which it is found: those that it has contacts of."

        self.scheduled_at: float | None = None
        self.requested = False
        "Whether it was asked for while we ran, and not by the configuration."

        # Since the start, for who looks at us; nothing depends on it.
        self.notified_at: float | None = None
        self.missed = 0
        self.problem: str | None = None

    def notified(self, state: SubscriptionState, missed: bool, now: float) -> None:
        """A NOTIFY has come, and what it says is kept."""
        self.notified_at = now
        self.missed += missed
        self.problem = None
        if state.state == "terminated":
            self.problem = f"the peer has ended it: {state.reason or 'no reason'}"

    def aors(self) -> frozenset[str]:
        """Of whom it has contacts; of nobody, when it is over."""
        if self.subscription.state is SubscriberState.ENDED:
            return frozenset()
        return frozenset(filter(None, map(_aor_of, self.table.aors())))

    def lists(self, aor: str, uri: Uri, now: float, asker: str) -> bool:
        """
        Whether it says that a contact is bound.

        Args:
            asker: the peer that no longer says so. What others have from it is hearsay.
        """
        lasts = self.subscription.expires_at
        return any(
            (self.peer == asker or not _is_owned(row.contact, asker))
            and now < (lasts if row.expires_at is None else row.expires_at)
            and _aor_of(row.aor) == aor
            and _is(row.contact.uri, uri)
            for row in self.table
        )

    @property
    def timer_at(self) -> float | None:
        return self.subscription.timer_at

    @timer_at.setter
    def timer_at(self, at: float | None) -> None:
        self.subscription.timer_at = at

    def timer_due(self, now: float) -> None:
        self.subscription.timer_due(now)

    # The user of each SUBSCRIBE (:class:`reginfo.sip.user.User`).

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive the response to the SUBSCRIBE under way."""
        self.keeper.receive_response(self, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Receive the news that the SUBSCRIBE under way got no response."""
        self.keeper.receive_failure(self, cause, moment.now)

    def never_sent(self) -> None:
        """Do nothing: the journal's undo list restores the subscription."""


Listener = Callable[[Mirror, str, str], None]
"""Is told of a subscription what state it is in now, and why."""


class Subscriber:
    """
    All subscriptions that we hold, and what their NOTIFYs do to the store.

    Args:
        send: sends a request by a flow; what it is for comes back with the answer.
        new_id: makes a random token.
        jitter: a random number from 0 to 1, to spread what would come together.
        max_expires: the longest time that a contact is believed to last, in seconds.
        longest: the same for a peer, by its name, where that differs.
        locate: is called when a subscription that was requested needs to know where to
            go; :meth:`located` is the answer.
        name: the address-of-record that a URI names, as records are kept by.
    """

    def __init__(
        self,
        store: LocationStore,
        journal: Journal,
        *,
        server_id: str,
        send: Send,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
        max_expires: int,
        longest: Callable[[str], int] | None = None,
        locate: Callable[[Mirror], None] | None = None,
        location: str = TABLE,
        name: Name = as_written,
    ) -> None:
        self._locate = locate
        self._name = name
        self._location = location
        self.listener: Listener | None = None
        "Is told what becomes of what was requested, once that is on disk."

        self._journal = journal
        self._send = send
        self._new_id = new_id
        self._jitter = jitter
        self._longest = longest or (lambda peer: max_expires)
        self._wheel = TimerWheel()
        self._mirrors: dict[str, Mirror] = {}
        self._by_dialog: dict[tuple[str, str], Mirror] = {}
        self._on_disk: dict[str, HeldRow] = {}
        self._rows: Rows[HeldRow] = Rows(
            journal, KIND, HeldRow, self._on_disk.__setitem__, _shifted
        )
        self._unsolicited: dict[tuple[str, str], Table] = {}
        self._by_aor: dict[str, dict[str, Mirror]] = {}
        self._learner = Learner(
            store,
            server_id=server_id,
            max_expires=max_expires,
            longest=longest,
            listed=self._is_listed,
        )

    def mirrors(self) -> Iterator[Mirror]:
        """Every subscription that is wanted."""
        return iter(self._mirrors.values())

    def watch(
        self, peer: str, aor: str, wanted: Wanted, flow: Flow, now: float
    ) -> None:
        """
        Have ``aor`` of ``peer`` known here from now on.

        A subscription that is on disk is gone on with; asking twice for the same
        changes nothing.
        """
        source = f"{peer}/{aor}"
        if source in self._mirrors:
            return
        subscription = HeldSubscription(wanted=wanted, flow=flow, timer_at=now)
        mirror = Mirror(peer, aor, subscription, self)
        on_disk = self._on_disk.pop(source, None)
        if on_disk is not None:
            mirror.table = Table.load(on_disk.table)
            known = on_disk.subscription
            if known.wanted == wanted:
                mirror.subscription = known
                # What was sent while we were down is found out by a refresh; not by
                # all of them at once.
                at = now + len(self._mirrors) / RESTART_RATE
                known.resume(flow, shift=0.0, at=at)
            else:
                mirror.table.restart()
        self._index(mirror)
        self._mirrors[source] = mirror
        self._wheel.schedule(mirror)

    def request(self, peer: str, aor: str, wanted: Wanted, now: float) -> bool:
        """
        Have ``aor`` known here from now on, because a script has asked for it.

        Asked for again, it is the same subscription; only the time that is asked for
        each time may be another one.

        Args:
            peer: who owns what is told.

        Returns:
            False if there are too many already.
        """
        source = f"{peer}/{aor}"
        mirror = self._mirrors.get(source)
        if mirror is None:
            if len(self._mirrors) >= SUBSCRIPTIONS:
                return False
            subscription = HeldSubscription(wanted=wanted, timer_at=now)
            mirror = Mirror(peer, aor, subscription, self)
            mirror.requested = True
            self._mirrors[source] = mirror
            self._journal.remember(self._forget, mirror)
        elif mirror.subscription.state is SubscriberState.ENDED:
            self._remember(mirror)
            mirror.subscription = HeldSubscription(wanted=wanted, timer_at=now)
            mirror.table.restart()
        elif (known := mirror.subscription.wanted).expires != wanted.expires:
            self._remember(mirror)
            longer = msgspec.structs.replace(known, expires=wanted.expires)
            mirror.subscription.wanted = longer
        else:
            return True
        self._settle(mirror)
        return True

    def cancel(self, peer: str, aor: str, now: float) -> bool:
        """Ask for ``aor`` no more; False if nobody did."""
        mirror = self._mirrors.get(f"{peer}/{aor}")
        if mirror is None or mirror.subscription.state is SubscriberState.ENDED:
            return False
        if not mirror.requested:
            return False  # the configuration wants it
        self._remember(mirror)
        mirror.subscription.end(now)
        self._tell(mirror, "ended", "")
        self._settle(mirror)
        return True

    def located(
        self, mirror: Mirror, flow: Flow | None, cause: str, now: float
    ) -> None:
        """
        Ask for what was requested by ``flow``.

        Args:
            flow: None if nobody knows where it is, for ``cause``.
        """
        subscription = mirror.subscription
        if subscription.state is not SubscriberState.WAITING:
            return
        # If the disk does not take it, it is sought again; nothing else would do that.
        self._remember(mirror, at=now + RETRY_AFTER)
        if flow is None:
            logger.warning("! SUBSCRIBE for %s: %s", mirror.source, cause)
            mirror.problem = cause
            self._tell(mirror, "failed", cause)
            subscription.unreachable(now, self._jitter)
        else:
            subscription.flow = flow
            wanted = subscription.wanted
            # A peer that is asked by TCP is to notify by TCP.
            by = f"{wanted.local};transport=tcp" if flow.local.is_reliable else None
            subscription.wanted = msgspec.structs.replace(wanted, contact=by)
            subscription.begin(now, self._new_id)
            mirror.table.restart()
        self._settle(mirror)

    def begin(self, here: Here, moment: Moment) -> None:
        """Continue what a script had requested before a restart, 100 a second."""
        now = moment.now
        for source, row in list(self._on_disk.items()):
            if not row.requested:
                continue
            del self._on_disk[source]
            at = now + len(self._mirrors) / RESTART_RATE
            try:
                with self._journal.attempt():
                    self._resume(source, row, here.locals, at)
            except Exception:
                # One row that cannot be used must not stop the others.
                logger.exception("! %s cannot be continued", source)
                self._mirrors.pop(source, None)

    def hears(self, change: object) -> None:
        """Ignore it: what peers notify does not depend on what happens here."""

    def undone(self, moment: Moment) -> None:
        """Do nothing: what is taken back is due again by its own undo."""

    def describe(self) -> Description:
        """Describe how many subscriptions are held at others."""
        held = len(self._mirrors)
        return Description("subscriber", f"{held} subscriptions", {"held": held})

    # From the network.

    def receive_notify(
        self,
        request: Request,
        flow: Flow,
        now: float,
        wall: float,
        location: str | None = None,
    ) -> tuple[str, ...]:
        """
        Take in a NOTIFY: first its dialog, then its package, its body last.

        Args:
            location: the table that it is learned into, if not the usual one.

        Returns:
            The addresses-of-record that it tells of; none without a body.

        Raises:
            Refusal, RemoteProtocolError: it is none of ours, or makes no sense. Then
                nothing has changed.
        """
        mirror = self._by_dialog.get((request.call_id, request.to.tag))
        if mirror is None:
            # RFC 6665 §4.1.3: a NOTIFY that matches no subscription.
            raise Refusal(481, "Subscription Does Not Exist")
        subscription = mirror.subscription
        state = subscription.check_notify(request, PACKAGE)
        document = self._document(request, mirror.source)
        self._remember(mirror)
        first = not subscription.is_established
        subscription.receive_notify(request, state, flow, now, self._jitter)
        missed = False
        if document is not None:
            taken = mirror.table.take(document, request.cseq.number, now)
            told = DocumentOrigin(
                mirror.peer,
                mirror.source,
                subscription.expires_at,
                location or self._location,
            )
            self._learner.learn_keys(told, document, now, wall)
            self._learner.learn(told, taken.news, now, wall)
            if document.full:
                self._learner.forget_others(told, mirror.aor, mirror.table, now, wall)
            self._learner.prolong(told, document, now, wall)
            missed = taken.missed
            if missed:
                self._journal.after(
                    logger.info, "= a NOTIFY of %s was missed", mirror.source
                )
                subscription.refresh(now)
        self._journal.after(mirror.notified, state, missed, now)
        if state.state == "terminated":
            if subscription.state is not SubscriberState.ENDED:
                self._tell(mirror, "terminated", state.reason or "")
        elif first:
            self._tell(mirror, "active", "")
        self._settle(mirror)
        if document is None:
            return ()
        return _aors(document) or (mirror.aor,)

    def knows(self, request: Request) -> bool:
        """Whether a NOTIFY is of a subscription that we hold."""
        return (request.call_id, request.to.tag) in self._by_dialog

    def expects(self, request: Request) -> bool:
        """Whether a NOTIFY is of a subscription that we hold, and of its package."""
        mirror = self._by_dialog.get((request.call_id, request.to.tag))
        if mirror is None:
            return False
        try:
            mirror.subscription.check_notify(request, PACKAGE)
        except Refusal:
            return False
        except RemoteProtocolError:
            pass  # it is ours, and wrong
        return True

    def receive_unsolicited(
        self,
        peer: str,
        request: Request,
        now: float,
        wall: float,
        location: str | None = None,
    ) -> tuple[str, ...]:
        """
        Take in a NOTIFY that ``peer`` sends without being asked.

        RFC 6665 §4.1.3 has no such thing; there are servers that do, and operators who
        have configured it for them.

        Returns:
            The addresses-of-record that it tells of, or no longer does; none without
            a body.

        Raises:
            Refusal, RemoteProtocolError: it makes no sense. Then nothing has changed.
        """
        event = EventHeader.of(request)
        if event is None or event.package != PACKAGE:
            raise Refusal(489, "Bad Event", headers=[("Allow-Events", PACKAGE)])
        state = SubscriptionState.of(request)
        key = (peer, request.call_id)
        stream = self._unsolicited.pop(key, None)
        known = stream is not None
        if stream is None:
            stream = Table()
            if len(self._unsolicited) >= UNSOLICITED:
                self._unsolicited.pop(next(iter(self._unsolicited)))
        self._unsolicited[key] = stream
        document = self._document(request, peer)
        if document is not None:
            before = stream.dump()
            self._journal.remember(self._put_back, key, before if known else None)
            taken = stream.take(document, request.cseq.number, now)
            lasts = self._longest(peer)
            if state.expires is not None:
                lasts = min(state.expires, lasts)
            source = f"{peer}/unsolicited"
            told = DocumentOrigin(peer, source, now + lasts, location or self._location)
            self._learner.learn_keys(told, document, now, wall)
            self._learner.learn(told, taken.news, now, wall)
            self._learner.prolong(told, document, now, wall)
            news = (_aor_of(one.aor) for one in taken.news)
            return _aors(document) or tuple(dict.fromkeys(filter(None, news)))
        return ()

    def _put_back(self, key: tuple[str, str], table: TableDump | None) -> None:
        if table is None:
            self._unsolicited.pop(key, None)
        else:
            self._unsolicited[key] = Table.load(table)

    def receive_response(self, mirror: Mirror, response: Response, now: float) -> None:
        """Take in the answer to a SUBSCRIBE."""
        self._remember(mirror)
        ended = mirror.subscription.state is SubscriberState.ENDED
        mirror.subscription.receive_response(response, now, self._jitter)
        if response.status >= 300:
            logger.warning("! SUBSCRIBE for %s: %d", mirror.source, response.status)
            why = f"{response.status} {response.reason}"
            mirror.problem = f"SUBSCRIBE: {why}"
            if mirror.subscription.state is SubscriberState.WAITING:
                self._tell(mirror, "refused", why)
            elif ended:
                mirror.subscription.timer_at = now  # no NOTIFY follows
        self._settle(mirror)

    def receive_failure(self, mirror: Mirror, cause: str, now: float) -> None:
        """A SUBSCRIBE got no answer."""
        self._remember(mirror)
        logger.warning("! SUBSCRIBE for %s got no answer: %s", mirror.source, cause)
        mirror.problem = f"SUBSCRIBE got no answer: {cause}"
        mirror.subscription.receive_failure(now, self._jitter)
        if mirror.subscription.state is SubscriberState.WAITING:
            self._tell(mirror, "failed", cause)
        self._settle(mirror)

    # From the clock.

    @property
    def timer_at(self) -> float | None:
        return self._wheel.timer_at

    def timer_due(self, moment: Moment) -> None:
        """Ask for what is wanted, refresh what ends."""
        now = moment.now

        def act(machine: Mirror) -> None:
            # If the disk does not take it, nobody is served by haste.
            self._remember(machine, at=now + RETRY_AFTER)
            subscription = machine.subscription
            dialog = subscription.dialog
            if machine.requested and (
                subscription.state is SubscriberState.WAITING
                or (
                    subscription.state is SubscriberState.ACTIVE
                    and now >= subscription.expires_at
                )
            ):
                subscription.lapse()
                self._settle(machine)
                # Each time anew: names may lead elsewhere by now.
                assert self._locate is not None
                self._locate(machine)
                return
            subscription.due(now, self._new_id, self._jitter)
            if subscription.dialog is not dialog:
                machine.table.restart()
            self._settle(machine)

        work_off(self._wheel, self._journal, now, act)

    # From the disk.

    @property
    def shelves(self) -> Sequence[Rows[Any]]:
        """What is kept in the storage; :meth:`watch` and :meth:`resume` continue it."""
        return (self._rows,)

    # How.

    def _document(self, request: Request, source: str) -> Reginfo | None:
        document = read_body(request, source)
        return None if document is None else named(document, self._name)

    def _resume(
        self,
        source: str,
        row: HeldRow,
        locals: Sequence[Local],
        at: float,
    ) -> None:
        """Go on with one subscription that was requested; it is refreshed ``at``."""
        subscription = row.subscription
        mirror = Mirror(row.peer, row.aor, subscription, self)
        mirror.requested = True
        mirror.table = Table.load(row.table)
        dialog = subscription.dialog
        flow = subscription.flow if dialog is None else dialog.flow
        if flow is not None and flow.local not in locals:
            flow = Flow(locals[0], flow.remote)
        if subscription.state is SubscriberState.ENDED or flow is None:
            subscription.dialog = None
            subscription.timer_at, subscription.scheduled_at = at, None
        else:
            subscription.resume(flow, shift=0.0, at=at)
        self._mirrors[source] = mirror
        self._index(mirror)
        self._wheel.schedule(mirror)

    def _settle(self, mirror: Mirror) -> None:
        """Send what the subscription wants sent, keep it, and set its timer."""
        self._index(mirror)
        subscription = mirror.subscription
        for draft, flow in subscription.drafts_to_send():
            self._send(draft, flow, mirror)
        # A copy: what is written is encoded later, when the subscription has gone on.
        if subscription.state is SubscriberState.ENDED and subscription.dialog is None:
            self._mirrors.pop(mirror.source, None)
            self._rows.erase(mirror.source, self._put_in, mirror)
            subscription.timer_at = None
            return
        row = HeldRow(
            subscription=_copy(subscription),
            table=mirror.table.dump(),
            requested=mirror.requested,
            aor=mirror.aor,
            peer=mirror.peer,
        )
        self._rows.write(mirror.source, row, nothing)
        self._wheel.schedule(mirror)

    def _tell(self, mirror: Mirror, state: str, reason: str) -> None:
        if mirror.requested and self.listener is not None:
            self._journal.after(self.listener, mirror, state, reason)

    def _remember(self, mirror: Mirror, at: float | None = None) -> None:
        """
        Have a subscription put back as it is now, if the commit fails.

        Args:
            at: when it is due then, if not when it is now.
        """
        before = _copy(mirror.subscription)
        if at is not None:
            before.timer_at = at
        self._journal.remember(self._restore, mirror, before, mirror.table.dump())

    def _forget(self, mirror: Mirror) -> None:
        self._mirrors.pop(mirror.source, None)
        mirror.timer_at = None
        self._wheel.schedule(mirror)

    def _put_in(self, mirror: Mirror) -> None:
        self._mirrors[mirror.source] = mirror

    def _index(self, mirror: Mirror) -> None:
        dialog = mirror.subscription.dialog
        key = None if dialog is None else (dialog.call_id, dialog.local_tag)
        if key != mirror.held:
            if mirror.held is not None:
                self._by_dialog.pop(mirror.held, None)
            if key is not None:
                self._by_dialog[key] = mirror
            mirror.held = key
        aors = mirror.aors()
        if aors != mirror.listed:
            for aor in mirror.listed - aors:
                known = self._by_aor[aor]
                del known[mirror.source]
                if not known:
                    del self._by_aor[aor]
            for aor in aors - mirror.listed:
                self._by_aor.setdefault(aor, {})[mirror.source] = mirror
            mirror.listed = aors

    def _is_listed(
        self, source: str, aor: str, uri: Uri, now: float, same_peer: bool
    ) -> bool:
        """Whether another subscription than ``source`` says that a contact is bound."""
        peer = source.partition("/")[0]
        return any(
            mirror.source != source
            and (not same_peer or mirror.peer == peer)
            and mirror.lists(aor, uri, now, peer)
            for mirror in self._by_aor.get(aor, {}).values()
        )

    def _restore(
        self, mirror: Mirror, subscription: HeldSubscription, table: TableDump
    ) -> None:
        mirror.subscription = subscription
        mirror.table = Table.load(table)
        self._index(mirror)
        self._wheel.schedule(mirror)


def _is_owned(contact: Contact, peer: str) -> bool:
    """Whether a contact is said to be registered at ``peer``."""
    return contact.claim is not None and contact.claim.owner == peer


def _aors(document: Reginfo) -> tuple[str, ...]:
    """The addresses-of-record in a document, as records are kept by."""
    found = (_aor_of(registration.aor) for registration in document.registrations)
    return tuple(aor for aor in found if aor)


def _aor_of(text: str) -> str:
    """The address-of-record in a document; empty if it is none."""
    try:
        return Uri.parse(text).aor
    except RemoteProtocolError:
        return ""  # which has been complained of


def _is(contact: str, uri: Uri) -> bool:
    try:
        return uri.matches(Uri.parse(contact))
    except RemoteProtocolError:
        return False  # which has been complained of


def _copy(subscription: HeldSubscription) -> HeldSubscription:
    dialog = subscription.dialog
    return msgspec.structs.replace(
        subscription,
        dialog=None if dialog is None else msgspec.structs.replace(dialog),
        drafts=[],
    )


def _shifted(row: HeldRow, by: float) -> HeldRow:
    row.subscription.expires_at += by
    row.subscription.began_at += by
    row.table = Table.load(row.table, by).dump()
    return row
