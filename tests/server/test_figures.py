"""What is no part of a server describes itself, too."""

from __future__ import annotations

from reginfo.server.figures import requests
from reginfo.sip.capacity import Capacity
from reginfo.sip.endpoint import Endpoint

from ..sip.messages import FLOW, request


def test_requests_are_counted() -> None:
    """3261-158"""
    endpoint = Endpoint(
        new_id=lambda: "1", methods=None, headers={}, capacity=Capacity(transactions=1)
    )
    for number in range(2):
        via = f"SIP/2.0/UDP 192.0.2.1:9988;branch=z9hG4bK{number}"
        endpoint.receive_datagram(request(via=via, call_id=f"c{number}"), FLOW, 0.0)
    described = requests(endpoint)
    assert described.line == "requests without a response: 1"
    assert described.figures == {
        "waiting": 1, "kept_octets": 0, "forgotten_early_total": 0, "refused_total": 1,
    }  # fmt: skip
