"""Asks for passwords where a script says so."""

from __future__ import annotations

from ..auth.authenticator import PROXY, USER_AGENT, Authenticator
from ..routing.domains import Domains
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow, unscoped
from ..sip.message import Request

RIGHT, MALFORMED, WRONG, STALE, NONE_GIVEN = 1, -1, -2, -4, -5
"""The return codes of the module auth of Kamailio."""

_FIELDS = {USER_AGENT: "Authorization", PROXY: "Proxy-Authorization"}


class Asker:
    """
    Checks and asks for credentials.

    Args:
        domain: the domain of users without one, such as those of `tel:` URIs.
    """

    def __init__(
        self, authenticator: Authenticator, domains: Domains, domain: str
    ) -> None:
        self._authenticator = authenticator
        self._domains = domains
        self._domain = domain

    def authorize(
        self, request: Request, flow: Flow, realm: str, status: int, now: float
    ) -> int:
        """
        Check the credentials of a request.

        Args:
            realm: empty for that of the user's domain.

        Returns:
            One of the return codes above.

        Raises:
            Refusal: 403 after many failures; 503 if users cannot be looked up.
        """
        if request.user:
            return RIGHT  # the server has asked, and each count is good only once
        try:
            account = self._authenticator.check(
                request,
                domain=self._domain_of(request, realm),
                status=status,
                source=unscoped(flow.remote[0]),
                now=now,
                realm=realm or None,
            )
        except Refusal as refusal:
            if refusal.status != status:
                raise
            if any("stale=true" in value for _, value in refusal.headers):
                return STALE
            return WRONG if _FIELDS[status] in request.headers else NONE_GIVEN
        except RemoteProtocolError:
            return MALFORMED
        request.user = account.name
        return RIGHT

    def challenge(
        self,
        request: Request,
        realm: str,
        status: int,
        *,
        qop: str,
        now: float,
        stale: bool,
    ) -> Refusal:
        """
        Return the refusal with challenges.

        Args:
            qop: what to offer; empty for both.
            stale: whether the password was right, and only the nonce was not.
        """
        name = realm or self._authenticator.realm_of(self._domain_of(request, realm))
        return self._authenticator.challenge(name, status, now, stale=stale, qop=qop)

    def consume(self, request: Request) -> bool:
        """Remove the credentials that were made for our nonces."""
        consumed = [self._authenticator.consume(request, status) for status in _FIELDS]
        return any(consumed)

    def _domain_of(self, request: Request, realm: str) -> str:
        uri = (request.to if request.method == "REGISTER" else request.from_).parsed
        if realm in self._domains:
            return realm
        if uri.scheme == "tel":
            return self._domain
        return self._domains.aor(uri).rpartition("@")[2] or self._domain
