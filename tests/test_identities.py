"""Public identities at whole servers: by a script, at a peer, over a restart."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reginfo.config.config import Config
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.location.schema import SCHEMA
from reginfo.reg import xml
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.testing import Script, Wire

from .make import place

ALICE, AL, TEL = "sip:alice@example.com", "sip:al@example.com", "tel:+15550100"
PHONE = ("192.0.2.50", 5060)
WATCHER = ("192.0.2.60", 5060)
UPDATE = Path(__file__).parent / "routes" / "identities.py"

CONFIG = """
[server]
id      = "a"
listen  = ["udp:192.0.2.1:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
[pua_reginfo]
server_address    = "sip:reginfo@192.0.2.1"
ul_identities_key = "identities"
[[peer]]
name    = "registrar"
match   = { address = "192.0.2.50" }
trusted = true
"""
OTHER = """
[server]
id      = "b"
listen  = ["udp:192.0.2.2:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
[pua_reginfo]
server_address    = "sip:reginfo@192.0.2.2"
ul_identities_key = "identities"
[[peer]]
name  = "a"
uri   = "sip:192.0.2.1"
watch = ["sip:alice@example.com"]
"""
PEER = """
[[peer]]
name = "b"
uri  = "sip:192.0.2.2"
"""


def config(text: str) -> Config:
    read = Config.parse(text)
    server = msgspec.structs.replace(read.server, script=UPDATE)
    return msgspec.structs.replace(read, server=server)


def registers(wire: Wire, cseq: int, identities: str) -> None:
    """Alice's phone sends a REGISTER; with identities, as the example expects."""
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        f"Via: SIP/2.0/UDP {PHONE[0]};branch=z9hG4bK{cseq}",
        f"From: <{ALICE}>;tag=a",
        f"To: <{ALICE}>",
        "Call-ID: phone",
        f"CSeq: {cseq} REGISTER",
        "Contact: <sip:alice@192.0.2.50>",
        f"P-Associated-URI: {identities}",
        "Content-Length: 0",
    ]
    wire.send("\r\n".join([*lines, "", ""]).encode(), PHONE, ("192.0.2.1", 5060))


def test_a_script_learns_identities_and_a_watcher_of_one_is_told() -> None:
    """The manual's first example: P-Associated-URI, `ul_add_key`, `reginfo_update`."""
    script = Script(UPDATE, CONFIG)
    subscribe = ["Event: reg", "Contact: <sip:w@192.0.2.60>", "Expires: 600"]
    answer = script.send("SUBSCRIBE", TEL, *subscribe, source=WATCHER)
    assert answer is not None and answer.status == 200
    (_, init) = script.sent()
    assert xml.parse(init.message.body).registrations[0].aor == TEL
    script.answer(init, 200)
    value = f'"Al, ice" <{ALICE}>, <{AL}>;x="y,z", <{TEL}>'
    contact = "sip:alice@192.0.2.50"
    assert script.register(ALICE, contact, f"P-Associated-URI: {value}") == 200
    told = [one for one in script.sent() if one.method == "NOTIFY"]
    document = xml.parse(told[0].message.body)
    assert [one.aor for one in document.registrations] == [ALICE, AL, TEL]
    assert {len(one.contacts) for one in document.registrations} == {1}


def test_a_call_to_an_identity_reaches_the_user() -> None:
    """An identity is looked up like the address-of-record, a `tel:` one too."""
    script = Script(UPDATE, CONFIG)
    contact = "sip:alice@192.0.2.50"
    elsewhere = "sip:al@elsewhere.example"
    value = f"P-Associated-URI: <{ALICE}>, <{AL}>, <{TEL}>, <{elsewhere}>"
    script.register(ALICE, contact, value)
    for identity in (AL, TEL, elsewhere):
        script.sent()
        script.send("MESSAGE", identity, source=WATCHER)
        (relayed,) = [one for one in script.sent() if one.uri]
        assert (relayed.uri, relayed.to) == (contact, PHONE)


def test_another_server_knows_the_identities_too() -> None:
    """The contract: keys are replicated with the record."""
    wire = Wire()
    wire.serve(config(CONFIG + PEER))
    b = wire.serve(config(OTHER))
    wire.pass_time(1)
    registers(wire, 1, f"<{ALICE}>, <{AL}>")
    wire.pass_time(1)
    assert b.app.store.keys(place(ALICE)) == {"identities": f"<{ALICE}>, <{AL}>"}
    assert b.app.store.identities(place(ALICE)) == (ALICE, AL)
    assert b.contacts(ALICE) == ["sip:alice@192.0.2.50"]
    registers(wire, 2, f"<{ALICE}>, <{TEL}>")
    wire.pass_time(1)
    assert b.app.store.identities(place(ALICE)) == (ALICE, TEL)
    assert b.app.store.record_of(place(TEL)).aor == ALICE
    # A document of identities is no second registration there.
    assert b.app.aors() == [ALICE]


def test_identities_survive_a_restart(tmp_path: Path) -> None:
    """Nothing acknowledged is lost: a key is on disk before the 200."""
    path = tmp_path / "store.db"
    wire = Wire()
    database = SqliteStorage(path, SCHEMA)
    a = wire.serve(config(CONFIG), database)
    registers(wire, 1, f"<{ALICE}>, <{AL}>")
    wire.kill(a)
    database.close()
    database = SqliteStorage(path, SCHEMA)
    again = wire.serve(config(CONFIG), database)
    assert again.app.store.identities(place(ALICE)) == (ALICE, AL)
    while database.fold():
        pass
    wire.kill(again)
    database.close()
    database = SqliteStorage(path, SCHEMA)
    assert (
        wire.serve(config(CONFIG), database).app.store.record_of(place(AL)).aor == ALICE
    )
    database.close()


def test_a_restart_tells_no_watcher_of_identities_anew(tmp_path: Path) -> None:
    wire = Wire()
    database = SqliteStorage(tmp_path / "store.db", SCHEMA)
    a = wire.serve(config(CONFIG), database)
    lines = [
        f"SUBSCRIBE {AL} SIP/2.0",
        f"Via: SIP/2.0/UDP {WATCHER[0]};branch=z9hG4bKw",
        "From: <sip:w@example.com>;tag=w",
        f"To: <{AL}>",
        "Call-ID: watch",
        "CSeq: 1 SUBSCRIBE",
        "Contact: <sip:w@192.0.2.60>",
        "Event: reg",
        "Content-Length: 0",
    ]
    registers(wire, 1, f"<{ALICE}>, <{AL}>")
    wire.send("\r\n".join([*lines, "", ""]).encode(), WATCHER, a.address)
    while notifies := [
        message
        for data in wire.received(WATCHER)
        if isinstance(message := parse(data), Request)
    ]:
        for notify in notifies:
            answer = notify.write_response(Response(200, "OK"), to_tag="")
            wire.send(answer, WATCHER, a.address)
    wire.pass_time(2)  # the answers are committed
    wire.kill(a)
    wire.serve(config(CONFIG), database)
    wire.pass_time(30)
    assert wire.received(WATCHER) == []
    registers(wire, 2, f"<{ALICE}>, <{AL}>")
    (told,) = [parse(data) for data in wire.received(WATCHER)]
    assert {one.aor for one in xml.parse(told.body).registrations} == {ALICE, AL}
    database.close()
