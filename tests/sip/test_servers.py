"""Server transactions by their keys (RFC 3261 §17.2.3, §8.2.2.2)."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.sip.event import AnyServer
from reginfo.sip.invite import InviteServerTransaction
from reginfo.sip.parser import Malformed
from reginfo.sip.servers import Servers, key_of
from reginfo.sip.transaction import Datagram, ServerTransaction

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
