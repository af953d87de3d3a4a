"""A handler that waits serves no REGISTER that its phone has given up."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from reginfo.script.load import NAME
from reginfo.testing import Script

from ..simulation import given

SCRIPT = """
from reginfo import Route

route = Route()
gate = None
served = []

@route.request("REGISTER")
async def register(msg):
    await gate.wait()
    msg.save("location")
    served.append(msg.call_id)
"""
TIMER_F = 32.0
"""Seconds after which a phone gives a request up (RFC 3261 §17.1.2.2)."""

BOB = "sip:bob@example.com"


def test_a_register_that_its_phone_has_given_up_is_not_served(tmp_path: Path) -> None:
    """
    A handler waits for an HTTP server that hangs. The phone tries again every 32 s, for
    an hour; then the HTTP server answers.
    """
    path = tmp_path / "routes.py"
    path.write_text(SCRIPT)

    async def run() -> tuple[list[str], int]:
        script = Script(path)
        module = sys.modules[NAME].__dict__
        module["gate"] = asyncio.Event()
        for _ in range(120):
            script.register(BOB, "sip:bob@192.0.2.60")
            script.pass_time(TIMER_F)
        script.sent()
        given(module["served"] == [])
        module["gate"].set()
        for _ in range(2000):
            await asyncio.sleep(0)
        return module["served"], [one.status for one in script.sent()].count(200)

    served, answered = asyncio.run(run())
    assert len(served) <= 3
    assert answered <= 1
