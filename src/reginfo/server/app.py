"""The server: builds its parts, and connects changes to roles."""

from __future__ import annotations

import asyncio
import email.utils
import gc
import logging
import random
import socket
from collections.abc import Callable
from typing import Any

from .. import __version__
from ..events.notify import Policy as SubscriptionPolicy
from ..events.subscribe import Wanted
from ..location import store as location
from ..location.binding import Binding, BindingChange
from ..location.journal import Journal, Mark
from ..location.sqlite import SqliteJournal
from ..location.store import LocationStore
from ..reg import xml
from ..reg.document import ContactEvent
from ..reg.legacy import Profile
from ..roles import notifier, registrar, subscriber
from ..roles.notifier import Notifier, Peer
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
from ..sip.message import Request, Response, request_uri
from ..sip.transaction import Address, Flow
from ..sip.uri import Uri
from . import config as settings
from .address import SocketAddress
from .clock import Clock
from .commit import Writer
from .config import Config
from .ids import Ids
from .rim import Rim
from .transport import Trace, UdpSocket

logger = logging.getLogger("reginfo.server")

METHODS = ("REGISTER", "SUBSCRIBE", "NOTIFY", "OPTIONS")

PRODUCT = f"reginfo/{__version__}"

REASONS = {400: "Bad Request", 416: "Unsupported URI Scheme", 500: "Server Error"}


class StartError(ReginfoError):
    """The server cannot start; the message says why."""


