"""Contacts of ours, as other servers are told of them: by way of us where need be."""

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
    Puts our own URI on top of the path of a contact that only we can reach.

    That is so where a NAT lets nobody else's datagrams in, and where the contact is on
    a stream of ours. The URI has a token that names the flow, so that a call which
    another server sends here goes on by it (RFC 5626 §5.3). It is added when a claim is
    sent, and taken off when the claim comes back: it is never stored here, or compared.

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
        """Return the route set to a contact, as another server is told."""
        path = claim.path
        if path or claim.gone or claim.owner != self._server_id:
            return path
        listener = claim.listener
        if (
            not claim.received
            and (not listener or listener.startswith("udp:"))
            and ";ob" not in claim.contact
        ):
            return path  # the usual case: whoever can send it a datagram reaches it
        origin = self._nat.origin(claim)
        if origin is None or not (
            origin.local.is_reliable or self._nat.flow(claim) is not None
        ):
            return path
        scheme, _, rest = origin.local.uri.partition(":")
        return (f"<{scheme}:{self._tokens.write(origin)}@{rest};lr>",)

    def own(self, claim: Claim) -> Claim:
        """Return a claim of ours that has come back, without what we have added."""
        if not claim.path:
            return claim
        try:
            first = Uri.parse(route_uri(claim.path[0]))
        except RemoteProtocolError:
            return claim
        if is_token(first.user) and self._is_ours(first):
            return msgspec.structs.replace(claim, path=claim.path[1:])
        return claim
