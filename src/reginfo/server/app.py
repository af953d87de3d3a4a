"""The server: builds its parts, and connects changes to roles."""

from __future__ import annotations

import email.utils
import gc
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from .. import __version__
from ..events.notify import Policy as SubscriptionPolicy
from ..events.subscribe import Wanted
from ..location import store as location
from ..location.binding import Binding, BindingChange
from ..location.journal import Journal, Mark
from ..location.sqlite import Loaded, SqliteJournal, StoreError
from ..location.store import LocationStore
from ..reg import xml
from ..reg.document import ContactEvent
from ..roles import compositor, notifier, publisher, registrar, subscriber
from ..roles.admission import Admission
from ..roles.compositor import Compositor
from ..roles.notifier import Notifier
from ..roles.publisher import Published, Publisher, Target
from ..roles.subscriber import Mirror, Subscriber
from ..roles.watch import Watch
from ..sip.endpoint import (
    Endpoint,
    Event,
    RequestFailed,
    RequestReceived,
    ResponseReceived,
)
from ..sip.errors import Refusal, ReginfoError, RemoteProtocolError
from ..sip.flow import Address, Flow, Local
from ..sip.message import Response, request_uri
from ..sip.uri import Uri
from .clock import Clock
from .commit import Writer
from .config import Config, Peer
from .domains import Domains
from .ids import Ids
from .network import Network, StartError, flow_to
from .peers import Peers, profile_of
from .rim import Rim
from .transport import Trace

logger = logging.getLogger("reginfo.server")

