"""A user that registers elsewhere by way of us is served by the way that it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.routing.service_routes import KEY
from reginfo.sip.flow import Address
from reginfo.sip.message import Draft, Request
from reginfo.testing import Script
from reginfo.testing.script import CONFIG

from ..make import place
from ..server.scripted import PHONE, written

HOME: Address = ("192.0.2.70", 5060)
ALICE, CAROL = "sip:alice@home.example", "sip:carol@elsewhere.example"
ORIG = "<sip:orig@192.0.2.80;lr>"
SECOND = "<sip:second@192.0.2.81;lr>"
RELAYS = CONFIG + '[proxy]\nrelay = "all"\n'


@pytest.fixture
def edge(tmp_path: Path) -> Script:
    """A server that passes on what is not for it, without a word of its script."""
    script = Script(
        written(
            tmp_path / "routes.py",
            """
            @route.request("X-NONE")
            def none(msg: Message) -> None:
                pass
            """,
        ),
        RELAYS,
    )
    script.wire.hosts["home.example"] = HOME
    script.wire.hosts["elsewhere.example"] = ("192.0.2.90", 5060)
    return script


def registers(
    script: Script,
    *routes: str,
    contact: str = "<sip:alice@192.0.2.50>;expires=600",
    status: int = 200,
) -> None:
    script.sent()
    script.send(
        "REGISTER", "sip:home.example", "Contact: <sip:alice@192.0.2.50>", to=ALICE,
        from_=ALICE,
    )  # fmt: skip
    (relayed,) = [one for one in script.sent() if one.method == "REGISTER"]
    assert relayed.to == HOME
    headers = [("Service-Route", route) for route in routes]
    headers += [("Contact", contact)] if contact else []
    script.answer(relayed, status, headers=headers)


def calls(
    script: Script, *headers: str, to: str = CAROL, from_: str = ALICE
) -> tuple[Request, Address]:
    """What becomes of a MESSAGE of alice's."""
    script.sent()
    script.send("MESSAGE", to, *headers, from_=from_)
    (relayed,) = [one for one in script.sent() if one.method == "MESSAGE"]
    assert isinstance(relayed.message, Request)
    return relayed.message, relayed.to


def test_what_a_user_begins_goes_by_its_service_route(edge: Script) -> None:
    """3608-01: in the order in which it was given."""
    registers(edge, ORIG, SECOND)
    message, where = calls(edge)
    assert message.uri == CAROL
    assert ", ".join(message.headers["Route"]) == f"{ORIG}, {SECOND}"
    assert where == ("192.0.2.80", 5060)


def test_each_registration_replaces_it(edge: Script) -> None:
    """3608-01: replaced at every registration; none, if none is given."""
    registers(edge, ORIG)
    registers(edge, SECOND)
    assert calls(edge)[0].headers["Route"] == [SECOND]
    registers(edge)
    assert "Route" not in calls(edge)[0].headers


@pytest.mark.parametrize("contact", ["", "<sip:alice@192.0.2.50>;expires=0"])
def test_who_has_no_contact_left_has_no_service_route(
    edge: Script, contact: str
) -> None:
    registers(edge, ORIG)
    registers(edge, ORIG, contact=contact)
    assert edge.server.app.store.keys(place(ALICE)) == {}
    assert "Route" not in calls(edge)[0].headers


def test_it_ends_with_the_registration(edge: Script) -> None:
    """RFC 3608 §6.1: it is of a registration"""
    registers(edge, ORIG, contact="<sip:alice@192.0.2.50>;expires=60")
    edge.pass_time(59)
    assert calls(edge)[0].headers["Route"] == [ORIG]
    edge.pass_time(2)
    assert "Route" not in calls(edge)[0].headers


def test_a_refusal_changes_nothing(edge: Script) -> None:
    registers(edge, ORIG)
    registers(edge, SECOND, status=403)
    assert calls(edge)[0].headers["Route"] == [ORIG]


def test_it_is_not_for_others_nor_for_what_comes_in(edge: Script) -> None:
    """3608-01: not stored as Route for incoming."""
    registers(edge, ORIG)
    assert "Route" not in calls(edge, from_="sip:bob@home.example")[0].headers
    incoming, where = calls(edge, to=ALICE, from_=CAROL)
    assert "Route" not in incoming.headers
    assert where == HOME


