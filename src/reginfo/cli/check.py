"""``reginfo check``: whether a configuration is right, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from ..config.config import Config
from ..config.sections import PeerSection
from ..script.load import ScriptError, load
from ..script.route import Route
from .ending import WRONG, fail
from .options import DEFAULT_CONFIG, ConfigFile, read_config


def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """
    Check a configuration as a whole, and say in short what it means.

    Nothing is opened or bound; but the routing script, if there is one, is run from top
    to bottom, as it is when it is loaded. Ends with 0 if a server can be started with
    it; with 2 if not, and then with all that is wrong, each with its line and its key.
    """
    read = read_config(config)
    try:
        route = None if read.server.script is None else load(read.server.script)
    except ScriptError as exc:
        fail(str(exc), WRONG)
    for name, values in summary(read, route):
        for value in values:
            typer.echo(f"{name:<10} {value}")
            name = ""


def summary(
    config: Config, route: Route | None = None
) -> Iterator[tuple[str, list[str]]]:
    """What a configuration comes to: names, and what is to be said under each."""
    server, notifier = config.server, config.notifier
    yield "server", [f"{server.id}, registrar of {', '.join(server.domains)}"]
    yield "listens", [str(address) for address in server.listen]
    yield "API", [str(server.admin) if server.admin is not None else "none"]
    store = config.store
    where = "in memory: all is lost at the end"
    if store.path is not None:
        where = f"sqlite:{store.path} (synchronous = {store.synchronous})"
    yield "store", [where]
    least, most = config.registrar.min_expires, config.registrar.max_expires
    contacts = config.registrar.max_contacts
    limit = f", {contacts} for each user" if contacts else ""
    yield "contacts", [f"for {least} to {most} s{limit}"]
    pause = notifier.min_interval
    yield (
        "watchers",
        [f"{', '.join(notifier.allow)}; a NOTIFY every {pause:g} s at most"],
    )
    yield "script", [handles(server.script, route)]
    yield "publishes", publishes(config)
    yield "peers", [line for peer in config.peers for line in asked(peer)] or ["none"]


def handles(path: Path | None, route: Route | None) -> str:
    """What a script handles."""
    if path is None or route is None:
        return "none"
    methods = [method or "all other methods" for method in sorted(route.requests)]
    names = sorted({*route.replies, *route.failures})
    parts = [*reversed(methods), *(f"route {name}" for name in names), *route.events]
    return f"{path}: {', '.join(parts) or 'nothing'}"


def publishes(config: Config) -> list[str]:
    """Where registrations are published."""
    pua = config.pua_reginfo
    if not pua.publish_reginfo:
        return ["nothing: pua_reginfo.publish_reginfo is false"]
    if pua.publish_to:
        return [f"to {uri}" for uri in pua.publish_to]
    if pua.outbound_proxy is not None:
        return [f"to {pua.outbound_proxy}"]
    return ["nothing: neither publish_to nor outbound_proxy is set"]


def asked(peer: PeerSection) -> list[str]:
    """What a peer is to us, and what it is asked for."""
    where = peer.uri if peer.uri is not None else "known by its requests only"
    watched = [f"  watched there: {aor}" for aor in peer.watch]
    return [
        f"{peer.name} at {where}" if peer.uri else f"{peer.name}, {where}",
        *watched,
    ]
