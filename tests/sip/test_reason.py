"""Reason phrases (RFC 3261 §21)."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from reginfo.sip.reason import PHRASES, phrase_of

SRC = Path(__file__).parents[2] / "src" / "reginfo"


@pytest.mark.parametrize(
    ("status", "phrase"),
    [
        (400, "Bad Request"),
        (414, "Request-URI Too Long"),
        (416, "Unsupported URI Scheme"),
        (505, "Version Not Supported"),
        (513, "Message Too Large"),
        # Those of the class, for what is not in the table (§8.1.3.2).
        (499, "Bad Request"),
        (580, "Server Internal Error"),
        (699, "Decline"),
    ],
)
def test_the_phrase_of_a_status_is_that_of_the_rfc(status: int, phrase: str) -> None:
    assert phrase_of(status) == phrase


@pytest.mark.skipif("MUTANT_UNDER_TEST" in os.environ, reason="others are in mutants")
def test_every_status_of_a_protocol_error_has_a_phrase() -> None:
    """A status that the package gives to a RemoteProtocolError is in the table."""
    given = {
        int(status)
        for path in SRC.rglob("*.py")
        for status in re.findall(
            r"(?:ProtocolError|UnreadableDocument)\([^()]*(?:\([^()]*\))*[^()]*"
            r"status=(\d+)\)",
            path.read_text("utf-8"),
        )
    }
    assert {414, 416, 500, 505, 513} <= given
    assert given <= set(PHRASES)
