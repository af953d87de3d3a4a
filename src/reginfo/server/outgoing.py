"""The subscriptions and publications that the configuration requires."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec

from ..config.config import Config
from ..config.sections import PeerSection
from ..events.subscribe import Wanted
from ..events.wanted import contact_by
from ..ledger.turn import Turns
from ..location.place import Aor
from ..reg import xml
from ..roles.published import PresenceServer
from ..roles.publisher import Publisher
from ..roles.subscriber import Mirror, Subscriber
from ..routing.domains import Domains
from ..routing.target import Target
from ..routing.targets import Targets
from ..sip.flow import Address, Flow, Local
from ..sip.moment import Moment
from ..sip.uri import Uri
from ..sync.group import Group
from ..sync.held_link import HeldLink
from .destinations import Destinations
from .linking import Linking
from .peers import Peers, profile_of

logger = logging.getLogger("reginfo.server")


class OutgoingRequests:
    """Starts subscriptions and publications, and finds where they are sent."""

    def __init__(
        self, config: Config, peers: Peers, domains: Domains, turns: Turns
    ) -> None:
        self._config = config
        self._peers = peers
        self._domains = domains
        self._turns = turns
        self._targets: Targets | None = None
        self._subscriber: Subscriber | None = None
        self._publisher: Publisher | None = None
        self._links: Linking | None = None
        self._destinations: Destinations | None = None
        self._ours: set[Address] = set()
        self._begun: set[str] = set()

    def connect(
        self,
        targets: Targets,
        subscriber: Subscriber,
        publisher: Publisher,
        links: Linking,
        destinations: Destinations,
    ) -> None:
        """Set the roles that subscribe and publish, and what finds servers."""
        self._links = links
        self._targets = targets
        self._destinations = destinations
        self._subscriber = subscriber
        self._publisher = publisher

    def uris(self) -> list[tuple[str, str]]:
        """The URIs of peers and presence servers, each with a label for messages."""
        pua = self._config.pua_reginfo
        what = "publish_to" if pua.publish_to else "outbound_proxy"
        return [
            *(
                (peer.uri, f"peer {peer.name}")
                for peer in self._config.peers
                if peer.uri is not None
            ),
            *((uri, what) for uri in self.publish_targets()),
        ]

    def begin(self, locals: Sequence[Local], moment: Moment) -> None:
        """
        Subscribe at peers, and publish at presence servers, once they are found.

        Args:
            locals: the addresses that we listen at.
        """
        publisher, destinations = self._publisher, self._destinations
        links = self._links
        assert publisher is not None and destinations is not None and links is not None
        self._ours = {(local.host, local.port) for local in locals}
        destinations.follow(self.uris(), moment)
        for uri in self.publish_targets():
            if not destinations.flows(uri):
                # What happens until it is found is published then.
                publisher.publish_to(PresenceServer(uri=uri), moment.now)
        for peer in self._config.peers:
            for aor in peer.watch if peer.name not in self._begun else ():
                group = self._group(peer, self._domains.aor(Uri.parse(aor)))
                if group is not None:
                    links.sink.expect(group, moment.now)

    def moved(self, uri: str, flows: list[Flow], moment: Moment) -> None:
        """Note the addresses of a URI that had none, or had others."""
        destinations, publisher = self._destinations, self._publisher
        assert destinations is not None and publisher is not None
        self._turns.validation.configure(flow.remote for flow in flows)
        peers = [peer for peer in self._config.peers if peer.uri is not None]
        self._peers.find(
            {
                peer.uri: [flow.remote for flow in destinations.flows(peer.uri)]
                for peer in peers
                if peer.uri is not None
            }
        )
        if uri in self.publish_targets():
            if self._leads_here(flows):
                # We are that presence server: our watchers are notified anyway.
                publisher.leave(uri)
            else:
                profile = profile_of(self._peers.at(flows[0].remote))
                target = PresenceServer(uri=uri, flow=flows[0], profile=profile)
                publisher.publish_to(target, moment.now)
        for peer in peers:
            if peer.uri == uri:
                self._peer_moved(peer, flows, moment.now)

    def flow_to(self, name: str, failed: Flow | None = None) -> Flow | None:
        """
        Return the flow to a peer; None if its name was never found.

        Args:
            failed: by which it has not answered: then the flow that is to be tried at
                once in its place, or None if all have failed.
        """
        destinations = self._destinations
        uri = next((p.uri for p in self._config.peers if p.name == name), None)
        if uri is None or destinations is None:
            return None
        if failed is None:
            return destinations.flow(uri)
        return destinations.failed(uri, failed)

    def failed(self, uri: str, flow: Flow) -> Flow | None:
        """Note that a presence server did not answer; return another flow to it."""
        assert self._destinations is not None
        return self._destinations.failed(uri, flow)

    def problem(self, peer: PeerSection) -> str | None:
        """Why a peer cannot be reached at all; None if it can."""
        destinations = self._destinations
        if peer.uri is None or destinations is None:
            return None
        if peer.watch and self._leads_here(destinations.flows(peer.uri)):
            return f"{peer.uri} leads to this server"
        return destinations.problem(peer.uri)

    def problems(self) -> list[str]:
        """What is wrong with peers and presence servers, for the server's health."""
        found = [
            f"peer {peer.name}: {problem}"
            for peer in self._config.peers
            if (problem := self.problem(peer)) is not None
        ]
        destinations = self._destinations
        assert destinations is not None
        return list(dict.fromkeys([*found, *destinations.problems()]))

    def _leads_here(self, flows: Sequence[Flow]) -> bool:
        return any(flow.remote in self._ours for flow in flows)

    def _peer_moved(self, peer: PeerSection, flows: list[Flow], now: float) -> None:
        """Subscribe at a peer that is found; or anew, if it was elsewhere."""
        subscriber, links = self._subscriber, self._links
        me = self._config.pua_reginfo.server_address
        assert subscriber is not None and links is not None
        if peer.watch and self._leads_here(flows):
            logger.error("! peer %s: %s leads to this server", peer.name, peer.uri)
            return
        if peer.name in self._begun:
            with self._turns.attempt():
                subscriber.moved(peer.name, flows, now)
                links.sink.moved(peer.name, flows, now)
            return
        self._begun.add(peer.name)
        for aor in peer.watch:
            assert me is not None
            wanted = Wanted(
                uri=aor,
                local=me,
                contact=contact_by(me, flows[0]),
                event=xml.PACKAGE,
                accept=xml.MEDIA_TYPE,
                rearm=self._config.pua_reginfo.rearm,
            )
            name = self._domains.aor(Uri.parse(aor))
            group = self._group(peer, name)
            try:
                with self._turns.attempt():
                    if group is not None:
                        links.sink.link(peer.name, group, wanted, flows[0], now)
                    else:
                        self._watch(peer.name, name, wanted, flows[0], now)
            except Exception:
                # A subscription that cannot be resumed must not stop others.
                logger.exception("! %s/%s cannot be resumed", peer.name, aor)

    def _group(self, peer: PeerSection, name: Aor) -> Group | None:
        """The group that is watched at a peer by a link; None for anything else."""
        assert self._links is not None
        if peer.profile not in (None, "standard"):
            return None
        return self._links.groups.get(name)

    def watch_foreign(self, link: HeldLink, now: float) -> None:
        """Watch a group at a peer that turns out to be of another kind."""
        subscription = link.subscription
        assert subscription.flow is not None
        wanted = msgspec.structs.replace(
            subscription.wanted, event=xml.PACKAGE, headers=""
        )
        self._watch(link.peer, link.group.aor, wanted, subscription.flow, now)

    def _watch(
        self, peer: str, name: Aor, wanted: Wanted, flow: Flow, now: float
    ) -> None:
        assert self._subscriber is not None
        self._subscriber.watch(peer, name, wanted, flow, now)

    def _target(self, uri: Uri) -> Uri:
        """Return the target of the first SUBSCRIBE for ``uri``."""
        proxy = self._config.pua_reginfo.outbound_proxy
        return uri if proxy is None else Uri.parse(proxy)

    def owner(self, uri: Uri) -> str:
        """Return the owner of contacts reported for ``uri``: a peer, or its host."""
        return self._peers.watched_at(self._target(uri)) or uri.host

    def locate(self, mirror: Mirror) -> None:
        """Find the flow of a subscription that a script requested."""

        targets, subscriber = self._targets, self._subscriber
        assert targets is not None and subscriber is not None

        def found(flow: Flow | str) -> None:
            now = self._turns.moment().now
            if isinstance(flow, str):
                subscriber.located(mirror, None, flow, now)
            else:
                if self._config.pua_reginfo.outbound_proxy is not None:
                    self._turns.validation.configure([flow.remote])
                subscriber.located(mirror, flow, "", now)
            self._turns.wake()

        target = self._target(Uri.parse(mirror.subscription.wanted.uri))
        targets.flow(Target(target), found)

    def publish_targets(self) -> tuple[str, ...]:
        """Return the URIs that PUBLISH is sent to."""
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
