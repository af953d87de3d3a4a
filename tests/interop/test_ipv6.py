"""IPv6: phones, watchers, presence servers, and our servers among themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .document import read, whole
from .phone import DOMAIN, Phone, TcpPhone, becomes
from .server import Server

pytestmark = pytest.mark.ipv6

MANY = 20  # contacts: a document of some kilobytes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests, at both families: each test has a user of its own."""
    directory = tmp_path_factory.mktemp("six")
    with Server(directory, tcp=True, hosts=("127.0.0.1", "[::1]")) as running:
        yield running


@pytest.mark.parametrize("kind", [Phone, TcpPhone], ids=["UDP", "TCP"])
def test_ipv6_registers_subscribes_and_is_notified(
    server: Server, kind: type[Phone]
) -> None:
    user = f"six-{kind.transport.lower()}"
    with kind(("::1", server.port)) as phone:
        reply = phone.register(user, expires=600)
        assert reply["via"].startswith(f"SIP/2.0/{kind.transport} [::1]:{phone.port};")
        accepted = phone.subscribe(user)
        assert accepted.status == 200
        assert f"[::1]:{server.port}" in accepted["contact"]
        assert read(phone.notify().body).active == {phone.contact(user)}
        phone.register(user, expires=0)
        notify = phone.notify()
        assert notify["via"].startswith(f"SIP/2.0/{kind.transport} [::1]:")
        assert read(notify.body).state == "terminated"


def test_who_registers_by_ipv4_is_told_by_ipv6(server: Server) -> None:
    with Phone(server.address) as four, Phone(("::1", server.port)) as six:
        assert six.subscribe("joe").status == 200
        six.notify()
        four.register("joe", expires=600)
        assert read(six.notify().body).active == {four.contact("joe")}


def test_a_long_state_goes_to_ipv6_in_pieces(server: Server) -> None:
    """The watcher has no TCP: it is refused, and pieces of it come by UDP."""
    with Phone(("::1", server.port)) as six:
        assert six.subscribe("kim").status == 200
        six.notify()
        contacts = [f"Contact: <{six.contact('kim', n)}>" for n in range(MANY)]
        six.register("kim", expires=600, contacts=contacts)
        pieces: list[bytes] = []
        while len(whole(pieces)) < MANY:
            notify = six.notify()
            assert notify["via"].startswith("SIP/2.0/UDP [::1]:")
            assert len(notify.body) <= 1300
            pieces.append(notify.body)
        assert len(pieces) > 1


def test_ours_publishes_and_subscribes_to_ipv6(tmp_path: Path) -> None:
    with Phone(("::1", 9)) as other:
        uri = f"sip:[::1]:{other.port}"
        peer = f'name = "six"\nuri = "{uri}"\nwatch = ["sip:lea@example.test"]'
        ours = Server(tmp_path, publish_to=[uri], peers=[peer], hosts=("[::1]",))
        with ours, Phone(ours.address) as phone:
            subscribe = other.incoming("SUBSCRIBE")
            assert f"[::1]:{ours.port}" in subscribe["contact"]
            phone.register("lea", expires=600)
            publish = other.incoming("PUBLISH")
            assert read(publish.body).active == {phone.contact("lea")}


# -- what a Contact says


def test_a_watcher_is_told_where_its_contact_says(server: Server) -> None:
    """6665-80, RFC 3261 §12.2.1.1: and not where its SUBSCRIBE came from."""
    with Phone(("::1", server.port)) as asks, Phone(("::1", server.port)) as listens:
        subscribe = asks.build_subscribe("ned").replace(
            f"<sip:watcher@{asks.place}>".encode(),
            f"<sip:watcher@{listens.place}>".encode(),
        )
        assert asks.ask(subscribe).status == 200
        listens.notify()
        asks.register("ned", expires=600)
        assert read(listens.notify().body).active == {asks.contact("ned")}
        assert asks.inbox == []


def test_a_watcher_that_names_an_ipv4_address_is_told_by_the_way_it_came(
    server: Server,
) -> None:
    """Our address there cannot send to one of the other family."""
    with Phone(("::1", server.port)) as phone:
        subscribe = phone.build_subscribe("oda").replace(
            f"<sip:watcher@{phone.place}>".encode(), b"<sip:watcher@192.0.2.9>"
        )
        assert phone.ask(subscribe).status == 200
        assert read(phone.notify().body).state == "init"


# -- two of ours


PAIRED = ("pat", "quy", "rex")
"Whom B watches at A; one for each test."


@dataclass(frozen=True, slots=True)
class Two:
    """A, B which has subscribed there, both at IPv6 alone, and a phone at A."""

    a: Server
    b: Server
    phone: Phone
    user: str

    def register(self, *devices: int, expires: int = 600) -> None:
        for device in devices:
            self.phone.register(self.user, expires=expires, device=device)

    def contacts(self, *devices: int) -> set[str]:
        """The URIs of these devices of the user."""
        return {self.phone.contact(self.user, device) for device in devices}

    def at_b(self) -> set[str]:
        return self.b.contacts(self.user)


@pytest.fixture(scope="module", params=["udp", "tcp"])
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server, Iterator[str]]]:
    transport: str = request.param
    directory = tmp_path_factory.mktemp(transport)
    six, tcp = ("[::1]",), transport == "tcp"
    a = Server(directory / "a", name="a", hosts=six, tcp=tcp)
    uri = f"sip:[::1]:{a.port};transport={transport}"
    watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in PAIRED)
    peer = f'name = "a"\nuri = "{uri}"\nwatch = [{watch}]'
    b = Server(directory / "b", name="b", hosts=six, tcp=tcp, peers=[peer])
    with ExitStack() as stack:
        for server in (a, b):
            stack.enter_context(server)
        yield a, b, iter(PAIRED)


@pytest.fixture
def two(servers: tuple[Server, Server, Iterator[str]]) -> Iterator[Two]:
    a, b, users = servers
    with Phone(a.address) as phone:
        yield Two(a, b, phone, next(users))


def test_a_user_that_registers_at_a_is_known_at_b(two: Two) -> None:
    two.register(0, 1)
    becomes(two.at_b, two.contacts(0, 1))
    assert {b["owner"] for b in two.b.bindings(two.user)} == {"a"}
    two.register(0, expires=0)
    becomes(two.at_b, two.contacts(1))
    # What is many is told by TCP, or in fragments.
    many = [f"Contact: <{two.phone.contact(two.user, n)}>" for n in range(MANY)]
    two.phone.register(two.user, expires=600, device=2, contacts=many)
    becomes(two.at_b, two.contacts(*range(MANY)))
    # And by B to its own watchers.
    with Phone(two.b.address) as watcher:
        assert watcher.subscribe(two.user).status == 200
        pieces: list[bytes] = []
        while whole(pieces) != two.contacts(*range(MANY)):
            pieces.append(watcher.notify().body)


@pytest.mark.parametrize("restarted", ["a", "b"])
def test_both_agree_again_after_a_crash(two: Two, restarted: str) -> None:
    two.register(0)
    becomes(two.at_b, two.contacts(0))
    server = two.a if restarted == "a" else two.b
    server.kill()
    server.start()
    assert two.at_b() == two.contacts(0)
    two.register(1)
    becomes(two.at_b, two.contacts(0, 1))
    two.register(0, expires=0)
    becomes(two.at_b, two.contacts(1))