def test_a_route_of_the_phone_s_own_and_a_dialog_go_their_way(edge: Script) -> None:
    registers(edge, ORIG)
    own, where = calls(edge, f"Route: {SECOND}")
    assert own.headers["Route"] == [SECOND]
    assert where == ("192.0.2.81", 5060)
    edge.sent()
    in_dialog = Draft(
        "INFO",
        CAROL,
        f"From: <{ALICE}>;tag=a\r\nTo: <{CAROL}>;tag=c\r\nCall-ID: call\r\n"
        "CSeq: 2 INFO\r\nMax-Forwards: 70\r\n",
        b"",
    )
    edge.request(in_dialog)
    (info,) = [one for one in edge.sent() if one.method == "INFO"]
    assert (info.header("Route"), info.to) == (None, ("192.0.2.90", 5060))


def test_an_invalid_service_route_is_not_stored(
    edge: Script, caplog: pytest.LogCaptureFixture
) -> None:
    registers(edge, ORIG)
    registers(edge, "<nonsense")
    assert calls(edge)[0].headers["Route"] == [ORIG]
    assert "invalid Service-Route of sip:alice@home.example" in caplog.text


def test_a_script_learns_it_too_and_can_look_at_it(tmp_path: Path) -> None:
    """3608-02: a key of the record, kept and replicated as any other."""
    text = f"""
        @route.request("REGISTER")
        def register(msg: Message) -> None:
            msg.t_on_reply("seen")
            msg.t_relay()

        @route.reply("seen")
        def seen(msg: Message) -> None:
            msg.append_hf("X-Route", msg.ul_get_key("location", "$tu", "{KEY}"))
        """
    script = Script(written(tmp_path / "routes.py", text), RELAYS)
    script.wire.hosts["home.example"] = HOME
    registers(script, ORIG)
    (answer,) = [one for one in script.sent() if one.to == PHONE]
    assert answer.header("X-Route") == ORIG


def test_nobody_but_its_own_registrar_gives_a_user_a_service_route(
    edge: Script,
) -> None:
    """3608-01: whoever else answers a REGISTER of it has no say in its way."""
    edge.wire.hosts["mallory.example"] = ("192.0.2.99", 5060)
    edge.wire.hosts["elsewhere.example"] = ("192.0.2.90", 5060)
    registers(edge, ORIG)
    edge.sent()
    for user in (ALICE, "sip:bob@example.com"):
        edge.send("REGISTER", "sip:mallory.example", to=user, from_=CAROL)
        (relayed,) = [one for one in edge.sent() if one.uri]
        assert relayed.to == ("192.0.2.99", 5060)
        headers = [("Contact", "<sip:x@192.0.2.99>;expires=600")]
        edge.answer(relayed, 200, headers=[*headers, ("Service-Route", SECOND)])
    assert edge.server.app.store.keys(place("sip:bob@example.com")) == {}
    assert calls(edge)[0].headers["Route"] == [ORIG]
    # Nor does it take one away.
    edge.sent()
    edge.send("REGISTER", "sip:mallory.example", to=ALICE, from_=CAROL)
    (relayed,) = [one for one in edge.sent() if one.uri]
    edge.answer(relayed, 200)
    assert calls(edge)[0].headers["Route"] == [ORIG]


@pytest.mark.parametrize(
    "value",
    [
        "nonsense",
        "<nonsense",
        "sip:orig@192.0.2.80;lr",  # 3261-133: a name-addr
        f"{ORIG}, sip:orig@192.0.2.80;lr",
        f"{ORIG}, nonsense",
        f"{ORIG};x=a\r\nEvil: 1",
        f'"a\r\nEvil: 1\r\nY: b" {ORIG}',
        f"{ORIG}, {SECOND};x=a\nEvil: 1",
        f"\r\n{ORIG}",
    ],
)
def test_a_key_that_is_no_route_is_not_gone_by(edge: Script, value: str) -> None:
    """It may have been set by a script, or have come from another server."""
    stored = edge.server.app.store

    def put(value: str, stamp: int) -> None:
        record = Record(
            kind=RecordKind.KEY, name=KEY, value=value, stamp=Stamp(stamp), owner="b",
            source="b/x",
        )  # fmt: skip
        stored.apply(place(ALICE), (), edge.wire.now, records=[record])

    put(value, 1)
    message, where = calls(edge)
    assert "Route" not in message.headers and "Evil" not in message.headers
    assert where == ("192.0.2.90", 5060)
    put(ORIG, 2)
    assert calls(edge)[0].headers["Route"] == [ORIG]
