"""What is due while the machine sleeps is done as soon as it is awake."""

from __future__ import annotations

import asyncio

from reginfo.io.clock import Clock
from reginfo.io.rim import Rim

from ..io.at_rim import AOR, LOCAL, Places, Server, Wire, register
from ..make import place
from ..simulation import given


class Sleeper(Clock):
    """A boot-time clock that goes on while the machine sleeps."""

    asleep = 0.0

    def now(self) -> float:
        return super().now() + self.asleep


def test_what_was_due_while_the_machine_slept_is_done_within_a_second() -> None:
    """
    A phone registers for 600 s. Then the machine sleeps for two hours: CLOCK_BOOTTIME
    goes on, the event loop's clock does not. There is traffic when it wakes.
    """

    async def run() -> list[str]:
        loop = asyncio.get_running_loop()
        clock = Sleeper()
        server = Server(None)
        app, endpoint = server.app, server.app.endpoint
        app._assembly.clock = app.turns._clock = clock
        server.rim = Rim(app.turns, app, clock.now, writer=None)
        server.wire = Wire()
        server.rim.add(server.wire)
        app.begin([LOCAL], Places())
        server.rim.start()
        server.receive(register(1))
        given(server.bound() == ["sip:alice@192.0.2.1"])
        clock.asleep += 40  # the transaction of the REGISTER is over
        endpoint.timer_due(app.now())
        server.rim.settle()
        clock.asleep += 7200
        server.receive(b"\r\n\r\n")
        # A second on the clock of the loop.
        clock.asleep += 1.0
        time = loop.time
        loop.time = lambda: time() + 1.0  # type: ignore[method-assign]
        for _ in range(10):
            await asyncio.sleep(0)
        rows = app.store.rows(place(AOR))
        return [claim.event.value for claims in rows.values() for claim in claims]

    assert asyncio.run(run()) in ([], ["expired"])
