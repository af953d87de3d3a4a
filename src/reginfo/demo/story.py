"""The demonstration, step by step: B learns of a registration at A."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from ..io.trace import Traced, read_trace
from ..sip.errors import ReginfoError
from ..web.bindings import BindingItem
from ..web.client import Client, NotFound
from ..web.table import table
from .phone import Phone, RegistrationFailed
from .servers import DemoServer, ServerFailed, free_port

DOMAIN = "example.com"
LIMIT = 10.0  # seconds for each step; it takes milliseconds
SHORT = 2  # seconds: the registration that is left to expire

CONFIG = """\
[server]
id = "{name}"
listen = ["udp:127.0.0.1:{port}"]
domains = ["{domain}"]
admin = "127.0.0.1:0"

[store]
url = "sqlite:{name}.db"

[registrar]
min_expires = 1

[notifier]
min_interval = 0
"""

# A recognises B by the source address of its requests.
PEER_OF_A = """
[[peer]]
name = "b"
match = {{ address = "127.0.0.1:{b}" }}
"""

PEER_OF_B = """
[pua_reginfo]
server_address = "sip:reginfo@127.0.0.1:{b}"

[[peer]]
name = "a"
uri = "sip:127.0.0.1:{a}"
watch = ["{aor}"]
"""

T = TypeVar("T")


class StepFailed(Exception):
    """A step did not complete in time."""


def tell(console: Console) -> int:
    """
    Run the demonstration.

    Returns:
        The exit code of the process: 0 only if every step completed.
    """
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="reginfo-"))
        servers: list[DemoServer] = []
        try:
            _tell(console, Path(directory), stack, servers)
        except KeyboardInterrupt:
            return 130
        except (StepFailed, ServerFailed, RegistrationFailed, ReginfoError) as exc:
            console.print(Text(f"failed: {exc}", "bold red"))
            for server in servers:
                log = Text(server.log_tail())
                console.print(Panel(log, title=f"end of the log of {server.name}"))
            return 1
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)  # the `with` blocks stop the servers


def _tell(
    console: Console, directory: Path, stack: ExitStack, servers: list[DemoServer]
) -> None:
    told = _Steps(console)

    def start(name: str, config: str) -> DemoServer:
        server = DemoServer(directory, name, config)
        servers.append(server)
        return stack.enter_context(server)

    port_b = free_port()
    with told.step("server A is ready") as note:
        config = CONFIG.format(name="a", port=0, domain=DOMAIN)
        a = start("a", config + PEER_OF_A.format(b=port_b))
        note(f"udp:{a.sip[0]}:{a.sip[1]}")
    phone = stack.enter_context(Phone("alice", DOMAIN, a.sip))
    with told.step("server B is ready") as note:
        config = CONFIG.format(name="b", port=port_b, domain=DOMAIN)
        peer = PEER_OF_B.format(a=a.sip[1], b=port_b, aor=phone.aor)
        b = start("b", config + peer)
        note(f"udp:{b.sip[0]}:{b.sip[1]}")
    client = stack.enter_context(Client(b.admin))

    def at_b() -> list[BindingItem]:
        try:
            return client.bindings(phone.aor)
        except NotFound:
            return []

    with told.step("B has subscribed at A to the registrations of alice"):
        _eventually(lambda: _notify(b, "state="), "B got no NOTIFY from A")

    with told.step("alice's phone has registered at A") as note:
        phone.register(expires=600)
        note(phone.contact)
    with told.step("B knows alice's contact") as note:
        rows = _eventually(at_b, "B did not learn alice's contact")
        note("REGISTER, NOTIFY, and the query to B")
    console.print(Text("\nB's location table (reginfo show):", "bold"))
    console.print(table(rows, console.width))
    notify = _eventually(
        lambda: _notify(b, phone.contact), "the NOTIFY did not appear in B's trace"
    )
    console.print(
        Text(f"\nThe NOTIFY from {notify.remote} to {notify.local}:\n", "bold")
    )
    on_the_wire = notify.data.decode(errors="replace").replace("\r\n", "\n")
    console.print(Text(f"{on_the_wire}\n", "yellow"), soft_wrap=True)

    with told.step("alice's phone has unregistered at A"):
        phone.register(expires=0)
    with told.step("B has removed alice's contact"):
        _eventually(lambda: not at_b(), "B did not remove alice's contact")
        _eventually(lambda: _notify(b, 'event="unregistered"'), "A sent no event")

    with told.step(f"alice's phone has registered for {SHORT} seconds; no refresh"):
        phone.register(expires=SHORT)
    with told.step("B knows alice's contact"):
        _eventually(at_b, "B did not learn alice's contact")
    with told.step("the contact has expired, and B has removed it"):
        _eventually(lambda: not at_b(), "B did not remove alice's contact")

    with told.step("both servers have stopped after SIGTERM"):
        for server in (b, a):
            server.stop()
    console.print(Text(f"\nAll {told.number} steps succeeded.", "bold green"))


class _Steps:
    """Prints each step when it is complete, and how long it took."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.number = 0

    @contextmanager
    def step(self, what: str) -> Iterator[Callable[[str], None]]:
        notes: list[str] = []
        begin = time.perf_counter()
        yield notes.append
        took = (time.perf_counter() - begin) * 1000
        self.number += 1
        self._console.print(
            Text.assemble(
                ("ok ", "bold green"),
                (f"{took:8.1f} ms  ", "cyan"),
                what,
                *((f"  {note}", "dim") for note in notes),
            )
        )


def _eventually(look: Callable[[], T | None], failure: str) -> T:
    """Return the first true value of ``look``."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.002)
    raise StepFailed(f"{failure} within {LIMIT:g} s")


def _notify(server: DemoServer, part: str) -> Traced | None:
    """Return the first NOTIFY that ``server`` received with ``part`` in it."""
    for message in read_trace(server.trace):
        is_notify = message.direction == "<" and message.data.startswith(b"NOTIFY ")
        if is_notify and part.encode() in message.data:
            return message
    return None
