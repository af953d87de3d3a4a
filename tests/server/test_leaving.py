"""A server that is asked to leave begins with it, whatever else happens."""

from __future__ import annotations

import asyncio

from reginfo.config.config import Config
from reginfo.io.clock import Clock
from reginfo.io.rim import Rim
from reginfo.server.app import App

CONFIG = '[server]\nid = "a"\ndomains = ["example.com"]\n[store]\nurl = "memory:"\n'


def test_it_begins_at_once_although_nothing_else_happens() -> None:
    async def drained() -> None:
        clock = Clock()
        app = App(Config.parse(CONFIG), clock=clock)
        app._rim = Rim(app.turns, app, clock.now, writer=None)
        assert app.notifier.timer_at is None
        app.drain(100.0)
        assert app.notifier.timer_at is not None
        # No datagram comes and no other timer is due: the rim has set one for this.
        for _ in range(10):
            await asyncio.sleep(0)
        assert app.notifier.timer_at is None

    asyncio.run(drained())
