"""To a peer that only UDP reaches, one NOTIFY is under way at a time."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.roles.served import RETRY_AFTER
from reginfo.roles.watch import Watch
from reginfo.roles.window import Window
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport

from ..make import LOCAL, NOW, binding, moment
from .watched import DESK, EAGER, OLD, PEER_B, Server, contacts

LOCAL_6 = Local(Transport.UDP, "2001:db8::1", 5060)
BOB_6 = ("2001:db8::60", 5060)


def served(peer: Any = PEER_B, number: int = 5, *, local: Local = LOCAL) -> Server:
    """A server with so many dialogs of a peer, which has confirmed everything."""
    server = Server(peer)
    for one in range(number):
        server.subscribe(call_id=f"call{one}")
        server.settle()
    for watch in server.notifier.watches():
        dialog = watch.row.subscription.dialog
        remote = BOB_6 if local is LOCAL_6 else dialog.flow.remote
        dialog.flow = Flow(local, remote)
    server.commit()
    return server


def under_way(server: Server) -> list[Watch]:
    return [watch for watch in server.notifier.watches() if watch.unanswered]


@pytest.mark.parametrize("local", [LOCAL, LOCAL_6])
@pytest.mark.parametrize("peer", [PEER_B, OLD])
def test_a_peer_is_sent_one_notify_at_a_time_over_udp(peer: Any, local: Local) -> None:
    """8085-01, 3680-34: whatever the number of its dialogs; in turn, none twice."""
    server = served(peer, local=local)
    server.bind(binding())
    told = []
    for _ in range(5):
        (notify,) = server.notifies()
        told.append(notify.call_id)
        server.answer()
    assert server.notifies() == []
    assert sorted(told) == [f"call{one}" for one in range(5)]


def test_what_changes_meanwhile_is_merged_into_the_next_notify() -> None:
    """8085-01, 3680-34."""
    server = served()
    server.bind(binding())
    server.notifies()
    server.bind(binding(contact=DESK))
    server.bind(binding(2))
    for _ in range(4):
        server.answer()
        (document,) = server.documents()
        # The newest state of each contact, and once.
        assert [one.cseq for one in contacts(document)] == [1, 2]
    server.answer()
    (document,) = server.documents()  # the first, which has heard of one only
    assert len(contacts(document)) == 2
    server.answer()
    assert server.notifies() == []


@pytest.mark.parametrize(
    ("peer", "transport"),
    [(EAGER, Transport.UDP), (PEER_B, Transport.TCP), (EAGER, Transport.TCP)],
)
def test_over_a_stream_and_to_others_all_go_at_once(
    peer: Any, transport: Transport
) -> None:
    """8085-02: a stream has TCP's congestion control; a watcher has one dialog."""
    server = served(peer, local=Local(transport, "192.0.2.1", 5060))
    server.bind(binding())
    assert len(server.notifies()) == 5


def test_two_peers_do_not_wait_for_each_other() -> None:
    """8085-01: it is one for each destination."""
    server = Server(PEER_B)
    server.subscribe(call_id="b")
    server.peer = OLD
    server.subscribe(call_id="old")
    server.settle()
    server.bind(binding())
    assert len(server.notifies()) == 2


@pytest.mark.parametrize("how", ["481", "timeout", "500", "unreachable"])
def test_a_notify_that_fails_lets_the_others_have_their_turn(how: str) -> None:
    """8085-01: nobody waits for a watch that has ended, or that has to wait."""
    server = served()
    server.bind(binding())
    server.notifies()
    if how in ("481", "500"):
        server.answer(int(how))
    else:
        watch = server.unanswered.pop(0)
        server.notifier.served.receive_failure(watch, how, server.now)
    told = []
    for _ in range(4):
        (notify,) = server.notifies()
        told.append(notify.call_id)
        server.answer()
    assert sorted(told) == [f"call{one}" for one in range(1, 5)]
    server.pass_time(60)
    again = server.notifies()
    assert len(again) == (0 if how in ("481", "timeout") else 1)


def test_a_watch_that_ends_while_it_waits_is_passed_over() -> None:
    server = served()
    server.bind(binding())
    first = list(server.notifier.watches())[1]
    server.notifier.served.receive_failure(first, "timeout", server.now)
    for _ in range(4):
        server.answer()
    assert under_way(server) == []
    assert len(server.notifies()) == 4


def test_a_watch_that_waits_still_expires() -> None:
    """6665-18: its time does not stand still while another has its turn."""
    server = served()
    server.bind(binding())
    server.pass_time(601)
    assert [watch.ended for watch in server.notifier.watches()] == [True] * 5
    while server.unanswered:
        server.answer()
    assert len(server.notifier) == 0


def test_a_failed_commit_frees_the_turn() -> None:
    """8085-01: what was taken back is not under way."""
    server = served()
    server.bind(binding())
    server.unanswered.clear()
    server.sent.clear()
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.bind(binding(2))
    assert len(server.notifies()) == 1
    for _ in range(4):
        server.answer()
    assert len(server.notifies()) == 4


