"""Options that several commands have, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..agent.target import aor_uri
from ..config.address import SocketAddress
from ..config.config import Config, ConfigError, error_at
from ..config.secure_sections import TlsSection
from ..config.stance import require_stance
from ..io.certificates import CertificateError, Certificates
from ..io.trace import TraceFile
from ..sip.uri import Uri
from ..web.client import Client
from .ending import WRONG, fail

DEFAULT_CONFIG = Path("reginfo.toml")

ConfigFile = Annotated[
    Path, typer.Option("-c", "--config", help="The configuration file.")
]

ServersConfig = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        help="The configuration of the server, which has the address of its API; "
        "by default reginfo.toml, unless --admin is given.",
    ),
]

Admin = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="The address of its API: HOST:PORT or unix:PATH."
    ),
]

AorArgument = Annotated[
    str,
    typer.Argument(
        metavar="AOR", help="An address-of-record, such as alice@example.com."
    ),
]

OneContact = Annotated[
    str | None,
    typer.Option(metavar="URI", help="Only this contact; by default all of them."),
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Trace = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write every SIP message to this file."),
]


def read_config(path: Path, *, to_serve: bool = False) -> Config:
    """
    Read a configuration file; exits if it is wrong.

    Args:
        to_serve: check what a server needs beside it: that the routing script exists,
            that certificates can be used, and that it may stand where it listens.
    """
    try:
        config = Config.read(path)
        if to_serve:
            config.require_script(path)
            require_stance(config, path.read_text("utf-8"), str(path))
            if config.tls != TlsSection():
                Certificates(config.tls)
        return config
    except CertificateError as exc:
        fail(str(error_at(path, ("tls", exc.key), exc.message)), WRONG)
    except ConfigError as exc:
        fail(str(exc), WRONG)


def client_of(config: Path | None, admin: str | None) -> Client:
    """Make a client of the server that the options name; exits if they name none."""
    if config is not None and admin is not None:
        fail("give -c or --admin, not both", WRONG)
    if config is None and admin is None and not DEFAULT_CONFIG.exists():
        fail(
            f"no {DEFAULT_CONFIG} here: name it with -c FILE, or the server with"
            " --admin HOST:PORT",
            WRONG,
        )
    try:
        return Client(admin or admin_of(config or DEFAULT_CONFIG))
    except ValueError as exc:
        fail(f"--admin: {exc}", WRONG)


def admin_of(path: Path) -> str:
    """The address of the API of the server with this configuration; exits if none."""
    address = read_config(path).server.admin
    if address is None:
        fail(f"{path}: the server has no API: server.admin is not set", WRONG)
    if isinstance(address, SocketAddress) and address.port == 0:
        fail(
            f"{path}: server.admin is any free port: give --admin with the port that "
            "the server has printed",
            WRONG,
        )
    return str(address)


def trace_to(path: Path | None) -> TraceFile | None:
    """Open the file for --trace; exits if it cannot be written."""
    try:
        return None if path is None else TraceFile(path)
    except OSError as exc:
        fail(f"--trace {path}: {exc.strerror}", WRONG)


def uri_of(text: str, what: str) -> Uri:
    """Read a URI argument; ``sip:`` may be left out. Exits if it is wrong."""
    try:
        return aor_uri(text)
    except ValueError as exc:
        fail(f"{what}: {exc}", WRONG)
