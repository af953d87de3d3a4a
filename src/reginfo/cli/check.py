"""``reginfo check``: validates a configuration, and summarises it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..auth.account import AccountError
from ..auth.digest import strongest
from ..auth.directory import Directory
from ..auth.users_file import read_users
from ..config.config import Config
from ..config.sections import PeerSection
from ..io.certificates import Certificates, LoadedCertificate
from ..io.interfaces import machine_addresses
from ..script.load import ScriptError, load
from ..script.route import Route
from ..sip.flow import unscoped
from .ending import WRONG, fail, say
from .options import DEFAULT_CONFIG, ConfigFile, read_config


def check(
    config: ConfigFile = DEFAULT_CONFIG,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="The configuration of a peer: warn of what does not fit with it.",
        ),
    ] = None,
) -> None:
    """
    Validate a configuration, and print a summary of it.

    The command opens no store and no socket. It loads the routing script, which runs it
    from top to bottom. Warnings are on standard error: what is valid, but probably not
    meant.

    Exit codes: 0 a server can be started with it; 2 it cannot, and all errors are
    listed, each with its line and key.
    """
    read = read_config(config, to_serve=True)
    try:
        route = None if read.server.script is None else load(read.server.script)
    except ScriptError as exc:
        fail(str(exc), WRONG)
    others = [read_config(path) for path in against or ()]
    try:
        users = _users(read)
    except AccountError as exc:
        fail(str(exc), WRONG)
    if users is not None and read.auth is not None:
        for name, lacks in sorted(users.lacking(read.auth.algorithms).items()):
            say(
                f"warning: {name} has no hash for {', '.join(lacks)}:"
                f" `reginfo user password {name}` makes it"
            )
    for warning in read.warnings(config, machine=_machine(), others=others):
        say(f"warning: {warning}")
    certificates = Certificates(read.tls).loaded if read.tls.certificate else ()
    for name, values in summary(read, route, users, certificates):
        for value in values:
            typer.echo(f"{name:<10} {value}")
            name = ""


def _users(config: Config) -> Directory | None:
    """
    Read the file of users, if there is one.

    Raises:
        AccountError: it cannot be read.
    """
    path = None if config.auth is None else config.auth.users
    if not isinstance(path, Path):
        return None
    directory = Directory(lambda: read_users(path))
    directory.load()
    return directory


def _machine() -> set[str]:
    """The addresses of this machine; none if the system does not say."""
    try:
        return {unscoped(one.host) for one in machine_addresses()}
    except OSError:
        return set()


def summary(
    config: Config,
    route: Route | None = None,
    users: Directory | None = None,
    certificates: Sequence[LoadedCertificate] = (),
) -> Iterator[tuple[str, list[str]]]:
    """Summarise a configuration: names, and the lines under each."""
    server, notifier = config.server, config.notifier
    yield "server", [f"{server.id}, registrar of {', '.join(server.domains)}"]
    yield "listens", [str(address) for address in server.listen]
    yield "users", [passwords(config, users)]
    tls = [_certificate(one) for one in certificates]
    if tls:
        yield "TLS", tls
    yield "API", [str(server.admin) if server.admin is not None else "none"]
    store = config.store
    where = "in memory: nothing is kept after the end of the process"
    if store.path is not None:
        where = f"{store.url} (synchronous = {store.synchronous})"
    yield "store", [where]
    least, most = config.registrar.min_expires, config.registrar.max_expires
    contacts = config.registrar.max_contacts
    limit = f", {contacts} for each user" if contacts else ""
    yield "contacts", [f"for {least} to {most} s{limit}"]
    pause = notifier.min_interval
    yield (
        "watchers",
        [f"{', '.join(config.watchers)}; at most one NOTIFY every {pause:g} s"],
    )
    yield "script", [handles(server.script, route)]
    yield "publishes", publishes(config)
    yield "peers", [line for peer in config.peers for line in asked(peer)] or ["none"]


def passwords(config: Config, users: Directory | None) -> str:
    """Say who is asked for a password."""
    auth = config.auth
    count = 0 if users is None else len(users)
    if auth is None:
        return "nobody is asked for a password, on addresses of this machine alone"
    known = f"{count} with a password ({', '.join(strongest(auth.algorithms))})"
    if not auth.required:
        return f"nobody is asked for a password: auth.required is false; {known}"
    return known


def _certificate(one: LoadedCertificate) -> str:
    """Describe a certificate of ours."""
    days = int((one.expires_at - time.time()) // 86_400)
    names = ", ".join(sorted(one.names)) or "no domain"
    return f"{one.path}: for {names}; {days} days left"


def handles(path: Path | None, route: Route | None) -> str:
    """Name what a script handles."""
    if path is None or route is None:
        return "none"
    methods = [method or "all other methods" for method in sorted(route.requests)]
    names = sorted({*route.replies, *route.failures})
    parts = [*reversed(methods), *(f"route {name}" for name in names), *route.events]
    return f"{path}: {', '.join(parts) or 'nothing'}"


def publishes(config: Config) -> list[str]:
    """Name the presence servers that registrations are published at."""
    pua = config.pua_reginfo
    if not pua.publish_reginfo:
        return ["nothing: pua_reginfo.publish_reginfo is false"]
    if pua.publish_to:
        return [f"to {uri}" for uri in pua.publish_to]
    if pua.outbound_proxy is not None:
        return [f"to {pua.outbound_proxy}"]
    return ["nothing: neither publish_to nor outbound_proxy is set"]


def asked(peer: PeerSection) -> list[str]:
    """Describe a peer, and the users that are subscribed to there."""
    where = peer.uri if peer.uri is not None else "recognised by its requests only"
    watched = [f"  subscribed to: {aor}" for aor in peer.watch]
    return [
        f"{peer.name} at {where}" if peer.uri else f"{peer.name}, {where}",
        *watched,
    ]
