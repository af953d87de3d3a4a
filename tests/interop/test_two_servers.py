"""Two of our servers: who registers at A is known at B, whatever happens to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from .phone import DOMAIN, Phone, becomes, eventually
from .server import Server

USERS = [f"user{number}" for number in range(20)]
"One for each test, which share the servers."


@dataclass(frozen=True, slots=True)
class Two:
    """A, B which has subscribed there, a phone at A, and who registers."""

    a: Server
    b: Server
    phone: Phone
    user: str

    def register(self, *, expires: int, device: int = 0) -> None:
        self.phone.register(self.user, expires=expires, device=device)

    def contacts(self, *devices: int) -> set[str]:
        """The URIs of these devices of the user."""
        return {self.phone.contact(self.user, device) for device in devices}

    def at_b(self) -> set[str]:
        return self.b.contacts(self.user)

    def cseqs_at_b(self) -> list[int]:
        return [binding["cseq"] for binding in self.b.bindings(self.user)]


@pytest.fixture(scope="module")
def users() -> Iterator[str]:
    return iter(USERS)


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Server]]:
    directory = tmp_path_factory.mktemp("two")
    a = Server(directory / "a", name="a")
    watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in USERS)
    peer = f'name = "a"\nuri = "sip:127.0.0.1:{a.port}"\nwatch = [{watch}]'
    b = Server(directory / "b", name="b", peers=[peer])
    with ExitStack() as stack:
        for server in (a, b):
            stack.enter_context(server)
        yield a, b


@pytest.fixture
def two(servers: tuple[Server, Server], users: Iterator[str]) -> Iterator[Two]:
    for server in servers:
        if not server.is_running:  # the test before has ended it
            server.start()
    with Phone(servers[0].address) as phone:
        yield Two(*servers, phone, next(users))


def stop(server: Server, how: str) -> None:
    """End a server as a test's parameter says."""
    if how == "SIGKILL":
        server.kill()
    else:
        assert server.terminate() == 0


def test_a_user_that_registers_at_a_is_known_at_b(two: Two) -> None:
    two.register(expires=600)
    becomes(two.at_b, two.contacts(0))

    (there,) = two.b.bindings(two.user)
    (here,) = two.a.bindings(two.user)
    assert (there["callid"], there["cseq"]) == (here["callid"], here["cseq"])
    assert 590 <= there["expires"] <= 600
    assert (here["owner"], here["source"]) == ("a", None)
    assert there["owner"] == "a"
    assert there["source"]


def test_a_refresh_at_a_is_known_at_b(two: Two) -> None:
    two.register(expires=600)
    two.register(expires=900)
    becomes(two.cseqs_at_b, [2])
    assert two.b.bindings(two.user)[0]["expires"] > 600


def test_two_contacts_are_known_at_b_and_one_goes(two: Two) -> None:
    two.register(expires=600)
    two.register(expires=600, device=1)
    becomes(two.at_b, two.contacts(0, 1))
    two.register(expires=0, device=0)
    becomes(two.at_b, two.contacts(1))


def test_who_unregisters_at_a_is_gone_at_b(two: Two) -> None:
    two.register(expires=600)
    becomes(two.at_b, two.contacts(0))
    two.register(expires=0)
    becomes(two.at_b, set())


def test_who_expires_at_a_is_gone_at_b_and_its_watchers_are_told(two: Two) -> None:
    with Phone(two.b.address) as watcher:
        assert watcher.subscribe(two.user).status == 200
        watcher.notify()
        two.register(expires=2)
        assert 'event="registered"' in watcher.notify().body.decode()
        assert two.at_b() == two.contacts(0)
        assert 'event="expired"' in watcher.notify().body.decode()
        assert two.at_b() == set()


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_b_comes_back_with_what_it_knew(two: Two, how: str) -> None:
    two.register(expires=600)
    becomes(two.at_b, two.contacts(0))
    stop(two.b, how)
    two.a.kill()  # so that nobody can tell it again
    two.b.start()
    assert two.at_b() == two.contacts(0)
    assert two.b.bindings(two.user)[0]["owner"] == "a"


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_b_hears_of_later_changes_after_its_restart(two: Two, how: str) -> None:
    two.register(expires=600)
    becomes(two.at_b, two.contacts(0))
    stop(two.b, how)
    two.b.start()
    two.register(expires=600, device=1)
    becomes(two.at_b, two.contacts(0, 1))
    two.register(expires=0)
    becomes(two.at_b, two.contacts(1))


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_b_hears_of_what_it_missed(two: Two, how: str) -> None:
    two.register(expires=600)
    becomes(two.at_b, two.contacts(0))
    stop(two.b, how)
    two.register(expires=600, device=1)
    two.register(expires=0)
    two.b.start()
    becomes(two.at_b, two.contacts(1), within=20.0)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM"])
def test_a_is_restarted_in_the_middle(two: Two, how: str) -> None:
    two.register(expires=600)
    becomes(two.at_b, two.contacts(0))
    stop(two.a, how)
    assert two.at_b() == two.contacts(0)
    two.a.start()
    assert two.a.contacts(two.user) == two.contacts(0)
    two.register(expires=600)
    becomes(two.cseqs_at_b, [2])
    two.register(expires=0)
    becomes(two.at_b, set())


def test_sigterm_is_a_restart_of_which_nobody_is_told(two: Two) -> None:
    with Phone(two.a.address) as watcher:
        assert watcher.subscribe(two.user).status == 200
        assert 'version="0"' in watcher.notify().body.decode()
        # Behind the 200 to the NOTIFY: once this is answered, A has that.
        assert watcher.options().status == 200
        assert two.a.terminate() == 0
        two.a.start()
        two.register(expires=600)
        # The next document is the next version: there was none between.
        body = watcher.notify().body.decode()
        assert 'version="1"' in body
        assert 'event="registered"' in body


def test_what_expired_while_a_was_down_is_told_as_expired(two: Two) -> None:
    with Phone(two.a.address) as watcher:
        assert watcher.subscribe(two.user).status == 200
        watcher.notify()
        two.register(expires=2)
        watcher.notify()
        becomes(two.at_b, two.contacts(0))
        # A may not know that its last NOTIFY was answered: then it tells all again,
        # and that, too, is to say that she has expired, not that she never was here.
        two.a.kill()
        # B's copy runs out too, yet nobody but A may say what that means.
        eventually(lambda: all(b["expires"] <= 0 for b in two.b.bindings(two.user)))
        two.a.start()
        assert 'event="expired"' in watcher.notify(within=20.0).body.decode()
    becomes(two.at_b, set(), within=20.0)
