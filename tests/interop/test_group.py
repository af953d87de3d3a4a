"""A real Kamailio subscribes to a group of ours, and knows a whole domain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .kamailio import Kamailio
from .phone import DOMAIN, Phone, becomes
from .server import Server

pytestmark = pytest.mark.peers("kamailio")

USERS = [f"member{number}" for number in range(12)]

GROUP = f"""
[[group]]
uri = "sip:allusers@{DOMAIN}"
domains = ["{DOMAIN}"]
"""


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[Server, Kamailio, Phone]]:
    ours = Server(tmp_path / "a")
    kamailio = Kamailio(tmp_path / "k", peer=ours.port, expiry_timer=60)
    address = f"127.0.0.1:{kamailio.port}"
    match = f'match = {{ address = "{address}" }}'
    ours.peers = (f'name = "kam"\nprofile = "legacy"\n{match}\n{GROUP}',)
    with ours, kamailio, Phone(ours.address) as phone:
        yield ours, kamailio, phone


def known(kamailio: Kamailio) -> set[str]:
    """The users of whom Kamailio has a contact."""
    return {user for user in USERS if kamailio.contacts(user)}


def test_kamailio_knows_a_whole_domain(told: tuple[Server, Kamailio, Phone]) -> None:
    """3680-150, -151: who was there, who came, who went; nobody was subscribed to."""
    _, kamailio, phone = told
    for user in USERS[:8]:
        phone.register(user, expires=600)
    kamailio.subscribe("allusers")
    becomes(lambda: known(kamailio), set(USERS[:8]))
    for user in USERS[8:]:
        phone.register(user, expires=600)
    phone.register(USERS[0], expires=0)
    phone.register(USERS[1], expires=600, device=1)
    becomes(lambda: known(kamailio), set(USERS[1:]))
    both = {phone.contact(USERS[1], 0), phone.contact(USERS[1], 1)}
    becomes(lambda: kamailio.contacts(USERS[1]), both)
    assert kamailio.received("NOTIFY")


def test_kamailio_goes_on_when_ours_was_restarted(
    told: tuple[Server, Kamailio, Phone],
) -> None:
    ours, kamailio, phone = told
    phone.register(USERS[0], expires=600)
    phone.register(USERS[1], expires=600)
    kamailio.subscribe("allusers")
    becomes(lambda: known(kamailio), set(USERS[:2]))
    phone.register(USERS[1], expires=0)
    ours.kill()
    ours.start()
    phone.register(USERS[2], expires=600)
    becomes(lambda: known(kamailio), {USERS[0], USERS[2]})
