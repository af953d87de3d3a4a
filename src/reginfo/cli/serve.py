"""``reginfo serve``: the server."""

from __future__ import annotations

import asyncio
import enum
import gc
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..config.config import Config
from ..io.certificates import CertificateError
from ..io.descriptors import raise_limit
from ..io.inherited import Inherited
from ..io.log import log_to
from ..io.service_manager import ServiceManager
from ..io.trace import TraceFile
from ..ledger.storage import StoreError
from ..script.load import ScriptError
from ..sip.errors import ReginfoError
from .ending import ADDRESS_IN_USE, NOT_THERE, STORE_UNUSABLE, WRONG, fail
from .options import DEFAULT_CONFIG, ConfigFile, Trace, read_config, trace_to

if TYPE_CHECKING:
    from ..io.shutdown import Shutdown
    from ..io.watchdog import Watchdog
    from ..library.server import Server

logger = logging.getLogger("reginfo.script")


class LogLevel(enum.StrEnum):
    """Log levels, from most to least."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def serve(
    config: ConfigFile = DEFAULT_CONFIG,
    trace: Trace = None,
    log_level: Annotated[
        LogLevel,
        typer.Option(help="`info` logs bindings and watchers that come and go."),
    ] = LogLevel.WARNING,
) -> None:
    """
    Run the server: a SIP registrar that reports registrations to others.

    When it is ready it prints one line on standard error that begins with `ready`, with
    the addresses of its listeners. SIGTERM or Ctrl-C stops it. Its state stays on disk,
    and watchers are not notified, because it may be back at once: run `reginfo drain`
    before you shut it down for good. SIGHUP reads the script, the users and the
    certificates again.

    If the routing script does not return within 2 s of the signal, it is interrupted,
    and its request gets a 500. If that has no effect, the process is ended after 2 s
    more: what was confirmed is on disk.

    A server that others reach needs `[auth]` in its configuration.

    Under systemd it reports when it is ready, gives signs of life if `WatchdogSec=` is
    set, and takes over the sockets of a `.socket` unit.

    Exit codes: 0 stopped by a signal; 1 other failures; 2 the configuration or the
    routing script is wrong; 4 an address is not available; 5 the store cannot be used;
    6 ended by force after a signal, because it did not end by itself.
    """
    # Imported here, so that the other commands start quickly.
    from ..io.shutdown import Shutdown
    from ..io.watchdog import Watchdog, WatchedSelector

    configuration = read_config(config, to_serve=True)
    raise_limit()
    log_to(logging.StreamHandler(sys.stderr), log_level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    trace_file = trace_to(trace)
    selector, shutdown = WatchedSelector(), Shutdown()
    watchdog = Watchdog(
        selector, script=configuration.server.script, look=shutdown.look
    )
    shutdown.place = watchdog.place
    try:
        with (
            watchdog,
            shutdown,
            asyncio.Runner(
                loop_factory=lambda: asyncio.SelectorEventLoop(selector)
            ) as runner,
        ):
            runner.run(run(configuration, trace_file, watchdog, shutdown))
    except (ReginfoError, OSError) as exc:
        fail(f"cannot run: {exc}", exit_code(exc))
    finally:
        if trace_file is not None:
            trace_file.close()


def exit_code(error: BaseException) -> int:
    """Which exit code says why a server cannot run."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ScriptError | CertificateError):
            return WRONG
        if isinstance(cause, StoreError):
            return STORE_UNUSABLE
        if isinstance(cause, OSError):
            return ADDRESS_IN_USE
        cause = cause.__cause__
    return NOT_THERE


async def run(
    config: Config, trace: TraceFile | None, watchdog: Watchdog, shutdown: Shutdown
) -> None:
    """Serve until SIGTERM or SIGINT."""
    from ..library.server import Server

    server = Server(config, trace=trace, inherited=Inherited.of(os.environ))
    shutdown.listen()
    with ServiceManager(os.environ) as manager:
        # Before the start, because an unhandled SIGHUP would end the process.
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGHUP, reload, server, manager
        )
        async with server:
            addresses = f"sip={','.join(server.addresses)}"
            if server.admin is not None:
                addresses += f" admin={server.admin}"
            collect_rarely()
            typer.echo(f"ready {addresses}", err=True)
            manager.ready(addresses)
            manager.live()
            if (handlers := server.handlers) is None:
                watchdog.serving()
            else:
                shutdown.is_in_script = lambda: handlers.is_running
                watchdog.serving(lambda: handlers.reported)
            await shutdown.asked.wait()
            manager.stopping()
    shutdown.stopped()


def collect_rarely() -> None:
    """
    Keep the garbage collector away from what was loaded, which lives long.

    A full collection among a million objects would stop the server for a quarter of a
    second. This is for a process that does nothing else: a program that has a server
    inside it decides about its collector itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def reload(server: Server, manager: ServiceManager) -> None:
    """
    Read the users, the routing script and the certificates again.

    If one of them is wrong, the previous one stays active.
    """
    manager.reloading()
    try:
        server.reload()
    except ReginfoError as exc:
        for line in str(exc).splitlines():
            logger.error("! %s", line)
        manager.ready("the routing script is wrong; the previous one stays active")
    else:
        manager.ready("reloaded")
