"""The configured peers; identifies the sender of a request."""

from __future__ import annotations

from collections.abc import Mapping

from ..config.sections import PeerSection
from ..reg.legacy import Profile
from ..roles.watcher import Watcher as Watcher
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

    def find(self, addresses: Mapping[str, Address]) -> None:
        """Set the addresses of the peers' URIs."""
        self._by_address = {
            addresses[peer.uri]: peer for peer in self._peers if peer.uri is not None
        }

    def longest(self, name: str) -> int:
        """Return the longest interval accepted for a contact of a peer, in seconds."""
        return self._longest.get(name, self._max_expires)

    @property
    def longest_life(self) -> int:
        """Return the longest interval accepted from any peer, in seconds."""
        return max([self._max_expires, *self._longest.values()])

    def at(self, address: Address) -> PeerSection | None:
        """Return the peer whose URI has this address."""
        return self._by_address.get(address)

    def sender(self, request: Request, flow: Flow) -> PeerSection | None:
        """Return the peer that sent a request; None if the sender is not a peer."""
        host, port = flow.remote
        known = self._by_address.get((unscoped(host), port))
        if known is not None:
            return known
        found = next((p for p in self._peers if _matches(p, request, flow)), None)
        if found is None and flow.local.is_reliable:
            # A stream comes from any port of its host.
            host = flow.remote[0]
            there = [p for at, p in self._by_address.items() if at[0] == host]
            found = there[0] if len(there) == 1 else None
        return found

    def asked_at(self, hop: Uri) -> str | None:
        """Return the name of the peer whose SUBSCRIBEs go to ``hop``."""
        place = (hop.host, hop.port)
        for peer in self._peers:
            if peer.uri is not None:
                uri = Uri.parse(peer.uri)
                if (uri.host, uri.port) == place:
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


def profile_of(peer: PeerSection | None) -> Profile | None:
    """Return the configured profile; None to derive it from the peer's messages."""
    if peer is None or peer.profile is None:
        return None
    return Profile(peer.profile)


def _matches(peer: PeerSection, request: Request, flow: Flow) -> bool:
    match = peer.match
    if match is None:
        return False
    if match.address is not None:
        host, port = match.address
        if host != unscoped(flow.remote[0]) or port not in (None, flow.remote[1]):
            return False
    return match.from_ is None or request.from_.parsed.matches(Uri.parse(match.from_))