class App:
    """
    One server.

    Args:
        trace: is called with each datagram: direction, octets, our address, theirs.
    """

    def __init__(self, config: Config, *, trace: Trace | None = None) -> None:
        self._config = config
        self._trace = trace
        self._clock = Clock()
        self._ids = Ids()
        self.journal = Journal()
        self._database: SqliteJournal | None = None
        self._date = (0, "")
        self._peer_addresses: dict[Address, settings.Peer] = {}
        self._own_hosts = set(config.server.domains)
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
        self.notifier = Notifier(
            self.store,
            self.journal,
            send=self._send,
            policy=SubscriptionPolicy(
                min_expires=config.presence_reginfo.min_expires,
                default_expires=config.presence_reginfo.default_expires,
                max_expires=config.presence_reginfo.max_expires,
            ),
            recognise=self._recognise,
            is_ours=self._is_ours,
            table=self._table,
        )
        self.subscriber = Subscriber(
            self.store,
            self.journal,
            server_id=config.server.id,
            send=self._send,
            new_id=self._ids,
            jitter=random.random,
            max_expires=config.registrar.max_expires,
            location=self._table,
        )
        self._handlers: dict[str, Callable[[RequestReceived, float], Response]] = {
            "REGISTER": self._register,
            "SUBSCRIBE": self._subscribe,
            "NOTIFY": self._notify,
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
                self._load(self._database)
                writer = Writer(self._database)
            self._rim = Rim(
                self.endpoint,
                self,
                self.journal,
                self._clock,
                writer=writer,
            )
            for address in config.server.listen:
                self._listen(address)
            await self._know_peers()
        except BaseException as exc:
            if writer is not None:
                writer.stop()
            if self._database is not None:
                self._database.close()
            if isinstance(exc, ReginfoError) and not isinstance(exc, StartError):
                raise StartError(str(exc)) from exc
            raise
        now = self._clock.now()
        self.store.loaded(now)
        self.notifier.loaded(now)
        self._watch_peers(now)
        self._rim.start()
        # What has been loaded lives long; and a full collection among a million
        # objects would stop us for a quarter of a second.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)

    async def stop(self) -> None:
        """Commit what was decided, and close. Nobody is told: this may be a restart."""
        await self._rim.stop()
        if self._database is not None:
            self._database.close()

    @property
    def sip_addresses(self) -> list[str]:
        """Where we really listen, as the configuration writes it."""
        return [f"udp:{local.sent_by}" for local in self._rim.locals]

    # What the administrator asks.

    def now(self) -> float:
        """Seconds on the clock that bindings use."""
        return self._clock.now()

    async def bindings(self, aor: str | None = None) -> list[tuple[str, Binding]]:
        """
        Contacts that are bound, by address-of-record, in the order of those.

        They are on disk: what is still being committed is waited for.
        """
        while True:
            now = self.now()
            aors = sorted(self.store.aors(self._table)) if aor is None else [aor]
            found = [
                (one, binding)
                for one in aors
                for binding in self.store.bindings(one, now, self._table)
            ]
            if await self._rim.committed():
                return found

    def health(self) -> dict[str, object]:
        """How we are: status, and figures since the start."""
        rim, clock = self._rim, self._clock
        problems = []
        if rim.degraded is not None:
            problems.append(f"store: {rim.degraded}")
        if clock.behind:
            problems.append(f"calendar: {clock.behind:.1f} s behind the last commit")
        return {
            "status": "degraded" if problems else "ok",
            "problems": problems,
            "server": self._config.server.id,
            "version": __version__,
            "sip": self.sip_addresses,
            "commits": rim.commits,
            "watchers": len(self.notifier),
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
        times = (self.store.timer_at, self.notifier.timer_at, self.subscriber.timer_at)
        return min((at for at in times if at is not None), default=None)

    def timer_due(self, now: float) -> None:
        """Expire, tell, refresh."""
        mark = self._mark()
        try:
            self.store.timer_due(now, self._clock.wall())
            self.notifier.timer_due(now)
            self.subscriber.timer_due(now)
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
        elif isinstance(user, Watch):
            self.notifier.receive_failure(user, event.cause)
        elif isinstance(user, Mirror):
            self.subscriber.receive_failure(user, event.cause, now)

    def _mark(self) -> tuple[Mark, int]:
        return self.journal.mark(), self.endpoint.mark()

    def _roll_back(self, mark: tuple[Mark, int]) -> None:
        self.journal.roll_back(mark[0])
        self.endpoint.roll_back(mark[1])

    def _register(self, event: RequestReceived, now: float) -> Response:
        request = event.request
        if request_uri(request).host not in self._own_hosts:
            raise Refusal(404, "Not Found")  # §10.3 step 1; nothing is proxied here
        aor = self._aor(request.to.parsed)
        if not self._is_ours(aor):
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
            aor=self._aor(request_uri(request)),
            now=now,
        )

    def _notify(self, event: RequestReceived, now: float) -> Response:
        flow = Flow(event.transaction.flow.local, event.source)
        return self.subscriber.receive_notify(
            event.request, flow, now, self._clock.wall()
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
        event = change.binding.event
        if event is not ContactEvent.REFRESHED:
            self.journal.after(
                logger.info,
                "= %s %s %s",
                change.aor,
                change.binding.contact,
                event.value,
            )

    def _aor(self, uri: Uri) -> str:
        """
        The address-of-record that a URI names, as records are kept by.

        Raises:
            RemoteProtocolError: it can name none.
        """
        if not uri.aor:
            raise RemoteProtocolError("Unsupported URI Scheme", status=416)
        if self._config.usrloc.use_domain or uri.scheme == "tel":
            return uri.aor
        if uri.host not in self._own_hosts:
            return uri.aor
        # One record for a user in whichever of our domains.
        user, at, _ = uri.aor.rpartition("@")
        domain = self._config.pua_reginfo.default_domain
        return f"{user}@{domain}" if at else f"{uri.scheme}:{domain}"

    def _is_ours(self, aor: str) -> bool:
        uri = Uri.parse(aor)
        return uri.scheme == "tel" or uri.host in self._own_hosts

    def _date_at(self, wall: float) -> str:
        second = int(wall)
        if self._date[0] != second:
            self._date = (second, email.utils.formatdate(second, usegmt=True))
        return self._date[1]

    def _load(self, database: SqliteJournal) -> None:
        now = self._clock.now()
        last = database.last_commit
        if last is not None:
            self._clock.not_before(last)
        rows: dict[tuple[str, str], tuple[Any, float]] = {}
        for row in database.load(boot=now, wall=self._clock.wall()):
            if row.value is None:
                rows.pop((row.kind, row.key), None)
            else:
                rows[row.kind, row.key] = (row.value, row.shift)
        for kind in (location.KIND, notifier.KIND, notifier.PROGRESS, subscriber.KIND):
            for (its_kind, key), (value, shift) in rows.items():
                if its_kind != kind:
                    continue
                if kind == location.KIND:
                    self.store.load(key, value, shift)
                elif kind == subscriber.KIND:
                    self.subscriber.load(key, value, shift)
                else:
                    self.notifier.load(kind, key, value, shift)

    def _listen(self, address: SocketAddress) -> None:
        try:
            transport = UdpSocket(
                (address.host, address.port),
                receive=self._rim.receive,
                settle=self._rim.settle,
                failed=self.endpoint.transport_failed,
                trace=self._trace,
            )
        except OSError as exc:
            raise StartError(f"udp:{address}: {exc.strerror}") from exc
        self._rim.add(transport)
        self._own_hosts.add(transport.local.host)

    async def _know_peers(self) -> None:
        """Find out where our peers are, by what the configuration says of them."""
        loop = asyncio.get_running_loop()
        for peer in self._config.peers:
            if peer.uri is None:
                continue
            uri = Uri.parse(peer.uri)
            try:
                found = await loop.getaddrinfo(
                    uri.host, uri.port or 5060,
                    family=socket.AF_INET, type=socket.SOCK_DGRAM,
                )  # fmt: skip
            except OSError as exc:
                raise StartError(f"peer {peer.name}: {uri.host}: {exc}") from exc
            host, port = found[0][4][:2]
            self._peer_addresses[str(host), int(port)] = peer

    def _watch_peers(self, now: float) -> None:
        address = {peer.name: at for at, peer in self._peer_addresses.items()}
        me = self._config.pua_reginfo.server_address
        for peer in self._config.peers:
            for aor in peer.watch:
                assert me is not None
                wanted = Wanted(
                    uri=aor, local=me, event=notifier.PACKAGE, accept=xml.MEDIA_TYPE
                )
                flow = Flow(self._rim.locals[0], address[peer.name])
                self.subscriber.watch(
                    peer.name, self._aor(Uri.parse(aor)), wanted, flow, now
                )

    def _recognise(self, request: Request, flow: Flow) -> Peer:
        """Who a SUBSCRIBE comes from: a peer that is configured, or anybody."""
        found = self._peer_addresses.get(flow.remote)
        if found is None:
            sender = request.from_.parsed
            for peer in self._config.peers:
                match = peer.match
                if match is None:
                    continue
                if match.address is not None:
                    host, port = match.address
                    if host != flow.remote[0] or port not in (None, flow.remote[1]):
                        continue
                if match.from_ is not None and not sender.matches(
                    Uri.parse(match.from_)
                ):
                    continue
                found = peer
                break
        if found is None:
            return Peer(min_interval=self._config.notifier.min_interval)
        return Peer(
            name=found.name,
            profile=None if found.profile is None else Profile(found.profile),
            min_interval=found.min_interval,
        )
