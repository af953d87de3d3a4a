"""The paths of our contacts for other servers: through us where necessary."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..location.claim import Claim
from ..sip.dialog import route_uri
from ..sip.errors import RemoteProtocolError
from ..sip.token import Tokens, is_token
from ..sip.uri import Uri
from .nat import Nat


class OwnerPaths:
    """
    Adds our own URI to the path of a contact that only this server can reach.

    This is the case behind a NAT that accepts no datagrams from others, and for a
    contact on one of our connections. The URI has a flow token, so that a call which
    another server sends here follows that flow (RFC 5626 §5.3). It is added when a
    claim is sent, and removed when the claim comes back: it is never stored or compared
    here.

    Args:
        is_ours: whether a URI leads to this server.
    """

    def __init__(
        self, server_id: str, nat: Nat, tokens: Tokens, is_ours: Callable[[Uri], bool]
    ) -> None:
        self._server_id = server_id
        self._nat = nat
        self._tokens = tokens
        self._is_ours = is_ours

    def path_of(self, claim: Claim) -> tuple[str, ...]:
        """Return the route set to a contact, as reported to another server."""
        path = claim.path
        if path or claim.gone or claim.owner != self._server_id:
            return path
        listener = claim.listener
        if (
            not claim.received
            and (not listener or listener.startswith("udp:"))
            and ";ob" not in claim.contact
        ):
            return path  # the usual case: everybody can reach it with datagrams
        origin = self._nat.origin(claim)
        if origin is None or not (
            origin.local.is_reliable or self._nat.flow(claim) is not None
        ):
            return path
        scheme, _, rest = origin.local.uri.partition(":")
        return (f"<{scheme}:{self._tokens.write(origin)}@{rest};lr>",)

    def own(self, claim: Claim) -> Claim:
        """Return one of our claims that came back, without our addition."""
        if not claim.path:
            return claim
        try:
            first = Uri.parse(route_uri(claim.path[0]))
        except RemoteProtocolError:
            return claim
        if is_token(first.user) and self._is_ours(first):
            return msgspec.structs.replace(claim, path=claim.path[1:])
        return claim
