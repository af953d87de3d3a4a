"""
Acts of an administrator reach all servers: what one of them is told holds at the other.

Records and claims travel by whatever joins the two: each watches the user at the other,
or they have a link for the whole domain.
"""

from __future__ import annotations

from contextlib import closing

import pytest

from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.reg.document import ContactEvent
from reginfo.sip.errors import LocalProtocolError, RemoteProtocolError
from reginfo.sip.message import Response
from reginfo.sip.parser import parse
from reginfo.sip.transport import Transport
from reginfo.testing import Wire, WireServer

from ..make import ALICE, PHONE, place
from ..sync.world import World

DESK = "sip:alice@192.0.2.77"


GROUP = "sip:all@example.com"


def config(
    me: str, *peers: str, hosts: dict[str, str], transport: str, watch: str
) -> Config:
    text = f"""
[server]
id = "{me}"
listen = ["{transport}:{hosts[me]}:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[registrar]
max_expires = 7200
[pua_reginfo]
server_address = "sip:server@{hosts[me]}"
"""
    if watch == GROUP:
        text += f'[[group]]\nuri = "{GROUP}"\ndomains = ["example.com"]\n'
    for peer in peers:
        text += f'[[peer]]\nname = "{peer}"\nwatch = ["{watch}"]\n'
        text += f'uri = "sip:{hosts[peer]}:5060;transport={transport}"\n'
    return Config.parse(text)


V4 = {"a": "192.0.2.1", "b": "192.0.2.2"}
V6 = {"a": "[2001:db8::1]", "b": "[2001:db8::2]"}


