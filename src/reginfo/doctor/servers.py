"""The other servers: whether their names lead somewhere, and whether they answer."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from ..agent.agent import Agent
from ..agent.errors import NoAnswer
from ..agent.target import ServerAddress
from ..config.config import Config
from ..io.interfaces import machine_addresses
from ..io.nameservers import NameServers, at, hosts
from ..io.resolver import Resolver
from ..sip.destination import Destination
from ..sip.errors import ReginfoError, RemoteProtocolError
from ..sip.flow import unscoped
from ..sip.transport import PREFERRED
from ..sip.uri import Uri
from .finding import Finding, error, ok, warning

WAIT = 4.0
"""Seconds that an answer is waited for: three transmissions by UDP."""


def named(config: Config) -> Iterator[tuple[str, Uri]]:
    """List the servers that a configuration names, and what they are."""
    for peer in config.peers:
        if peer.uri is not None:
            yield f"peer {peer.name}", Uri.parse(peer.uri)
    for uri in config.pua_reginfo.publish_to:
        yield "publish_to", Uri.parse(uri)
    if config.pua_reginfo.outbound_proxy is not None:
        yield "outbound_proxy", Uri.parse(config.pua_reginfo.outbound_proxy)


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Resolve each of these names, and ask each of these servers for its options."""
    resolver = Resolver(
        NameServers(
            [at((one.host, one.port)) for one in config.dns.servers], config.dns.timeout
        ).ask,
        hosts=hosts(),
        transports=PREFERRED,
        families={socket.AF_INET, socket.AF_INET6},
        now=time.monotonic,
        chance=random.random,
        wake=lambda: None,
    )
    own = {unscoped(one.host) for one in machine_addresses()}
    listens = {(one.transport, one.port) for one in config.server.listen}
    for subject, uri in named(config):
        try:
            destinations = await resolver.locate(uri)
        except RemoteProtocolError as exc:
            yield error(subject, f"{uri.text}: {exc}")
            continue
        for destination in destinations:
            transport, (host, port), _ = destination
            if host in own and (transport, port) in listens:
                yield warning(subject, f"{destination} is this server itself")
            else:
                yield await answers(subject, destination, config.tls.ca)
    resolver.stop()


async def answers(
    subject: str, destination: Destination, ca: Path | None = None
) -> Finding:
    """Send OPTIONS to a server: any response shows that it is there."""
    transport, (host, port), name = destination
    target = ServerAddress(host, port, transport, name)
    begin = time.perf_counter()
    try:
        async with Agent(target, ca=ca, timeout=WAIT) as agent:
            status = await agent.options()
    except NoAnswer as exc:
        return error(subject, f"{destination} does not answer: {exc}")
    except ReginfoError as exc:
        return error(subject, f"{destination}: {exc}")
    took = (time.perf_counter() - begin) * 1e3
    return ok(subject, f"{destination} answers in {took:.0f} ms (OPTIONS: {status})")
