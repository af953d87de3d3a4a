"""Who may watch whom (RFC 3680 §4.6): the policy alone, without subscriptions."""

from __future__ import annotations

import pytest

from reginfo.roles.admission import RETRY_AFTER, Admission
from reginfo.sip.errors import Refusal
from reginfo.sip.message import Request

from ..make import ALICE, BOB, request

NAMES = (ALICE, "tel:+15550100")
TAG = ";tag=from"


def subscribe(watcher: str = BOB) -> Request:
    return request("SUBSCRIBE", from_=f"<{watcher}>{TAG}")


@pytest.mark.parametrize(
    ("allow", "watcher", "is_peer", "served"),
    [
        (("all",), "sip:anybody@elsewhere.test", False, True),
        (("self",), ALICE, False, True),
        (("self",), "tel:+15550100", False, True),
        (("self",), "SIP:alice@EXAMPLE.com;transport=tcp", False, True),
        (("self",), BOB, False, False),
        (("peers",), BOB, True, True),
        (("peers",), BOB, False, False),
        (("example.com",), BOB, False, True),
        (("example.com",), "sip:bob@sub.example.com", False, False),
        ((BOB,), BOB, False, True),
        ((BOB,), ALICE, False, False),
        (("self", "peers", BOB), BOB, False, True),
        ((), ALICE, True, False),
    ],
)
def test_a_watcher_is_served_by_one_of_the_rules_or_refused(
    allow: tuple[str, ...], watcher: str, is_peer: bool, served: bool
) -> None:
    """RFC 3680 §4.6: the authorization policy decides who may subscribe."""
    admission = Admission(allow=allow)
    silent = Admission(allow=allow, neutral=True)
    assert silent.check(subscribe(watcher), NAMES, is_peer=is_peer) is served
    if served:
        assert admission.check(subscribe(watcher), NAMES, is_peer=is_peer)
        return
    with pytest.raises(Refusal, match="403 Forbidden"):
        admission.check(subscribe(watcher), NAMES, is_peer=is_peer)


def test_a_from_that_nobody_has_verified_is_not_believed() -> None:
    """8760-10: unless a peer says so; that of an administrator, too"""
    believed = ["sip:alice@example.com", BOB]
    admission = Admission(
        allow=("self", "example.org"),
        administrators=(BOB, "sip:root@example.org"),
        believes=lambda request: request.from_.uri in believed,
    )

    def served(watcher: str, *, is_peer: bool = False) -> bool:
        try:
            return admission.check(subscribe(watcher), NAMES, is_peer=is_peer)
        except Refusal:
            return False

    assert served(ALICE)
    assert served(BOB)
    for stranger in ("sip:carol@example.org", "sip:root@example.org"):
        assert not served(stranger)
        assert served(stranger, is_peer=True)
    believed.clear()
    assert not served(ALICE)
    assert not served(BOB)


@pytest.mark.parametrize(
    ("of_all", "of_watcher", "of_resource", "status"),
    [
        (1, 1, 1, None), (2, 0, 0, 503), (3, 9, 0, 503), (1, 2, 0, 403),
        (0, 3, 0, 403), (0, 0, 2, 503), (1, 3, 3, 503),
    ],
)  # fmt: skip
def test_there_is_room_up_to_both_limits(
    of_all: int, of_watcher: int, of_resource: int, status: int | None
) -> None:
    """3261-155"""
    admission = Admission(max_subscriptions=2, max_per_watcher=2, max_per_aor=2)
    if status is None:
        admission.check_room(of_all, of_watcher, of_resource)
        return
    with pytest.raises(Refusal) as caught:
        admission.check_room(of_all, of_watcher, of_resource)
    assert caught.value.status == status
    # Room for all comes again by itself; a watcher has to end one of its own.
    again = (("Retry-After", RETRY_AFTER),) if status == 503 else ()
    assert caught.value.headers == again


def test_without_limits_there_is_room_for_any_number() -> None:
    Admission().check_room(10**9, 10**9, 10**9)
