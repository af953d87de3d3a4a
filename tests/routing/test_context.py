"""How many branches a request may have, and which response is the best."""

from __future__ import annotations

import pytest

from reginfo.routing.context import Budgets

from ..make import request
from .relayed import (
    BOB,
    BOB2,
    BOB3,
    CALLER,
    Relay,
    message,
    target,
    whats,
)


def test_the_branches_of_a_request_are_bounded_in_all() -> None:
    """5393-02: not only those at a time; the best response so far is passed back"""
    relay = Relay(max_branches=3)
    relay.targets = [target(BOB, 1.0), target(BOB2, 0.9), target(BOB3, 0.8)]
    relay.targets += [target(("192.0.2.63", 5060), 0.7)]
    _, sent = relay.receive(message(), CALLER)
    _, sent = relay.reply(sent, 480)
    _, sent = relay.reply(sent, 486)
    assert sent.to == BOB3
    assert whats(relay.reply(sent, 404)) == ["ACK", "480"]
    assert len(relay.proxy) == 0 and len(relay.proxy._budgets) == 0


def test_more_branches_than_a_request_may_have_are_440() -> None:
    """5393-02"""
    relay = Relay(max_branches=1)
    relay.targets = [target(BOB), target(BOB2)]
    assert whats(relay.receive(message("MESSAGE"), CALLER)) == ["440"]
    assert len(relay.proxy) == 0 and len(relay.proxy._budgets) == 0


def test_a_request_that_comes_back_has_no_more_branches_for_that() -> None:
    """5393-02: of a user whose contacts are users of ours, N! branches"""
    relay = Relay(max_branches=3)
    relay.targets = [target(BOB, 1.0), target(BOB2, 0.9)]
    _, sent = relay.receive(message(), CALLER)
    for user in ("a", "b"):
        spiral = sent.data.replace(b"INVITE sip:", f"INVITE sip:{user}".encode(), 1)
        *_, sent = relay.receive(spiral, BOB)
    assert sent.what == "INVITE"
    last = sent.data.replace(b"INVITE sip:", b"INVITE sip:c", 1)
    assert whats(relay.receive(last, BOB)) == ["440"]


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        # What is not there at all says the least of its class (§16.7 step 6)...
        ((503, 500), 500),
        ((503, 502), 502),
        ((503, 504), 504),
        ((408, 480), 480),
        ((408, 404), 404),
        # ... whichever comes first, and alone it is what there is; a 503 only as 500.
        ((500, 503), 500),
        ((503,), 500),
        ((503, 503), 500),
        ((408,), 408),
        ((408, 503), 408),
        # The lowest class, but a 6xx before all.
        ((503, 404), 404),
        ((302, 486), 302),
        ((600, 302), 600),
        ((603, 503), 603),
        # Of one class, what helps the caller.
        ((486, 407), 407),
        ((480, 401), 401),
        ((404, 484), 484),
        ((486, 415), 415),
        ((486, 420), 420),
    ],
)
def test_the_best_response(statuses: tuple[int, ...], best: int) -> None:
    """3261-45, 3261-57: §16.7 step 6"""
    relay = Relay()
    relay.targets = [target((f"192.0.2.{n}", 5060)) for n, _ in enumerate(statuses, 70)]
    sent = relay.receive(message("MESSAGE"), CALLER)
    for copy, status in zip(sent, statuses, strict=True):
        told = relay.reply(copy, status)
    # RFC 4320 §4.2: no 408 to what is no INVITE.
    assert whats(told) == ([] if best == 408 else [str(best)])


def test_a_budget_lives_as_long_as_the_contexts_of_its_request() -> None:
    """5393-02"""
    budgets = Budgets(8)
    first = request("INVITE")
    one, two = budgets.share(first), budgets.share(first)
    assert one is two and one.left == 8
    other = budgets.share(request("INVITE", cseq=2))
    assert other is not one and len(budgets) == 2
    budgets.release(one)
    assert len(budgets) == 2
    budgets.release(two)
    budgets.release(other)
    assert len(budgets) == 0


def test_a_request_that_was_sent_to_nobody_is_487() -> None:
    """It was cancelled while the place of its only target was looked for."""
    relay = Relay()
    relay.slow = True
    assert whats(relay.receive(message(), CALLER)) == ["100"]
    (context,) = relay.contexts
    context.branches.clear()
    best = context.best()
    assert (best.status, best.reason) == (487, "Request Terminated")
