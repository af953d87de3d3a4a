"""A SUBSCRIBE is accepted, refreshed and ended, over restarts and failed commits."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest

from reginfo.events.waiting import LONGEST_WAIT
from reginfo.reg import xml
from reginfo.roles import watches
from reginfo.roles.admission import Admission
from reginfo.roles.served import RESTART_RATE, RETRY_AFTER
from reginfo.sip.errors import Refusal, RemoteProtocolError
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport

from ..make import (
    ALICE,
    BOB,
    LOCAL,
    NOW,
    PEER,
    binding,
    here,
    load,
    moment,
    request,
)
from .watched import (
    DESK,
    EAGER,
    OLD,
    PEER_B,
    POLITE,
    WATCHER,
    Server,
    contacts,
    registration,
    state,
    watching,
)

# A SUBSCRIBE is answered.


def test_a_subscribe_is_accepted_and_the_full_state_follows() -> None:
    """
    A SUBSCRIBE is accepted and the full state follows (6665-03, -07, -28, 3680-29,
    -05).
    """
    server = Server()
    server.bind(binding(expires_at=NOW + 600))
    answer = server.subscribe(300)
    assert (answer.status, answer.headers) == (
        200,
        {
            "Expires": ["300"],
            "Contact": ["<sip:192.0.2.1:5060>"],
            "Allow-Events": ["reg"],
        },
    )
    (notify,) = server.notifies()
    assert state(notify) == "active;expires=300"
    assert notify.headers["Content-Type"] == ["application/reginfo+xml"]  # 3680-05
    document = xml.parse(notify.body)
    assert (document.version, document.full) == (0, True)
    assert registration(document).state == "active"
    assert [c.expires for c in contacts(document)] == [600]


def test_an_address_without_contacts_is_init() -> None:
    """An address without contacts has the state init (3680-12, 6665-09)."""
    server = Server()
    server.subscribe(aor=BOB)
    (document,) = server.documents()
    assert registration(document).state == "init"
    assert registration(document).aor == BOB
    assert contacts(document) == ()


def test_a_notify_is_of_the_dialog_byte_for_byte() -> None:
    """A NOTIFY repeats the data of the dialog byte for byte (6665-22, -30, -31)."""
    server = Server()
    server.subscribe(
        600, "Record-Route: <sip:p1.example.net;lr>,<sip:p2.example.net;lr>",
        event="reg ; id=7", call_id="x@y",
        from_='"Bob <b>" <sip:BOB@Example.com;x=1>;tag=BoBs;odd',
        contact="<sip:w@host>",
    )  # fmt: skip
    (notify,) = server.notifies()
    assert notify.uri == "sip:w@host"
    assert notify.headers["Event"] == ["reg ; id=7"]
    assert notify.headers["From"] == [f"<{ALICE}>;tag=tag1"]
    assert notify.headers["To"] == ['"Bob <b>" <sip:BOB@Example.com;x=1>;tag=BoBs;odd']
    assert notify.headers["Route"] == [
        "<sip:p1.example.net;lr>, <sip:p2.example.net;lr>"
    ]
    assert (notify.call_id, notify.cseq.number) == ("x@y", 1)
    for number in (2, 3):
        server.answer()
        server.bind(binding(number))
        (notify,) = server.notifies()
        assert (notify.call_id, notify.cseq.number) == ("x@y", number)
    assert notify.headers["Contact"] == ["<sip:192.0.2.1:5060>"]


@pytest.mark.parametrize("expires", [600, 0])
def test_the_200_copies_record_route(expires: int) -> None:
    """The 200 copies Record-Route (6665-91)."""
    routes = ["<sip:p1.example.net;lr>,<sip:p2.example.net;lr>", "<sip:p3;lr;r2=on>"]
    answer = Server().subscribe(expires, *(f"Record-Route: {r}" for r in routes))
    assert answer.headers["Record-Route"] == routes
    assert "Record-Route" not in Server().subscribe(expires).headers


def test_a_notify_goes_to_the_contact_of_the_watcher() -> None:
    server = Server()
    server.subscribe(contact="<sip:w@192.0.2.60:5099>")
    assert server.sent[0][1] == Flow(LOCAL, ("192.0.2.60", 5099))


def test_who_subscribes_by_tcp_is_told_that_we_are_there_by_tcp() -> None:
    """Its refreshes would come by UDP otherwise (RFC 3263 §4.1)."""
    server = Server()
    message = request(
        "SUBSCRIBE", "Event: reg", f"Contact: <{WATCHER}>", uri=ALICE, to=f"<{ALICE}>"
    )
    by_tcp = Flow(Local(Transport.TCP, "192.0.2.1", 5060), PEER)
    answer = server.notifier.receive_subscribe(
        message, by_tcp, tag="t", aor=ALICE, now=NOW
    )
    (notify,) = server.notifies()
    contact = ["<sip:192.0.2.1:5060;transport=tcp>"]
    assert (answer.headers["Contact"], notify.headers["Contact"]) == (contact, contact)


@pytest.mark.parametrize(
    ("asked", "given"),
    [(None, 3761), (0, 0), ("x", 3761), (60, 60), (3600, 3600), (10**9, 86_400)],
)
def test_no_more_time_is_granted_than_asked(
    asked: int | str | None, given: int
) -> None:
    """Not more time is granted than was asked for (3680-04, 6665-04)."""
    assert Server().subscribe(asked).headers["Expires"] == [str(given)]


def test_too_short_a_time_is_refused() -> None:
    """Too short a time is refused (6665-05)."""
    server = Server()
    with pytest.raises(Refusal) as caught:
        server.subscribe(59)
    assert caught.value.status == 423
    assert caught.value.headers == (("Min-Expires", "60"),)
    assert not server.sent and not len(server.notifier)


@pytest.mark.parametrize("event", ["", "presence", "reg.winfo", "reginfo"])
def test_another_package_or_none_is_refused(event: str) -> None:
    """
    A SUBSCRIBE for another event package, or for none, is refused (3680-01, 6665-02).
    """
    with pytest.raises(Refusal) as caught:
        Server().subscribe(event=event)
    assert caught.value.status == 489
    assert caught.value.headers == (("Allow-Events", "reg"),)


def test_an_extension_that_is_required_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        Server().subscribe(600, "Require: eventlist, x")
    assert caught.value.status == 420
    assert caught.value.headers == (("Unsupported", "eventlist, x"),)


def test_a_watcher_that_does_not_take_our_documents_is_refused() -> None:
    """A watcher that does not accept our documents is refused (3680-08)."""
    with pytest.raises(Refusal) as caught:
        Server().subscribe(600, "Accept: text/plain")
    assert caught.value.status == 406
    assert caught.value.headers == (("Accept", "application/reginfo+xml"),)


def test_an_address_of_another_domain_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        Server().subscribe(aor="sip:alice@example.net")
    assert caught.value.status == 404


def test_a_subscribe_without_contact_makes_no_dialog() -> None:
    server = Server()
    with pytest.raises(RemoteProtocolError, match="Contact"):
        server.subscribe(contact="")
    assert not len(server.notifier)


@pytest.mark.parametrize("by", ["first", "refresh", "fetch", "end"])
def test_the_notify_of_each_subscribe_has_the_full_state(by: str) -> None:
    """3680-29: also of what has not changed since the last one"""
    server = Server()
    server.bind(binding(), binding(contact=DESK))
    server.subscribe(0 if by == "fetch" else 600)
    if by in ("refresh", "end"):
        server.settle()
        server.subscribe(0 if by == "end" else 600, tag="tag1", cseq=2)
    (document,) = server.documents()
    assert document.full
    assert len(contacts(document)) == 2


@pytest.mark.parametrize("body", [b"<filter-set/>", b"\xff\0", b"x" * 60_000])
@pytest.mark.parametrize("tag", ["", "tag1"])
def test_a_body_of_a_subscribe_is_ignored_if_it_is_optional(
    body: bytes, tag: str
) -> None:
    """3680-03, 3261-71: else it is refused, and nothing is changed"""
    lines = ["Content-Type: application/simple-filter+xml"]
    server = watching(EAGER, binding()) if tag else Server()
    cseq = 2 if tag else 1
    with pytest.raises(Refusal) as caught:
        server.subscribe(600, *lines, tag=tag, cseq=cseq, body=body)
    assert (caught.value.status, caught.value.headers) == (415, (("Accept", ""),))
    assert not server.sent
    lines.append("Content-Disposition: render;handling=optional")
    server.subscribe(600, *lines, tag=tag, cseq=cseq, body=body)
    assert [one.full for one in server.documents()] == [True]


def test_a_type_without_a_body_is_no_matter() -> None:
    """3680-03"""
    server = Server()
    server.subscribe(600, "Content-Type: application/x-filter")
    assert len(server.documents()) == 1


# It is refreshed, and ended.


def test_a_refresh_brings_the_full_state_at_once() -> None:
    """A refresh brings the full state at once (6665-07, 3680-36)."""
    server = watching(POLITE, binding())
    assert server.subscribe(300, tag="tag1", cseq=2).headers["Expires"] == ["300"]
    (notify,) = server.notifies()
    assert state(notify) == "active;expires=300"
    document = xml.parse(notify.body)
    assert (document.version, document.full) == (1, True)
    assert notify.cseq.number == 2


def test_a_refresh_puts_off_the_end() -> None:
    server = watching()
    server.pass_time(500)
    server.subscribe(600, tag="tag1", cseq=2)
    server.settle()
    server.pass_time(500)
    assert server.notifies() == []
    server.pass_time(101)
    assert [state(n) for n in server.notifies()] == ["terminated;reason=timeout"]


def test_a_refresh_may_move_the_target() -> None:
    """A refresh may change the remote target (6665-26)."""
    server = watching()
    server.subscribe(600, tag="tag1", cseq=2, contact="<sip:new@192.0.2.61>")
    assert server.sent[0][0].uri == "sip:new@192.0.2.61"
    server.answer(200, "Contact: <sip:newer@192.0.2.62>")
    server.bind(binding())
    assert server.sent[1][0].uri == "sip:newer@192.0.2.62"
    server.answer(200, "Contact: <tel:5>")  # that one cannot be sent to
    server.bind(binding(2))
    assert server.sent[2][0].uri == "sip:newer@192.0.2.62"


@pytest.mark.parametrize(
    "wrong",
    [
        {"tag": "nobody"},
        {"tag": "tag1", "call_id": "another"},
        {"tag": "tag1", "from_": "<sip:bob@example.com>;tag=else"},
        {"tag": "tag1", "event": "reg;id=8"},
    ],
)
def test_a_refresh_of_an_unknown_subscription_is_refused(wrong: dict[str, str]) -> None:
    """A refresh of an unknown subscription is refused (6665-24, -31)."""
    server = watching()
    with pytest.raises(Refusal) as caught:
        server.subscribe(600, cseq=2, **wrong)  # type: ignore[arg-type]
    assert caught.value.status == 481
    assert not server.sent


def test_a_refresh_that_is_too_short_is_refused_and_changes_nothing() -> None:
    """A refresh that is too short is refused and changes nothing (6665-06)."""
    server = watching()
    with pytest.raises(Refusal, match="423"):
        server.subscribe(5, tag="tag1", cseq=2)
    server.pass_time(599)
    assert not server.sent


def test_a_refresh_that_was_overtaken_is_refused() -> None:
    """A refresh whose CSeq was overtaken is refused (6665-25)."""
    server = watching()
    server.subscribe(600, tag="tag1", cseq=5)
    server.settle()
    with pytest.raises(RemoteProtocolError) as caught:
        server.subscribe(0, tag="tag1", cseq=4)
    assert caught.value.status == 500
    assert not server.sent


def test_an_unsubscribe_is_answered_by_a_final_notify_with_the_state() -> None:
    """An unsubscribe is followed by a final NOTIFY with the state (6665-16, -14)."""
    server = watching(POLITE, binding())
    answer = server.subscribe(0, tag="tag1", cseq=2)
    assert answer.headers["Expires"] == ["0"]
    (notify,) = server.notifies()
    assert state(notify) == "terminated;reason=timeout"
    assert len(contacts(xml.parse(notify.body))) == 1
    with pytest.raises(Refusal, match="481"):
        server.subscribe(600, tag="tag1", cseq=3)
    server.bind(binding(2))
    server.answer()
    assert not server.notifies() and not len(server.notifier)
    assert server.notifier.timer_at is None or not list(server.notifier.watches())


def test_an_unsubscribe_waits_for_the_answer_under_way() -> None:
    """An unsubscribe waits for the NOTIFY in flight (6665-23)."""
    server = watching()
    server.bind(binding())
    server.subscribe(0, tag="tag1", cseq=2)
    assert [state(n) for n in server.notifies()] == ["active;expires=600"]
    server.answer(500)
    assert server.notifies() == []
    server.pass_time(RETRY_AFTER + 1)
    assert [state(n) for n in server.notifies()] == ["terminated;reason=timeout"]
    server.answer()
    assert not len(server.notifier)


def test_a_fetch_brings_the_state_once_and_leaves_nothing() -> None:
    """A fetch gets one NOTIFY and leaves no subscription (6665-17)."""
    server = Server()
    server.bind(binding())
    server.subscribe(0)
    (notify,) = server.notifies()
    assert state(notify) == "terminated;reason=timeout"
    assert len(contacts(xml.parse(notify.body))) == 1
    server.answer()
    server.commit()
    assert not len(server.notifier)
    assert {kind for kind, _ in server.rows} == {"location"}


def test_a_subscription_that_is_not_refreshed_ends_with_a_final_notify() -> None:
    """A subscription that is not refreshed ends with a final NOTIFY (6665-15)."""
    server = watching()
    server.pass_time(601)
    (notify,) = server.notifies()
    assert state(notify) == "terminated;reason=timeout"
    server.answer()
    assert not len(server.notifier)


def test_a_final_notify_that_is_refused_is_not_sent_again() -> None:
    """A final NOTIFY that is refused is not sent again (6665-20)."""
    # 6665-20, and no more
    server = watching()
    server.pass_time(601)
    server.answer(500)
    assert not len(server.notifier)
    server.pass_time(3600)
    assert len(server.sent) == 1


# Answers to NOTIFY.


@pytest.mark.parametrize(
    "status", [404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604]
)
def test_an_answer_that_ends_a_subscription_ends_it(status: int) -> None:
    """Each response that must end a subscription ends it (6665-19, -21)."""
    server = watching()
    server.bind(binding())
    server.answer(status)
    assert not len(server.notifier)
    server.bind(binding(2))
    server.pass_time(1000)
    assert len(server.sent) == 1


@pytest.mark.parametrize("cause", ["connection refused", "transport"])
def test_a_watcher_that_the_network_does_not_reach_has_half_a_minute(
    cause: str,
) -> None:
    """A watcher that the network does not reach is kept for half a minute (6665-18)."""
    # As long as one that does not answer
    server = watching()
    server.bind(binding())
    served = server.notifier.served
    began, tries = server.now, 0
    while len(server.notifier):
        served.receive_failure(server.unanswered.pop(0), cause, server.now)
        tries += 1
        while len(server.notifier) and not server.unanswered:
            server.pass_time(1)
    assert 32 <= server.now - began < 32 + 16
    assert 4 < tries < 10


def test_a_watcher_that_is_reached_again_hears_the_full_state() -> None:
    """A watcher that is reached again gets the full state (6665-18)."""
    server = watching()
    server.bind(binding())
    served = server.notifier.served
    served.receive_failure(server.unanswered.pop(0), "connection refused", server.now)
    server.pass_time(2)
    assert server.documents()[-1].full
    server.answer(200)
    assert len(server.notifier) == 1


def test_a_notify_without_an_answer_ends_the_subscription() -> None:
    """A NOTIFY without a response ends the subscription (6665-18, -21)."""
    server = watching()
    server.bind(binding())
    served = server.notifier.served
    served.receive_failure(server.unanswered[0], "timeout", server.now)
    assert not len(server.notifier)
    server.bind(binding(2))
    server.pass_time(1000)
    assert len(server.sent) == 1


@pytest.mark.parametrize(
    ("status", "headers", "delay"),
    [
        (500, [], 0.75),
        (503, ["Retry-After: 7"], 7),
        (503, ["Retry-After: 7 (busy); duration=60"], 7),
        (503, ["Retry-After: 0"], 1),
        (503, ["Retry-After: 7;duration=60"], 7),
        (503, ["Retry-After: soon"], 0.75),
        (503, ["Retry-After: 400"], 400),
        (408, [], 0.75),
        (300, [], 0.75),
    ],
)
def test_another_failure_is_tried_again_with_the_newest_full_state(
    status: int, headers: list[str], delay: float
) -> None:
    """After any other failure the newest full state is sent again (6665-20)."""
    server = watching(EAGER, binding())
    server.bind(binding(2, "refreshed"))
    server.answer(status, *headers)
    server.bind(binding(contact=DESK))
    server.sent.clear()
    server.pass_time(delay - 0.2)
    assert not server.sent
    server.pass_time(0.4)
    (document,) = server.documents()
    assert (document.version, document.full) == (2, True)
    assert [c.cseq for c in contacts(document)] == [2, 1]
    server.answer()
    server.bind(binding(3))
    (document,) = server.documents()
    assert not document.full


def test_a_watcher_cannot_postpone_its_notify_for_days() -> None:
    """A Retry-After of days does not delay a NOTIFY for days (6665-85)."""
    server = Server(EAGER)
    server.subscribe(7200)
    server.settle()
    server.bind(binding())
    server.answer(503, "Retry-After: 1000000")
    server.sent.clear()
    server.pass_time(LONGEST_WAIT - 1)
    assert not server.sent
    server.pass_time(2)
    assert server.sent


@pytest.mark.parametrize("status", [500, 503, 504, 408])
def test_pauses_between_attempts_double_up_to_half_a_minute(status: int) -> None:
    """6665-86, 6665-96: 1, 2, 4 … 30 seconds, shortened by up to a half at random."""
    server = watching(EAGER, binding())
    server.bind(binding(2, "refreshed"))
    pauses = []
    for _ in range(8):
        server.answer(status)
        began = server.now
        server.sent.clear()
        while not server.sent:
            server.pass_time(0.125)
        pauses.append(server.now - began)
    expected = [0.75, 1.5, 3.0, 6.0, 12.0, 22.5, 22.5, 22.5]
    assert pauses == pytest.approx(expected, abs=0.126)
    server.answer()
    server.bind(binding(3, "refreshed"))
    server.answer(status)
    server.sent.clear()
    server.pass_time(1.0)  # an answer in between begins it anew
    assert server.sent


def test_a_refresh_does_not_wait_for_the_next_attempt() -> None:
    """A refresh does not wait for the next attempt (6665-07)."""
    server = watching()
    server.bind(binding())
    server.answer(503, "Retry-After: 3000")
    server.sent.clear()
    server.subscribe(600, tag="tag1", cseq=2)
    assert [d.full for d in server.documents()] == [True]


def test_a_provisional_answer_is_no_answer() -> None:
    server = watching()
    server.bind(binding())
    server.answer(100)
    server.bind(binding(2))
    assert len(server.sent) == 1


def test_202_counts_as_200() -> None:
    # peers.md: Kamailio
    server = watching()
    server.bind(binding())
    server.answer(202)
    server.bind(binding(2))
    assert len(server.sent) == 2


# A restart is no news.


def test_a_watcher_that_has_confirmed_everything_hears_nothing_of_a_restart() -> None:
    """
    A watcher that has confirmed everything gets no NOTIFY after a restart (6665-36).
    """
    server = Server()
    server.subscribe()
    server.bind(binding())
    server.settle()
    server.commit()
    after = server.restart(seconds=5)
    assert not after.sent
    after.bind(binding(2, "refreshed"))
    (notify,) = after.notifies()
    document = xml.parse(notify.body)
    assert (document.version, document.full) == (2, False)
    assert notify.cseq.number == 3
    assert state(notify) == "active;expires=595"
    assert notify.headers["From"] == [f"<{ALICE}>;tag=tag1"]


def test_a_watcher_whose_last_notify_was_unanswered_is_told_again() -> None:
    """
    A watcher whose last NOTIFY was unanswered gets it again after a restart (6665-36).
    """
    server = Server()
    server.subscribe()
    server.settle()
    server.bind(binding())
    server.commit()
    after = server.restart()
    (notify,) = after.notifies()
    document = xml.parse(notify.body)
    assert (document.version, document.full) == (2, True)
    assert state(notify) == "active;expires=599"


def test_after_a_restart_watchers_are_told_one_after_the_other() -> None:
    """After a restart watchers are notified one after the other (6665-36)."""
    # A restart is no storm.
    server = Server()
    for number in range(250):
        server.subscribe(call_id=f"call{number}")
    server.commit()
    after = server.restart()
    told = [len(after.notifies())]
    for _ in range(30):
        after.pass_time(0.1)
        told.append(len(after.notifies()))
    assert max(told) <= 0.1 * RESTART_RATE + 1
    assert sum(told) == 250
    # Who comes meanwhile does not wait behind them, nor does a change.
    again = server.restart()
    again.notifies()
    again.subscribe(call_id="new")
    assert len(again.notifies()) == 1
    again.bind(binding())
    assert len(again.notifies()) > 1


def test_a_change_before_its_turn_is_no_gap_to_a_watcher_whose_notify_was_lost() -> (
    None
):
    """
    A change during the restart is no gap to a watcher whose NOTIFY was lost (6665-36).
    """
    # The NOTIFY of version 1 may never have left.
    server = Server()
    for number in range(40):
        server.subscribe(call_id=f"call{number}")
    server.settle()
    server.bind(binding())
    server.commit()
    after = server.restart()
    after.bind(binding(2))
    documents = after.documents()
    assert len(documents) == 40
    assert {(document.version, document.full) for document in documents} == {(2, True)}


def test_a_legacy_peer_hears_what_has_gone_while_a_notify_was_lost() -> None:
    # peers.md: it does not miss what the full state does not have.
    server = Server(OLD)
    server.bind(binding(), binding(contact=DESK))
    server.subscribe()
    server.settle()
    server.bind(binding(2))
    server.answer(500)
    server.notifies()
    server.bind(binding(2, "unregistered", contact=DESK))
    server.pass_time(60)
    (document,) = server.documents()
    assert document.full
    assert [(c.uri, c.state.value) for c in contacts(document)] == [
        (DESK, "terminated"),
        ("sip:alice@192.0.2.50", "active"),
    ]


def test_what_expired_while_we_were_down_is_told_at_that_pace_too() -> None:
    """What expired while the server was down is notified at that pace too (6665-36)."""
    server = Server()
    server.bind(binding(expires_at=NOW + 60))
    for number in range(30):
        server.subscribe(call_id=f"call{number}")
    server.settle()
    server.commit()
    after = server.restart(seconds=90)
    first = after.told()
    assert 0 < len(first) <= 0.1 * RESTART_RATE + 1
    after.pass_time(1)
    assert [event for _, event in first + after.told()] == ["expired"] * 30


def test_watchers_that_have_confirmed_everything_take_no_turn_after_a_restart() -> None:
    """6665-36: so those that are told something do not wait for them."""
    server = Server()
    for number in range(30):
        server.subscribe(call_id=f"call{number}")
    server.settle()
    server.commit()
    assert server.restart().notifier.timer_at == NOW + 600


def test_subscriptions_that_expired_while_we_were_down_end_at_that_pace_too() -> None:
    """6665-36: also those whose watchers had confirmed everything."""
    server = Server()
    for number in range(30):
        server.subscribe(call_id=f"call{number}")
    server.settle()
    server.commit()
    after = server.restart(seconds=700)
    first = after.notifies()
    assert 0 < len(first) <= 0.1 * RESTART_RATE + 1
    after.pass_time(1)
    ends = [state(notify) for notify in first + after.notifies()]
    assert ends == ["terminated;reason=timeout"] * 30


def test_an_end_that_waited_for_its_turn_at_a_peer_is_told_after_a_restart() -> None:
    """6665-36: to a peer one NOTIFY is under way at a time (8085-01)."""
    server = Server(PEER_B)
    for number in range(3):
        server.subscribe(call_id=f"call{number}")
        server.settle()
    server.commit()
    server.notifier.drain(100.0, server.now)
    server.pass_time(1)
    assert len(server.notifies()) == 1
    server.commit()
    after = server.restart()
    ends = after.notifies()
    while after.unanswered:
        after.answer()
        ends += after.notifies()
    assert sorted(notify.call_id for notify in ends) == ["call0", "call1", "call2"]
    assert {state(notify) for notify in ends} == {"terminated;reason=deactivated"}
    assert len(after.notifier) == 0


def test_what_a_restart_tells_is_tried_again_if_the_disk_does_not_take_it() -> None:
    server = Server()
    server.subscribe()
    server.settle()
    server.bind(binding())
    server.commit()
    after = server.restart()
    assert len(after.notifies()) == 1
    after.unanswered.clear()
    after.journal.close().take_back()
    after.notifier.undone(moment(after.now))
    after.pass_time(RETRY_AFTER - 1)
    assert not after.sent
    after.pass_time(2)
    (document,) = after.documents()
    assert (document.version, document.full) == (2, True)


def test_a_change_that_the_disk_takes_takes_along_what_it_did_not_take() -> None:
    server = Server()
    server.subscribe()
    server.settle()
    server.bind(binding())
    server.commit()
    after = server.restart()
    after.sent.clear()
    after.unanswered.clear()
    after.journal.close().take_back()
    after.notifier.undone(moment(after.now))
    after.bind(binding(2))
    (document,) = after.documents()
    assert (document.version, document.full) == (2, True)


def test_a_failed_commit_does_not_shorten_the_five_seconds() -> None:
    """A failed commit does not shorten the five seconds (3680-34)."""
    server = watching(POLITE)
    server.bind(binding())  # waits for its time, and is on disk
    server.journal.close()
    server.bind(binding(contact=DESK))
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.bind(binding(contact=DESK))
    assert not server.sent
    server.pass_time(5)
    (document,) = server.documents()
    assert (document.version, len(contacts(document))) == (1, 2)


def test_a_watcher_whose_notify_was_lost_hears_how_a_contact_has_gone() -> None:
    """A watcher whose NOTIFY was lost still hears how a contact ended (3680-21)."""
    # What is not in the full state would only be missing.
    server = Server()
    server.bind(binding(expires_at=NOW + 60))
    server.subscribe()
    server.commit()
    after = server.restart(seconds=90)
    (document,) = after.documents()
    assert document.full
    assert [r.state.value for r in document.registrations] == ["terminated"]
    assert [c.event.value for c in contacts(document)] == ["expired"]


def test_what_expired_while_we_were_down_is_told_from_where_we_are_now() -> None:
    server = Server()
    server.bind(binding(expires_at=NOW + 60))
    server.subscribe()
    server.settle()
    server.commit()
    here = Local(Transport.UDP, "192.0.2.99", 5099)
    after = server.restart(seconds=90, local=here)
    assert after.sent
    assert all(flow.local == here for _, flow, _ in after.sent)
    (gone,) = contacts(after.documents()[0])
    assert gone.event == "expired"


def test_what_is_sent_is_on_disk_first_and_what_is_answered_when_it_may() -> None:
    """The CSeq of a NOTIFY is on disk before it is sent (6665-36)."""
    # No CSeq is used twice; what else is lost costs a NOTIFY.
    server = Server(POLITE)
    server.subscribe()
    server.settle()
    server.bind(binding())
    server.journal.close()
    server.pass_time(5)
    assert len(server.notifies()) == 1
    assert server.journal.close().urgent
    server.answer()
    assert not server.journal.close().urgent
    server.subscribe(0, tag="tag1", cseq=2)
    server.journal.close()
    server.answer()
    assert len(server.notifier) == 0
    ended = server.journal.close()
    assert {kind for kind, _, _ in ended.entries} == {watches.KIND, watches.PROGRESS}
    assert not ended.urgent


def test_what_waits_for_an_answer_is_written_once() -> None:
    server = watching()
    server.bind(binding())
    server.journal.close()
    for cseq in (2, 3):
        server.bind(binding(cseq))
        kinds = [kind for kind, _, _ in server.journal.close().entries]
        assert watches.PROGRESS not in kinds


def test_times_are_on_the_clock_of_the_new_start() -> None:
    server = Server()
    server.subscribe()
    server.settle()
    server.commit()
    after = server.restart(seconds=100, shift=-500.0)
    (watch,) = after.notifier.watches()
    assert watch.row.subscription.expires_at == NOW + 600 - 500
    after.pass_time(501)
    assert [state(n) for n in after.notifies()] == ["terminated;reason=timeout"]


def test_what_waited_for_its_time_is_told_after_a_restart() -> None:
    """
    A change that waited when the server stopped is sent after the restart (6665-36).
    """
    # Its view has changed, and it has not been told.
    server = Server(POLITE)
    server.subscribe()
    server.settle()
    server.commit()
    server.bind(binding())
    assert not server.sent
    server.commit()
    after = server.restart()
    assert after.told() == [("sip:alice@192.0.2.50", "registered")]


def test_what_expired_while_we_were_down_is_told() -> None:
    server = Server()
    server.bind(binding(expires_at=NOW + 60))
    server.subscribe()
    server.settle()
    server.commit()
    after = server.restart(seconds=90)
    after.pass_time(0)
    assert after.told() == [("sip:alice@192.0.2.50", "expired")]


@pytest.mark.parametrize("settled", [True, False])
def test_a_subscription_that_ended_while_we_were_down_has_a_final_notify(
    settled: bool,
) -> None:
    server = Server()
    server.subscribe()
    if settled:
        server.answer()
    server.commit()
    after = server.restart(seconds=601)
    after.pass_time(0)
    assert [state(n) for n in after.notifies()] == ["terminated;reason=timeout"]
    after.answer()
    assert not len(after.notifier)


def test_an_unsubscribe_that_was_not_confirmed_is_confirmed_after_a_restart() -> None:
    server = Server()
    server.subscribe()
    server.settle()
    server.subscribe(0, tag="tag1", cseq=2)
    server.commit()
    after = server.restart()
    assert [state(n) for n in after.notifies()] == ["terminated;reason=timeout"]


def test_after_a_restart_at_another_address_notifies_come_from_there() -> None:
    server = Server()
    server.subscribe()
    server.settle()
    server.commit()
    after = server.restart(local=Local(Transport.UDP, "192.0.2.9", 5099))
    after.bind(binding())
    draft, way, _ = after.sent[0]
    assert way.local == Local(Transport.UDP, "192.0.2.9", 5099)
    assert "Contact: <sip:192.0.2.9:5099>\r\n" in draft.head


def test_progress_of_a_watch_that_is_gone_is_ignored() -> None:
    server = Server()
    load(server.notifier.shelves, [(watches.PROGRESS, "nobody", (1, 1, True))])
    server.notifier.begin(here(), moment(server.now))
    assert not len(server.notifier)


def test_what_is_written_does_not_change_before_it_is_on_disk() -> None:
    # A commit encodes it in another thread, while the next batch is being decided.
    server = Server()
    server.subscribe()
    ((kind, _, row), *_) = server.journal.close().entries
    assert kind == watches.KIND
    before = msgspec.msgpack.encode(row)
    server.settle()
    server.bind(binding())
    server.subscribe(0, tag="tag1", cseq=2)
    assert msgspec.msgpack.encode(row) == before


# What is taken back never was.


def test_a_subscribe_that_is_taken_back_leaves_no_watch() -> None:
    server = Server()
    server.subscribe()
    server.journal.close().take_back()
    assert not len(server.notifier)
    server.pass_time(1000)
    server.bind(binding())
    assert len(server.sent) == 1


def test_a_notify_that_is_taken_back_is_sent_later_with_the_full_state() -> None:
    server = watching()
    server.bind(binding())
    server.unanswered.clear()
    server.notifies()
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.bind(binding())
    (document,) = server.documents()
    assert (document.version, document.full) == (1, False)


def test_what_was_told_by_a_notify_that_waits_comes_after_a_failed_commit() -> None:
    server = watching(POLITE)
    server.bind(binding())  # waits for its time, and is on disk
    server.journal.close()
    server.pass_time(5)
    assert len(server.notifies()) == 1
    server.unanswered.clear()
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.pass_time(RETRY_AFTER - 1)
    assert not server.sent
    server.pass_time(2)
    (document,) = server.documents()
    assert (document.version, document.full) == (1, False)  # nothing was missed
    assert len(contacts(document)) == 1


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_is_not_undone_with_what_was_decided_then(status: int) -> None:
    server = watching()
    server.bind(binding())  # its NOTIFY has gone out
    server.journal.close()
    server.bind(binding(2))
    server.answer(status)
    server.unanswered.clear()
    server.sent.clear()
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.bind(binding(2))
    server.pass_time(2 * RETRY_AFTER)
    documents = server.documents()
    assert [(d.version, d.full) for d in documents] == [(2, status == 500)]


@pytest.mark.parametrize("expires", [0, 6000])
def test_a_refresh_that_is_taken_back_never_was(expires: int) -> None:
    server = watching()
    server.subscribe(expires, tag="tag1", cseq=2, contact="<sip:new@192.0.2.61>")
    server.unanswered.clear()
    server.sent.clear()
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.bind(binding(expires_at=NOW + 5000))
    (notify,) = server.notifies()
    assert notify.uri == WATCHER
    assert state(notify) == "active;expires=600"
    assert (notify.cseq.number, xml.parse(notify.body).version) == (2, 1)
    server.settle()
    server.pass_time(601)
    assert [state(n) for n in server.notifies()] == ["terminated;reason=timeout"]


def test_after_a_commit_that_failed_all_ends_are_tried_again() -> None:
    server = Server()
    for call_id, expires in (("long", 6000), ("short", 600)):
        server.subscribe(expires, call_id=call_id)
    server.settle()
    server.journal.close()
    server.pass_time(600.2)
    assert len(server.notifies()) == 1
    server.unanswered.clear()
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.pass_time(RETRY_AFTER - 1)
    assert not server.sent
    server.pass_time(2)
    assert [n.call_id for n in server.notifies()] == ["short"]


def test_a_refresh_that_is_taken_back_leaves_the_end_where_it_was() -> None:
    server = watching()
    server.pass_time(599)
    server.subscribe(6000, tag="tag1", cseq=2)
    server.unanswered.clear()
    server.sent.clear()
    server.journal.close().take_back()
    server.pass_time(2)
    assert [state(n) for n in server.notifies()] == ["terminated;reason=timeout"]


def test_an_end_that_is_taken_back_is_tried_again_but_not_at_once() -> None:
    server = watching()
    server.pass_time(600.2)
    assert len(server.notifies()) == 1
    server.unanswered.clear()
    server.journal.close().take_back()
    server.notifier.undone(moment(server.now))
    server.pass_time(RETRY_AFTER - 1)
    assert not server.sent
    server.pass_time(2)
    assert [state(n) for n in server.notifies()] == ["terminated;reason=timeout"]


@pytest.mark.parametrize(
    ("now", "due"),
    [(NOW + 599.9, NOW + 600), (NOW + 600, NOW + 600 + RETRY_AFTER)],
)
def test_a_watch_that_has_just_expired_waits_for_the_retry(
    now: float, due: float
) -> None:
    server = watching()
    (watch,) = server.notifier.watches()
    server.notifier.served.watches.remember(watch)
    server.journal.close().take_back()
    server.notifier.undone(moment(now))
    assert watch.timer_at == due


def waiting() -> Server:
    """A server with a watch of Alice that waits for its interval, and one of Bob."""
    server = watching(POLITE)
    server.bind(binding())
    server.subscribe(call_id="other", aor=BOB)
    server.settle()
    server.commit()
    server.sent.clear()
    return server


def test_a_failed_commit_concerns_only_the_watches_that_it_has_changed() -> None:
    """Its cost is that of the batch, however many watches there are."""
    server = waiting()
    served = server.notifier.served
    server.subscribe(call_id="third", aor=BOB)
    server.bind(binding(), aor=BOB)
    server.journal.close().take_back()
    server.sent.clear()
    bob = served.watches.of(BOB)
    assert served.watches.restored() == bob
    assert served.watches.restored() == []
    # One that waits for its interval does not wait for the disk.
    server.notifier.undone(moment(server.now))
    server.pass_time(5.1)
    assert len(server.notifies()) == 1


@pytest.mark.parametrize("by", ["change", "refresh"])
def test_a_change_that_waits_is_told_in_time_though_an_attempt_is_undone(
    by: str,
) -> None:
    """What an attempt has done to the timer of a watch is undone with its report."""
    server = waiting()
    with pytest.raises(ZeroDivisionError), server.journal.attempt():
        if by == "change":
            # Of an administrator: it does not wait.
            server.bind(binding(event="deactivated", edition=2))
        else:
            server.subscribe(tag="tag1", cseq=2)
        assert server.sent
        raise ZeroDivisionError
    server.sent.clear()
    server.unanswered.clear()
    server.pass_time(5.1)
    assert server.told() == [(binding().contact, "registered")]


def test_a_watch_that_has_ended_is_not_restored() -> None:
    server = waiting()
    (watch,) = server.notifier.served.watches.of(ALICE)
    server.notifier.served.watches.remember(watch)
    server.notifier.served.watches.remove(watch)
    server.journal.close().take_back()
    assert server.notifier.served.watches.restored() == []


def test_a_watcher_that_has_gone_stays_gone() -> None:
    server = watching()
    server.bind(binding())
    server.answer(481)
    server.journal.close().take_back()
    assert not len(server.notifier)


def test_who_comes_and_goes_is_logged_once_it_is_on_disk(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "reginfo.notifier")
    server = Server(PEER_B)
    server.subscribe()
    server.answer(481)
    assert caplog.messages == []
    server.journal.close().announce()
    assert caplog.messages == [
        f"= b watches {ALICE} for 600 s",
        f"= b no longer watches {ALICE}: NOTIFY was answered 481",
    ]
    server.subscribe(call_id="other")
    server.answer()
    server.subscribe(0, tag="tag2", call_id="other", cseq=2)
    server.answer()
    server.subscribe(call_id="third")
    server.notifier.served.receive_failure(
        server.unanswered.pop(), "timeout", server.now
    )
    caplog.clear()
    server.journal.close().announce()
    assert [message for message in caplog.messages if "no longer" in message] == [
        f"= b no longer watches {ALICE}: timeout",
        f"= b no longer watches {ALICE}: NOTIFY failed: timeout",
    ]


# Who may watch, and how many.

BOBS = "<sip:bob@example.com>;tag=bobs"


def refusal(server: Server, **others: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        server.subscribe(**others)
    return caught.value


@pytest.mark.parametrize(
    ("allow", "from_"),
    [
        ("all", BOBS),
        ("self", f"<{ALICE}>;tag=x"),
        ("example.com", BOBS),
        ("sip:bob@example.com", BOBS),
    ],
)
def test_who_is_allowed_to_is_served(allow: str, from_: str) -> None:
    """A watcher that the policy allows is served (3680-10, -11)."""
    server = Server(admission=Admission(allow=("sip:x@y.example", allow)))
    assert server.subscribe(from_=from_).status == 200


@pytest.mark.parametrize("allow", ["self", "peers", "example.org", "sip:carol@h"])
def test_who_is_not_is_refused_and_no_subscription_is_made(allow: str) -> None:
    """
    A watcher that the policy does not allow is refused without a subscription (3680-11,
    6665-11).
    """
    server = Server(admission=Admission(allow=(allow,)))
    assert refusal(server).status == 403
    assert len(server.notifier) == 0
    assert server.journal.close().entries == []


def test_peers_can_be_allowed_by_that_name() -> None:
    """The policy can allow peers by that word (3680-11)."""
    server = Server(PEER_B, admission=Admission(allow=("peers",)))
    assert server.subscribe().status == 200


def test_over_the_limit_one_may_come_again_later() -> None:
    """Over the limit the 503 has a Retry-After (6665-35)."""
    for most in (1, 2):
        server = Server(admission=Admission(max_subscriptions=most))
        for number in range(most):
            server.subscribe(call_id=f"{number}")
        refused = refusal(server, call_id="more")
        assert (refused.status, refused.headers) == (503, (("Retry-After", "60"),))
        assert server.subscribe(0, call_id="fetch").status == 200
        server.settle()
        server.subscribe(0, tag="tag1", call_id="0", cseq=2)
        server.settle()
        assert server.subscribe(call_id="more").status == 200


@pytest.mark.parametrize("most", [1, 2])
def test_one_watcher_cannot_take_all_the_room(most: int) -> None:
    """One watcher cannot use up the limit (6665-35)."""
    server = Server(admission=Admission(max_per_watcher=most))
    for number in range(most):
        server.subscribe(call_id=f"{number}")
    assert refusal(server, call_id="more").status == 403
    other = "<sip:carol@example.com>;tag=c"
    assert server.subscribe(call_id="other", from_=other).status == 200
    # Whoever goes makes room for one.
    server.settle()
    server.subscribe(0, tag="tag1", call_id="0", cseq=2)
    server.settle()
    assert server.subscribe(call_id="more").status == 200
    assert refusal(server, call_id="again").status == 403


def test_one_user_cannot_have_all_the_watchers() -> None:
    """3261-155: whoever goes makes room for one."""
    server = Server(admission=Admission(max_per_aor=1))
    server.subscribe(call_id="0")
    other = "<sip:carol@example.com>;tag=c"
    assert refusal(server, call_id="more", from_=other).status == 503
    server.settle()
    server.subscribe(0, tag="tag1", call_id="0", cseq=2)
    server.settle()
    assert server.subscribe(call_id="more", from_=other).status == 200


def test_a_peer_may_watch_as_many_as_it_wants() -> None:
    """3261-155"""
    limited = Admission(max_per_watcher=1, max_per_aor=1)
    server = Server(PEER_B, admission=limited)
    for number in range(3):
        assert server.subscribe(call_id=f"{number}").status == 200


# A device that has lost its subscription, and makes another.

DEVICE = f'<{WATCHER}>;+sip.instance="<urn:uuid:1>"'


def lost(server: Server, **second: Any) -> list[str]:
    """Reasons with which subscriptions have ended after a second SUBSCRIBE."""
    server.subscribe(call_id="first", contact=DEVICE)
    server.subscribe(**({"call_id": "second", "contact": DEVICE} | second))
    return [
        watch.row.subscription.reason
        for watch in server.notifier.watches()
        if watch.row.subscription.reason
    ]


def test_a_new_subscription_of_a_device_replaces_the_one_that_does_not_answer() -> None:
    """A new subscription of a device replaces one that does not answer (6665-33)."""
    server = Server()
    assert lost(server) == ["timeout"]
    server.answer(408)  # the NOTIFY that was under way
    server.pass_time(RETRY_AFTER + 1)
    assert "terminated;reason=timeout" in [state(n) for n in server.notifies()]


@pytest.mark.parametrize(
    "second",
    [
        {"contact": f"<{WATCHER}>"},
        {"contact": f'<{WATCHER}>;+sip.instance="<urn:uuid:2>"'},
        {"contact": f'<{WATCHER}>;+sip.instance=""'},
        {"aor": BOB},
        {"event": "reg;id=2"},
        {"from_": "<sip:carol@example.com>;tag=c"},
    ],
)
def test_another_subscription_replaces_nothing(second: dict[str, str]) -> None:
    """Another subscription replaces nothing (6665-33)."""
    assert lost(Server(), **second) == []


def test_a_device_whose_subscription_works_may_have_a_second() -> None:
    """A device whose subscription works may have a second (6665-33)."""
    server = Server()
    server.subscribe(call_id="first", contact=DEVICE)
    server.settle()
    server.subscribe(call_id="second", contact=DEVICE)
    assert len(server.notifier) == 2
    assert not any(watch.ended for watch in server.notifier.watches())


# Other lines of the checklist.


def test_there_is_no_subscription_without_a_subscribe() -> None:
    """There is no subscription without a SUBSCRIBE (6665-29)."""
    server = Server()
    server.bind(binding(1))
    assert len(server.notifier) == 0
    assert server.sent == []


def test_a_subscription_continues_when_its_user_has_unregistered() -> None:
    """A subscription continues when its user has unregistered (6665-37)."""
    server = watching(EAGER, binding(1))
    server.bind(binding(2, "unregistered"))
    (notify,) = server.notifies()
    assert state(notify).startswith("active;")
    assert registration(xml.parse(notify.body)).state == "terminated"


def test_kamailios_ten_seconds_more_are_granted_as_asked() -> None:
    """Kamailio's ten additional seconds are granted as asked (6665-79)."""
    assert Server().subscribe(610).headers["Expires"] == ["610"]
