"""How a server is, as its administrator is told."""

from __future__ import annotations

import msgspec

from reginfo.ledger.part import Description
from reginfo.roles.health import ClockHealth, DrainHealth, ServerHealth, StoreHealth


def test_health_is_json_and_back() -> None:
    health = ServerHealth(
        status="draining",
        problems=["store: disk full"],
        server="a",
        version="1",
        sip=["udp:192.0.2.1:5060"],
        store=StoreHealth(url="memory:", problem="disk full"),
        clock=ClockHealth(time=1.0, behind=0.0, stepped=2.0),
        draining=DrainHealth(watchers=2, left=1, gave_up=0, rate=5.0),
        commits=3,
        watchers=1,
        malformed=0,
        parts=[Description("store", "users: 2", {"users": 2})],
    )
    assert msgspec.json.decode(msgspec.json.encode(health), type=ServerHealth) == health
