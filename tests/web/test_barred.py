"""Users that are barred, as the API shows them."""

from __future__ import annotations

import pytest

from reginfo.location.record import Record, RecordKind
from reginfo.location.stamp import Stamp
from reginfo.web.barred import row

from .fake import ALICE, BOB, NOW
from .test_api import Client


def record(kind: str, left: float | None = None) -> Record:
    until, ends_at = (0, 0.0) if left is None else (1, NOW + left)
    return Record(
        kind=RecordKind(kind), value="", stamp=Stamp(1_700_000_000_500_000), owner="b",
        until=Stamp(until), expires_at=ends_at,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "left", "shown"),
    [("rejected", None, None), ("probation", 59.5, 60), ("probation", -3.0, 0)],
)
def test_a_bar_is_shown_with_its_reason_and_its_end(
    kind: str, left: float | None, shown: int | None
) -> None:
    found = row(ALICE, record(kind, left), NOW)
    assert (found.event, found.retry_after, found.owner) == (kind, shown, "b")
    assert found.since == 1_700_000_000.5


def test_barred_users_are_listed_page_by_page() -> None:
    client = Client()
    client.app.barring = [(BOB, record("probation", 5)), (ALICE, record("rejected"))]
    page = client.get("/v1/barred?limit=1").json()
    assert [one["aor"] for one in page["barred"]] == [ALICE]
    page = client.get(f"/v1/barred?after={page['next']}").json()
    assert [one["aor"] for one in page["barred"]] == [BOB] and "next" not in page
    assert client.get("/v1/barred?q=nobody").json() == {"barred": []}
