"""Whether a server may stand where it listens: who is asked for a password there."""

from __future__ import annotations

from ipaddress import ip_address

from ..sip.flow import is_numeric
from .address import SocketAddress
from .config import Config, ConfigError
from .lines import Lines

API = "the API at"
"""How a problem with the API begins."""

LOOPBACK = "lo"
"""The interface that nobody else reaches."""

WAYS = (
    "set `[auth] users = PATH`, the users and their passwords, which `reginfo user add`"
    " writes; or `[auth] required = false` if everybody who reaches this server may"
    " be anybody"
)


def exposed(config: Config) -> str | None:
    """
    Say what is wrong with a server that others reach, and whose users need no password.

    Returns:
        None for one that says in `[auth]` what it does, or that only its own machine
        reaches.
    """
    admin = config.server.admin
    if isinstance(admin, SocketAddress) and not is_loopback(admin.host):
        return (
            f"{API} {admin} is reached by others: it is served on loopback and on a"
            " Unix socket alone; a tunnel, or a proxy with TLS, leads there"
        )
    if config.auth is not None:
        return None
    for address in config.server.listen:
        if not is_loopback(address.host):
            return (
                f"{address} is reached by others, and nobody is asked for a password:"
                f" {WAYS}"
            )
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host of `server.listen`."""
    if is_numeric(host):
        return ip_address(host.partition("%")[0]).is_loopback
    return host == LOOPBACK


def require_stance(config: Config, text: str, where: str) -> None:
    """
    Check that a server may stand where it listens.

    Args:
        text: the text of the configuration; for the line of the error.
        where: the name of its file.

    Raises:
        ConfigError: it may not.
    """
    problem = exposed(config)
    if problem is not None:
        key = "admin" if problem.startswith(API) else "listen"
        line = Lines(text).at(("server", key))
        raise ConfigError([f"{where}:{line}: server.{key}: {problem}"])


def said_at_start(config: Config) -> list[str]:
    """Return what a server says at each start about itself."""
    said = []
    if config.auth is not None and not config.auth.required:
        said.append(
            "nobody is asked for a password, because auth.required is false: everybody"
            " who reaches this server may be anybody"
        )
    for peer in config.peers:
        if peer.match is not None and not peer.match.is_strong:
            said.append(
                f"peer {peer.name} is known by its From alone: it is believed only with"
                " the password of that user"
            )
    return said
