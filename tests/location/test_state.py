"""The state of a contact is a function of its claims and the user's records."""

from __future__ import annotations

import msgspec
import pytest

from reginfo.location.claim import Claim
from reginfo.location.lives import Claims
from reginfo.location.record import Standing
from reginfo.location.stamp import Stamp
from reginfo.location.state import bound_by, change
from reginfo.reg.document import ContactEvent

from .claims import claim

NOW = 100.0


def seen(
    before: Claim | None,
    *claims: Claim,
    standing: Standing | None = None,
    now: float = NOW,
) -> Claim | None:
    after = bound_by(claims, standing, now)
    return change(before, after, claims, standing, now)


def event(before: Claim | None, *claims: Claim, **more: object) -> str | None:
    found = seen(before, *claims, **more)  # type: ignore[arg-type]
    return None if found is None else found.event.value


def test_nothing_is_bound_where_nothing_is_claimed() -> None:
    assert bound_by((), None, NOW) is None
    assert seen(None) is None


def test_what_holds_decides_and_not_what_lost() -> None:
    gone, bound = claim(stamp=9, gone=True), claim(call_id="b", stamp=5)
    assert bound_by((gone, bound), None, NOW) is None
    assert bound_by((bound, gone), None, NOW) is bound


def test_time_alone_unbinds() -> None:
    bound = claim(expires_at=600.0)
    assert bound_by((bound,), None, 599.9) is bound
    assert bound_by((bound,), None, 600.0) is None
    assert event(bound, bound, now=600.0) == "expired"


def test_a_contact_that_comes_is_registered_or_created() -> None:
    assert event(None, claim(event=ContactEvent.REFRESHED)) == "registered"
    assert event(None, claim(event=ContactEvent.CREATED)) == "created"


def test_a_contact_that_stays_is_refreshed() -> None:
    before = claim()
    after = claim(cseq=2, begin=1_000, stamp=2_000)
    assert event(before, after) == "refreshed"
    assert event(before, claim(call_id="b", stamp=5_000)) == "refreshed"
    recreated = claim(call_id="b", stamp=5_000, event=ContactEvent.CREATED)
    assert event(before, recreated) == "refreshed"


def test_what_says_the_same_is_no_news() -> None:
    before = claim()
    again = msgspec.structs.replace(before, source="b/x", number=9)
    assert seen(before, again) is None
    gone = claim(gone=True)
    assert seen(None, gone) is None
    assert seen(None, claim(stamp=9, gone=True, call_id="c"), gone) is None


@pytest.mark.parametrize(
    "ending",
    [
        ContactEvent.UNREGISTERED,
        ContactEvent.DEACTIVATED,
        ContactEvent.REJECTED,
        ContactEvent.PROBATION,
        ContactEvent.EXPIRED,
    ],
)
def test_what_ends_a_contact_says_why(ending: ContactEvent) -> None:
    before = claim(user_agent="phone/1")
    gone = claim(gone=True, event=ending, retry_after=7, cseq=2, begin=1_000)
    found = seen(before, gone)
    assert found is not None
    assert found.event is ending and found.retry_after == 7 and found.cseq == 2
    assert found.user_agent == "phone/1"  # of what was bound


def test_claims_older_than_a_clearing_do_not_hold() -> None:
    bound = claim(stamp=50)
    assert bound_by((bound,), Standing(cleared=Stamp(51)), NOW) is None
    assert bound_by((bound,), Standing(cleared=Stamp(50)), NOW) is bound
    assert event(bound, bound, standing=Standing(cleared=Stamp(51))) == "unregistered"


def test_who_is_barred_has_nothing_bound() -> None:
    bound = claim()
    assert event(bound, bound, standing=Standing(rejected=True)) == "rejected"
    waits = Standing(probation_ends=130.0, retry_after=30)
    found = seen(bound, bound, standing=waits)
    assert found is not None
    assert found.event is ContactEvent.PROBATION and found.retry_after == 30
    assert bound_by((bound,), waits, 130.0) is bound


def test_what_is_shortened_ends_earlier_and_keeps_its_owner() -> None:
    bound = claim(stamp=50, expires_at=600.0)
    short = Standing(shortened=Stamp(51), shortened_to=130.0)
    found = seen(bound, bound, standing=short)
    assert found is not None
    assert found.event is ContactEvent.SHORTENED and found.owner == bound.owner
    assert found.expires_at == 130.0
    assert bound_by((bound,), short, 130.0) is None
    assert event(found, bound, standing=short, now=130.0) == "expired"
    assert seen(found, bound, standing=short) is None


def test_what_came_after_the_shortening_or_ends_before_is_not_shortened() -> None:
    short = Standing(shortened=Stamp(51), shortened_to=130.0)
    after, early = claim(stamp=51), claim(stamp=50, expires_at=120.0)
    assert bound_by((after,), short, NOW) is after
    assert bound_by((early,), short, NOW) is early


def test_a_change_of_the_end_under_one_second_is_no_news() -> None:
    before = claim(expires_at=600.0)
    assert seen(before, claim(expires_at=600.9)) is None
    assert event(before, claim(expires_at=602.0)) == "refreshed"


def test_an_unknown_ending_of_an_unbound_contact_is_not_announced() -> None:
    claims: Claims = (claim(gone=True),)
    assert change(None, None, claims, None, NOW) is None
