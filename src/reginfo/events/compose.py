"""What a PUBLISH asks of a compositor (RFC 3903 §6), for any event package."""

from __future__ import annotations

from typing import NamedTuple

from ..sip import grammar
from ..sip.demands import check_extensions
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.message import Request
from .headers import EventHeader
from .notify import SubscriptionPolicy, granted


class Asked(NamedTuple):
    """What is asked, once it is known to make sense."""

    etag: str | None
    "Which publication is meant; None for a new one."

    expires: int
    "For how many seconds it is to stand, as granted; 0 to remove it."

    has_body: bool
    "Whether it brings a new state; else the one that is published stands longer."


def read(request: Request, package: str, policy: SubscriptionPolicy) -> Asked:
    """
    Look at a PUBLISH, in the order of §6; its body is left to the package.

    Raises:
        Refusal: 489 for another package (or none), 420 for an extension that is
            required, 423 for too short a time.
        RemoteProtocolError: several entity-tags, or a new publication of nothing.
    """
    event = EventHeader.of(request)
    if event is None or event.package != package:
        raise Refusal(489, "Bad Event", headers=[("Allow-Events", package)])
    check_extensions(request)
    etag = _etag(request)
    expires = granted(request, policy)
    if etag is None and not request.body:
        raise RemoteProtocolError("a new publication without a body")
    return Asked(etag, expires, bool(request.body))


def _etag(request: Request) -> str | None:
    if "SIP-If-Match" not in request.headers:
        return None
    etags = request.values("SIP-If-Match")
    if len(etags) != 1:
        raise RemoteProtocolError("SIP-If-Match of several entity-tags, or of none")
    # What is no token is nobody's entity-tag: 412, as any other that is not known.
    return etags[0] if grammar.token.fullmatch(etags[0]) else ""
