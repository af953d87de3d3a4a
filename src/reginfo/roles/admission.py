"""Authorises watchers, and limits their number (RFC 3680 §4.6)."""

from __future__ import annotations

from collections.abc import Callable

from ..sip.errors import Refusal
from ..sip.message import Request
from ..sip.uri import Uri
from ..sip.value import Value

RETRY_AFTER = "60"
"""Retry-After, in seconds, when the number of subscriptions is at its limit."""


class Admission(Value, frozen=True, kw_only=True):
    """
    The policy for new watchers.

    The From of a peer's request is trusted, and any other From that :attr:`believes`
    does; without that, all are.
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
    max_per_aor: int = 0
    """
    The maximum number of subscriptions, in total, of one watcher and to one
    address-of-record; 0: no limit. The last two do not concern peers.
    """

    administrators: tuple[str, ...] = ()
    "Addresses-of-record that may watch anybody."

    believes: Callable[[Request], bool] | None = None
    "Whether the From of a request is that of its sender; None: it is."

    def check(self, request: Request, names: tuple[str, ...], *, is_peer: bool) -> bool:
        """
        Authorise a SUBSCRIBE; False if it gets neutral documents.

        Args:
            names: the requested address-of-record, and the user's other identities.

        Raises:
            Refusal: 403; no subscription is created.
            RemoteProtocolError: its From cannot be parsed.
        """
        if "all" in self.allow or (is_peer and "peers" in self.allow):
            return True
        if is_peer or self.believes is None or self.believes(request):
            if self._allows(request.from_.parsed, names):
                return True
        if self.neutral:
            return False
        raise Refusal(403, "Forbidden")

    def _allows(self, watcher: Uri, names: tuple[str, ...]) -> bool:
        """Whether a watcher may watch a user with ``names``, by who it is."""
        if watcher.aor in self.administrators:
            return True
        if "self" in self.allow and watcher.aor in names:
            return True
        for allowed in self.allow:
            if ":" in allowed:
                if watcher.aor == Uri.parse(allowed).aor:
                    return True
            elif watcher.host == allowed:
                return True
        return False

    def check_room(self, of_all: int, of_watcher: int, of_resource: int) -> None:
        """
        Check whether one more subscription is allowed.

        Args:
            of_all: the number of subscriptions.
            of_watcher: the number of those of this watcher.
            of_resource: the number of those to this address-of-record.

        Raises:
            Refusal: 503 with Retry-After, or 403.
        """
        if 0 < self.max_subscriptions <= of_all or 0 < self.max_per_aor <= of_resource:
            raise Refusal(
                503, "Too Many Subscriptions", headers=[("Retry-After", RETRY_AFTER)]
            )
        if 0 < self.max_per_watcher <= of_watcher:
            raise Refusal(403, "Too Many Subscriptions")