class Two:
    """Two servers that watch alice at each other, and her phone."""

    def __init__(
        self, hosts: dict[str, str], transport: str, watch: str = ALICE
    ) -> None:
        self.wire = Wire()
        self.transport = Transport[transport.upper()]

        def serve(me: str, peer: str) -> WireServer:
            one = config(me, peer, hosts=hosts, transport=transport, watch=watch)
            return self.wire.serve(one, MemoryStorage())

        self.a, self.b = serve("a", "b"), serve("b", "a")
        self.phone = PHONE if hosts is V4 else ("2001:db8::50", 5060)
        self.cseq = 0
        self.wire.pass_time(40)  # one was there before the other

    def register(self, server: WireServer, contact: str = DESK) -> Response:
        self.cseq += 1
        lines = [
            "REGISTER sip:example.com SIP/2.0",
            f"Via: SIP/2.0/{self.transport} phone;branch=z9hG4bKr{self.cseq};rport",
            f"From: <{ALICE}>;tag=1",
            f"To: <{ALICE}>",
            "Call-ID: phone",
            f"CSeq: {self.cseq} REGISTER",
            f"Contact: <{contact}>",
            "Expires: 600",
            "Content-Length: 0",
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.send(data, self.phone, server.address, self.transport)
        answer = parse(self.wire.received(self.phone)[-1])
        assert isinstance(answer, Response)
        self.wire.pass_time(1)
        return answer

    def events(self, server: WireServer) -> list[tuple[str, int]]:
        """Event of each contact bound at a server; and its end, to ten seconds."""
        bound = server.bindings(ALICE)
        return [(b.event.value, round(b.expires(self.wire.now), -1)) for b in bound]


BY = ("v4 udp", "v6 udp", "v4 tcp", "v6 tcp")


@pytest.fixture(params=[f"{by} {watch}" for watch in (ALICE, GROUP) for by in BY])
def two(request: pytest.FixtureRequest) -> Two:
    family, transport, watch = request.param.split()
    return Two(V4 if family == "v4" else V6, transport, watch)


@pytest.mark.parametrize("event", ["deactivated", "unregistered"])
def test_what_is_removed_at_one_is_removed_at_both(two: Two, event: str) -> None:
    """3680-142: wherever it was registered; and the phone may come back."""
    assert two.register(two.b).status == 200
    assert two.a.app.remove(ALICE, event=ContactEvent(event)).contacts == 1
    two.wire.pass_time(1)
    assert two.events(two.a) == two.events(two.b) == []
    for server in (two.a, two.b):
        (claims,) = server.app.store.rows(place(ALICE)).values()
        assert claims[0].gone and claims[0].event.value == event
    assert two.register(two.b).status == 200
    assert two.events(two.a) == two.events(two.b) == [("registered", 600)]


def test_a_contact_that_is_added_at_one_is_bound_at_both(two: Two) -> None:
    """3680-140: event `created`, at the other server too."""
    made = two.a.app.create(ALICE, DESK, expires=600, q="0.5")
    assert (made.event, made.q) == (ContactEvent.CREATED, "0.5")
    two.wire.pass_time(1)
    assert two.events(two.a) == two.events(two.b) == [("created", 600)]
    assert [b.owner for b in two.b.bindings(ALICE)] == ["a"]


def test_no_administrator_binds_for_longer_than_the_longest_life(two: Two) -> None:
    """3680-145: `[registrar] max_expires` is the longest life here."""
    assert two.a.app.create(ALICE, DESK, expires=10**6).expires(two.wire.now) == 7200


def test_contacts_are_shortened_at_both_and_end_at_both(two: Two) -> None:
    """3680-141: the owner stays, and the next REGISTER is not shortened."""
    assert two.register(two.b).status == 200
    result = two.a.app.shorten(ALICE, expires=30)
    assert result and result.contacts == 1
    two.wire.pass_time(1)
    assert two.events(two.a) == two.events(two.b) == [("shortened", 30)]
    assert [b.owner for b in two.a.bindings(ALICE)] == ["b"]
    assert two.register(two.b).status == 200
    assert two.events(two.a)[0][1] == two.events(two.b)[0][1] == 600
    assert two.a.app.shorten(ALICE, expires=30, contact=DESK)
    two.wire.pass_time(40)
    assert two.events(two.a) == two.events(two.b) == []


def test_what_ends_sooner_is_not_touched(two: Two) -> None:
    two.register(two.a)
    assert two.a.app.shorten(ALICE, expires=6000, contact=DESK).contacts == 0
    assert two.a.app.is_bound(ALICE, DESK) and two.a.app.is_bound(ALICE, None)
    assert not two.a.app.is_bound(ALICE, "sip:alice@192.0.2.78")


def test_who_is_rejected_at_one_is_refused_at_both_until_admitted(two: Two) -> None:
    """3680-142: 403, also where the user was never bound."""
    two.register(two.a)
    rejected = ContactEvent.REJECTED
    assert two.a.app.remove(ALICE, event=rejected).contacts == 1
    two.wire.pass_time(1)
    assert two.events(two.b) == []
    assert [two.register(server).status for server in (two.a, two.b)] == [403, 403]
    for server in (two.a, two.b):
        [(aor, record)] = server.app.barred()
        assert (aor, record.kind.value, record.owner) == (ALICE, "rejected", "a")
    with pytest.raises(LocalProtocolError, match="rejected or on probation"):
        two.b.app.create(ALICE, DESK, expires=60)
    assert two.b.app.admit(ALICE)  # at the other one
    two.wire.pass_time(1)
    assert [two.register(server).status for server in (two.a, two.b)] == [200, 200]
    assert two.a.app.barred() == two.b.app.barred() == []
    assert not two.a.app.admit(ALICE)


def test_who_is_on_probation_is_asked_to_come_back_by_both(two: Two) -> None:
    """3680-143: 500 with the seconds that are left in Retry-After, and then served."""
    two.register(two.b)
    probation = ContactEvent.PROBATION
    assert two.a.app.remove(ALICE, event=probation, retry_after=60).contacts == 1
    two.wire.pass_time(1)
    for server in (two.a, two.b):
        answer = two.register(server)
        assert answer.status == 500
        assert 50 < int(answer.headers["Retry-After"][0]) <= 60
    two.wire.pass_time(60)
    assert two.register(two.b).status == 200


def test_a_probation_can_be_ended_early(two: Two) -> None:
    """3680-144"""
    two.a.app.remove(ALICE, event=ContactEvent.PROBATION, retry_after=600)
    two.wire.pass_time(1)
    assert two.register(two.b).status == 500
    assert two.a.app.admit(ALICE)
    two.wire.pass_time(1)
    assert two.register(two.b).status == 200


def test_who_is_not_registered_can_be_rejected(two: Two) -> None:
    result = two.a.app.remove(ALICE, event=ContactEvent.REJECTED)
    assert result and result.contacts == 0
    assert two.a.app.remove(ALICE).contacts == 0  # what others know is removed
    assert two.register(two.a).status == 403


def test_what_is_barred_is_so_after_a_restart(two: Two) -> None:
    two.a.app.remove(ALICE, event=ContactEvent.PROBATION, retry_after=600)
    two.a.app.shorten(ALICE, expires=30)
    two.a = two.wire.restart(two.a)
    two.wire.pass_time(6)  # one without a contact first hears what its peers know
    assert two.register(two.a).status == 500
    assert len(two.a.app.barred()) == 1


def test_what_other_servers_know_of_is_shortened_too(two: Two) -> None:
    """3680-141: a contact that is not known here yet is shortened when it is."""
    two.wire.cut(two.a, two.b)
    two.register(two.b)
    assert two.events(two.a) == []
    two.wire.now += 1
    assert two.a.app.shorten(ALICE, expires=100).contacts == 0
    two.wire.heal()
    # Over the old dialogs the servers meet again when they refresh, or are restarted.
    two.a, two.b = two.wire.restart(two.a), two.wire.restart(two.b)
    two.wire.pass_time(40)
    # For watchers of a it is a contact that they have not heard of.
    assert two.events(two.a) == [("registered", 60)]
    assert two.events(two.b) == [("shortened", 60)]


def test_without_peers_nothing_is_shortened_where_nothing_is() -> None:
    text = '[server]\nid = "a"\ndomains = ["example.com"]\n[store]\nurl = "memory:"'
    app = Wire().serve(Config.parse(text)).app
    assert not app.shorten(ALICE, expires=30)
    assert app.store.records(place(ALICE)) == []


@pytest.mark.parametrize(
    ("aor", "contact", "q", "error"),
    [
        ("sip:alice@elsewhere.example", DESK, None, "not in a domain of this server"),
        (ALICE, "nobody", None, "nobody"),
        (ALICE, DESK, "2", "2"),
        (ALICE, f"{DESK};x={'y' * 4000}", None, "8192 octets"),
        ("no address", DESK, None, "address"),
    ],
)
def test_what_cannot_be_bound_is_said_and_changes_nothing(
    two: Two, aor: str, contact: str, q: str | None, error: str
) -> None:
    with pytest.raises((LocalProtocolError, RemoteProtocolError), match=error):
        two.a.app.create(aor, contact, expires=60, q=q)
    assert two.a.bindings(ALICE) == []


@pytest.mark.parametrize("contact", [None, DESK])
@pytest.mark.parametrize("shape", ["mesh", "star", "ring", "line"])
def test_what_only_other_servers_know_is_removed_too(
    shape: str, contact: str | None
) -> None:
    """
    3680-164: at a server that was cut off, and at one that is in its first transfer.
    """
    with closing(World(0, shape, [])) as world:
        phone = world.phones[0]
        for other in "ac":
            world._cut("b", other)
        world._register(0, "c", 3600)
        world.wire.pass_time(2)
        assert world.servers["b"].contacts(phone.aor) == []
        wanted = None if contact is None else phone.contact
        result = world.servers["b"].app.remove(phone.aor, contact=wanted)
        assert (result.contacts, result.is_recorded) == (0, True)
        phone.until = 0.0
        assert world.rest() == []
        # The next one is empty, and is asked before anything was told to it.
        world._register(0, "c", 3600)
        world.wire.pass_time(2)
        world._kill("b")
        world.storages["b"] = MemoryStorage()
        for other in "ac":
            world._cut("b", other)
        world._serve("b")
        assert world.servers["b"].app.remove(phone.aor, contact=wanted)
        phone.until = 0.0
        assert world.rest() == []


def test_without_links_nothing_is_removed_where_nothing_is() -> None:
    text = '[server]\nid = "a"\ndomains = ["example.com"]\n[store]\nurl = "memory:"'
    app = Wire().serve(Config.parse(text)).app
    assert not app.remove(ALICE)
    assert not app.remove(ALICE, contact=DESK)
    assert not app.store.rows(place(ALICE))
    assert app.store.records(place(ALICE)) == []


def test_who_was_removed_everywhere_may_come_back(two: Two) -> None:
    two.a.app.remove(ALICE)
    two.a.app.remove(ALICE, contact=DESK)
    two.wire.pass_time(1)
    assert two.register(two.b).status == 200
    two.wire.pass_time(1)
    assert two.events(two.a) == two.events(two.b) == [("registered", 600)]
