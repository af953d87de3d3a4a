"""How contacts are pinged, as `[nat]` of the configuration says."""

from __future__ import annotations

from ..config.config import Config
from ..reg.document import ContactEvent
from ..routing.pinger import PingPolicy as Pings


def ping_policy(config: Config) -> Pings:
    """Return what `[nat]` says about pings; From of OPTIONS is in our first domain."""
    nat, domains = config.nat, config.server.domains
    host = domains[0] if domains else config.server.listen[0].host
    removals = {
        "deactivated": ContactEvent.DEACTIVATED,
        "expired": ContactEvent.EXPIRED,
    }
    return Pings(
        options=nat.ping == "options",
        interval=nat.ping_interval,
        all=nat.ping_all,
        sender=nat.ping_from or f"sip:pinger@{host}",
        failures=nat.ping_failures,
        removal=removals.get(nat.ping_failed),
    )
