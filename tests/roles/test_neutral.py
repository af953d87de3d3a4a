"""A watcher that is not to know that it may not watch (RFC 6665 §6.2)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reginfo.events.headers import SubscriptionState
from reginfo.reg.document import RegistrationState
from reginfo.roles.admission import Admission
from reginfo.roles.watch import Owed
from reginfo.sip.errors import Refusal

from ..make import ALICE, BOB, NOW, PEER, binding
from .watched import DESK, EAGER, OLD, PEER_B, Server, contacts, registration

ONLY_ALICE = Admission(allow=(ALICE,), neutral=True)
BOB_6 = ("2001:db8::60", 5060)


def server_of(peer: Any = EAGER, *claims: Any) -> Server:
    server = Server(peer, admission=ONLY_ALICE)
    server.bind(*claims)
    return server


def as_sent(server: Server) -> list[tuple[bytes, list[str]]]:
    """Body and Subscription-State of what was sent, without ids that are random."""
    return [
        (notify.body, notify.headers["Subscription-State"])
        for notify in server.notifies()
    ]


@pytest.mark.parametrize("remote", [PEER, BOB_6])
@pytest.mark.parametrize("expires", [600, 0])
@pytest.mark.parametrize("peer", [EAGER, PEER_B, OLD])
def test_a_neutral_document_is_that_of_somebody_without_contacts(
    peer: Any, expires: int, remote: tuple[str, int]
) -> None:
    """6665-11, 6665-110: octet by octet, so that nobody can tell."""
    refused = server_of(peer, binding(), binding(contact=DESK))
    served = Server(peer)  # by which everybody is served, and nobody is registered
    answers = [server.subscribe(expires, remote=remote) for server in (refused, served)]
    assert answers[0].status == answers[1].status == 200
    assert answers[0].headers == answers[1].headers
    assert as_sent(refused) == as_sent(served)


def test_a_watcher_that_may_watch_is_told_the_truth() -> None:
    """6665-11."""
    server = server_of(EAGER, binding())
    server.subscribe(from_=f"<{ALICE}>;tag=x")
    (document,) = server.documents()
    assert registration(document).state is RegistrationState.ACTIVE


@pytest.mark.parametrize("peer", [EAGER, PEER_B, OLD])
def test_no_change_is_ever_told(peer: Any) -> None:
    """6665-111: a NOTIFY without a cause would tell that there is one."""
    server = server_of(peer, binding())
    server.subscribe()
    server.settle()
    server.bind(binding(contact=DESK))
    server.bind(binding(2))
    server.notifier.update(ALICE, server.now)
    server.pass_time(590)
    assert server.notifies() == []


def test_a_refresh_is_followed_by_the_same_document() -> None:
    """6665-110."""
    server = server_of(EAGER, binding())
    server.subscribe()
    server.settle()
    server.subscribe(tag="tag1", cseq=2)
    (document,) = server.documents()
    assert (document.version, contacts(document)) == (1, ())


def test_the_end_is_that_of_any_subscription() -> None:
    """6665-110."""
    server = server_of(EAGER, binding())
    server.subscribe(60)
    server.settle()
    server.pass_time(61)
    (notify,) = server.notifies()
    state = SubscriptionState.of(notify)
    assert (state.state, state.reason) == ("terminated", "timeout")
    assert DESK.encode() not in notify.body
    assert re.findall(rb'state="(\w+)"', notify.body) == [b"full", b"init"]


def test_it_stays_neutral_over_a_restart() -> None:
    """6665-110."""
    server = server_of(EAGER, binding())
    server.subscribe()
    server.settle()
    server.commit()
    after = server.restart(admission=ONLY_ALICE)
    after.bind(binding(contact=DESK))
    assert after.notifies() == []
    after.subscribe(tag="tag1", cseq=2)
    (document,) = after.documents()
    assert contacts(document) == ()


def test_a_refresh_under_another_policy_is_told_the_truth() -> None:
    """An administrator who lets a watcher in does not wait until it starts anew."""
    server = server_of(EAGER, binding())
    server.subscribe()
    server.settle()
    server.commit()
    after = server.restart(admission=Admission(allow=(BOB,), neutral=True))
    after.subscribe(tag="tag1", cseq=2)
    (document,) = after.documents()
    assert len(contacts(document)) == 1
    after.settle()
    after.bind(binding(contact=DESK))
    assert len(after.notifies()) == 1


def test_a_refresh_that_is_taken_back_lets_nobody_in() -> None:
    """6665-110: it is a refresh that never was."""
    server = server_of(EAGER, binding())
    server.subscribe()
    server.settle()
    server.commit()
    after = server.restart(admission=Admission(allow=(BOB,), neutral=True))
    (watch,) = after.notifier.watches()
    after.subscribe(tag="tag1", cseq=2)
    assert watch.row.neutral is False
    after.journal.close().take_back()
    assert watch.row.neutral is True


@pytest.mark.parametrize(
    ("peer", "allow", "from_", "is_let_in"),
    [
        (PEER_B, "peers", BOB, True),
        (EAGER, "peers", BOB, False),
        (EAGER, "self", ALICE, True),
        (EAGER, "self", BOB, False),
    ],
)
def test_a_refresh_is_judged_as_a_new_subscription_is(
    peer: Any, allow: str, from_: str, is_let_in: bool
) -> None:
    """6665-11"""
    server = Server(peer, admission=Admission(allow=(), neutral=True))
    server.bind(binding())
    server.subscribe(from_=f"<{from_}>;tag=x")
    server.settle()
    server.commit()
    after = server.restart(admission=Admission(allow=(allow,), neutral=True))
    after.subscribe(tag="tag1", cseq=2, from_=f"<{from_}>;tag=x")
    (document,) = after.documents()
    assert len(contacts(document)) == is_let_in


@pytest.mark.parametrize("peer", [EAGER, PEER_B, OLD])
def test_nothing_follows_a_neutral_document(peer: Any) -> None:
    server = server_of(peer)
    server.subscribe()
    (watch,) = server.notifier.watches()
    owed = Owed(full=True, bindings=[], parted={})
    written = server.notifier.bodies.write(watch, owed, lambda _: 1300, NOW)
    assert written.more is False


def test_without_neutral_documents_it_is_refused() -> None:
    """6665-11: the default is 403."""
    server = Server(EAGER, admission=Admission(allow=(ALICE,)))
    with pytest.raises(Refusal, match="403"):
        server.subscribe()
    assert len(server.notifier) == 0


def test_neutral_subscriptions_count_as_others_do() -> None:
    """They cost what others cost."""
    server = Server(
        EAGER, admission=Admission(allow=(), neutral=True, max_subscriptions=2)
    )
    server.subscribe(call_id="1")
    server.subscribe(call_id="2")
    with pytest.raises(Refusal, match="503"):
        server.subscribe(call_id="3")
