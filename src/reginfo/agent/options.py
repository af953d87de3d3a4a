"""One OPTIONS (RFC 3261 §11): whether a server is there."""

from __future__ import annotations

from ..sip.message import Draft
from .register import Exchange


def options_draft(server: str, contact: str, exchange: Exchange) -> Draft:
    """
    Make an OPTIONS that is for a server itself.

    Args:
        server: its host and port.
        contact: our own URI.
    """
    uri = f"sip:{server}"
    head = (
        "Max-Forwards: 70\r\n"
        f"From: <{contact}>;tag={exchange.tag}\r\nTo: <{uri}>\r\n"
        f"Call-ID: {exchange.call_id}\r\nCSeq: 1 OPTIONS\r\n"
        f"Contact: <{contact}>\r\nAccept: application/reginfo+xml\r\n"
    )
    return Draft("OPTIONS", uri, head)
