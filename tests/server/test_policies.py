"""The roles do what the configuration says."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config
from reginfo.io.crowd import StreamLimits
from reginfo.location.claim import MAX_SIZE
from reginfo.roles.registrar import RegistrarPolicy
from reginfo.server import policies
from reginfo.server.policies import publication_limits, registrar_policy, stream_limits

SERVER = '[server]\nid = "a"\ndomains = ["example.com"]\n'


def test_contacts_are_limited_by_default() -> None:
    """3261-17, 3261-120, 3261-151: so that a server can stand on an open port."""
    assert registrar_policy(Config.parse(SERVER)) == RegistrarPolicy(
        max_contacts=10, max_per_register=16, max_contact_size=4096
    )


@pytest.mark.parametrize(
    ("written", "size"), [(0, MAX_SIZE), (500, 500), (100_000, MAX_SIZE)]
)
def test_a_contact_must_fit_into_a_document(written: int, size: int) -> None:
    """3261-120"""
    text = f"{SERVER}[registrar]\nmax_contact_size = {written}"
    assert registrar_policy(Config.parse(text)).max_contact_size == size


def test_streams_are_limited_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """3261-156, 3261-157, 3261-159"""
    monkeypatch.setattr(policies, "connections_at_most", lambda wanted: wanted - 1)
    assert stream_limits(Config.parse(SERVER)) == StreamLimits(
        connections=9_999, silent=64, first_message=30.0, unsent=1 << 20, opening=256
    )


def test_publications_are_limited_by_default() -> None:
    """3261-155"""
    assert publication_limits(Config.parse(SERVER)) == (100_000, 32)


def test_a_peer_may_have_contacts_that_are_not_known_here() -> None:
    peer = '[[peer]]\nname = "b"\nuri = "sip:192.0.2.2"\n'
    assert registrar_policy(Config.parse(SERVER + peer)).has_links
    legacy = peer + 'profile = "legacy"\n'
    assert not registrar_policy(Config.parse(SERVER + legacy)).has_links
