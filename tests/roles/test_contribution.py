"""The contacts of a publication are stored one by one."""

from __future__ import annotations

from typing import Any

from reginfo.roles.compositor import CONTACT_KIND, KIND
from reginfo.roles.contribution import Contribution, ContributionRow, shifted_row

from ..make import ALICE, NOW
from .test_compositor import DESK, PHONE, Server, contact, etag


def contacts_of(server: Server) -> list[Any]:
    """The contacts that are written with this batch; None for one that is removed."""
    return [
        None if value is None else value.contact.uri
        for kind, _, value in server.journal.close().entries
        if kind == CONTACT_KIND
    ]


def test_only_a_contact_that_changes_is_written() -> None:
    server = Server()
    first = server.publish(contact(), contact(DESK))
    assert sorted(contacts_of(server)) == [PHONE, DESK]
    second = server.publish(contact(cseq=2), contact(DESK), etag=etag(first))
    assert contacts_of(server) == [PHONE]
    third = server.publish(etag=etag(second), body=b"")  # a refresh
    assert contacts_of(server) == []
    server.publish(contact(DESK), etag=etag(third))
    assert contacts_of(server) == [None]


def test_contacts_of_a_publication_that_cannot_be_read_are_removed() -> None:
    server = Server()
    server.publish(contact())
    server.commit()
    (key,) = [key for key in server.rows if key[0] == KIND]
    server.rows[key] = {"no": "row"}
    after = server.restart()
    assert contacts_of(after) == [None]
    assert len(after.compositor) == 0


def test_a_contribution_says_what_it_is_and_moves_with_the_clock() -> None:
    row = ContributionRow(
        id="1",
        aor=ALICE,
        peer="p",
        etag="e",
        expires_at=NOW,
        request=("c", "t", 1),
        granted=60,
    )
    one = Contribution(row)
    assert repr(one) == f"<Contribution of p to {ALICE}>"
    assert (one.untimed, one.timer_at, one.scheduled_at) == (False, NOW, None)
    one.timer_due(NOW)
    assert one.timer_at is None
    assert shifted_row(row, 5.0).expires_at == NOW + 5
