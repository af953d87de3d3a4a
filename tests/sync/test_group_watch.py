"""When one watcher of a group is notified."""

from __future__ import annotations

import math

import pytest

from reginfo.events.notify import ServedSubscription
from reginfo.location.place import Aor, Place
from reginfo.reg.legacy import Profile
from reginfo.roles.row import WatchRow
from reginfo.sip.dialog import Dialog
from reginfo.sip.message import Response
from reginfo.sync.group_watch import LEGACY_PACE, GroupWatch
from reginfo.sync.news import GroupNews

from ..make import NOW, binding, flow, received, request

ALICE = Aor("sip:alice@example.com")
GROUP = Aor("sip:all@example.com")


class Keeper:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def receive_response(
        self, watch: object, response: Response, moment: object
    ) -> None:
        self.heard.append(response.status)

    def receive_failure(self, watch: object, cause: str, moment: object) -> None:
        self.heard.append(cause)


def watch(profile: Profile = Profile.STANDARD, reason: str | None = None) -> GroupWatch:
    subscribe = request("SUBSCRIBE", "Event: reg", "Contact: <sip:w@192.0.2.9>")
    way = flow(("192.0.2.9", 5060))
    dialog = Dialog.uas(subscribe, tag="t", contact="<sip:a@192.0.2.1>", flow=way)
    row = WatchRow(
        id="1",
        aor=GROUP,
        subscription=ServedSubscription(
            dialog=dialog, event="reg", expires_at=NOW + 600, reason=reason
        ),
        min_interval=5.0,
        profile=profile,
    )
    return GroupWatch(row, Keeper())


def idle(profile: Profile = Profile.STANDARD) -> GroupWatch:
    one = watch(profile)
    one.full_due = False
    one.goes(0, NOW)
    one.answered()
    return one


def test_the_first_thing_is_the_full_state() -> None:
    one = watch()
    assert one.waits(0) and one.next_at(0) <= NOW


def test_what_changes_waits_for_the_interval_and_for_the_answer() -> None:
    """RFC 3680 §4.10."""
    one = idle()
    assert not one.waits(0) and one.next_at(0) == NOW + 600
    assert one.waits(1) and one.next_at(1) == NOW + 5
    one.goes(1, NOW + 5)
    assert one.next_at(2) == NOW + 600  # one NOTIFY at a time
    one.answered()
    assert one.told == 1
    assert one.next_at(2) == NOW + 10


def test_a_subscribe_is_answered_by_the_full_state_without_delay() -> None:
    one = idle()
    one.owe_full()
    assert one.next_at(0) == 0.0


@pytest.mark.parametrize(
    ("status", "after", "pause"), [(503, 7, 7.0), (500, None, 0.75)]
)
def test_a_refusal_for_the_moment_owes_the_full_state(
    status: int, after: int | None, pause: float
) -> None:
    one = idle()
    one.goes(3, NOW + 10)
    headers = {} if after is None else {"Retry-After": [str(after)]}
    response = Response(status, "X", headers)
    assert one.refused(response, NOW + 10, lambda: 0.5) == pause
    assert one.full_due and one.told == 0
    assert one.next_at(3) == NOW + 10 + pause


def test_the_end_has_no_end() -> None:
    one = watch(reason="timeout")
    one.full_due = False
    one.goes(0, NOW)
    assert one.next_at(0) == math.inf


def test_kamailio_is_told_a_registration_at_a_time_and_paced() -> None:
    one = idle(Profile.LEGACY)
    assert one.quiet_until == NOW + LEGACY_PACE
    news = GroupNews()
    place = Place("location", ALICE)
    news.add(ALICE, place, binding(contact="sip:1@192.0.2.50"))
    gone = binding(event="unregistered", contact="sip:2@192.0.2.50")
    news.add(ALICE, place, gone)
    one.owe(news.after(0))
    assert one.owed == {ALICE: {gone.key: gone}}
    taken = one.owed.pop(ALICE)
    one.put_back(ALICE, taken)
    assert one.owed == {ALICE: {gone.key: gone}}


def test_what_was_taken_back_was_never_sent() -> None:
    one = idle()
    before = one.snapshot()
    one.row.version += 1
    one.goes(5, NOW + 30)
    one.owe_full()
    one.restore(*before)
    assert one.snapshot() == before
    assert one.sent is None and not one.full_due


def test_it_is_the_user_of_its_notifies() -> None:
    one = idle()
    keeper = one.keeper
    assert isinstance(keeper, Keeper)
    draft = one.row.subscription.notify("a/b", b"", NOW)
    assert received(draft).method == "NOTIFY"
    one.receive_response(Response(200, "OK"), None)  # type: ignore[arg-type]
    one.receive_failure("timeout", None)  # type: ignore[arg-type]
    one.never_sent()
    one.timer_due(NOW)
    assert keeper.heard == [200, "timeout"]
