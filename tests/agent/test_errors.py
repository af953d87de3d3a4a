"""The errors of a client: the reasons why a request failed."""

from __future__ import annotations

import pytest

from reginfo.agent.errors import (
    NoAnswer,
    RequestRefused,
    Unreachable,
    WatchEnded,
    no_answer,
)
from reginfo.sip.errors import ReginfoError
from reginfo.sip.message import Response


def test_silence_and_an_unreachable_server_are_different_errors() -> None:
    """RFC 3261 §8.1.3.1: a timeout, or an error of the transport."""
    silent, away = no_answer("REGISTER", "timeout"), no_answer("REGISTER", "refused")
    assert type(silent) is NoAnswer and "REGISTER" in str(silent)
    assert type(away) is Unreachable and str(away) == "refused"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "423 Interval Too Brief"),
        ({"Min-Expires": ["60"]}, "423 Interval Too Brief (Min-Expires: 60)"),
        (
            {"Allow-Events": ["reg", "presence"], "Retry-After": ["5"]},
            "423 Interval Too Brief (Retry-After: 5; Allow-Events: reg, presence)",
        ),
        ({"Server": ["x"]}, "423 Interval Too Brief"),
    ],
)
def test_a_refusal_says_what_would_be_accepted(
    headers: dict[str, list[str]], said: str
) -> None:
    """RFC 3261 §20.23 and others: headers of a refusal say what to do instead."""
    error = RequestRefused(Response(423, "Interval Too Brief", headers))
    assert (str(error), error.status) == (said, 423)


def test_a_refusal_without_a_reason_phrase_ends_with_its_status() -> None:
    assert str(RequestRefused(Response(403, ""))) == "403"


@pytest.mark.parametrize(
    ("reason", "said"), [("rejected", "rejected"), (None, "it does not say why")]
)
def test_the_end_of_a_subscription_has_its_reason(
    reason: str | None, said: str
) -> None:
    """RFC 6665 §4.1.3: the reason of a terminated subscription is optional."""
    error = WatchEnded(reason)
    assert str(error).endswith(said) and error.reason == reason


def test_all_of_them_are_errors_of_the_library() -> None:
    kinds = (NoAnswer, Unreachable, RequestRefused, WatchEnded)
    assert all(issubclass(kind, ReginfoError) for kind in kinds)
