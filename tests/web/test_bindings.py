"""Bindings, as the API and `reginfo show` show them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reginfo.web.bindings import BindingPage, row, told_by

from .fake import ALICE, NOW, binding


def test_a_binding_is_shown_with_its_details() -> None:
    """docs/api.md: the fields of a binding."""
    one = row(ALICE, binding("alice"), NOW)
    assert (one.aor, one.uri, one.owner) == (ALICE, "sip:alice@192.0.2.1", "a")
    assert (one.expires, one.callid, one.cseq) == (60, "call-alice", 7)
    assert (one.source, one.q, one.received) == (None, None, None)
    assert (one.params, one.path, one.event) == ({}, [], "registered")


@pytest.mark.parametrize(
    ("fields", "name", "shown"),
    [
        ({"q": "0.5"}, "q", 0.5),
        ({"params": (("ob", None), ("x", "1"))}, "params", {"ob": None, "x": "1"}),
        ({"path": ("<sip:p;lr>",)}, "path", ["<sip:p;lr>"]),
        ({"received": "sip:192.0.2.9"}, "received", "sip:192.0.2.9"),
        ({"source": "b/x"}, "source", "b/x"),
        ({"expires_at": NOW - 1}, "expires", 0),
        ({"call_id": "a\udcffb"}, "callid", "a\ufffdb"),
    ],
)
def test_each_field_is_shown_as_in_json(
    fields: dict[str, Any], name: str, shown: object
) -> None:
    one = row(ALICE, binding("alice", **fields), NOW)
    assert getattr(one, name) == shown
    assert msgspec.json.decode(msgspec.json.encode(one))[name] == shown


def test_the_last_page_names_no_other() -> None:
    assert msgspec.json.encode(BindingPage(bindings=[])) == b'{"bindings":[]}'


@pytest.mark.parametrize(
    ("source", "told"), [("b", True), ("b/x", True), ("x", False), ("", False)]
)
def test_a_binding_is_found_by_its_peer_or_its_source(source: str, told: bool) -> None:
    assert told_by(binding("alice", source="b/x"), source) is told
    assert not told_by(binding("alice"), source)
