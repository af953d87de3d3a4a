"""A server that leaves for good tells every watcher, at a pace (6665-27)."""

from __future__ import annotations

import pytest

from reginfo.events.headers import SubscriptionState
from reginfo.ledger.journal import Journal
from reginfo.roles.admission import RETRY_AFTER as FULL_RETRY_AFTER
from reginfo.roles.drain import Departure, Drain
from reginfo.roles.pace import TICK
from reginfo.roles.served import RETRY_AFTER
from reginfo.roles.watches import KIND, PROGRESS
from reginfo.sip.errors import Refusal

from ..make import ALICE, NOW, binding, moment
from .watched import EAGER, OLD, POLITE, Server, contacts


def full(server: Server, number: int) -> None:
    """Have so many watchers, who have been told all that there is."""
    for one in range(number):
        server.subscribe(call_id=f"call{one}")
    server.settle()
    server.commit()


def ends(server: Server) -> list[tuple[str, str | None]]:
    """State and reason of each NOTIFY since this was last asked."""
    states = [SubscriptionState.of(notify) for notify in server.notifies()]
    return [(state.state, state.reason) for state in states]


OVER = ("terminated", "deactivated")


def test_each_watcher_is_told_that_it_is_over_with_the_full_state() -> None:
    """A drain ends each subscription with the full state (6665-27)."""
    server = Server()
    server.bind(binding())
    full(server, 1)
    server.notifier.drain(100.0, server.now)
    server.pass_time(0)
    (notify,) = server.notifies()
    assert notify.headers["Subscription-State"] == ["terminated;reason=deactivated"]
    assert b'state="full"' in notify.body
    assert b"sip:alice@192.0.2.50" in notify.body
    assert len(server.notifier) == 1  # until it is confirmed
    server.answer()
    assert len(server.notifier) == 0
    assert server.notifier.leaving is not None
    assert server.notifier.leaving.gave_up == 0


def test_no_more_are_told_at_once_than_the_pace_allows() -> None:
    """Notifications of a drain are paced (6665-27)."""
    # It is no storm.
    server = Server()
    full(server, 100)
    server.notifier.drain(50.0, server.now)
    told = []
    for _ in range(21):
        server.pass_time(0)
        told.append(len(server.notifies()))
        server.pass_time(TICK)
        told[-1] += len(server.notifies())
    assert sum(told) == 100
    assert max(told) <= 10
    assert len(set(map(id, server.unanswered))) == 100


@pytest.mark.parametrize("rate", [0.5, 3.0, 10.0, 33.0, 1000.0])
def test_the_pace_is_kept_whatever_it_is(rate: float) -> None:
    drain = Drain(range(400), rate=rate, total=400, now=NOW)
    told, now = 0, NOW
    while drain.timer_at is not None:
        now = drain.timer_at
        assert drain.due(now - 1e-6) == []
        told += len(drain.due(now))
        # What is told at once is what one tick allows, or one.
        assert told <= (now - NOW) * rate + max(1.0, rate * TICK) + 1e-3
    assert told == 400
    assert now - NOW == pytest.approx(400 / rate, rel=0.1, abs=2 * TICK)


def test_a_late_timer_is_not_made_up_for() -> None:
    drain = Drain(range(400), rate=100.0, total=400, now=NOW)
    assert len(drain.due(NOW + 60)) == 10
    assert drain.timer_at == NOW + 60 + TICK


def test_meanwhile_nobody_is_served_anew() -> None:
    server = Server()
    server.notifier.drain(100.0, server.now)
    for expires in (600, 0):
        with pytest.raises(Refusal) as refused:
            server.subscribe(expires)
        assert refused.value.status == 503
        assert refused.value.headers == (("Retry-After", FULL_RETRY_AFTER),)
    assert len(server.notifier) == 0


def test_who_is_served_still_may_refresh_and_leave() -> None:
    server = Server()
    full(server, 2)
    server.notifier.drain(1.0, server.now)
    server.subscribe(tag="tag2", call_id="call1", cseq=2)
    assert ends(server) == [("active", None)]
    server.settle()
    server.subscribe(0, tag="tag2", call_id="call1", cseq=3)
    assert ends(server) == [("terminated", "timeout")]
    server.settle()
    server.pass_time(10)
    assert ends(server) == [OVER]
    with pytest.raises(Refusal, match="481"):
        server.subscribe(tag="tag1", call_id="call0", cseq=2)


def test_an_answer_under_way_is_waited_for() -> None:
    server = Server()
    server.subscribe()
    server.notifies()
    server.notifier.drain(100.0, server.now)
    server.pass_time(1)
    assert ends(server) == []
    server.answer()
    assert ends(server) == [OVER]


def test_it_does_not_wait_until_that_would_be_polite() -> None:
    server = Server(POLITE)
    full(server, 1)
    server.notifier.drain(100.0, server.now)
    server.pass_time(0)
    assert ends(server) == [OVER]


def test_who_does_not_confirm_is_counted() -> None:
    server = Server()
    full(server, 3)
    server.notifier.drain(100.0, server.now)
    server.pass_time(0)
    server.answer(481)
    server.answer(500)
    server.notifier.served.receive_failure(
        server.unanswered.pop(), "timeout", server.now
    )
    leaving = server.notifier.leaving
    assert leaving is not None
    assert (leaving.total, len(server.notifier), leaving.gave_up) == (3, 0, 3)