METHODS = ("REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "OPTIONS")

PRODUCT = f"reginfo/{__version__}"

KINDS = (
    location.KIND,
    notifier.KIND,
    notifier.PROGRESS,
    subscriber.KIND,
    publisher.KIND,
    compositor.KIND,
)
"""What stands in the journal, in the order in which it is taken in."""

REASONS = {400: "Bad Request", 416: "Unsupported URI Scheme", 500: "Server Error"}


class App:
    """
    One server.

    Args:
        trace: is called with each datagram: direction, octets, our address, theirs.
        clock, new_id, jitter: time and chance, where they are not to be the machine's.
    """

    def __init__(
        self,
        config: Config,
        *,
        trace: Trace | None = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._trace = trace
        self._clock = clock or Clock()
        self._ids = new_id or Ids()
        self.journal = Journal()
        self._database: SqliteJournal | None = None
        self._date = (0, "")
        self._domains = Domains(
            config.server.domains,
            use_domain=config.usrloc.use_domain,
            default_domain=config.pua_reginfo.default_domain,
        )
        self._peers = Peers(config.peers, config.notifier.min_interval)
        self._policy = registrar.Policy(
            min_expires=config.registrar.min_expires,
            default_expires=config.registrar.default_expires,
            max_expires=config.registrar.max_expires,
            max_contacts=config.registrar.max_contacts,
        )
        self._table = config.pua_reginfo.ul_domain
        self.store = LocationStore(config.server.id, self.journal)
        self.store.listener = self._changed
        self.endpoint = Endpoint(
            new_id=self._ids, methods=METHODS, headers={"Server": PRODUCT}
        )
        policy = SubscriptionPolicy(
            min_expires=config.presence_reginfo.min_expires,
            default_expires=config.presence_reginfo.default_expires,
            max_expires=config.presence_reginfo.max_expires,
        )
        self.notifier = Notifier(
            self.store,
            self.journal,
            send=self._send,
            policy=policy,
            recognise=self._peers.recognise,
            is_ours=self._domains.serve,
            admission=Admission(
                allow=config.notifier.allow,
                max_subscriptions=config.notifier.max_subscriptions,
                max_per_watcher=config.notifier.max_per_watcher,
            ),
            table=self._table,
        )
        self.subscriber = Subscriber(
            self.store,
            self.journal,
            server_id=config.server.id,
            send=self._send,
            new_id=self._ids,
            jitter=jitter,
            max_expires=config.registrar.max_expires,
            location=self._table,
        )
        self.publisher = Publisher(
            self.store,
            self.journal,
            server_id=config.server.id,
            send=self._send,
            new_id=self._ids,
            jitter=jitter,
            min_expires=config.pua.min_expires,
            max_expires=config.pua.max_expires,
            table=self._table,
        )
        self.compositor = Compositor(
            self.store,
            self.journal,
            server_id=config.server.id,
            new_id=self._ids,
            policy=policy,
            max_expires=config.registrar.max_expires,
            location=self._table,
        )
        self._handlers: dict[str, Callable[[RequestReceived, float], Response]] = {
            "REGISTER": self._register,
            "SUBSCRIBE": self._subscribe,
            "NOTIFY": self._notify,
            "PUBLISH": self._publish,
            "OPTIONS": self._options,
        }

    # Life.

    async def start(self) -> None:
        """
        Load what is stored, bind the sockets, and serve.

        Raises:
            StartError: an address or the store cannot be had.
        """
        config = self._config
        writer = None
        try:
            if config.store.path is not None:
                self._database = SqliteJournal(
                    config.store.path, synchronous=config.store.synchronous
                )
                self.load(self._database)
                writer = Writer(self._database)
            self._rim = Rim(
                self.endpoint,
                self,
                self.journal,
                self._clock,
                writer=writer,
            )
            self._network = Network(self._rim, self.endpoint, self._trace)
            self._network.listen(config.server.listen)
            addresses = await self._network.find(self.uris())
        except BaseException as exc:
            if writer is not None:
                writer.stop()
            if self._database is not None:
                self._database.close()
            if isinstance(exc, ReginfoError) and not isinstance(exc, StartError):
                raise StartError(str(exc)) from exc
            raise
        self.begin(self._rim.locals, addresses)
        self._rim.start()
        # What has been loaded lives long; and a full collection among a million
        # objects would stop us for a quarter of a second.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    def load(self, database: SqliteJournal) -> None:
        """Take in what is stored; :meth:`begin` goes on with it."""
        now = self._clock.now()
        last = database.last_commit
        if last is not None:
            self._clock.not_before(last)
        # Much is made here, and all of it stays: there is no garbage to look for.
        gc.disable()
        try:
            stored: dict[str, list[Loaded]] = {kind: [] for kind in KINDS}
            for row in database.load(boot=now, wall=self._clock.wall()):
                if row.kind in stored:
                    stored[row.kind].append(row)
            for kind, rows in stored.items():
                for _, key, value, shift in rows:
                    if kind == location.KIND:
                        self.store.load(key, value, shift)
                    elif kind == subscriber.KIND:
                        self.subscriber.load(key, value, shift)
                    elif kind == publisher.KIND:
                        self.publisher.load(key, value, shift)
                    elif kind == compositor.KIND:
                        self.compositor.load(value, shift)
                    else:
                        self.notifier.load(kind, key, value, shift)
        except msgspec.MsgspecError as exc:
            raise StoreError(f"{database.path}: {exc}") from exc
        finally:
            gc.enable()

    def uris(self) -> list[str]:
        """Peers and presence servers whose addresses :meth:`begin` wants."""
        peers = [peer.uri for peer in self._config.peers if peer.uri is not None]
        return [*peers, *self._publish_targets()]

    def begin(self, locals: Sequence[Local], addresses: Mapping[str, Address]) -> None:
        """
        Go on where we were, and ask our peers for what they know.

        Args:
            locals: where we listen.
            addresses: where the URIs of peers and presence servers are.
        """
        now = self._clock.now()
        self._domains.add(locals)
        ours = {(local.host, local.port) for local in locals}
        self._peers.find(addresses)
        wall = self._clock.wall()
        self.notifier.moved(locals)
        self.store.loaded(now, wall)
        self.compositor.loaded(now, wall)
        self.notifier.loaded(now)
        for uri in self._publish_targets():
            if addresses[uri] in ours:
                continue  # we are that presence server: our watchers are told anyway
            target = Target(
                uri=uri,
                flow=flow_to(uri, addresses[uri], locals),
                profile=profile_of(self._peers.at(addresses[uri])),
            )
            self.publisher.publish_to(target, now)
        me = self._config.pua_reginfo.server_address
        for peer in self._config.peers:
            for aor in peer.watch:
                assert me is not None and peer.uri is not None
                flow = flow_to(peer.uri, addresses[peer.uri], locals)
                wanted = Wanted(
                    uri=aor,
                    local=me,
                    contact=f"{me};transport=tcp" if flow.local.is_reliable else None,
                    event=notifier.PACKAGE,
                    accept=xml.MEDIA_TYPE,
                )
                self.subscriber.watch(
                    peer.name, self._domains.aor(Uri.parse(aor)), wanted, flow, now
                )

    async def stop(self) -> None:
        """Commit what was decided, and close. Nobody is told: this may be a restart."""
        await self._rim.stop()
        if self._database is not None:
            self._database.close()

    @property
    def sip_addresses(self) -> list[str]:
        """Where we really listen, as the configuration writes it."""
        return list(self._network.listening)

    # What the administrator asks.

    def now(self) -> float:
        """Seconds on the clock that bindings use."""
        return self._clock.now()

    def aors(self) -> list[str]:
        """Addresses-of-record that have, or had, a contact; in no order."""
        return list(self.store.aors(self._table))

    def bindings(self, aor: str) -> list[Binding]:
        """Contacts that ``aor`` is bound to; see :meth:`committed`."""
        return self.store.bindings(aor, self.now(), self._table)

    def watches(self) -> list[Watch]:
        """Subscriptions that we serve; see :meth:`committed`."""
        return list(self.notifier.watches())

    def serves(self, watch: Watch) -> bool:
        """Whether a subscription is one of them still."""
        return self.notifier.serves(watch)

    def peers(self) -> list[Peer]:
        """Peers, as they are configured."""
        return list(self._config.peers)

    def mirrors(self) -> list[Mirror]:
        """Subscriptions that we hold; see :meth:`committed`."""
        return list(self.subscriber.mirrors())

    async def committed(self) -> bool:
        """
        Wait until what has been read in this turn is on disk.

        Returns:
            False if it was taken back instead: it has to be read again.
        """
        return await self._rim.committed()

    def drain(self, rate: float) -> None:
        """
        Leave for good: end all subscriptions that we serve, and take no new ones.

        Args:
            rate: how many are ended each second, at the most.
        """
        self.notifier.drain(rate, self.now())
        self._rim.settle()

    def health(self) -> dict[str, Any]:
        """How we are: status, and figures since the start."""
        rim, clock, store = self._rim, self._clock, self._config.store
        problems = []
        if rim.degraded is not None:
            problems.append(f"store: {rim.degraded}")
        behind = clock.behind
        if behind:
            problems.append(f"calendar: {behind:.1f} s behind the last commit")
        left = len(self.notifier)
        leaving = self.notifier.leaving
        status = "degraded" if problems else "ok"
        if leaving is not None:
            status = "draining" if left else "drained"
        return {
            "status": status,
            "problems": problems,
            "server": self._config.server.id,
            "version": __version__,
            "sip": self.sip_addresses,
            "store": {
                "url": "memory:" if store.path is None else f"sqlite:{store.path}",
                "problem": rim.degraded,
            },
            "clock": {
                "time": self._clock.wall(),
                "behind": behind,
                "stepped": clock.stepped,
            },
            "draining": None
            if leaving is None
            else {
                "watchers": leaving.total,
                "left": left,
                "gave_up": leaving.gave_up,
                "rate": leaving.rate,
            },
            "commits": rim.commits,
            "watchers": left,
            "malformed": self.endpoint.malformed,
        }

    # What the rim drives.

    def handle(self, event: Event, now: float) -> None:
        """Answer a request, or take in a response; all of it happens, or nothing."""
        if isinstance(event, RequestReceived):
            self.endpoint.respond(event.transaction, self._answer(event, now))
            return
        mark = self._mark()
        try:
            self._take_in(event, now)
        except Exception:
            # A bug of ours must not stop the others' service.
            logger.exception("! %s", type(event).__name__)
            self._roll_back(mark)

    @property
    def timer_at(self) -> float | None:
        times = (
            self.store.timer_at,
            self.notifier.timer_at,
            self.subscriber.timer_at,
            self.publisher.timer_at,
            self.compositor.timer_at,
        )
        return min((at for at in times if at is not None), default=None)

    def timer_due(self, now: float) -> None:
        """Expire, tell, refresh."""
        mark = self._mark()
        try:
            wall = self._clock.wall()
            self.store.timer_due(now, wall)
            self.compositor.timer_due(now, wall)
            self.notifier.timer_due(now)
            self.subscriber.timer_due(now)
            self.publisher.timer_due(now)
        except Exception:
            logger.exception("%% a timer")
            self._roll_back(mark)

    def undone(self, now: float) -> None:
        """What was decided last has been taken back."""
        self.notifier.undone(now)

    # Requests, by method.

    def _answer(self, event: RequestReceived, now: float) -> Response:
        """The one place where an error becomes a response, and nothing has changed."""
        request = event.request
        mark = self._mark()
        try:
            return self._handlers[request.method](event, now)
        except Refusal as refusal:
            response = Response.of(refusal.status, refusal.reason, refusal.headers)
        except RemoteProtocolError as exc:
            logger.debug("! %s from %s:%d: %s", request.method, *event.source, exc)
            response = Response(exc.status, REASONS.get(exc.status, "Bad Request"))
        except Exception:
            # A bug of ours must not stop the others' service.
            logger.exception("! %s from %s:%d", request.method, *event.source)
            response = Response(500, "Server Internal Error")
        self._roll_back(mark)
        return response

    def _take_in(self, event: ResponseReceived | RequestFailed, now: float) -> None:
        """What became of a request of ours."""
        user = event.transaction.user
        if isinstance(event, ResponseReceived):
            if isinstance(user, Watch):
                self.notifier.receive_response(user, event.response, now)
            elif isinstance(user, Mirror):
                self.subscriber.receive_response(user, event.response, now)
            elif isinstance(user, Published):
                self.publisher.receive_response(user, event.response, now)
        elif isinstance(user, Watch):
            self.notifier.receive_failure(user, event.cause)
        elif isinstance(user, Mirror):
            self.subscriber.receive_failure(user, event.cause, now)
        elif isinstance(user, Published):
            self.publisher.receive_failure(user, event.cause, now)

    def _mark(self) -> tuple[Mark, int]:
        return self.journal.mark(), self.endpoint.mark()

    def _roll_back(self, mark: tuple[Mark, int]) -> None:
        self.journal.roll_back(mark[0])
        self.endpoint.roll_back(mark[1])

    def _register(self, event: RequestReceived, now: float) -> Response:
        request = event.request
        if request_uri(request).host not in self._domains:
            raise Refusal(404, "Not Found")  # §10.3 step 1; nothing is proxied here
        aor = self._domains.aor(request.to.parsed)
        if not self._domains.serve(aor):
            raise Refusal(404, "Not Found")  # §10.3 step 5
        wall = self._clock.wall()
        decision = registrar.decide(
            request,
            self.store.rows(aor),
            policy=self._policy,
            server_id=self._config.server.id,
            stamp=self.store.next_stamp(wall),
            source=event.source,
            now=now,
            date=self._date_at(wall),
        )
        if decision.claims:
            self.store.apply(aor, decision.claims, now)
        return decision.response

    def _subscribe(self, event: RequestReceived, now: float) -> Response:
        request, transaction = event.request, event.transaction
        return self.notifier.receive_subscribe(
            request,
            Flow(transaction.flow.local, event.source),
            tag=transaction.to_tag,
            aor=self._domains.aor(request_uri(request)),
            now=now,
        )

    def _notify(self, event: RequestReceived, now: float) -> Response:
        request = event.request
        flow = Flow(event.transaction.flow.local, event.source)
        wall = self._clock.wall()
        if not self.subscriber.knows(request):
            peer = self._peers.sender(request, flow)
            if peer is not None and peer.unsolicited:
                self.subscriber.receive_unsolicited(peer.name, request, now, wall)
                return Response(200, "OK")
        self.subscriber.receive_notify(request, flow, now, wall)
        return Response(200, "OK")

    def _publish(self, event: RequestReceived, now: float) -> Response:
        request = event.request
        aor = self._domains.aor(request_uri(request))
        if not self._domains.serve(aor):
            raise Refusal(404, "Not Found")
        flow = Flow(event.transaction.flow.local, event.source)
        peer = self._peers.sender(request, flow)
        if peer is None:
            # A user registers; for others, only servers speak that are known here.
            raise Refusal(403, "Forbidden")
        return self.compositor.receive_publish(
            request, peer=peer.name, aor=aor, now=now, wall=self._clock.wall()
        )

    def _options(self, event: RequestReceived, now: float) -> Response:
        headers = {
            "Allow": [", ".join(METHODS)],
            "Accept": [xml.MEDIA_TYPE],
            "Supported": [", ".join(sorted(registrar.EXTENSIONS))],
            "Allow-Events": [notifier.PACKAGE],
        }
        return Response(200, "OK", headers)

    # How.

    def _send(self, draft: Any, flow: Flow, user: object) -> object:
        return self.endpoint.send_request(draft, flow, user)

    def _changed(self, change: BindingChange, now: float) -> None:
        """Something has happened to a contact: whoever listens is told."""
        self.notifier.tell(change, now)
        self.publisher.tell(change, now)
        event = change.binding.event
        if event is not ContactEvent.REFRESHED:
            self.journal.after(
                logger.info,
                "= %s %s %s",
                change.aor,
                change.binding.contact,
                event.value,
            )

    def _publish_targets(self) -> tuple[str, ...]:
        """Where PUBLISH goes; to ourselves it does not need to be sent."""
        pua = self._config.pua_reginfo
        if not pua.publish_reginfo:
            return ()
        targets = pua.publish_to or (
            () if pua.outbound_proxy is None else (pua.outbound_proxy,)
        )
        return tuple(
            target
            for target in targets
            if Uri.parse(target).host not in self._config.server.domains
        )

    def _date_at(self, wall: float) -> str:
        second = int(wall)
        if self._date[0] != second:
            self._date = (second, email.utils.formatdate(second, usegmt=True))
        return self._date[1]
