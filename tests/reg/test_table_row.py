"""The rows of a table: what is stored is what is loaded."""

from __future__ import annotations

import msgspec

from reginfo.reg.document import ClaimElement, Contact, ContactEvent
from reginfo.reg.table import Table
from reginfo.reg.table_row import ReportedContact, TableDump, TableState, shifted

ALICE = "sip:alice@example.com"
ONE = Contact(
    id="1", uri="sip:a@192.0.2.1", event=ContactEvent.REGISTERED, expires=600,
    callid="c", cseq=1, params=(("a", None), ("b", '"c"')),
    claim=ClaimElement(owner="a", stamp=2**53),
)  # fmt: skip
ROW = ReportedContact(ALICE, ONE, 600.0)


def test_a_row_and_the_state_beside_it_are_the_same_after_a_restart() -> None:
    ended = msgspec.structs.replace(ONE, event=ContactEvent.EXPIRED, expires=0)
    for value in (ROW, TableState(7, 3, ((ALICE, ended),)), TableState()):
        data = msgspec.msgpack.encode(value)
        assert msgspec.msgpack.decode(data, type=type(value)) == value


def test_a_table_goes_on_from_its_dump() -> None:
    dump = TableDump(version=7, cseq=3, rows=(ROW,), gone=())
    data = msgspec.msgpack.encode(dump)
    read = msgspec.msgpack.decode(data, type=TableDump)
    assert Table.load(read).dump() == dump
    assert read.state == TableState(7, 3)


def test_a_row_without_an_end_has_none_after_a_restart() -> None:
    assert shifted(ROW, 5.0).expires_at == 605.0
    endless = ReportedContact(ALICE, ONE, None)
    assert shifted(endless, 5.0) is endless
