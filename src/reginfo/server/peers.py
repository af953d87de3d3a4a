"""The configured peers; identifies the sender of a request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from ..config.sections import PeerSection
from ..reg.legacy import Profile
from ..roles.watcher import Watcher as Watcher
from ..sip.certificate import is_for
from ..sip.flow import Address, Flow, unscoped
from ..sip.message import Request
from ..sip.uri import Uri

IMS_MAX_EXPIRES = 604_800
"""The longest interval of a registration in an IMS network, in seconds; 3GPP TS 24.229
requests 600 000."""


class Peers:
    """
    Peers by name and address.

    Args:
        peers: the configured peers.
        min_interval: the minimum time between two NOTIFYs to other watchers, in
            seconds.
        max_expires: the longest interval accepted for a contact, in seconds, if its
            peer has no limit of its own.
    """

    def __init__(
        self,
        peers: tuple[PeerSection, ...],
        min_interval: float,
        max_expires: int = 86_400,
    ) -> None:
        self._peers = peers
        self._max_expires = max_expires
        self._longest = {
            peer.name: peer.max_expires
            or (IMS_MAX_EXPIRES if peer.profile == "ims" else max_expires)
            for peer in peers
        }
        self._stranger = Watcher(min_interval=min_interval)
        self._by_address: dict[Address, PeerSection] = {}
        self._by_name = {peer.name: peer for peer in peers}
        self._matched = [peer for peer in peers if peer.match is not None]

        self.identities: Callable[[Flow], frozenset[str]] = lambda flow: frozenset()
        """
        Returns the SIP domains that the other end of a flow has shown a certificate
        for.
        """

        self.believes: Callable[[Request], bool] = _nobody
        """
        Whether the From of a request is that of its sender: without that, an address or
        a certificate to go with it, no peer is known by its From.
        """

    def find(self, addresses: Mapping[str, Collection[Address]]) -> None:
        """Set the addresses that the peers' URIs lead to at present."""
        self._by_address = {
            (unscoped(host), port): peer
            for peer in self._peers
            if peer.uri is not None
            for host, port in addresses.get(peer.uri, ())
        }

    def longest(self, name: str) -> int:
        """Return the longest interval accepted for a contact of a peer, in seconds."""
        return self._longest.get(name, self._max_expires)

    @property
    def longest_life(self) -> int:
        """Return the longest interval accepted from any peer, in seconds."""
        return max([self._max_expires, *self._longest.values()])

    def may_tell(self, name: str, aor: str) -> bool:
        """
        Whether a peer may report the registrations of a user.

        Args:
            name: the name of the peer; an unknown one is not limited.
        """
        peer = self._by_name.get(name)
        if peer is None or not peer.domains:
            return True
        user, at, domain = aor.rpartition("@")
        return domain.partition(":")[0] in peer.domains if at else aor in peer.watch

    def at(self, address: Address) -> PeerSection | None:
        """The peer whose URI is at ``address``."""
        host, port = address
        return self._by_address.get((unscoped(host), port))

    def sender(self, request: Request, flow: Flow) -> PeerSection | None:
        """
        The peer that a request comes from; None if it is none that is known.

        Raises:
            RemoteProtocolError: its From cannot be parsed.
        """
        known = self.by_address(request, flow)
        if known is None and self._matched:
            for peer in self._matched:
                match = peer.match
                if match is not None and match.from_ and not match.is_strong:
                    is_from = request.from_.parsed.matches(Uri.parse(match.from_))
                    # Anybody can write a From.
                    if is_from and self.believes(request):
                        return peer
        return known

    def by_address(self, request: Request, flow: Flow) -> PeerSection | None:
        """
        The peer whose address, or certificate, a request comes from; None if there is
        none.

        Raises:
            RemoteProtocolError: its From cannot be parsed.
        """
        known = self.at(flow.remote)
        if known is None and self._by_address and flow.local.is_reliable:
            # The port of a stream that it has opened is any one; its Via has the port
            # that it listens at.
            port = request.via.port or flow.local.transport.default_port
            known = self.at((flow.remote[0], port))
        if known is not None and self._has_certificate(known, flow):
            return known
        return next((p for p in self._matched if self._matches(p, request, flow)), None)

    def watched_at(self, target: Uri) -> str | None:
        """Return the name of the peer whose SUBSCRIBEs go to ``target``."""
        for peer in self._peers:
            if peer.uri is not None:
                uri = Uri.parse(peer.uri)
                if (uri.host, uri.port) == (target.host, target.port):
                    return peer.name
        return None

    def recognise(self, request: Request, flow: Flow) -> Watcher:
        """Identify the sender of a SUBSCRIBE."""
        peer = self.sender(request, flow)
        if peer is None:
            return self._stranger
        return Watcher(
            name=peer.name, profile=profile_of(peer), min_interval=peer.min_interval
        )

    def _matches(self, peer: PeerSection, request: Request, flow: Flow) -> bool:
        match = peer.match
        if match is None or not match.is_strong:
            return False
        if not self._has_certificate(peer, flow):
            return False
        if match.address is not None:
            host, port = match.address
            if host != unscoped(flow.remote[0]) or port not in (None, flow.remote[1]):
                return False
        return match.from_ is None or request.from_.parsed.matches(
            Uri.parse(match.from_)
        )

    def _has_certificate(self, peer: PeerSection, flow: Flow) -> bool:
        """Whether a flow has shown the certificate of a peer, if it must have one."""
        match = peer.match
        if match is None or match.certificate is None:
            return True
        return is_for(match.certificate, self.identities(flow))


def profile_of(peer: PeerSection | None) -> Profile | None:
    """Return the configured profile; None to derive it from the peer's messages."""
    if peer is None or peer.profile is None:
        return None
    return Profile(peer.profile)


def _nobody(request: Request) -> bool:
    """Believe no From: whoever sends a request is not asked for a password."""
    return False
