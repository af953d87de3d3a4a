"""What is news in a report of a contact."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.reg.document import ClaimElement, Contact, ContactEvent
from reginfo.reg.reported import SLACK, follow, is_same
from reginfo.reg.table_row import ReportedContact

ALICE = "sip:alice@example.com"
ONE = Contact(
    id="1", uri="sip:a@192.0.2.1", event=ContactEvent.REGISTERED, expires=600,
    callid="c", cseq=1,
)  # fmt: skip
ROW = ReportedContact(ALICE, ONE, 600.0)


def changed(**others: object) -> Contact:
    return msgspec.structs.replace(ONE, **others)


def test_the_same_report_later_is_no_news() -> None:
    assert follow(ROW, ALICE, changed(expires=590), 10.0) is ROW
    assert follow(ROW, ALICE, changed(expires=591), 10.0) is ROW
    assert follow(ROW, ALICE, changed(expires=589), 10.0) is ROW
    assert follow(ROW, ALICE, changed(expires=None), 10.0) is ROW


@pytest.mark.parametrize("by", [SLACK + 1, 3000, -SLACK - 1, -590])
def test_another_end_of_the_same_register_is_news(by: float) -> None:
    """An end that moves by more than a second is news (3680-103)."""
    row = follow(ROW, ALICE, changed(expires=int(590 + by)), 10.0)
    assert row.expires_at == 600 + by


@pytest.mark.parametrize(
    "others",
    [
        {"cseq": 2},
        {"cseq": None},
        {"claim": ClaimElement(owner="a", stamp=1)},
        {"callid": "d"},
    ],
)
def test_another_register_may_last_longer(others: dict[str, object]) -> None:
    row = follow(ROW, ALICE, changed(expires=3600, **others), 10.0)
    assert row.expires_at == 3610.0


@pytest.mark.parametrize(
    "others",
    [
        {"cseq": 2},
        {"cseq": None},
        {"claim": ClaimElement(owner="a", stamp=1)},
        {"callid": "d"},
    ],
)
def test_another_register_does_not_take_over_the_end(others: dict[str, object]) -> None:
    """Without `expires`, the end is known if that of the REGISTER is (3680-67)."""
    row = follow(ROW, ALICE, changed(expires=None, **others), 10.0)
    assert row.expires_at is None and row.contact.expires is None


def test_another_uri_is_another_contact() -> None:
    row = follow(ROW, ALICE, changed(uri="sip:b@192.0.2.1", expires=3600), 10.0)
    assert row.expires_at == 3610.0


def test_how_a_parameter_is_written_is_no_news() -> None:
    one = changed(params=(("a", '"b"'),))
    assert is_same(one, changed(params=(("a", "b"),), expires=1))
    assert not is_same(one, changed(params=(("a", "c"),)))
