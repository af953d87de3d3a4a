"""Each refusal on a real socket, with the header that it must carry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .phone import Message, Phone, tag_of
from .server import Server

REGINFO = "application/reginfo+xml"
LEAST = 60  # seconds: the shortest registration and subscription


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("statuses")
    with Server(directory, min_expires=LEAST) as running:
        yield running


@pytest.fixture
def phone(server: Server) -> Iterator[Phone]:
    with Phone(server.address) as phone:
        yield phone


def request(phone: Phone, method: str, **changes: str) -> bytes:
    """A request of a method, well-formed but for what is changed."""
    uri = changes.pop("uri", "sip:example.test")
    headers = [f"{name}: {value}" for name, value in changes.items()]
    return phone.request(
        method,
        uri,
        to="<sip:ann@example.test>",
        call_id=f"{method}-{phone.port}",
        cseq=1,
        headers=headers,
    )


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "REFER", "FROBNICATE"])
def test_a_method_that_nobody_here_serves_is_405(phone: Phone, method: str) -> None:
    reply = phone.ask(request(phone, method))
    assert reply.status == 405
    allowed = set(reply["allow"].split(", "))
    assert allowed >= {"REGISTER", "SUBSCRIBE", "NOTIFY", "OPTIONS"}
    assert method not in allowed


@pytest.mark.parametrize("accept", ["text/plain", "application/*;q=0", ""])
def test_a_watcher_that_takes_no_reginfo_is_406(phone: Phone, accept: str) -> None:
    headers = ["Event: reg", f"Accept: {accept}"]
    reply = phone.ask(phone.build_subscribe("ann", headers=headers))
    assert reply.status == 406
    assert reply["accept"] == REGINFO


@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE", "OPTIONS"])
def test_a_scheme_that_nobody_knows_is_416(phone: Phone, method: str) -> None:
    uri = "frob:example.test"
    assert phone.ask(request(phone, method, uri=uri, Event="reg")).status == 416


@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE"])
def test_an_extension_that_is_required_and_unknown_is_420(
    phone: Phone, method: str
) -> None:
    reply = phone.ask(request(phone, method, Event="reg", Require="frob, path"))
    assert reply.status == 420
    assert "frob" in reply["unsupported"]
    assert ("path" in reply["unsupported"]) == (method == "SUBSCRIBE")


def test_a_registration_that_is_too_brief_is_423(server: Server, phone: Phone) -> None:
    reply = phone.ask(phone.build_register("ann", expires=LEAST - 1))
    assert reply.status == 423
    assert reply["min-expires"] == str(LEAST)
    assert server.contacts("ann") == set()
    assert phone.ask(phone.build_register("ann", expires=LEAST)).status == 200


def test_a_subscription_that_is_too_brief_is_423(phone: Phone) -> None:
    reply = phone.subscribe("ann", expires=LEAST - 1)
    assert reply.status == 423
    assert reply["min-expires"] == str(LEAST)
    # RFC 6665 §4.2.1.1: a longer one may be shortened, and is not refused.
    assert phone.subscribe("ann", expires=453_976_160).status == 200


def test_a_dialog_that_nobody_knows_is_481(phone: Phone) -> None:
    to = "<sip:ann@example.test>;tag=unknown"
    assert phone.ask(phone.build_subscribe("ann", to=to)).status == 481


def test_a_cancel_of_nothing_is_481(phone: Phone) -> None:
    assert phone.ask(request(phone, "CANCEL")).status == 481


@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE"])
def test_the_same_request_by_another_way_is_482(phone: Phone, method: str) -> None:
    """3261-19, 6665-32: it is served once."""
    if method == "REGISTER":
        first = phone.build_register("bea", expires=600)
    else:
        first = phone.build_subscribe("bea", call_id=f"merged-{phone.port}")
    branch = Message.parse(first, phone.server).branch
    other = first.replace(branch.encode(), branch.encode() + b"x")
    assert phone.ask(first).status == 200
    assert phone.ask(other).status == 482
    # But again by the same way it is the same.
    assert phone.ask(first).status == 200


@pytest.mark.parametrize("hops", ["0", "1"])
@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE", "OPTIONS"])
def test_what_is_meant_for_us_has_hops_enough(
    phone: Phone, method: str, hops: str
) -> None:
    """RFC 3261 §16.3: 483 is for what would have to go on."""
    whole = request(phone, method, Event="reg", Expires="0")
    short = whole.replace(b"Max-Forwards: 70", f"Max-Forwards: {hops}".encode())
    assert short != whole
    if method == "SUBSCRIBE":
        short = phone.build_subscribe("ann").replace(
            b"Max-Forwards: 70", f"Max-Forwards: {hops}".encode()
        )
    assert phone.ask(short).status == 200


@pytest.mark.parametrize("event", [["Event: presence"], ["Event: reg.winfo"], []])
def test_another_package_or_none_is_489(phone: Phone, event: list[str]) -> None:
    reply = phone.ask(phone.build_subscribe("ann", headers=event))
    assert reply.status == 489
    assert reply["allow-events"] == "reg"


def test_a_register_that_was_overtaken_is_500(server: Server, phone: Phone) -> None:
    assert phone.ask(phone.build_register("dot", expires=600, cseq=5)).status == 200
    late = phone.build_register("dot", expires=0, cseq=4)
    assert phone.ask(late).status == 500
    assert server.contacts("dot") == {phone.contact("dot")}


def test_a_subscribe_that_was_overtaken_is_500(phone: Phone) -> None:
    accepted = phone.subscribe("ann")
    for cseq, status in ((5, 200), (4, 500), (6, 200)):
        refresh = phone.build_subscribe(
            "ann", call_id=accepted["call-id"], cseq=cseq, to=accepted["to"]
        )
        assert phone.ask(refresh).status == status


@pytest.mark.parametrize("method", ["REGISTER", "SUBSCRIBE", "OPTIONS"])
def test_another_version_is_505(phone: Phone, method: str) -> None:
    whole = request(phone, method, Event="reg")
    assert phone.ask(whole.replace(b" SIP/2.0\r\n", b" SIP/3.0\r\n", 1)).status == 505


# -- NOTIFY in a dialog of ours


@dataclass(frozen=True, slots=True)
class Notifier:
    """A phone that our server has subscribed to."""

    server: Server
    phone: Phone
    subscribe: Message

    def notify(self, cseq: int, *, type_: str = REGINFO, body: bytes = b"x") -> Message:
        contact = self.subscribe["contact"].partition("<")[2].partition(">")[0]
        return self.phone.ask(
            self.phone.request(
                "NOTIFY",
                contact,
                to=self.subscribe["from"],
                from_=f"{self.subscribe['to']};tag={tag_of(self.subscribe)}",
                call_id=self.subscribe["call-id"],
                cseq=cseq,
                headers=[
                    f"Contact: <sip:phone@{self.phone.place}>",
                    "Subscription-State: active;expires=3600",
                    "Event: reg",
                    f"Content-Type: {type_}",
                ],
                body=body,
            )
        )


@pytest.fixture
def notifier(tmp_path: Path) -> Iterator[Notifier]:
    with Phone(("127.0.0.1", 9)) as phone:
        peer = (
            f'name = "p"\nuri = "sip:{phone.place}"\nwatch = ["sip:ann@example.test"]'
        )
        with Server(tmp_path, peers=[peer]) as server:
            subscribe = phone.incoming("SUBSCRIBE")
            phone.server = server.address
            yield Notifier(server, phone, subscribe)


def test_a_notify_is_looked_at_before_it_is_taken(notifier: Notifier) -> None:
    """415 for another type, 400 for what is no document, 500 for a CSeq overtaken."""
    assert notifier.notify(5, body=b"").status == 200
    reply = notifier.notify(6, type_="application/pidf+xml")
    assert reply.status == 415
    assert reply["accept"] == REGINFO
    assert notifier.notify(7, body=b"<reginfo").status == 400
    assert notifier.notify(3, body=b"").status == 500
    # None of them has ended the subscription.
    assert notifier.notify(8, body=b"").status == 200
