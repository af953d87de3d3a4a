"""Builds the parts of a server from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..config.config import Config
from ..events.notify import SubscriptionPolicy as SubscriptionPolicy
from ..io.clock import Clock
from ..ledger.journal import Journal
from ..ledger.part import Description, Moment, Part, Parts
from ..ledger.turn import Turns
from ..location.place import Place
from ..location.store import LocationStore
from ..pua_reginfo import PuaReginfo
from ..roles.admission import Admission
from ..roles.compositor import Compositor
from ..roles.notifier import Notifier
from ..roles.published import LONGEST_DATAGRAM_BODY
from ..roles.publisher import Publisher
from ..roles.subscriber import Mirror, Subscriber
from ..roles.watch import Watch
from ..routing.connections import Connections
from ..routing.domains import Domains
from ..routing.in_dialog import InDialog
from ..routing.nat import Nat
from ..routing.pinger import Pinger
from ..routing.relaying import Relaying
from ..routing.service_routes import ServiceRoutes
from ..routing.targets import Targets
from ..sip.endpoint import Endpoint
from ..sip.flow import Address, Flow
from ..sip.message import Draft
from ..sip.user import User
from ..version import PRODUCT
from .acts import Acts
from .announcer import Announcer
from .core import ServerCore
from .destinations import Destinations
from .entrance import Entrance
from .expulsion import Expulsion
from .figures import requests
from .guarding import Guarding
from .linking import Linking
from .outgoing import OutgoingRequests
from .passage import ServerParts
from .peers import Peers
from .pings import ping_policy
from .policies import endpoint_capacity, publication_limits, registrar_policy
from .router import Router
from .scripting import Scripting
from .sending import Sender
from .uas import Uas


class Assembly:
    """
    All parts of one server, connected.

    A new part needs a file of its own, and a line at the end of the constructor.

    Args:
        clock, new_id, jitter: time and randomness.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        new_id: Callable[[], str],
        jitter: Callable[[], float],
    ) -> None:
        self.config = config
        self.clock = clock
        self.new_id = new_id
        common = {"Server": PRODUCT}
        self.endpoint = Endpoint(
            new_id=new_id,
            methods=None,
            headers=common,
            capacity=endpoint_capacity(config),
        )
        self.journal = Journal(self.endpoint)
        self.turns = Turns(self.endpoint, self.journal, self.clock)
        self.is_open: Callable[[Flow], bool] = _is_datagram
        "Whether a flow can still be used: for TCP, whether the connection is open."

        self.source_of: Callable[[Address], str | None] = lambda address: None
        "Returns the local address from which packets to an address are sent."

        self.hang_up: Callable[[Flow], None] = _unheard
        "Ends a stream that nothing comes by any more."

        self.describers: list[Callable[[], Description]] = [
            lambda: requests(self.endpoint)
        ]
        "Each describes something that is no part, such as the streams."

        self.flow_lost: list[Callable[[Flow, Moment], None]] = []
        "Each takes note that a stream was closed."

        self.script: Scripting | None = None
        self.domains = Domains(
            config.server.domains,
            use_domain=config.usrloc.use_domain,
            default_domain=config.pua_reginfo.default_domain,
        )
        self.peers = Peers(
            config.peers, config.notifier.min_interval, config.registrar.max_expires
        )
        self.outgoing = OutgoingRequests(config, self.peers, self.domains, self.turns)
        self.policy = registrar_policy(config)
        self.table = config.pua_reginfo.ul_domain
        self.store = LocationStore(
            config.server.id,
            self.journal,
            identities_key=config.pua_reginfo.ul_identities_key,
            canonical=self.domains.aor,
            longest_life=self.peers.longest_life,
            tombstones=config.sync.tombstones,
        )
        self.acts = Acts(
            self.store,
            self.turns,
            self.domains,
            server_id=config.server.id,
            has_links=self.policy.has_links,
            new_id=self.new_id,
        )
        self.parts = Parts(self.journal)
        self.announcer = Announcer(self.journal, self.parts.hearers)
        self.store.listener = self.announcer.announce
        self.guarding = Guarding(
            config,
            self.journal,
            domains=self.domains,
            peers=self.peers,
            identities=lambda aor: self.store.identities(Place(self.table, aor)),
            new_id=self.new_id,
        )
        policy = SubscriptionPolicy(
            min_expires=config.presence_reginfo.min_expires,
            default_expires=config.presence_reginfo.default_expires,
            max_expires=config.presence_reginfo.max_expires,
        )
        self.notifier = Notifier(
            self.store,
            self.journal,
            send=self._send_notify,
            datagram_only=self.endpoint.is_datagram_only,
            policy=policy,
            recognise=self.peers.recognise,
            jitter=jitter,
            is_ours=self.domains.serve,
            admission=Admission(
                allow=config.watchers,
                neutral=config.notifier.refuse == "neutral",
                max_subscriptions=config.notifier.max_subscriptions,
                max_per_watcher=config.notifier.max_per_watcher,
                max_per_aor=config.notifier.max_per_aor,
                administrators=self.guarding.administrators,
                believes=self.guarding.believes,
            ),
            table=self.table,
        )
        self.subscriber = Subscriber(
            self.store,
            self.journal,
            send=self._send_subscribe,
            new_id=self.new_id,
            jitter=jitter,
            max_expires=config.registrar.max_expires,
            longest=self.peers.longest,
            locate=self.outgoing.locate,
            flow_to=self.outgoing.flow_to,
            location=self.table,
            name=self.domains.aor,
        )
        self.publisher = Publisher(
            self.store,
            self.journal,
            server_id=config.server.id,
            send=self._send_publish,
            new_id=self.new_id,
            jitter=jitter,
            min_expires=config.pua.min_expires,
            max_expires=config.pua.max_expires,
            table=self.table,
            datagram_only=self.endpoint.is_datagram_only,
            failed=self.outgoing.failed,
        )
        self.compositor = Compositor(
            self.store,
            self.journal,
            new_id=self.new_id,
            policy=policy,
            max_expires=config.registrar.max_expires,
            longest=self.peers.longest,
            location=self.table,
            name=self.domains.aor,
            room=publication_limits(config),
        )
        # Another peer may list a contact that one peer drops, or list it for longer.
        self.subscriber.others = self.compositor.listings
        self.compositor.others = self.subscriber.listings
        self.store.prolong = self.subscriber.prolonged
        self.subscriber.may_tell = self.compositor.may_tell = self.peers.may_tell
        if self.policy.has_links:
            self.store.claim_listener = self.notifier.hears_claims
        self.expulsion = Expulsion(self.store, self.acts, self.notifier, self.table)
        self.pua_reginfo = PuaReginfo(
            self.store,
            self.notifier,
            self.publisher,
            self.subscriber,
            aor=self.domains.aor,
            owner=self.outgoing.owner,
            server_address=config.pua_reginfo.server_address,
            rearm=config.pua_reginfo.rearm,
        )
        self.uas = Uas(
            self.store,
            server_id=config.server.id,
            policy=self.policy,
            domains=self.domains,
            peers=self.peers,
            notifier=self.notifier,
            subscriber=self.subscriber,
            compositor=self.compositor,
            pua_reginfo=self.pua_reginfo,
            table=self.table,
        )
        self.nat = Nat(fix=config.nat.fix, reaches=self.turns.reaches)
        self.targets = Targets(
            self.store,
            domains=self.domains,
            nat=self.nat,
            is_open=lambda flow: self.is_open(flow),
            source_of=lambda address: self.source_of(address),
            now=self.clock.now,
            table=self.table,
        )
        self.in_dialog = InDialog(
            self.targets,
            self.journal,
            nat=self.nat,
            is_open=lambda flow: self.is_open(flow),
            send_request=self.endpoint.send_request,
            moment=self.turns.moment,
        )
        self.relaying = Relaying(
            self.endpoint,
            self.journal,
            self.targets,
            domains=self.domains,
            service_routes=ServiceRoutes(
                self.store, domains=self.domains, clock=self.clock, table=self.table
            ),
            proxy=config.proxy,
            is_open=lambda flow: self.is_open(flow),
            needs_flow=self.nat.needs_flow,
            secret=(self.new_id() + self.new_id()).encode()[:32],
            new_id=self.new_id,
            now=self.clock.now,
            table=self.table,
        )
        self.router = Router(
            self.endpoint,
            uas=self.uas,
            domains=self.domains,
            relaying=self.relaying,
            relay=config.proxy.relay,
        )
        self.entrance = Entrance(
            self.turns,
            relaying=self.relaying,
            targets=self.targets,
            router=self.router,
            peers=self.peers,
        )
        self.guarding.install(self.entrance, self.relaying.tokens, self.parts)
        self.sender = Sender(
            self.endpoint,
            targets=self.targets.of,
            flow=self.targets.flow,
            new_id=self.new_id,
            user_agent=PRODUCT,
        )
        self.links = Linking(
            config,
            self.store,
            self.journal,
            endpoint=self.endpoint,
            domains=self.domains,
            peers=self.peers,
            nat=self.nat,
            tokens=self.relaying.tokens,
            in_dialog=self.in_dialog,
            policy=policy,
            is_open=lambda flow: self.is_open(flow),
            hang_up=lambda flow: self.hang_up(flow),
            foreign=self.outgoing.watch_foreign,
            flow_to=self.outgoing.flow_to,
            believes=self.guarding.believes,
            new_id=self.new_id,
            jitter=jitter,
        )
        self.source, self.sink = self.links.source, self.links.sink
        self.destinations = Destinations(
            by=self.targets.by,
            changed=self.outgoing.moved,
            moment=self.turns.moment,
        )
        self.outgoing.connect(
            self.targets,
            self.subscriber,
            self.publisher,
            self.links,
            self.destinations,
        )

        # The order in which they begin, and in which their timers are checked. The
        # proxy is first because it sets which addresses are ours.
        self.parts.add(self.relaying)
        self.parts.add(self.store)
        self.parts.add(self.compositor)
        self.parts.add(self.notifier)
        self.parts.add(self.subscriber)
        self.parts.add(self.publisher)
        self.parts.add(self.destinations)
        if config.groups:
            self.parts.add(self.source)
            self.parts.add(self.sink)
            self.parts.add(self.links.watchers)
            self.uas.connect(self.source, self.sink, self.links.watchers)
            self.flow_lost += [self.source.flow_lost, self.sink.flow_lost]
        if config.nat.ping != "none":
            self.parts.add(self._pinger(jitter))
        if config.registrar.connection_lost == "expire":
            self.parts.add(self._connections())

    def load_script(self, path: Path) -> None:
        """
        Load the routing script at ``path``, and use it.

        Raises:
            ScriptError: it is wrong.
        """
        parts = ServerParts(
            asker=self.guarding.asker,
            clock=self.clock,
            domains=self.domains,
            endpoint=self.endpoint,
            relaying=self.relaying,
            router=self.router,
            targets=self.targets,
            turns=self.turns,
            uas=self.uas,
        )
        script = Scripting(
            path,
            parts,
            core=ServerCore(
                self.turns,
                self.domains,
                store=self.store,
                sender=self.sender,
                pua_reginfo=self.pua_reginfo,
                acts=self.acts,
            ),
            server_id=self.config.server.id,
        )
        self.script = self.entrance.script = self.announcer.script = script
        self.guarding.accounts = lambda: script.route.accounts
        self.subscriber.held.listener = script.subscription

    # How.

    def _pinger(self, jitter: Callable[[], float]) -> Part:
        return Pinger(
            self.store,
            self.journal,
            policy=ping_policy(self.config),
            server_id=self.config.server.id,
            flow=self.nat.flow,
            find=self.targets.flow_of,
            send=self._send,
            send_empty=self.endpoint.send_stateless,
            new_id=self.new_id,
            jitter=jitter,
        )

    def _connections(self) -> Part:
        connections = Connections(
            self.store,
            self.journal,
            server_id=self.config.server.id,
            origin=self.nat.origin,
            is_open=lambda flow: self.is_open(flow),
        )
        self.flow_lost.append(connections.lost)
        return connections

    def _send(self, draft: Any, flow: Flow, user: User) -> object:
        return self.endpoint.send_request(draft, flow, user)

    def _send_publish(self, draft: Draft, flow: Flow, user: User) -> object:
        """Send a PUBLISH; its user shortens it if it is too long for a datagram."""
        return self.endpoint.send_request(
            draft, flow, user, is_divisible=len(draft.body) > LONGEST_DATAGRAM_BODY
        )

    def _send_notify(self, draft: Draft, watch: Watch) -> None:
        """Send a NOTIFY along its dialog."""
        dialog = watch.row.subscription.dialog
        self.in_dialog.send(
            draft, dialog.first_uri, dialog.flow, watch, is_divisible=True
        )

    def _send_subscribe(self, draft: Draft, flow: Flow, user: User) -> None:
        """Send a SUBSCRIBE: the first one on ``flow``, later ones in the dialog."""
        assert isinstance(user, Mirror)
        subscription = user.subscription
        dialog = subscription.dialog
        if dialog is None or not (dialog.remote_tag or subscription.redirected):
            self.endpoint.send_request(draft, flow, user)
        else:
            self.in_dialog.send(draft, dialog.first_uri, dialog.flow, user)


def _is_datagram(flow: Flow) -> bool:
    """Placeholder until the sockets are bound: no stream is open."""
    return not flow.local.is_reliable


def _unheard(flow: Flow) -> None:
    """Placeholder until the sockets are bound: there is no stream."""
