"""Which address of ours leads to a destination."""

from __future__ import annotations

import pytest

from reginfo.io.network import StartError, flow_to
from reginfo.sip.destination import Destination
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import Transport

UDP = Local(Transport.UDP, "192.0.2.1", 5060)
TCP = Local(Transport.TCP, "192.0.2.1", 5060)
UDP6 = Local(Transport.UDP, "2001:db8::1", 5060)


@pytest.mark.parametrize("local", [UDP, TCP, UDP6])
def test_a_destination_is_reached_by_its_transport_and_family(local: Local) -> None:
    host = "2001:db8::9" if ":" in local.host else "192.0.2.9"
    destination = Destination(local.transport, (host, 5060))
    assert flow_to(destination, [UDP, TCP, UDP6]) == Flow(local, (host, 5060))


@pytest.mark.parametrize(
    "destination",
    [
        Destination(Transport.TCP, ("2001:db8::9", 5060)),
        Destination(Transport.TLS, ("192.0.2.9", 5061)),
    ],
)
def test_there_is_no_flow_to_what_none_of_our_addresses_can_send_to(
    destination: Destination,
) -> None:
    """And not by any other transport."""
    with pytest.raises(StartError, match="no listening address of its kind"):
        flow_to(destination, [UDP, TCP, UDP6])
