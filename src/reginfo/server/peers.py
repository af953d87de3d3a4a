"""The peers of the configuration, and which of them a request comes from."""

from __future__ import annotations

from collections.abc import Mapping

from ..config.sections import PeerSection
from ..reg.legacy import Profile
from ..roles.watcher import Watcher as Watcher
from ..sip.flow import Address, Flow, unscoped
from ..sip.message import Request
from ..sip.uri import Uri

IMS_MAX_EXPIRES = 604_800
"""Seconds that a registration lasts in an IMS network, at most: 3GPP TS 24.229 asks
for 600 000."""


class Peers:
    """
    Peers by name and address.

    Args:
        peers: as configured.
        min_interval: least time between two NOTIFYs to a watcher that is no peer, in
            seconds.
        max_expires: the longest time that a contact is believed to last whose peer has
            no limit of its own, in seconds.
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
        """Take it that the peers' URIs are at ``addresses``."""
        self._by_address = {
            addresses[peer.uri]: peer for peer in self._peers if peer.uri is not None
        }

    def longest(self, name: str) -> int:
        """The longest time that a contact of a peer is believed to last, in seconds."""
        return self._longest.get(name, self._max_expires)

    @property
    def longest_life(self) -> int:
        """The longest time that any of them is believed to grant, in seconds."""
        return max([self._max_expires, *self._longest.values()])

    def at(self, address: Address) -> PeerSection | None:
        """The peer whose URI is at ``address``."""
        return self._by_address.get(address)

    def sender(self, request: Request, flow: Flow) -> PeerSection | None:
        """The peer that a request comes from; None if it is none that is known."""
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
        """The name of the peer that is asked for registrations at ``hop``."""
        place = (hop.host, hop.port)
        for peer in self._peers:
            if peer.uri is not None:
                uri = Uri.parse(peer.uri)
                if (uri.host, uri.port) == place:
                    return peer.name
        return None

    def recognise(self, request: Request, flow: Flow) -> Watcher:
        """How to treat whom a SUBSCRIBE comes from."""
        peer = self.sender(request, flow)
        if peer is None:
            return self._stranger
        return Watcher(
            name=peer.name, profile=profile_of(peer), min_interval=peer.min_interval
        )


def profile_of(peer: PeerSection | None) -> Profile | None:
    """The profile that is configured; None to go by what the peer says of itself."""
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
