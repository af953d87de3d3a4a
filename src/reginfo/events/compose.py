"""A PUBLISH as its compositor reads it (RFC 3903 §6), for any event package."""

from __future__ import annotations

from typing import NamedTuple

from ..sip import grammar
from ..sip.demands import check_extensions
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.message import Request
from .headers import EventHeader
from .notify import SubscriptionPolicy, granted


class PublishRequest(NamedTuple):
    """What a PUBLISH asks for, after it has been checked."""

    etag: str | None
    "Entity-tag of the publication; None for a new one."

    expires: int
    "Seconds that are granted; 0 to remove the publication."

    has_body: bool
    "Whether it carries a new state; otherwise it refreshes the published one."


def read(request: Request, package: str, policy: SubscriptionPolicy) -> PublishRequest:
    """
    Check a PUBLISH in the order of §6; the event package checks the body.

    Raises:
        Refusal: 489 for another package (or none), 420 for an extension that is
            required, 423 for too short a time.
        RemoteProtocolError: several entity-tags, or a new publication without a body.
    """
    event = EventHeader.of(request)
    if event is None or event.package != package:
        raise Refusal(489, "Bad Event", headers=[("Allow-Events", package)])
    check_extensions(request)
    etag = _etag(request)
    expires = granted(request, policy)
    if etag is None and not request.body:
        raise RemoteProtocolError("a new publication without a body")
    return PublishRequest(etag, expires, bool(request.body))


def _etag(request: Request) -> str | None:
    if "SIP-If-Match" not in request.headers:
        return None
    etags = request.values("SIP-If-Match")
    if len(etags) != 1:
        raise RemoteProtocolError("SIP-If-Match of several entity-tags, or of none")
    # A malformed one is answered 412, like one that is not known.
    return etags[0] if grammar.token.fullmatch(etags[0]) else ""
