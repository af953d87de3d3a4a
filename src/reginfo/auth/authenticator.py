"""Challenges requests, and checks their credentials (RFC 3261 §22, RFC 8760)."""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2s
from hmac import compare_digest

from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.message import Request, request_uri
from ..sip.uri import Uri
from .account import Account, UsersUnavailable
from .credentials import Credentials, credentials_for
from .digest import digits
from .failures import Failures
from .nonce import Nonces
from .parameters import parameters, quoted

Find = Callable[[str], Account | None]
"""
Finds an account by its name.

Raises:
    UsersUnavailable: it cannot say.
"""

RETRY_AFTER = 5
"""Retry-After, in seconds, while users cannot be looked up."""

USER_AGENT, PROXY = 401, 407
"""The status of a challenge of a registrar or notifier, and of a proxy (§22.1)."""

_HEADERS = {
    USER_AGENT: ("Authorization", "WWW-Authenticate", "Unauthorized"),
    PROXY: (
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "Proxy Authentication Required",
    ),
}


class Authenticator:
    """
    Authenticates the senders of requests.

    A user that does not exist, one that is locked and one with another password are
    told the same, after the same work.

    Args:
        find: finds accounts.
        algorithms: those that are offered, strongest first.
        realm: the realm of all challenges; None for the domain of the user.
        key: a secret of at most 32 octets, new at each start.
        lifetime: seconds for which a nonce may be used.
    """

    def __init__(
        self,
        find: Find,
        *,
        algorithms: tuple[str, ...],
        realm: str | None,
        key: bytes,
        lifetime: float,
    ) -> None:
        self._find = find
        self._algorithms = algorithms
        self._realm = realm
        self._key = key[:32]
        self.nonces = Nonces(self._key, lifetime)
        self.failures = Failures()

        self.challenged = 0
        "Requests that were challenged so far."

    def realm_of(self, domain: str) -> str:
        """Return the realm of the users of a domain."""
        return domain if self._realm is None else self._realm

    def check(
        self,
        request: Request,
        *,
        domain: str,
        status: int,
        source: str,
        now: float,
        realm: str | None = None,
    ) -> Account:
        """
        Return the account of the sender of a request.

        Args:
            domain: the domain of the user that the sender says to be.
            status: :data:`USER_AGENT` or :data:`PROXY`.
            source: the host that the request comes from.
            realm: the realm; by default that of the domain.

        Raises:
            Refusal: 401 or 407 with challenges; 403 after many failures; 503 if the
                users cannot be looked up.
            RemoteProtocolError: the credentials cannot be used.
        """
        realm = realm or self.realm_of(domain)
        given = credentials_for(request, _HEADERS[status][0], realm)
        if given is None or given.algorithm not in self._algorithms:
            raise self.challenge(realm, status, now)
        if given.uri != request.uri and not _is_same(given.uri, request):
            raise RemoteProtocolError("credentials of another Request-URI")
        user = f"{given.username}@{domain}"
        if (left := self.failures.wait(source, user, now)) > 0:
            again = [("Retry-After", str(math.ceil(left)))]
            raise Refusal(403, "Too Many Failed Passwords", headers=again)
        account = self._account(given, user, realm)
        algorithm = given.algorithm
        secret = None if account is None else account.hashes.get(algorithm)
        # For nobody the same is computed, with a hash that no password has.
        known = secret if secret is not None else self._nobodys(user, algorithm)
        right = compare_digest(
            given.expected(known, request, algorithm).encode(),
            given.response.encode("utf-8", "surrogateescape"),
        )
        if account is None or secret is None or account.is_out or not right:
            self.failures.add(source, user, now)
            raise self.challenge(realm, status, now)
        if not self.nonces.take(given.nonce, given.count, now):
            # §22.4, RFC 7616 §3.3: the password is right, the nonce is not.
            raise self.challenge(realm, status, now, stale=True)
        self.failures.clear(source, user)
        return account

    def consume(self, request: Request, status: int) -> bool:
        """
        Take the credentials that were made for our nonces out of a request.

        Returns:
            Whether there were any.
        """
        name = _HEADERS[status][0]
        lines = request.headers.get(name, [])
        kept = [line for line in lines if not self._is_ours(line)]
        if kept:
            request.headers[name] = kept
        elif lines:
            del request.headers[name]
        return len(kept) < len(lines)

    def challenge(
        self, realm: str, status: int, now: float, *, stale: bool = False, qop: str = ""
    ) -> Refusal:
        """
        Return the refusal with a challenge for each algorithm.

        RFC 7616 §3.7: the preferred one comes first.

        Args:
            qop: what to offer; by default both.
        """
        self.challenged += 1
        _, header, reason = _HEADERS[status]
        end = f'qop="{qop or "auth,auth-int"}"' + (", stale=true" if stale else "")
        said = f"Digest realm={quoted(realm)}"
        return Refusal(
            status,
            reason,
            headers=[
                (
                    header,
                    f'{said}, nonce="{self.nonces.make(now)}",'
                    f" algorithm={algorithm}, {end}",
                )
                for algorithm in self._algorithms
            ],
        )

    def _is_ours(self, line: str) -> bool:
        try:
            given = parameters(line)
        except RemoteProtocolError:
            return False
        return self.nonces.is_ours(given.get("nonce", ""))

    def _account(self, given: Credentials, user: str, realm: str) -> Account | None:
        try:
            account = self._find(user)
        except UsersUnavailable as exc:
            again = [("Retry-After", str(RETRY_AFTER))]
            raise Refusal(503, "Users Unavailable", headers=again) from exc
        if account is None or (account.realm or account.domain) != realm:
            return None
        return account

    def _nobodys(self, user: str, algorithm: str) -> str:
        data = user.encode("utf-8", "surrogateescape")
        return blake2s(data, key=self._key).hexdigest()[: digits(algorithm)]


def _is_same(uri: str, request: Request) -> bool:
    try:
        return Uri.parse(uri).matches(request_uri(request))
    except RemoteProtocolError:
        return False
