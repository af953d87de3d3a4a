"""
What a REGISTER says of a contact: stored, returned, told, and there after a restart.

Over real sockets, by UDP and by TCP: Path, +sip.instance, reg-id, q, methods and what
else there is, and the flow by which it came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from .document import NAMESPACE
from .phone import DOMAIN, Message, Phone, TcpPhone, becomes, eventually
from .server import Binding, Server

USERS = ("ann-udp", "ann-tcp", "ben", "cid", "dot", "eve")

PATHS = ("<sip:edge.example.net;lr>", "<sip:p2@192.0.2.2:5070;lr;ob>, <sip:p3;lr>")
"Two header fields; the second has two values."

ROUTES = [route for line in PATHS for route in re.split(", *", line)]

PARAMS: dict[str, str | None] = {
    "+sip.instance": '"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"',
    "reg-id": "1",
    "methods": '"INVITE, ACK, BYE, CANCEL, OPTIONS"',
    "audio": None,
    "+g.3gpp.icsi-ref": '"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"',
    "description": '"a \\"desk\\"; <phone>, grey"',
}
"Parameters of the Contact header field, as they are written (RFC 3840, RFC 5626)."


@dataclass(frozen=True, slots=True)
class Two:
    """One of ours, and another one that has subscribed there."""

    a: Server
    b: Server

    def phone(self, kind: type[Phone] = Phone) -> Phone:
        return kind(self.a.address)

    def one(self, user: str) -> Binding:
        (binding,) = self.a.bindings(user)
        return binding


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    directory = tmp_path_factory.mktemp("bindings")
    a = Server(directory / "a", name="a", tcp=True)
    watch = ", ".join(f'"sip:{user}@{DOMAIN}"' for user in USERS)
    peer = f'name = "a"\nuri = "sip:127.0.0.1:{a.port}"\nwatch = [{watch}]'
    b = Server(directory / "b", name="b", peers=[peer])
    # A tells a peer that it knows more than it tells a watcher.
    a.peers = (
        f'name = "b"\nuri = "sip:127.0.0.1:{b.port}"\n'
        f'match = {{ address = "127.0.0.1:{b.port}" }}',
    )
    with ExitStack() as stack:
        for server in (a, b):
            stack.enter_context(server)
        yield Two(a, b)


def contact(uri: str, *, q: str = "", params: dict[str, str | None] = PARAMS) -> str:
    """A Contact line."""
    text = f'Contact: "Ann, at home" <{uri}>' + (f";q={q}" if q else "")
    return text + "".join(
        f";{name}" if value is None else f";{name}={value}"
        for name, value in params.items()
    )


def register(
    phone: Phone, user: str, *headers: str, expires: int = 600, call_id: str = "c1"
) -> Message:
    """Send a REGISTER with these headers; its answer."""
    aor = phone.aor(user)
    reply = phone.ask(
        phone.request(
            "REGISTER",
            f"sip:{DOMAIN}",
            to=f"<{aor}>",
            from_=f"<{aor}>;tag=t",
            call_id=f"{call_id}-{user}",
            cseq=1,
            headers=[*headers, f"Expires: {expires}"],
        )
    )
    assert reply.status == 200, reply.start
    return reply


def lasting(binding: Binding) -> Binding:
    """What does not change with time, and is the same wherever it is known."""
    return {**binding, "expires": 0, "source": None}


@pytest.mark.parametrize("kind", [Phone, TcpPhone], ids=["UDP", "TCP"])
def test_a_binding_is_kept_returned_and_told_as_it_was_registered(
    two: Two, kind: type[Phone]
) -> None:
    """3327-01, 3327-03, 3327-04"""
    user = f"ann-{kind.transport.lower()}"
    uri = f"sip:{user}@192.0.2.77:5062;transport={kind.transport.lower()}"
    with two.phone(kind) as phone, two.phone() as watcher:
        assert watcher.subscribe(user).status == 200
        watcher.notify()
        reply = register(
            phone,
            user,
            contact(uri, q="0.700"),
            *(f"Path: {line}" for line in PATHS),
            "Supported: outbound, path, gruu",
        )
        # The answer has all of it, as it was written.
        (returned,) = reply.all("contact")
        assert returned.startswith(f'"Ann, at home" <{uri}>;')
        assert ";q=0.7" in returned
        for name, value in PARAMS.items():
            assert f";{name}" + ("" if value is None else f"={value}") in returned
        assert re.search(r";expires=(600|599)\b", returned)
        assert reply.all("path") == list(PATHS)

        # It is stored.
        binding = two.one(user)
        assert (binding["uri"], binding["q"]) == (uri, 0.7)
        assert binding["params"] == PARAMS
        assert binding["path"] == ROUTES
        assert binding["callid"] == f"c1-{user}"
        # Who asks later is answered the same.
        query = phone.ask(
            phone.request(
                "REGISTER",
                f"sip:{DOMAIN}",
                to=f"<{phone.aor(user)}>",
                call_id=f"query-{user}",
                cseq=1,
            )
        )
        (again,) = query.all("contact")
        assert _timeless(again) == _timeless(returned)

        # A watcher is told all that a document has a place for.
        (element,) = ElementTree.fromstring(watcher.notify().body).iter(
            f"{NAMESPACE}contact"
        )
        assert element.findtext(f"{NAMESPACE}uri") == uri
        assert element.findtext(f"{NAMESPACE}display-name") == "Ann, at home"
        assert float(element.attrib["q"]) == 0.7
        told = {
            child.attrib["name"]: child.text
            for child in element.iter(f"{NAMESPACE}unknown-param")
        }
        assert told == PARAMS

    # And a peer knows it with the way to it.
    becomes(lambda: [lasting(b) for b in two.b.bindings(user)], [lasting(binding)])


def test_path_is_stored_for_who_cannot_understand_it_but_not_returned(two: Two) -> None:
    """3327-02, 3327-03"""
    with two.phone() as phone:
        reply = register(phone, "ben", contact("sip:b@192.0.2.1"), f"Path: {PATHS[0]}")
    assert two.one("ben")["path"] == ROUTES[:1]
    assert reply.all("path") == []


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [(Phone, ""), (TcpPhone, ";transport=tcp")],
    ids=["UDP", "TCP"],
)
def test_the_flow_by_which_a_register_came_is_kept_with_its_binding(
    two: Two, kind: type[Phone], suffix: str
) -> None:
    """3261-23: what is behind a NAT names an address that is no use to us."""
    with two.phone(kind) as phone:
        inside = f"sip:cid@10.1.2.3:5060;n={kind.transport}"
        register(phone, "cid", contact(inside), call_id=kind.transport)
        received = {b["uri"]: b["received"] for b in two.a.bindings("cid")}
        assert received[inside] == f"sip:127.0.0.1:{phone.port}{suffix}"

        def at_b() -> str | None:
            return {b["uri"]: b["received"] for b in two.b.bindings("cid")}[inside]

        eventually(lambda: inside in two.b.contacts("cid"))
        assert at_b() == received[inside]


def test_a_phone_that_names_its_own_address_is_reached_there(two: Two) -> None:
    with two.phone() as phone:
        register(phone, "dot", contact(phone.contact("dot")))
    assert two.one("dot")["received"] is None


def test_all_of_it_is_there_after_a_crash(two: Two) -> None:
    with two.phone() as phone:
        for number, q in enumerate(["1", "0.5", "0"]):
            register(
                phone,
                "eve",
                contact(f"sip:eve@10.0.0.{number}", q=q),
                *(f"Path: {line}" for line in PATHS[number:]),
                call_id=f"c{number}",
            )
    before = sorted(map(lasting, two.a.bindings("eve")), key=lambda b: b["uri"])
    assert [b["q"] for b in before] == [1.0, 0.5, 0.0]
    assert [len(b["path"]) for b in before] == [3, 2, 0]
    assert [b["received"] is None for b in before] == [True, True, False]
    two.a.kill()
    two.a.start()
    after = sorted(map(lasting, two.a.bindings("eve")), key=lambda b: b["uri"])
    assert after == before


def _timeless(contact: str) -> str:
    return re.sub(r";expires=\d+", "", contact)
