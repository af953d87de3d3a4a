"""Who may watch whom, and how many may (RFC 3680 §4.6)."""

from __future__ import annotations

from collections.abc import Callable

from ..sip.errors import Refusal
from ..sip.message import Request
from ..sip.uri import Uri
from ..sip.value import Value

RETRY_AFTER = "60"
"""Seconds until one who found us full may ask again."""

Hook = Callable[[Request, str], None]
"""
Looks at a SUBSCRIBE for an address-of-record before any state is made of it.

Raises:
    Refusal: 401 with a challenge, or 403.
"""


class Admission(Value, frozen=True, kw_only=True):
    """
    The policy for new watchers.

    Whoever a request says that it is from, it is taken to be: that it is, has to be
    checked before, by :attr:`authenticate` or by a proxy in front of us.
    """

    allow: tuple[str, ...] = ("all",)
    """
    Who is served: `all`; `self`, a user who watches its own address-of-record;
    `peers`, those of the configuration; a domain; or a SIP URI.
    """

    neutral: bool = False
    """
    Whether a watcher that is not served is not to know that: its SUBSCRIBE is accepted,
    and its documents are neutral (RFC 6665 §6.2).
    """

    max_subscriptions: int = 0
    max_per_watcher: int = 0
    "How many there may be, of all watchers and of one; 0 for any number."

    authenticate: Hook | None = None

    def admits(
        self, request: Request, names: tuple[str, ...], *, is_peer: bool
    ) -> bool:
        """
        Let a SUBSCRIBE pass; return False if its documents have to be neutral.

        Args:
            names: the address-of-record that it asks for, and others of that user.

        Raises:
            Refusal: 401 or 403; it makes no subscription.
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
        See whether there is room for one more subscription.

        Raises:
            Refusal: 503, to try again later.
        """
        if 0 < self.max_subscriptions <= of_all:
            raise Refusal(
                503, "Too Many Subscriptions", headers=[("Retry-After", RETRY_AFTER)]
            )
        if 0 < self.max_per_watcher <= of_watcher:
            raise Refusal(403, "Too Many Subscriptions")
