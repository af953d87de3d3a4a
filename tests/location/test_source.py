"""A source says which peer told us of a binding, and how."""

from __future__ import annotations

import pytest

from reginfo.location.source import Source, is_known_by, peer_of


@pytest.mark.parametrize(
    ("text", "source", "is_subscription"),
    [
        ("p/sip:a@example.com", Source("p", "sip:a@example.com"), True),
        ("p/sip:a@example.com/x", Source("p", "sip:a@example.com/x"), True),
        ("p/PUBLISH", Source("p", "PUBLISH"), False),
        ("p/unsolicited", Source("p", "unsolicited"), False),
    ],
)
def test_a_source_is_read_as_it_was_written(
    text: str, source: Source, is_subscription: bool
) -> None:
    assert Source.parse(text) == source
    assert str(source) == text
    assert source.is_subscription is is_subscription
    assert peer_of(text) == "p"


@pytest.mark.parametrize(
    ("owner", "source", "peer", "known"),
    [
        ("p", None, "p", True),  # it owns the binding
        ("q", "p/sip:a", "p", True),  # it has told us
        ("q", "q/sip:a", "p", False),
        ("q", None, "p", False),
        ("p", "p/sip:a", None, False),  # no configured peer
    ],
)
def test_a_peer_is_not_notified_of_what_it_owns_or_has_told_us(
    owner: str, source: str | None, peer: str | None, known: bool
) -> None:
    assert is_known_by(owner, source, peer) is known
