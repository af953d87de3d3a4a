"""Server transactions by their keys (RFC 3261 §17.2.3, §8.2.2.2)."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.sip.capacity import Capacity
from reginfo.sip.event import AnyServer
from reginfo.sip.flow import Flow, Local
from reginfo.sip.invite import InviteServerTransaction
from reginfo.sip.message import Response
from reginfo.sip.parser import Malformed
from reginfo.sip.servers import Servers, key_of
from reginfo.sip.transaction import Datagram, ServerTransaction
from reginfo.sip.transport import Transport

from .messages import FLOW, parsed, request

OLD = "SIP/2.0/UDP 192.0.2.1:9988;branch=1"
"""A Via of RFC 2543, without the cookie."""

BRANCH = "SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK{}"


def transaction(method: str = "REGISTER", **headers: Any) -> AnyServer:
    message = parsed(request(method, **headers))
    kind = InviteServerTransaction if method == "INVITE" else ServerTransaction
    outbox: list[Datagram] = []
    return kind(message, FLOW, outbox, key=key_of(message), to_tag="1")


def test_a_key_is_branch_sent_by_and_method() -> None:
    """§17.2.3"""
    assert key_of(parsed(request())) == ("z9hG4bK1", "192.0.2.1:9988", "REGISTER")


@pytest.mark.parametrize("branch", ["1", "", "z9hG4bK"])
def test_a_key_without_a_branch_is_all_that_a_retransmission_shares(
    branch: str,
) -> None:
    """§17.2.3, of a client of RFC 2543; a bare cookie says nothing"""
    via = f"SIP/2.0/UDP 192.0.2.1:9988;branch={branch}"
    key = key_of(parsed(request(via=via)))
    assert key == ("sip:example.com", "", "a", "c@192.0.2.1", "1", via, "REGISTER")


@pytest.mark.parametrize(
    "data",
    [request(without=("Via",)), request(via="x"), request(via=OLD, cseq="x REGISTER")],
)
def test_a_request_without_a_key_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        key_of(parsed(data))


@pytest.mark.parametrize("via", [BRANCH.format(1), OLD])
def test_an_ack_finds_its_invite(via: str) -> None:
    """§17.2.1, §17.2.3: the ACK has the To tag of the response"""
    servers = Servers()
    invite = transaction("INVITE", via=via)
    servers.add(invite)
    ack = request("ACK", via=via, to="<sip:alice@example.com>;tag=1")
    assert servers.of_ack(key_of(parsed(ack))) is invite
    other = request("ACK", via=via.replace("9988", "9989"))
    assert servers.of_ack(key_of(parsed(other))) is None


@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "SUBSCRIBE"])
def test_a_cancel_finds_its_request(method: str) -> None:
    """§9.2"""
    servers = Servers()
    known = transaction(method)
    servers.add(known)
    assert servers.of_cancel(key_of(parsed(request("CANCEL")))) is known
    other = request("CANCEL", via=BRANCH.format(2))
    assert servers.of_cancel(key_of(parsed(other))) is None


def test_a_request_that_came_by_two_paths_is_merged_with_the_first() -> None:
    """§8.2.2.2"""
    servers = Servers()
    first, second = transaction(), transaction(via=BRANCH.format(2))
    assert servers.claim(first)
    assert not servers.claim(second)
    assert [servers.is_merged(one) for one in (first, second)] == [False, True]
    assert servers.claim(transaction(call_id="other"))


def test_what_is_forgotten_is_found_no_more() -> None:
    servers = Servers()
    first, second = transaction(), transaction(via=BRANCH.format(2))
    servers.claim(first)
    servers.add(first)
    servers.forget(first)
    assert servers.get(first.key) is None
    assert not servers.is_merged(second)
    servers.forget(first)  # nothing is left to be forgotten


def test_to_forget_a_transaction_twice_does_not_forget_its_successor() -> None:
    """A retransmission of an abandoned request has its keys."""
    servers = Servers()
    first, again = transaction(), transaction()
    for one in (first, again):
        servers.claim(one)
        servers.add(one)
        if one is first:
            servers.forget(first)
    servers.forget(first)
    assert servers.get(again.key) is again
    assert servers.is_merged(transaction(via=BRANCH.format(2)))


def answered(servers: Servers, number: int, flow: Flow = FLOW) -> ServerTransaction:
    """A request that was answered, with a branch of this number."""
    message = parsed(request(via=BRANCH.format(number)))
    one = ServerTransaction(message, flow, [], key=key_of(message), to_tag="1")
    assert servers.add(one)
    one.respond(Response(200, "OK"))
    one.sent(float(number))
    servers.sent(one)
    return one


def test_the_oldest_responses_are_forgotten_if_too_many_octets_are_kept() -> None:
    """3261-158"""
    size = len(answered(Servers(), 1).latest)
    servers = Servers(Capacity(answered_octets=3 * size))
    ones = [answered(servers, number) for number in range(5)]
    assert [servers.get(one.key) is one for one in ones] == [False] * 2 + [True] * 3
    assert (servers.kept, servers.forgotten_early) == (3 * size, 2)
    ones[0].timer_due(99.0)
    servers.forget(ones[0])  # its timer, which the wheel still has
    assert servers.kept == 3 * size
    servers.forget(ones[3])
    assert servers.kept == 2 * size
    servers.forget(ones[2])
    servers.forget(ones[4])
    assert (servers.kept, len(servers), len(servers._answered)) == (0, 0, 0)


def test_a_response_is_counted_once_and_a_provisional_one_not() -> None:
    """3261-158"""
    servers = Servers(Capacity(answered_octets=10_000))
    one = transaction()
    assert isinstance(one, ServerTransaction)
    servers.add(one)
    one.respond(Response(100, "Trying"))
    one.sent(0.0)
    servers.sent(one)
    assert (servers.kept, servers.waiting) == (0, 1)
    one.respond(Response(200, "OK"))
    for _ in range(2):
        one.sent(0.0)
        servers.sent(one)
    assert (servers.kept, servers.waiting) == (len(one.latest), 0)


def test_nothing_is_kept_of_what_came_by_a_stream() -> None:
    """§17.2.2: Timer J is 0 there (3261-158)"""
    servers = Servers(Capacity(answered_octets=1))
    stream = Local(Transport.TCP, "192.0.2.100", 5060)
    answered(servers, 1, Flow(stream, FLOW.remote))
    assert (servers.kept, len(servers)) == (0, 1)


def test_a_single_response_is_always_kept() -> None:
    servers = Servers(Capacity(answered_octets=1))
    one = answered(servers, 1)
    assert servers.get(one.key) is one
    other = answered(servers, 2)
    assert servers.get(one.key) is None
    assert servers.get(other.key) is other


def test_only_so_many_requests_wait_for_a_response() -> None:
    """3261-158: those that have one do not count, and emergency calls are let in."""
    servers = Servers(Capacity(transactions=2, emergency=["112"]))
    answered(servers, 0)
    first, second, third = (
        transaction(via=BRANCH.format(number), call_id=f"c{number}")
        for number in range(1, 4)
    )
    assert servers.add(first) and servers.add(second)
    servers.claim(third)
    assert not servers.add(third)
    assert servers.refused == 1
    again = transaction(via=BRANCH.format(3), call_id="c3")
    assert servers.claim(again), "what was refused is not being processed"
    call = parsed(request("INVITE", "sip:112@example.com", via=BRANCH.format(9)))
    assert servers.add(
        InviteServerTransaction(call, FLOW, [], key=key_of(call), to_tag="1")
    )
    servers.forget(first)
    servers.forget(second)
    assert servers.add(third)
