"""What an endpoint reports, as values."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from reginfo.sip import event
from reginfo.sip.event import (
    AckReceived,
    Cancelled,
    EndpointEvent,
    RequestFailed,
    RequestReceived,
)
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transaction import ServerTransaction
from reginfo.sip.transport import Transport

from .messages import parsed, request

V4 = Flow(Local(Transport.UDP, "192.0.2.2", 5060), ("192.0.2.1", 5060))
V6 = Flow(Local(Transport.TCP, "2001:db8::2", 5060), ("2001:db8::1", 40_000))


def received(back: Flow, came_by: Flow) -> RequestReceived:
    transaction = ServerTransaction(parsed(request()), back, [], to_tag="t")
    return RequestReceived(transaction, came_by)


@pytest.mark.parametrize("flow", [V4, V6])
def test_a_request_came_by_the_flow_from_where_it_was_sent(flow: Flow) -> None:
    """RFC 3261 §18.2.1: whatever its Via says; responses may go elsewhere (§18.2.2)."""
    source = (flow.remote[0], 61_234)
    found = received(flow, Flow(flow.local, source))
    assert (found.flow, found.source) == (Flow(flow.local, source), source)
    assert found.request is found.transaction.request


def test_an_event_does_not_change() -> None:
    found = received(V4, V4)
    with pytest.raises(AttributeError):
        found.flow = V6  # type: ignore[misc]


def test_each_event_is_one_of_those_that_an_endpoint_reports() -> None:
    defined = {
        one
        for one in vars(event).values()
        if isinstance(one, type) and one.__module__ == event.__name__
    }
    assert defined == set(get_args(EndpointEvent))


def test_what_ends_without_an_answer_says_why() -> None:
    client: Any = object()
    assert RequestFailed(client, "timeout").cause == "timeout"
    assert RequestFailed(client, "timeout") != RequestFailed(client, "connection reset")


def test_an_ack_has_a_flow_and_no_transaction() -> None:
    """RFC 3261 §17.1.1.3: the ACK of a 2xx is a transaction of its own, unanswered."""
    ack = AckReceived(parsed(request()), V6)
    assert ack.flow == V6
    assert not hasattr(ack, "transaction")
    assert not hasattr(Cancelled, "request")
