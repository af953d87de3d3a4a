"""The server: builds its parts, and connects changes to roles."""

from __future__ import annotations

import gc
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ..config.config import Config
from ..config.sections import PeerSection
from ..events.notify import SubscriptionPolicy as SubscriptionPolicy
from ..events.subscribe import Wanted
from ..io.clock import Clock
from ..io.commit import Writer
from ..io.ids import Ids
from ..io.network import Network, StartError, flow_to
from ..io.rim import Rim, durable
from ..io.udp import Trace
from ..ledger import shelf
from ..ledger.journal import Journal
from ..ledger.part import Here, Moment
from ..ledger.sqlite import SqliteStorage
from ..ledger.storage import Storage
from ..ledger.turn import Turns
from ..location.binding import Binding, BindingChange
from ..location.keyring import KeyChange
from ..location.schema import SCHEMA
from ..location.store import LocationStore
from ..pua_reginfo import PuaReginfo
from ..reg import xml
from ..reg.document import ContactEvent
from ..roles import (
    administrator,
    notifier,
    publisher,
    registrar,
)
from ..roles.admission import Admission
from ..roles.compositor import Compositor
from ..roles.notifier import Notifier
from ..roles.publisher import Publisher
from ..roles.subscriber import Mirror, Subscriber
from ..roles.watch import Watch
from ..routing.connections import Connections
from ..routing.domains import Domains
from ..routing.nat import Nat
from ..routing.pinger import Pinger
from ..routing.pinger import PingPolicy as Pings
from ..routing.relaying import Relaying
from ..routing.service_routes import ServiceRoutes
from ..routing.target import Target
from ..routing.targets import Names, Targets
from ..sip.destination import Destination
from ..sip.endpoint import Endpoint
from ..sip.errors import ReginfoError
from ..sip.event import (
    AckReceived,
    Cancelled,
    EndpointEvent,
    RequestFailed,
    RequestReceived,
    ResponseLost,
    ResponseReceived,
)
from ..sip.flow import Flow, Local
from ..sip.message import Response
from ..sip.uri import Uri
from ..sip.user import User
from ..version import PRODUCT, __version__
from .entrance import Entrance
from .passage import Server
from .peers import Peers, profile_of
from .router import Router
from .scripting import Scripting
from .sending import Sender
from .uas import Uas

