"""
The command line: ``reginfo serve``, ``reginfo show``, ``reginfo demo``.

It ends with 0 if all went well, 1 if what was asked for is not there or did not
work, 2 if the command or the configuration is wrong, 3 if no server answers.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Never

import msgspec
import typer
from rich.console import Console

from . import __version__
from .server.address import SocketAddress
from .server.config import Config, ConfigError
from .server.trace import TraceFile
from .sip.errors import ReginfoError
from .web.client import Client, NotFound, Unreachable
from .web.rows import Page
from .web.table import table

NOT_THERE, WRONG, UNREACHABLE = 1, 2, 3
"""What the process ends with, when not with 0."""

PIPE_WIDTH = 1_000  # columns, where there is no terminal: lines stay whole

command = typer.Typer(
    name="reginfo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Who is registered, and who wants to know: SIP registration events "
    "(RFC 3680). `reginfo demo` shows what it is about.",
)


class LogLevel(enum.StrEnum):
    """How much is logged, from the most to the least."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def main() -> None:
    """Run the command line."""
    command()


def fail(message: str, code: int) -> Never:
    """End the process with a message, and with no traceback."""
    for line in message.splitlines():
        typer.echo(f"reginfo: {line}", err=True)
    raise typer.Exit(code)


def read_config(path: Path) -> Config:
    try:
        return Config.read(path)
    except ConfigError as exc:
        fail(str(exc), WRONG)


def say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"reginfo {__version__}")
        raise typer.Exit()


@command.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=say_version,
            is_eager=True,
            help="Print the version, and end.",
        ),
    ] = False,
) -> None:
    pass


@command.command()
def serve(
    config: Annotated[
        Path,
        typer.Option("-c", "--config", help="The configuration: reginfo.toml."),
    ] = Path("reginfo.toml"),
    trace: Annotated[
        Path | None,
        typer.Option(help="Write every SIP message to this file, as it was sent."),
    ] = None,
    log_level: Annotated[
        LogLevel,
        typer.Option(help="`info` tells of bindings and watchers that come and go."),
    ] = LogLevel.WARNING,
) -> None:
    """
    Run the server: a SIP registrar that tells others who is registered.

    It prints one line that begins with `ready` on standard error when it can be
    used, with the addresses that it listens at. SIGTERM or Ctrl-C ends it; what it
    knows stays on disk.
    """
    configuration = read_config(config)
    logging.basicConfig(
        level=log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        trace_file = None if trace is None else TraceFile(trace)
    except OSError as exc:
        fail(f"--trace {trace}: {exc.strerror}", WRONG)
    try:
        asyncio.run(run(configuration, trace_file))
    except (ReginfoError, OSError) as exc:
        fail(f"cannot run: {exc}", NOT_THERE)
    finally:
        if trace_file is not None:
            trace_file.close()


async def run(config: Config, trace: TraceFile | None) -> None:
    """Serve until a signal says that it is enough."""
    # Loaded only here, so that `reginfo show` starts quickly.
    from .server.app import App
    from .web.api import api
    from .web.server import WebServer

    enough = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
    app = App(config, trace=trace)
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


async def _ready_until(enough: asyncio.Event, addresses: str) -> None:
    typer.echo(f"ready {addresses}", err=True)
    await enough.wait()


@command.command()
def show(
    aor: Annotated[
        str | None,
        typer.Argument(
            metavar="[AOR]",
            help="An address-of-record, such as alice@example.com; all if left out.",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for programs.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            "-c",
            "--config",
            help="The server's configuration, which says where its API is; "
            "reginfo.toml if neither this nor --admin is given.",
        ),
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Where its API is: HOST:PORT or unix:PATH."
        ),
    ] = None,
) -> None:
    """
    Show who is registered, as a running server knows it.

    Ends with 0 if there is an answer, 1 if AOR is not registered, 3 if no server
    answers.
    """
    if config is not None and admin is not None:
        fail("give -c or --admin, not both", WRONG)
    try:
        client = Client(admin or admin_of(config or Path("reginfo.toml")))
    except ValueError as exc:
        fail(f"--admin: {exc}", WRONG)
    try:
        with client:
            rows = client.bindings(aor)
    except NotFound as exc:
        fail(str(exc), NOT_THERE)
    except Unreachable as exc:
        fail(str(exc), UNREACHABLE)
    if json:
        text = msgspec.json.format(msgspec.json.encode(Page(bindings=rows)), indent=2)
        typer.echo(text.decode())
    elif rows:
        terminal = Console()
        width = terminal.width if terminal.is_terminal else None
        Console(width=width or PIPE_WIDTH).print(table(rows, width))
    else:
        typer.echo("nobody is registered")


def admin_of(path: Path) -> str:
    """Where the API of the server with this configuration is."""
    address = read_config(path).server.admin
    if address is None:
        fail(f"{path}: the server has no API: server.admin is not set", WRONG)
    if isinstance(address, SocketAddress) and address.port == 0:
        fail(
            f"{path}: server.admin is any free port: give --admin with the one that "
            "the server has printed",
            WRONG,
        )
    return str(address)


@command.command()
def demo() -> None:
    """
    See it work: two servers, one phone, on this machine only.

    A phone registers at server A; server B, which has subscribed there, knows it. The
    message that told it is shown, and how long each step took.
    """
    from .demo.story import tell

    raise typer.Exit(tell(Console()))
