"""The whole examination of a server: its configuration, its machine, its peers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

from ..config.config import Config
from ..io.interfaces import machine_addresses
from ..script.load import ScriptError, load
from ..sip.flow import unscoped
from ..web.client import ApiUnreachable, Client
from . import certificates, disk, listeners, machine, servers
from .finding import Finding, error, ok, warning


async def examine(path: Path, config: Config) -> AsyncIterator[Finding]:
    """
    Examine a server, whether it runs or not; nothing is changed.

    Args:
        path: the file that the configuration was read from.
    """
    own = {unscoped(one.host) for one in machine_addresses()}
    warnings = config.warnings(path, machine=own)
    for text in warnings:
        yield warning("configuration", text)
    if not warnings:
        yield ok("configuration", f"{path} has no errors")
    if config.server.script is not None:
        try:
            load(config.server.script)
        except ScriptError as exc:
            yield error("script", str(exc))
        else:
            yield ok("script", f"{config.server.script} can be loaded")
    status = running(config)
    if status is not None:
        judged = ok if status == "ok" else warning
        yield judged("server", f"it runs; its health is {status}")
    else:
        yield ok("server", "it does not run, or has no API")
    is_running = status is not None
    for one in listeners.examine(config.server.listen, config.server.admin, is_running):
        yield one
    for one in certificates.examine(config.tls, config.server.domains, time.time()):
        yield one
    for one in machine.examine():
        yield one
    if config.store.path is not None:
        for one in disk.examine(config.store.path):
            yield one
    async for one in servers.examine(config):
        yield one


def running(config: Config) -> str | None:
    """Return the health of the server if it runs and has an API, else None."""
    if config.server.admin is None:
        return None
    try:
        with Client(str(config.server.admin)) as client:
            return client.health().status
    except ApiUnreachable:
        return None
