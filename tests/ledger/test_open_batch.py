"""What waits for a batch."""

from __future__ import annotations

import pytest

from reginfo.ledger.open_batch import OpenBatch, is_independent
from reginfo.sip.flow import Flow, Local
from reginfo.sip.message import Request
from reginfo.sip.transaction import Datagram, ServerTransaction
from reginfo.sip.transport import UDP


@pytest.mark.parametrize("is_durable", [True, False])
def test_each_waiter_is_called_once_whatever_the_others_do(is_durable: bool) -> None:
    called: list[bool] = []

    def fails(is_durable: bool) -> None:
        raise ZeroDivisionError

    batch = OpenBatch()
    batch.waiters += [fails, called.append]
    batch.inform(is_durable=is_durable)
    batch.inform(is_durable=is_durable)
    assert called == [is_durable]


@pytest.mark.parametrize("independent", [True, False])
def test_a_repeated_datagram_reveals_nothing_and_a_new_one_may(
    independent: bool,
) -> None:
    """3261-177"""
    flow = Flow(Local(UDP, "192.0.2.1", 5060), ("192.0.2.9", 5060))
    transaction = ServerTransaction(Request("X", "sip:x"), flow, [])
    transaction.is_independent = independent
    assert is_independent(Datagram(b"", flow))
    assert is_independent(Datagram(b"", flow, transaction)) is independent
