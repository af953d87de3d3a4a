"""``reginfo serve``: the server."""

from __future__ import annotations

import asyncio
import enum
import logging
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..config.config import Config
from ..io.trace import TraceFile
from ..sip.errors import ReginfoError
from .ending import NOT_THERE, fail
from .options import DEFAULT_CONFIG, ConfigFile, Trace, read_config, trace_to

if TYPE_CHECKING:
    from ..server.app import App

logger = logging.getLogger("reginfo.script")


class LogLevel(enum.StrEnum):
    """How much is logged, from the most to the least."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    config: ConfigFile = DEFAULT_CONFIG,
    trace: Trace = None,
    log_level: Annotated[
        LogLevel,
        typer.Option(help="`info` tells of bindings and watchers that come and go."),
    ] = LogLevel.WARNING,
) -> None:
    """
    Run the server: a SIP registrar that tells others who is registered.

    It prints one line that begins with `ready` on standard error when it can be
    used, with the addresses that it listens at. SIGTERM or Ctrl-C ends it; what it
    knows stays on disk, and watchers are not told: it may be back at once. Before it
    goes for good, let it take leave of them: `reginfo drain`. SIGHUP has it read the
    routing script again.
    """
    configuration = read_config(config)
    logging.basicConfig(
        level=log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    trace_file = trace_to(trace)
    try:
        asyncio.run(run(configuration, trace_file))
    except (ReginfoError, OSError) as exc:
        fail(f"cannot run: {exc}", NOT_THERE)
    finally:
        if trace_file is not None:
            trace_file.close()


async def run(config: Config, trace: TraceFile | None) -> None:
    """Serve until a signal says that it is enough."""
    # Loaded only here, so that the other commands start quickly.
    from ..server.app import App
    from ..web.api import api
    from ..web.server import WebServer

    enough = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
    app = App(config, trace=trace)
    # Before it starts: a signal that nobody handles would end it.
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload, app)
    await app.start()
    try:
        addresses = f"sip={','.join(app.sip_addresses)}"
        if config.server.admin is None:
            await _ready_until(enough, addresses)
            return
        web = WebServer(api(app), config.server.admin)
        await web.start()
        try:
            await _ready_until(enough, f"{addresses} admin={web.address}")
        finally:
            await web.stop()
    finally:
        await app.stop()


def reload(app: App) -> None:
    """Read the routing script again; the one before it stays if that is wrong."""
    try:
        app.reload()
    except ReginfoError as exc:
        for line in str(exc).splitlines():
            logger.error("! %s", line)


async def _ready_until(enough: asyncio.Event, addresses: str) -> None:
    typer.echo(f"ready {addresses}", err=True)
    await enough.wait()