def test_asking_again_changes_the_pace_and_nothing_else() -> None:
    server = Server()
    full(server, 30)
    server.notifier.drain(0.01, server.now)
    server.pass_time(0)
    server.notifier.drain(1000.0, server.now)
    server.pass_time(1.0)
    assert len(ends(server)) == 30
    assert server.notifier.leaving is not None
    assert server.notifier.leaving.total == 30


def test_a_quicker_pace_counts_from_now_on() -> None:
    drain = Drain(range(400), rate=1.0, total=400, now=NOW)
    drain.due(NOW)
    drain.pace(100.0, NOW + 0.5)
    assert drain.timer_at == NOW + 0.5 + TICK
    drain.pace(1.0, NOW + 0.5)  # and a slower one after those that are due
    assert drain.timer_at == NOW + 0.5 + TICK


def test_a_watcher_of_before_the_rfc_is_told_as_it_can_understand() -> None:
    server = Server(OLD)
    server.bind(binding())
    full(server, 1)
    server.notifier.drain(100.0, server.now)
    server.pass_time(0)
    assert ends(server) == [OVER]


def test_after_a_crash_it_is_not_taken_up_again() -> None:
    # Else a watcher that knows of the end would be told that it goes on.
    server = Server()
    full(server, 1)
    server.notifier.drain(100.0, server.now)
    server.pass_time(0)
    ends(server)
    server.commit()
    after = server.restart()
    assert ends(after) == [OVER]
    after.answer()
    assert len(after.notifier) == 0
    # A server that is started again serves as before.
    assert after.subscribe(call_id="new").status == 200


def test_what_the_disk_does_not_take_is_tried_again_but_not_at_once() -> None:
    server = Server(EAGER)
    full(server, 2)
    server.notifier.drain(100.0, server.now)
    server.notifier.timer_due(moment(server.now))
    assert len(ends(server)) == 2
    batch = server.journal.close()
    assert {kind for kind, _, _ in batch.entries} == {KIND, PROGRESS}
    batch.take_back()
    server.unanswered.clear()
    server.notifier.undone(moment(server.now))
    assert all(not watch.ended for watch in server.notifier.watches())
    server.pass_time(RETRY_AFTER - 1)
    assert ends(server) == []
    server.pass_time(2)
    assert ends(server) == [OVER, OVER]


def test_who_has_gone_already_is_not_told() -> None:
    server = Server()
    full(server, 2)
    server.notifier.drain(1.0, server.now)
    server.pass_time(0)
    assert len(ends(server)) == 1
    second = list(server.notifier.watches())[1]
    server.notifier.served.receive_failure(second, "timeout", server.now)
    server.pass_time(10)
    assert ends(server) == []


def test_contacts_change_while_the_server_leaves() -> None:
    # Whoever is told later is told the state of that moment.
    server = Server()
    full(server, 2)
    server.notifier.drain(1.0, server.now)
    server.pass_time(0)
    (first,) = server.documents()
    assert contacts(first) == ()
    server.answer()
    server.bind(binding())
    server.settle()
    server.pass_time(1)
    (second,) = server.documents()
    assert [contact.uri for contact in contacts(second)] == ["sip:alice@192.0.2.50"]
    assert second.registrations[0].aor == ALICE


# Of any part that is drained.


def test_a_part_that_is_not_drained_refuses_nobody_and_has_nothing_to_do() -> None:
    departure: Departure[int] = Departure("60")
    departure.check()
    departure.lost()
    departure.timer_due(Journal(), NOW, lambda one, now: pytest.fail(), 5.0)
    assert departure.timer_at is None and departure.drain is None


def test_a_part_that_is_drained_ends_all_that_it_serves_and_refuses_others() -> None:
    """6665-27"""
    departure: Departure[int] = Departure("60")
    ended: list[tuple[int, float]] = []
    journal = Journal()
    departure.begin(iter(range(3)), 1.0, NOW)
    assert departure.drain is not None and departure.drain.total == 3
    with pytest.raises(Refusal) as refused:
        departure.check()
    assert refused.value.status == 503
    assert refused.value.headers == (("Retry-After", "60"),)
    departure.timer_due(journal, NOW, lambda *one: ended.append(one), 5.0)
    assert ended == [(0, NOW)] and departure.timer_at == NOW + 1
    departure.begin([7], 100.0, NOW + 0.5)  # a second call changes the pace
    assert departure.timer_at == NOW + 0.5 + TICK
    departure.timer_due(journal, NOW + 0.6, lambda *one: ended.append(one), 5.0)
    assert ended[1:] == [(1, NOW + 0.6), (2, NOW + 0.6)]
    assert departure.timer_at is None and departure.drain.total == 3
    for _ in range(2):
        departure.lost()
    assert departure.drain.gave_up == 2


def test_what_cannot_be_ended_is_tried_again_after_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    departure: Departure[int] = Departure("60")
    ended: list[int] = []

    def act(one: int, now: float) -> None:
        if one == 0 and now < NOW + 5:
            raise RuntimeError("no")
        ended.append(one)

    departure.begin([0, 1], 1000.0, NOW)
    departure.timer_due(Journal(), NOW, act, 5.0)
    assert ended == [1]
    assert departure.timer_at is not None and departure.timer_at >= NOW + 5
    departure.timer_due(Journal(), departure.timer_at, act, 5.0)
    assert ended == [1, 0]
