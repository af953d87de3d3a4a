"""What waits for a batch."""

from __future__ import annotations

import pytest

from reginfo.ledger.open_batch import OpenBatch


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
