"""Two servers that keep a domain in sync by links, over real sockets and disks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .phone import DOMAIN, Phone, becomes, eventually
from .server import Server

GROUP = f'[[group]]\nuri = "sip:allusers@{DOMAIN}"\ndomains = ["{DOMAIN}"]'


def link(to: Server, transport: str) -> str:
    """A `[[peer]]` that is linked to."""
    by = ";transport=tcp" if transport == "tcp" else ""
    return "\n".join(
        [
            f'name = "{to.name}"',
            f'uri = "sip:127.0.0.1:{to.port}{by}"',
            f'watch = "sip:allusers@{DOMAIN}"',
        ]
    )


@pytest.fixture(params=["tcp", "udp"])
def servers(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Server, Server]]:
    a = Server(tmp_path / "a", name="a", tcp=True, sections=[GROUP])
    b = Server(tmp_path / "b", name="b", tcp=True, sections=[GROUP])
    a.peers, b.peers = (link(b, request.param),), (link(a, request.param),)
    with a, b:
        yield a, b


def test_a_domain_is_the_same_at_both_whatever_happens(
    servers: tuple[Server, Server],
) -> None:
    """
    3680-134: one is killed, and is told what it has missed; then it loses its database,
    and gets back what it has told the other.
    """
    a, b = servers
    with Phone(b.address) as at_b, Phone(a.address) as at_a:
        # An empty server answers 503 until its peer has told it what it knows.
        eventually(lambda: at_a.register("alice", expires=600))
        eventually(lambda: at_b.register("bob", expires=600))
        becomes(lambda: (users(a), users(b)), (["alice", "bob"],) * 2)
        b.kill()
        at_a.register("alice", expires=0)
        at_a.register("carol", expires=600)
        b.start()
        becomes(lambda: users(b), ["bob", "carol"], within=40)
        b.kill()
        for file in b.directory.glob("reginfo.db*"):
            file.unlink()
        b.start()
        becomes(lambda: users(b), ["bob", "carol"], within=40)
        [bob] = b.bindings("bob")
        assert bob["owner"] == "b"


def users(server: Server) -> list[str]:
    """Who is registered at a server."""
    found = {binding["aor"] for binding in server.all_bindings()}
    return sorted(aor.removeprefix("sip:").partition("@")[0] for aor in found)
