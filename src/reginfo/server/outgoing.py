"""The subscriptions and publications that the configuration requires."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import msgspec

from ..config.config import Config
from ..events.subscribe import Wanted
from ..io.network import flow_to
from ..ledger.turn import Turns
from ..location.place import Aor
from ..reg import xml
from ..roles import notifier
from ..roles.published import PresenceServer
from ..roles.publisher import Publisher
from ..roles.subscriber import Mirror, Subscriber
from ..routing.domains import Domains
from ..routing.target import Target
from ..routing.targets import Targets
from ..sip.destination import Destination
from ..sip.flow import Flow, Local
from ..sip.moment import Moment
from ..sip.uri import Uri
from ..sync.held_link import HeldLink
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

    def connect(
        self,
        targets: Targets,
        subscriber: Subscriber,
        publisher: Publisher,
        links: Linking,
    ) -> None:
        """Set the roles that subscribe and publish."""
        self._links = links
        self._targets = targets
        self._subscriber = subscriber
        self._publisher = publisher

    def uris(self) -> list[str]:
        """Return the URIs of peers and presence servers that :meth:`begin` needs."""
        peers = [peer.uri for peer in self._config.peers if peer.uri is not None]
        return [*peers, *self.publish_targets()]

    def find(self, places: Mapping[str, Destination]) -> None:
        """Set the destinations of the URIs of peers."""
        self._peers.find({uri: place.address for uri, place in places.items()})

    def begin(
        self,
        locals: Sequence[Local],
        places: Mapping[str, Destination],
        moment: Moment,
    ) -> None:
        """
        Subscribe at peers, and publish at presence servers.

        Args:
            locals: the listening addresses.
            places: the destinations of :meth:`uris`.
        """
        now = moment.now
        publisher, links = self._publisher, self._links
        assert publisher is not None and links is not None
        ours = {(local.host, local.port) for local in locals}
        for uri in self.publish_targets():
            if places[uri].address in ours:
                continue  # that is this server: its watchers are notified anyway
            target = PresenceServer(
                uri=uri,
                flow=flow_to(places[uri], locals),
                profile=profile_of(self._peers.at(places[uri].address)),
            )
            publisher.publish_to(target, now)
        me = self._config.pua_reginfo.server_address
        for peer in self._config.peers:
            for aor in peer.watch:
                assert me is not None and peer.uri is not None
                flow = flow_to(places[peer.uri], locals)
                param = flow.local.transport.uri_param
                wanted = Wanted(
                    uri=aor,
                    local=me,
                    contact=f"{me}{param}" if param else None,
                    event=notifier.PACKAGE,
                    accept=xml.MEDIA_TYPE,
                    rearm=self._config.pua_reginfo.rearm,
                )
                name = self._domains.aor(Uri.parse(aor))
                group = links.groups.get(name)
                try:
                    with self._turns.attempt():
                        if group is not None and peer.profile in (None, "standard"):
                            links.sink.link(peer.name, group, wanted, flow, now)
                        else:
                            self._watch(peer.name, name, wanted, flow, now)
                except Exception:
                    # A subscription that cannot be resumed must not stop others.
                    logger.exception("! %s/%s cannot be resumed", peer.name, aor)

    def watch_foreign(self, link: HeldLink, now: float) -> None:
        """Watch a group at a peer that turns out to be of another kind."""
        subscription = link.subscription
        assert subscription.flow is not None
        wanted = msgspec.structs.replace(
            subscription.wanted, event=notifier.PACKAGE, headers=""
        )
        self._watch(link.peer, link.group.aor, wanted, subscription.flow, now)

    def _watch(
        self, peer: str, name: Aor, wanted: Wanted, flow: Flow, now: float
    ) -> None:
        assert self._subscriber is not None
        self._subscriber.watch(peer, name, wanted, flow, now)

    def _hop(self, uri: Uri) -> Uri:
        """Return the next hop of a SUBSCRIBE for ``uri``."""
        proxy = self._config.pua_reginfo.outbound_proxy
        return uri if proxy is None else Uri.parse(proxy)

    def owner(self, uri: Uri) -> str:
        """Return the owner of contacts reported for ``uri``: a peer, or its host."""
        return self._peers.asked_at(self._hop(uri)) or uri.host

    def locate(self, mirror: Mirror) -> None:
        """Find the flow of a subscription that a script requested."""

        targets, subscriber = self._targets, self._subscriber
        assert targets is not None and subscriber is not None

        def found(flow: Flow | str) -> None:
            now = self._turns.moment().now
            if isinstance(flow, str):
                subscriber.located(mirror, None, flow, now)
            else:
                subscriber.located(mirror, flow, "", now)
            self._turns.wake()

        hop = self._hop(Uri.parse(mirror.subscription.wanted.uri))
        targets.flow(Target(hop), found)

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
