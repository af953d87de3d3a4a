"""Authorises watchers, and limits their number (RFC 3680 §4.6)."""

from __future__ import annotations

from collections.abc import Callable

from ..sip.errors import Refusal
from ..sip.message import Request
from ..sip.uri import Uri
from ..sip.value import Value

RETRY_AFTER = "60"
"""Retry-After, in seconds, when the number of subscriptions is at its limit."""

Hook = Callable[[Request, str], None]
"""
Authenticates a SUBSCRIBE for an address-of-record, before any state is created.

Raises:
    Refusal: 401 with a challenge, or 403.
"""


class Admission(Value, frozen=True, kw_only=True):
    """
    The policy for new watchers.

    The From of a request is trusted: it must be verified before, by
    :attr:`authenticate` or by a proxy in front of this server.
    """

    allow: tuple[str, ...] = ("all",)
    """
    Who may watch: `all`; `self`, users their own address-of-record; `peers`, the
    configured peers; a domain; or a SIP URI.
    """

    neutral: bool = False
    """
    Whether a watcher that is not served is not to know that: its SUBSCRIBE is accepted,
    and its documents are neutral (RFC 6665 §6.2).
    """

    max_subscriptions: int = 0
    max_per_watcher: int = 0
    "The maximum number of subscriptions, in total and per watcher; 0: no limit."

    authenticate: Hook | None = None

    def check(self, request: Request, names: tuple[str, ...], *, is_peer: bool) -> bool:
        """
        Authenticate and authorise a SUBSCRIBE; False if it gets neutral documents.

        Args:
            names: the requested address-of-record, and the user's other identities.

        Raises:
            Refusal: 401 or 403; no subscription is created.
        """
        if self.authenticate is not None:
            self.authenticate(request, names[0])
        if "all" in self.allow or (is_peer and "peers" in self.allow):
            return True
        watcher = request.from_.parsed
        if "self" in self.allow and watcher.aor in names:
            return True
        for allowed in self.allow:
            if ":" in allowed:
                if watcher.aor == Uri.parse(allowed).aor:
                    return True
            elif watcher.host == allowed:
                return True
        if self.neutral:
            return False
        raise Refusal(403, "Forbidden")

    def check_room(self, of_all: int, of_watcher: int) -> None:
        """
        Check whether one more subscription is allowed.

        Raises:
            Refusal: 503 with Retry-After, or 403.
        """
        if 0 < self.max_subscriptions <= of_all:
            raise Refusal(
                503, "Too Many Subscriptions", headers=[("Retry-After", RETRY_AFTER)]
            )
        if 0 < self.max_per_watcher <= of_watcher:
            raise Refusal(403, "Too Many Subscriptions")
