"""
Kamailio's S-CSCF as the notifier: an IMS user with three identities is known at ours.

Its documents have all identities of a user, one id for a contact under each of them, no
Call-ID and no CSeq, and begin with version 2 (as the capture `kamailio/24`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from .hss import Hss
from .phone import DOMAIN, Address, Phone, becomes, eventually
from .scscf import Scscf
from .server import Server

pytestmark = pytest.mark.peers("kamailio", "scscf")

# Who is nowhere cannot be watched there: ours is refused, and asks again, ever later.
PATIENCE = 40.0

USERS = [f"ims{number}" for number in range(5)]


def identities(user: str) -> list[str]:
    """Those of a user's profile."""
    name = user.partition(":")[2].partition("@")[0]
    return [f"sip:{name}@{DOMAIN}", f"sip:also-{name}@{DOMAIN}", f"tel:+1555{name[3:]}"]


@dataclass(frozen=True, slots=True)
class Ims:
    scscf: Scscf
    hss: Hss
    ours: Server
    phone: Phone
    user: str

    def register(self, expires: int, device: int = 0, cseq: int = 1) -> None:
        """As a phone does whose network trusts it: without a challenge."""
        aor = self.phone.aor(self.user)
        answer = self.phone.ask(
            self.phone.request(
                "REGISTER", f"sip:{DOMAIN}", to=f"<{aor}>", from_=f"<{aor}>;tag=ims",
                call_id=f"ims-{self.user}-{device}", cseq=cseq,
                headers=[
                    f"Contact: <{self.phone.contact(self.user, device)}>",
                    f"Expires: {expires}",
                    f'Authorization: Digest username="{self.user}@{DOMAIN}",'
                    f' realm="{DOMAIN}", nonce="", uri="sip:{DOMAIN}", response=""',
                ],
            )
        )  # fmt: skip
        assert answer.status == 200, answer.start

    def known(self) -> dict[str, set[str]]:
        """What ours knows of the user's identities."""
        aors = [str(aor) for aor in identities(self.phone.aor(self.user))]
        found: dict[str, set[str]] = {aor: set() for aor in aors}
        for binding in self.ours.all_bindings():
            if binding["aor"] in found:
                found[binding["aor"]].add(binding["uri"])
        return found

    def knows(self, *devices: int) -> None:
        contacts = {self.phone.contact(self.user, device) for device in devices}
        aors = identities(self.phone.aor(self.user))
        becomes(self.known, {aor: contacts for aor in aors}, within=PATIENCE)


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Scscf, Hss, Server, Iterator[str]]]:
    directory = tmp_path_factory.mktemp("ims")
    with Hss(identities) as hss, Scscf(directory / "k", hss) as scscf:
        watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in USERS)
        peer = (
            f'name = "scscf"\nuri = "sip:127.0.0.1:{scscf.port}"\nprofile = "ims"\n'
            f"watch = [{watch}]"
        )
        with Server(directory / "a", peers=[peer]) as ours:
            yield scscf, hss, ours, iter(USERS)


@pytest.fixture
def ims(
    servers: tuple[Scscf, Hss, Server, Iterator[str]],
    phones: Callable[[Address], Phone],
) -> Ims:
    scscf, hss, ours, users = servers
    return Ims(scscf, hss, ours, phones(scscf.address), next(users))


def test_a_user_is_known_by_each_identity(ims: Ims) -> None:
    """The row "S-CSCF of kamailio-ims-modules as notifier"; 24229-03."""
    ims.register(600)
    ims.knows(0)
    assert (ims.phone.aor(ims.user), 1) in ims.hss.assignments


def test_who_unregisters_is_gone_by_each_identity(ims: Ims) -> None:
    ims.register(600)
    ims.knows(0)
    ims.register(0, cseq=2)
    ims.knows()


def test_of_two_devices_one_is_left(ims: Ims) -> None:
    ims.register(600)
    ims.register(600, device=1)
    ims.knows(0, 1)
    ims.register(0, cseq=2)
    ims.knows(1)


def test_a_watcher_here_is_told_what_the_network_told(ims: Ims) -> None:
    with Phone(ims.ours.address) as watcher:
        watcher.subscribe(f"also-{ims.user}")
        watcher.notify()
        ims.register(600)
        body = watcher.notify(within=PATIENCE).body
        assert ims.phone.contact(ims.user).encode() in body


def test_it_is_restarted_in_the_middle(ims: Ims) -> None:
    """It has forgotten its watchers: ours asks again, and is told."""
    ims.register(600)
    ims.knows(0)
    ims.scscf.restart()
    ims.register(600, device=1)
    eventually(lambda: ims.phone.contact(ims.user, 1) in _all(ims), within=PATIENCE)


def _all(ims: Ims) -> set[str]:
    return {uri for uris in ims.known().values() for uri in uris}
