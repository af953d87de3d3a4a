"""
Publications between servers of our kind carry claims, and their end removes nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.config.config import Config
from reginfo.ledger.memory import MemoryStorage
from reginfo.reg import xml
from reginfo.reg.document import ContactEvent, Reginfo
from reginfo.sip.message import Request, Response
from reginfo.sip.parser import parse
from reginfo.testing import Wire, WireServer

from ..make import ALICE, PHONE, place

A, B = ("192.0.2.1", 5060), ("192.0.2.2", 5060)
DESK = "sip:alice@192.0.2.77"


def config(me: str, host: str, more: str) -> Config:
    return Config.parse(
        f"""
[server]
id = "{me}"
listen = ["udp:{host}:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[pua]
max_expires = 120
{more}
"""
    )


class Two:
    """A server that publishes at another one, and a phone at the first."""

    def __init__(self, more: str = "", profile: str = "") -> None:
        self.wire = Wire()
        publish = f'[pua_reginfo]\npublish_to = ["sip:192.0.2.2"]\n{more}'
        # The name of a peer need not be its id.
        knows = '[[peer]]\nname = "pub"\nuri = "sip:192.0.2.1"\n'
        self.b = self.wire.serve(config("b", B[0], knows), MemoryStorage())
        if profile:
            publish += (
                f'[[peer]]\nname = "b"\nuri = "sip:192.0.2.2"\nprofile = "{profile}"\n'
            )
        self.a = self.wire.serve(config("a", A[0], publish), MemoryStorage())
        self.cseq = 0

    def register(self, expires: int = 3600, contact: str = DESK) -> None:
        self.cseq += 1
        lines = [
            "REGISTER sip:example.com SIP/2.0",
            f"Via: SIP/2.0/UDP 192.0.2.50;branch=z9hG4bKr{self.cseq}",
            f"From: <{ALICE}>;tag=1",
            f"To: <{ALICE}>",
            "Call-ID: phone",
            f"CSeq: {self.cseq} REGISTER",
            f"Contact: <{contact}>",
            f"Expires: {expires}",
            "Content-Length: 0",
        ]
        data = "\r\n".join([*lines, "", ""]).encode()
        self.wire.send(data, PHONE, self.a.address)
        answer = parse(self.wire.received(PHONE)[-1])
        assert isinstance(answer, Response) and answer.status == 200
        self.wire.pass_time(1)

    def published(self) -> list[Reginfo]:
        """The documents that were published, in order."""
        found = [parse(p.data) for p in self.wire.packets if p.data[:3] == b"PUB"]
        bodies = [m.body for m in found if isinstance(m, Request) and m.body]
        return [xml.parse(body) for body in bodies]

    def claims(self, server: WireServer) -> list[Any]:
        rows = server.app.store.rows(place(ALICE)).values()
        return sorted(claim.order for claims in rows for claim in claims)


def test_a_publication_carries_claims_once_the_server_is_known_to_take_them() -> None:
    """3680-147: they are the same at both, whatever the peer is called there."""
    two = Two()
    two.register()
    first, second = two.published()
    assert first.registrations[0].contacts[0].claim is None
    assert second.registrations[0].contacts[0].claim is not None
    two.register()
    assert len(two.published()) == 3
    assert two.claims(two.a)[-1] in two.claims(two.b)
    (bound,) = two.b.bindings(ALICE)
    assert (bound.owner, bound.cseq, bound.source) == ("a", 2, "pub/PUBLISH")


@pytest.mark.parametrize("how", ["runs out", "is removed"])
def test_the_end_of_a_publication_removes_nothing(how: str) -> None:
    """3680-147: the contact stays until its own end."""
    two = Two()
    two.register(expires=1000)
    if how == "runs out":
        two.wire.kill(two.a)
        two.wire.pass_time(300)
        assert len(two.b.app.compositor) == 0
    else:
        [contribution] = two.b.app.compositor.contributions()
        row = contribution.row
        lines = [
            f"PUBLISH {ALICE} SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKremoved",
            f"From: <{ALICE}>;tag={row.request[1]}",
            f"To: <{ALICE}>",
            f"Call-ID: {row.request[0]}",
            f"CSeq: {row.request[2] + 1} PUBLISH",
            "Event: reg",
            "Expires: 0",
            f"SIP-If-Match: {row.etag}",
            "Content-Length: 0",
        ]
        two.wire.send("\r\n".join([*lines, "", ""]).encode(), A, B)
        assert len(two.b.app.compositor) == 0
    assert two.b.contacts(ALICE) == [DESK]
    two.wire.pass_time(1000)
    assert two.b.contacts(ALICE) == []


def test_an_end_at_the_publisher_is_a_claim_that_says_so() -> None:
    """3680-147: a tombstone, which ends the contact here."""
    two = Two()
    two.register()
    two.register(expires=0)
    assert two.b.contacts(ALICE) == []
    (row,) = two.b.app.store.rows(place(ALICE)).values()
    assert row[0].gone and row[0].owner == "a"
    assert row[0].event is ContactEvent.UNREGISTERED


def test_records_of_the_user_are_published_with_it() -> None:
    """3680-147, 3680-142: a user that is rejected is refused there, too."""
    two = Two()
    two.register()
    two.a.app.remove(ALICE, event=ContactEvent.REJECTED)
    two.wire.pass_time(1)
    assert two.b.contacts(ALICE) == []
    assert [kind.kind.value for _, kind in two.b.app.barred()] == ["rejected"]


def test_after_a_restart_claims_are_published_at_once() -> None:
    """3680-147"""
    two = Two()
    two.register()
    before = len(two.published())
    two.a = two.wire.restart(two.a)
    two.wire.pass_time(1)
    (again,) = two.published()[before:]
    assert again.registrations[0].contacts[0].claim is not None


def test_a_server_that_is_configured_as_legacy_gets_no_claims() -> None:
    """3680-147"""
    two = Two(profile="legacy")
    two.register()
    two.register()
    contacts = [c for d in two.published() for r in d.registrations for c in r.contacts]
    assert len(two.published()) == 2
    assert [contact.claim for contact in contacts] == [None, None]
    assert two.b.contacts(ALICE) == [DESK]
    two.wire.kill(two.a)
    two.wire.pass_time(300)
    assert two.b.contacts(ALICE) == []  # as RFC 3903 has it
