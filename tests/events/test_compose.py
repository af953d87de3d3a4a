"""What a PUBLISH asks of a compositor (RFC 3903 §6)."""

from __future__ import annotations

import pytest

from reginfo.events.compose import PublishRequest, read
from reginfo.events.notify import SubscriptionPolicy
from reginfo.sip.errors import Refusal, RemoteProtocolError

from ..make import request

POLICY = SubscriptionPolicy(min_expires=60, default_expires=3761, max_expires=7200)


def asked(
    *headers: str, body: bytes = b"", event: str | None = "reg"
) -> PublishRequest:
    lines = [] if event is None else [f"Event: {event}"]
    return read(request("PUBLISH", *lines, *headers, body=body), "reg", POLICY)


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ((), b"x", PublishRequest(None, 3761, True)),
        (("Expires: 600",), b"x", PublishRequest(None, 600, True)),
        (("Expires: 9999",), b"x", PublishRequest(None, 7200, True)),
        (("SIP-If-Match: a", "Expires: 600"), b"x", PublishRequest("a", 600, True)),
        (("SIP-If-Match: a", "Expires: 600"), b"", PublishRequest("a", 600, False)),
        (("SIP-If-Match: a", "Expires: 0"), b"", PublishRequest("a", 0, False)),
    ],
)
def test_a_publication_is_made_changed_refreshed_or_removed(
    headers: tuple[str, ...], body: bytes, expected: PublishRequest
) -> None:
    """A PUBLISH makes, changes, refreshes or removes a publication (3903-31, -33)."""
    assert asked(*headers, body=body) == expected


@pytest.mark.parametrize("event", [None, "presence", "reg.winfo"])
def test_another_package_or_none_is_refused(event: str | None) -> None:
    """A PUBLISH of another event package, or of none, is refused (3903-30)."""
    with pytest.raises(Refusal) as caught:
        asked(body=b"x", event=event)
    assert caught.value.status == 489
    assert caught.value.headers == (("Allow-Events", "reg"),)


def test_an_extension_that_is_required_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        asked("Require: a, b", "Require: c", body=b"x")
    assert caught.value.status == 420
    assert caught.value.headers == (("Unsupported", "a, b, c"),)


def test_too_short_a_time_is_refused() -> None:
    """A PUBLISH with too short an Expires is refused (3903-33)."""
    with pytest.raises(Refusal) as caught:
        asked("Expires: 59", body=b"x")
    assert caught.value.status == 423


@pytest.mark.parametrize(
    "headers", [(), ("SIP-If-Match: a, b",), ("SIP-If-Match:",), ("SIP-If-Match: ,",)]
)
def test_a_new_publication_of_nothing_or_of_several_is_a_bad_request(
    headers: tuple[str, ...],
) -> None:
    """
    A new PUBLISH without a body, or one with several entity tags, is refused with 400
    (3903-31, -32).
    """
    with pytest.raises(RemoteProtocolError) as caught:
        asked(*headers, body=b"x" if headers else b"")
    assert caught.value.status == 400


@pytest.mark.parametrize("etag", ['"a"', "a b", "a;b", "<a>"])
def test_a_value_that_is_no_token_is_no_entity_tag(etag: str) -> None:
    """
    An entity tag that is no token is answered 412, like any unknown one (3903-31).
    """
    # It is 412, as any other that is not known.
    assert asked(f"SIP-If-Match: {etag}").etag == ""