def test_a_failed_commit_loses_nobody_that_waits() -> None:
    server = served()
    server.bind(binding())
    server.commit()
    server.notifies()
    server.answer()  # the next one has its turn, and that commit fails
    server.unanswered.clear()
    server.sent.clear()
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.pass_time(RETRY_AFTER + 1)
    told = []
    while server.unanswered:
        told += [notify.call_id for notify in server.notifies()]
        server.answer()
    assert sorted(told) == [f"call{one}" for one in range(1, 5)]


def test_after_a_restart_they_have_their_turns_again() -> None:
    """8085-01: the queue is not stored; what each is owed is."""
    server = served()
    server.bind(binding())
    server.commit()
    after = server.restart()
    told = []
    while after.unanswered:
        told += [notify.call_id for notify in after.notifies()]
        assert len(under_way(after)) == 1
        after.answer()
    assert sorted(told) == [f"call{one}" for one in range(5)]


def test_a_drain_ends_the_dialogs_of_a_peer_in_turn() -> None:
    """8085-01, 6665-27."""
    server = served()
    server.notifier.drain(1000.0, server.now)
    server.pass_time(1)
    number = 0
    while server.unanswered:
        assert len(under_way(server)) == 1
        number += len(server.notifies())
        server.answer()
    assert (number, len(server.notifier)) == (5, 0)


def test_a_watch_that_fails_in_its_turn_has_another_later() -> None:
    """The next one has its turn at once."""
    server = served()
    server.bind(binding())
    server.notifies()
    server.fail(1)
    told = []
    while server.unanswered:
        server.answer()
        told += [notify.call_id for notify in server.notifies()]
    assert told == ["call2", "call3", "call4"]
    server.pass_time(RETRY_AFTER)
    (notify,) = server.notifies()
    assert notify.call_id == "call1"


@pytest.mark.parametrize("refreshes", [False, True])
def test_a_subscribe_is_followed_by_its_notify_whoever_has_the_turn(
    refreshes: bool,
) -> None:
    """6665-07: that MUST be immediate; the peer itself sets that pace."""
    server = served(number=2)
    server.bind(binding())
    server.notifies()
    if refreshes:
        server.subscribe(call_id="call1", tag="tag2", cseq=2)
    else:
        server.subscribe(call_id="new")
    (notify,) = server.notifies()
    assert notify.call_id == ("call1" if refreshes else "new")
    while server.unanswered:
        server.answer()
    assert [one.call_id for one in server.notifies()] == (
        [] if refreshes else ["call1"]
    )


# The window itself.


def watches_of(peer: Any, local: Local = LOCAL) -> tuple[Watch, Watch]:
    """Two watches, each with something to tell."""
    first, second = served(peer, 2, local=local).notifier.watches()
    for watch in (first, second):
        watch.owe_full()
    return first, second


def test_one_that_has_something_to_send_waits_for_the_other() -> None:
    """8085-01"""
    window, (first, second) = Window(), watches_of(PEER_B)
    assert window.admits(first)
    first.take(NOW)
    window.sent(first)
    assert window.admits(first)  # its own NOTIFY keeps it from nothing
    assert not window.admits(second)
    assert window.next_after(second) is None  # the other is still under way
    first.answered()
    assert window.next_after(first) is second
    assert window.next_after(first) is None


def test_one_that_has_a_notify_under_way_itself_or_nothing_to_send_does_not_wait() -> (
    None
):
    window, (first, second) = Window(), watches_of(PEER_B)
    for watch in (first, second):
        watch.take(NOW)
        window.sent(watch)
    second.owe_full()
    assert window.admits(first)  # nothing to send
    assert window.admits(second)  # unanswered: it waits for its own response
    first.owe_full()
    assert window.admits(first)
    first.answered()
    assert not window.admits(first)


def test_one_whose_notify_was_taken_back_keeps_no_other_waiting() -> None:
    window, (first, second) = Window(), watches_of(PEER_B)
    before = first.snapshot()
    first.take(NOW)
    window.sent(first)
    first.restore(before)
    assert window.admits(second)


@pytest.mark.parametrize(
    ("peer", "local"),
    [(EAGER, LOCAL), (PEER_B, Local(Transport.TCP, "192.0.2.1", 5060))],
)
def test_over_a_stream_and_without_a_peer_nobody_waits(peer: Any, local: Local) -> None:
    window, (first, second) = Window(), watches_of(peer, local)
    first.take(NOW)
    window.sent(first)
    assert window.admits(second)
    assert window.next_after(first) is None


def test_after_a_stream_has_sent_a_datagram_does_not_wait() -> None:
    """It counts what is under way over UDP, not what a stream has taken."""
    window, (first, second) = Window(), watches_of(PEER_B)
    flow = first.row.subscription.dialog.flow
    stream = Local(Transport.TCP, "192.0.2.1", 5060)
    first.row.subscription.dialog.flow = Flow(stream, flow.remote)
    first.take(NOW)
    window.sent(first)
    assert window.admits(second)


def test_a_stream_of_the_same_peer_does_not_wait_for_a_datagram() -> None:
    window, (first, second) = Window(), watches_of(PEER_B)
    first.take(NOW)
    window.sent(first)
    flow = second.row.subscription.dialog.flow
    stream = Local(Transport.TCP, "192.0.2.1", 5060)
    second.row.subscription.dialog.flow = Flow(stream, flow.remote)
    assert window.admits(second)