logger = logging.getLogger("reginfo.server")


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
        self.endpoint = Endpoint(
            new_id=self._ids, methods=None, headers={"Server": PRODUCT}
        )
        self.journal = Journal(self.endpoint)
        self.turns = Turns(self.endpoint, self.journal, self._clock)
        self._database: Storage | None = None
        self._domains = Domains(
            config.server.domains,
            use_domain=config.usrloc.use_domain,
            default_domain=config.pua_reginfo.default_domain,
        )
        self._peers = Peers(
            config.peers, config.notifier.min_interval, config.registrar.max_expires
        )
        self._policy = registrar.RegistrarPolicy(
            min_expires=config.registrar.min_expires,
            default_expires=config.registrar.default_expires,
            max_expires=config.registrar.max_expires,
            max_contacts=config.registrar.max_contacts,
            replaces=config.registrar.max_contacts_reached == "replace",
        )
        self._table = config.pua_reginfo.ul_domain
        self.store = LocationStore(
            config.server.id,
            self.journal,
            identities_key=config.pua_reginfo.ul_identities_key,
            canonical=self._domains.aor,
        )
        self.store.listener = self._changed
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
            jitter=jitter,
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
            longest=self._peers.longest,
            locate=self._locate,
            location=self._table,
            name=self._domains.aor,
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
            longest=self._peers.longest,
            location=self._table,
            name=self._domains.aor,
        )
        self.pua_reginfo = PuaReginfo(
            self.store,
            self.notifier,
            self.publisher,
            self.subscriber,
            aor=self._domains.aor,
            owner=self._owner,
            server_address=config.pua_reginfo.server_address,
            rearm=config.pua_reginfo.rearm,
        )
        self._uas = Uas(
            self.store,
            server_id=config.server.id,
            policy=self._policy,
            domains=self._domains,
            peers=self._peers,
            clock=self._clock,
            notifier=self.notifier,
            subscriber=self.subscriber,
            compositor=self.compositor,
            pua_reginfo=self.pua_reginfo,
            table=self._table,
        )
        self._nat = Nat(fix=config.nat.fix)
        self._targets = Targets(
            self.store,
            domains=self._domains,
            nat=self._nat,
            is_open=lambda flow: self.is_open(flow),
            now=self._clock.now,
            table=self._table,
        )
        self._relaying = Relaying(
            self.endpoint,
            self.journal,
            self._targets,
            domains=self._domains,
            service_routes=ServiceRoutes(
                self.store, domains=self._domains, clock=self._clock, table=self._table
            ),
            proxy=config.proxy,
            is_open=lambda flow: self.is_open(flow),
            needs_flow=self._nat.needs_flow,
            secret=(self._ids() + self._ids()).encode()[:32],
            new_id=self._ids,
            now=self._clock.now,
            table=self._table,
        )
        self._router = Router(
            self.endpoint,
            self.journal,
            uas=self._uas,
            domains=self._domains,
            relaying=self._relaying,
            relay=config.proxy.relay,
        )
        self._entrance = Entrance(
            self.endpoint, relaying=self._relaying, router=self._router
        )
        self._pinger: Pinger | None = None
        if config.nat.ping != "none":
            self._pinger = Pinger(
                self.store,
                self.journal,
                policy=_ping_policy(config),
                server_id=config.server.id,
                flow=self._nat.flow,
                find=self._targets.flow_of,
                send=self._send,
                send_empty=self.endpoint.send_stateless,
                new_id=self._ids,
                jitter=jitter,
            )
        self._sender = Sender(
            self.endpoint,
            targets=self._targets.of,
            flow=self._targets.flow,
            new_id=self._ids,
            user_agent=PRODUCT,
        )
        # The proxy is first, for it says which addresses are ours; then in the order in
        # which timers are looked at.
        self._parts: list[Any] = [
            self._relaying, self.store, self.compositor, self.notifier,
            self.subscriber, self.publisher,
        ]  # fmt: skip
        if self._pinger is not None:
            self._parts.append(self._pinger)
        self._connections: Connections | None = None
        if config.registrar.connection_lost == "expire":
            self._connections = Connections(
                self.store,
                self.journal,
                server_id=config.server.id,
                origin=self._nat.origin,
                is_open=lambda flow: self.is_open(flow),
            )
            self._parts.append(self._connections)
        self.is_open: Callable[[Flow], bool] = _is_datagram
        "Whether a flow can be sent by still: of TCP, whether its stream is there."

        self.listening: list[str] = []
        "The addresses that we listen at, as the configuration writes them."

        self._script: Scripting | None = None

    # Life.

    async def start(self) -> None:
        """
        Load what is stored, bind the sockets, and serve.

        Raises:
            StartError: an address or the store cannot be had, or the script is wrong.
        """
        config = self._config
        writer = None
        try:
            if config.store.path is not None:
                self._database = SqliteStorage(
                    config.store.path, SCHEMA, synchronous=config.store.synchronous
                )
                self.load(self._database)
                writer = Writer(self._database)
            self.load_script()
            self._rim = Rim(self.turns, self, self._clock.now, writer=writer)
            self._network = Network(self._rim, self.endpoint, self._trace)
            self._network.listen(config.server.listen)
            self._names = self._network.resolver(config.dns)
            places = await self._network.find(self.uris(), self._names)
            self.is_open = self._network.is_open
            self.listening = self._network.listening
            self.begin(self._rim.locals, places, self._names)
        except BaseException as exc:
            # The writer's thread would keep the process from ending.
            if writer is not None:
                writer.stop()
            if self._database is not None:
                self._database.close()
            if isinstance(exc, ReginfoError) and not isinstance(exc, StartError):
                raise StartError(str(exc)) from exc
            raise
        self._rim.start()
        # What has been loaded lives long; and a full collection among a million
        # objects would stop us for a quarter of a second.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    def load(self, database: Storage) -> None:
        """Take in what is stored; :meth:`begin` goes on with it."""
        now = self._clock.now()
        last = database.last_commit
        if last is not None:
            self._clock.not_before(last)
        # Much is made here, and all of it stays: there is no garbage to look for.
        gc.disable()
        try:
            shelf.load(
                database,
                [one for part in self._parts for one in part.shelves],
                boot=now,
                wall=self._clock.wall(),
                boot_id=self._clock.boot_id,
            )
        finally:
            gc.enable()

    def uris(self) -> list[str]:
        """Peers and presence servers whose addresses :meth:`begin` wants."""
        peers = [peer.uri for peer in self._config.peers if peer.uri is not None]
        return [*peers, *self._publish_targets()]

    def begin(
        self,
        locals: Sequence[Local],
        places: Mapping[str, Destination],
        names: Names,
    ) -> None:
        """
        Go on where we were, and ask our peers for what they know.

        Args:
            locals: where we listen.
            places: where the URIs of peers and presence servers are.
            names: finds where other URIs are.
        """
        moment = self._clock.moment()
        now = moment.now
        ours = {(local.host, local.port) for local in locals}
        self._peers.find({uri: place.address for uri, place in places.items()})
        here = Here(tuple(locals), names)
        for part in self._parts:
            part.begin(here, moment)
        for uri in self._publish_targets():
            if places[uri].address in ours:
                continue  # we are that presence server: our watchers are told anyway
            target = publisher.PresenceServer(
                uri=uri,
                flow=flow_to(places[uri], locals),
                profile=profile_of(self._peers.at(places[uri].address)),
            )
            self.publisher.publish_to(target, now)
        me = self._config.pua_reginfo.server_address
        for peer in self._config.peers:
            for aor in peer.watch:
                assert me is not None and peer.uri is not None
                flow = flow_to(places[peer.uri], locals)
                wanted = Wanted(
                    uri=aor,
                    local=me,
                    contact=f"{me};transport=tcp" if flow.local.is_reliable else None,
                    event=notifier.PACKAGE,
                    accept=xml.MEDIA_TYPE,
                    rearm=self._config.pua_reginfo.rearm,
                )
                name = self._domains.aor(Uri.parse(aor))
                try:
                    with self.journal.attempt():
                        self.subscriber.watch(peer.name, name, wanted, flow, now)
                except Exception:
                    # One subscription that cannot be continued stops no other.
                    logger.exception("! %s/%s cannot be continued", peer.name, aor)

    async def stop(self) -> None:
        """Commit what was decided, and close. Nobody is told: this may be a restart."""
        self.stop_script()
        self._names.stop()
        await self._rim.stop()
        if self._database is not None:
            self._database.close()

    @property
    def sip_addresses(self) -> list[str]:
        """The addresses that we listen at, as the configuration writes them."""
        return list(self.listening)

    def stop_script(self) -> None:
        """Let no handler of the script go on."""
        if self._script is not None:
            self._script.stop()

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

    def peers(self) -> list[PeerSection]:
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
        return await durable(self.turns)

    def drain(self, rate: float) -> None:
        """
        Leave for good: end all subscriptions that we serve, and take no new ones.

        Args:
            rate: how many are ended each second, at the most.
        """
        with self.turns.attempt():
            self.notifier.drain(rate, self.now())
        self.turns.settle()

    def remove(
        self,
        aor: str,
        *,
        contact: str | None = None,
        event: ContactEvent = ContactEvent.DEACTIVATED,
        retry_after: int | None = None,
    ) -> int:
        """
        Unbind contacts of ``aor``, for the reason that ``event`` names.

        Args:
            contact: which one; all if left out.
            retry_after: seconds; with `probation`, and only with that.

        Returns:
            How many; see :meth:`committed`.

        Raises:
            LocalProtocolError, RemoteProtocolError: it makes no sense.
        """
        with self.turns.attempt():
            removed = self._remove(self._table, aor, contact, event, retry_after)
        self.turns.settle()
        return removed

    def load_script(self) -> None:
        """
        Take the routing script, if there is one.

        Raises:
            ScriptError: it is wrong.
        """
        path = self._config.server.script
        if path is None:
            return
        server = Server(
            clock=self._clock,
            domains=self._domains,
            endpoint=self.endpoint,
            journal=self.journal,
            relaying=self._relaying,
            router=self._router,
            targets=self._targets,
            uas=self._uas,
            wake=self.turns.wake,
        )
        self._script = self._entrance.script = Scripting(
            path,
            server,
            store=self.store,
            sender=self._sender,
            pua_reginfo=self.pua_reginfo,
            server_id=self._config.server.id,
            remove=self._remove,
        )
        self.subscriber.held.listener = self._script.subscription

    def reload(self) -> None:
        """
        Read the routing script again.

        Raises:
            ScriptError: it is wrong; the one before it goes on.
        """
        if self._script is not None:
            self._script.reload()

    def health(self) -> dict[str, Any]:
        """How we are: status, and figures since the start."""
        turns, clock, store = self.turns, self._clock, self._config.store
        problems = []
        if turns.degraded is not None:
            problems.append(f"store: {turns.degraded}")
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
                "problem": turns.degraded,
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
            "commits": turns.commits,
            "watchers": left,
            "malformed": self.endpoint.malformed,
        }

    # What the rim drives.

    def handle(self, event: EndpointEvent, moment: Moment) -> None:
        """Answer a request, or take in a response; all of it happens, or nothing."""
        now = moment.now
        if isinstance(event, RequestReceived):
            try:
                self._entrance.receive(event, now)
            except Exception:
                # A bug of ours must not stop the others' service.
                logger.exception("! %s", event.request.method)
                answer = event.transaction.response
                if answer is None or not answer.is_final:
                    refusal = Response(500, "Server Internal Error")
                    self.endpoint.respond(event.transaction, refusal)
            return
        try:
            with self.journal.attempt():
                self._take_in(event, moment)
        except Exception:
            logger.exception("! %s", type(event).__name__)

    def flow_lost(self, flow: Flow, moment: Moment) -> None:
        """Take note that a connection was closed."""
        if self._connections is not None:
            self._connections.lost(flow, moment)

    @property
    def timer_at(self) -> float | None:
        times = (part.timer_at for part in self._parts)
        return min((at for at in times if at is not None), default=None)

    def timer_due(self, moment: Moment) -> None:
        """Expire, tell, refresh: each role apart, so that none stops the others."""
        for part in self._parts:
            try:
                with self.journal.attempt():
                    part.timer_due(moment)
            except Exception:
                logger.exception("! a timer of the %s", part.describe().name)

    def undone(self, moment: Moment) -> None:
        """What was decided last has been taken back."""
        for part in self._parts:
            part.undone(moment)

    def _take_in(self, event: _Other, moment: Moment) -> None:
        """What became of a request of ours, or of one that was sent on."""
        if isinstance(event, ResponseReceived):
            self._targets.answered(event.transaction, event.response)
            event.transaction.user.receive_response(event.response, moment)
        elif isinstance(event, RequestFailed):
            self._targets.failed(event.transaction)
            event.transaction.user.receive_failure(event.cause, moment)
        else:
            self._relaying.receive(event)

    # How.

    def _send(self, draft: Any, flow: Flow, user: User) -> object:
        return self.endpoint.send_request(draft, flow, user)

    def _changed(self, change: BindingChange | KeyChange) -> None:
        """Have every part hear a change, and the script and the log once it is kept."""
        script = self._script
        if script is not None and not script.publishes():
            if isinstance(change, KeyChange):
                change = change._replace(is_published=False)
            else:
                change = msgspec.structs.replace(change, is_published=False)
        for part in self._parts:
            part.hears(change)
        if isinstance(change, KeyChange):
            return
        event = change.binding.event
        if script is not None and script.listens(event):
            self.journal.after(script.happened, change)
        if event is not ContactEvent.REFRESHED:
            self.journal.after(
                logger.info,
                "= %s %s %s",
                change.aor,
                change.binding.contact,
                event.value,
            )

    def _remove(
        self,
        table: str,
        aor: str,
        contact: str | None,
        event: ContactEvent,
        retry_after: int | None,
    ) -> int:
        """Unbind contacts as the administrator does; how many."""
        name, now = self._domains.named(aor), self._clock.now()
        claims = administrator.remove(
            self.store.rows(name, table),
            event=event,
            server_id=self._config.server.id,
            stamp=self.store.next_stamp(self._clock.wall()),
            now=now,
            contact=contact,
            retry_after=retry_after,
        )
        return len(self.store.apply(name, claims, now, table)) if claims else 0

    def _hop(self, uri: Uri) -> Uri:
        """Where a SUBSCRIBE for ``uri`` goes first."""
        proxy = self._config.pua_reginfo.outbound_proxy
        return uri if proxy is None else Uri.parse(proxy)

    def _owner(self, uri: Uri) -> str:
        """Who owns what is told of ``uri``: the peer that is asked, or its host."""
        return self._peers.asked_at(self._hop(uri)) or uri.host

    def _locate(self, mirror: Mirror) -> None:
        """Find where a subscription that a script has asked for is to be sent."""

        def found(flow: Flow | str) -> None:
            now = self._clock.now()
            if isinstance(flow, str):
                self.subscriber.located(mirror, None, flow, now)
            else:
                self.subscriber.located(mirror, flow, "", now)
            self.turns.wake()

        hop = self._hop(Uri.parse(mirror.subscription.wanted.uri))
        self._targets.flow(Target(hop), found)

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


_Other = ResponseReceived | RequestFailed | AckReceived | Cancelled | ResponseLost
"""What is no request that wants an answer."""


def _ping_policy(config: Config) -> Pings:
    nat, domains = config.nat, config.server.domains
    host = domains[0] if domains else config.server.listen[0].host
    removals = {
        "deactivated": ContactEvent.DEACTIVATED,
        "expired": ContactEvent.EXPIRED,
    }
    return Pings(
        options=nat.ping == "options",
        interval=nat.ping_interval,
        all=nat.ping_all,
        sender=nat.ping_from or f"sip:pinger@{host}",
        failures=nat.ping_failures,
        removal=removals.get(nat.ping_failed),
    )


def _is_datagram(flow: Flow) -> bool:
    """Nothing is connected to a server that does not run."""
    return not flow.local.is_reliable
