"""An OPTIONS for a server itself (RFC 3261 §11.1)."""

from __future__ import annotations

from reginfo.agent.options import options_draft
from reginfo.agent.register import Exchange


def test_it_has_no_user_and_all_that_a_request_needs() -> None:
    draft = options_draft("192.0.2.1:5060", "sip:me@192.0.2.9:7", Exchange("t", "c"))
    assert (draft.method, draft.uri) == ("OPTIONS", "sip:192.0.2.1:5060")
    assert draft.head.split("\r\n") == [
        "Max-Forwards: 70",
        "From: <sip:me@192.0.2.9:7>;tag=t",
        "To: <sip:192.0.2.1:5060>",
        "Call-ID: c",
        "CSeq: 1 OPTIONS",
        "Contact: <sip:me@192.0.2.9:7>",
        "Accept: application/reginfo+xml",
        "",
    ]
