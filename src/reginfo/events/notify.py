"""A subscription that we serve, to any event package (RFC 6665 §4.2)."""

from __future__ import annotations

import math

from ..sip.demands import check_extensions, understands_body
from ..sip.dialog import Dialog
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.headers import parse_params, split
from ..sip.message import Draft, Request, Response
from ..sip.value import MutableValue, Value
from .headers import EventHeader

ENDS_SUBSCRIPTION = frozenset(
    {404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604}
)
"""Responses to a NOTIFY or a refresh that end the subscription (§4.2.2)."""

RETRY_FIRST = 1.0
RETRY_LONGEST = 30.0
"""Seconds: the pause after a NOTIFY is refused for the moment, doubled each time."""


class SubscriptionPolicy(Value, frozen=True):
    """Limits of the duration of a subscription, in seconds."""

    min_expires: int = 60
    default_expires: int = 3761
    max_expires: int = 86_400

    def __post_init__(self) -> None:
        for name in ("min_expires", "default_expires", "max_expires"):
            if type(value := getattr(self, name)) is not int:
                raise TypeError(
                    f"SubscriptionPolicy.{name}: int is needed, not {value!r:.80}"
                )
            if value < 0:
                raise ValueError(f"SubscriptionPolicy.{name}: {value} is negative")


class ServedSubscription(MutableValue, kw_only=True):
    """One subscription of a watcher, and the dialog of its NOTIFYs."""

    dialog: Dialog

    event: str
    "Event, as the watcher wrote it: its `id` must be echoed (§8.2.1)."

    expires_at: float
    "When it ends unless it is refreshed, in seconds on the server's clock."

    reason: str | None = None
    "Why it has ended; None while it goes on."

    def __repr__(self) -> str:
        """As a log names it: ``<ServedSubscription reg of CALL-ID, active>``."""
        state = "active" if self.reason is None else f"terminated ({self.reason})"
        return f"<ServedSubscription {self.event} of {self.dialog.call_id}, {state}>"

    def expires(self, now: float) -> int:
        """Return the seconds left, rounded down: never more than were granted."""
        # The rounding error of a sum must not cost a whole second.
        return max(0, math.floor(self.expires_at - now + 1e-3))

    def notify(
        self, content_type: str, body: bytes, now: float, *, more: bool = False
    ) -> Draft:
        """
        Write the next NOTIFY.

        Args:
            content_type: type of the body; ignored if the body is empty.
            more: whether others follow that belong to it: then it is not the final one.
        """
        if self.reason is None or more:
            # As `expires` has it, without a call on the hot path.
            left = math.floor(self.expires_at - now + 1e-3)
            state = f"active;expires={left if left > 0 else 0}"
        else:
            state = f"terminated;reason={self.reason}"
        headers = f"Event: {self.event}\r\nSubscription-State: {state}\r\n"
        if body:
            headers += f"Content-Type: {content_type}\r\n"
        return self.dialog.draft("NOTIFY", headers, body)


def check(request: Request, package: str, media_type: str) -> EventHeader:
    """
    Check whether a SUBSCRIBE can be served.

    Raises:
        Refusal: 489 for another package (or none), 406 if ``media_type`` is not
            accepted, 420 for an extension that is required, 415 for a body.
    """
    try:
        event = EventHeader.of(request)
    except RemoteProtocolError as exc:
        raise Refusal(400, "Bad Request") from exc
    if event is None or event.package != package:
        # §4.2.1.1: 489 also for a SUBSCRIBE that names no package.
        raise Refusal(489, "Bad Event", headers=[("Allow-Events", package)])
    check_extensions(request)
    understands_body(request, None)
    if not accepts(request.headers.get("Accept"), media_type):
        raise Refusal(406, "Not Acceptable", headers=[("Accept", media_type)])
    return event


def accepts(lines: list[str] | None, media_type: str) -> bool:
    """
    Whether Accept lists ``media_type``; without Accept, the default is accepted.

    RFC 3261 §20.1: wildcards count, and a ``q`` of 0 excludes a range. The most
    specific range decides, as in HTTP.
    """
    if lines is None:
        return True
    kind = media_type.partition("/")[0]
    found: dict[str, bool] = {}
    for line in lines:
        for value in split(line):
            name, semicolon, rest = value.partition(";")
            try:
                weight = parse_params(semicolon + rest).get("q") or "1"
                wanted = float(weight) > 0
            except (RemoteProtocolError, ValueError):
                wanted = True
            found[name.strip().lower()] = wanted
    for name in (media_type, f"{kind}/*", "*/*"):
        if name in found:
            return found[name]
    return False


def granted(request: Request, policy: SubscriptionPolicy) -> int:
    """
    Return the seconds to grant; 0 to end a subscription, or to fetch the state.

    Never more than was asked (§4.2.1.1). A malformed Expires counts as absent.

    Raises:
        Refusal: 423, for less than the minimum and less than an hour (ibid.).
    """
    asked = request.expires
    if asked is None:
        return policy.default_expires
    if 0 < asked < min(policy.min_expires, 3600):
        minimum = [("Min-Expires", str(policy.min_expires))]
        raise Refusal(423, "Interval Too Brief", headers=minimum)
    return min(asked, policy.max_expires)


def accepted(request: Request, dialog: Dialog, package: str, expires: int) -> Response:
    """Write the 200 to a SUBSCRIBE that is served (§4.2.1.1, §4.4.4)."""
    headers = {
        "Expires": [str(expires)],
        "Contact": [dialog.contact],
        "Allow-Events": [package],
    }
    if route := request.headers.get("Record-Route"):
        headers["Record-Route"] = list(route)  # RFC 3261 §12.1.1: MUST be copied
    return Response(200, "OK", headers)
