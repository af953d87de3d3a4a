"""Reason phrases of responses (RFC 3261 §21)."""

from __future__ import annotations

PHRASES = {
    100: "Trying",
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    480: "Temporarily Unavailable",
    500: "Server Internal Error",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
}

CLASSES = {4: "Bad Request", 5: "Server Internal Error", 6: "Decline"}


def phrase_of(status: int) -> str:
    """
    Return the reason phrase for the status of an error.

    A status without one gets the phrase of its class, as which a client treats it
    (§8.1.3.2).
    """
    return PHRASES.get(status) or CLASSES.get(status // 100, "")
