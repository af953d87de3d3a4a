"""Options that several commands have, and what is made of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..agent.target import aor_uri
from ..config.address import SocketAddress
from ..config.config import Config, ConfigError
from ..io.trace import TraceFile
from ..sip.uri import Uri
from ..web.client import Client
from .ending import WRONG, fail

DEFAULT_CONFIG = Path("reginfo.toml")

ConfigFile = Annotated[
    Path, typer.Option("-c", "--config", help="The configuration: reginfo.toml.")
]

ServersConfig = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        help="The server's configuration, which says where its API is; "
        "reginfo.toml if neither this nor --admin is given.",
    ),
]

Admin = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Where its API is: HOST:PORT or unix:PATH."),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

Trace = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write every SIP message to this file, as it was sent."
    ),
]


def read_config(path: Path) -> Config:
    """The configuration in a file; ends the process if it is wrong."""
    try:
        return Config.read(path)
    except ConfigError as exc:
        fail(str(exc), WRONG)


def client_of(config: Path | None, admin: str | None) -> Client:
    """A client of the server that the options name; ends the process if they do not."""
    if config is not None and admin is not None:
        fail("give -c or --admin, not both", WRONG)
    try:
        return Client(admin or admin_of(config or DEFAULT_CONFIG))
    except ValueError as exc:
        fail(f"--admin: {exc}", WRONG)


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


def trace_to(path: Path | None) -> TraceFile | None:
    """The file for --trace; ends the process if it cannot be written."""
    try:
        return None if path is None else TraceFile(path)
    except OSError as exc:
        fail(f"--trace {path}: {exc.strerror}", WRONG)


def uri_of(text: str, what: str) -> Uri:
    """A URI that stands on the command line; ``sip:`` may be left out."""
    try:
        return aor_uri(text)
    except ValueError as exc:
        fail(f"{what}: {exc}", WRONG)
