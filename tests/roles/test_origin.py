"""Where a document comes from, as a value."""

from __future__ import annotations

import pytest

from reginfo.location.place import TABLE, Place
from reginfo.roles.origin import DocumentOrigin

from ..make import ALICE, BOB, NOW


@pytest.mark.parametrize("table", [TABLE, "subscribers"])
@pytest.mark.parametrize("aor", [ALICE, BOB])
def test_users_of_a_document_are_looked_up_in_the_table_that_it_is_for(
    table: str, aor: str
) -> None:
    origin = DocumentOrigin("p", f"p/{ALICE}", table, NOW)
    assert origin.place(aor) == Place(table, aor)  # type: ignore[arg-type]


def test_a_document_is_of_now_unless_the_peer_was_out_of_reach() -> None:
    assert DocumentOrigin("p", "p/x", TABLE, NOW).since is None
