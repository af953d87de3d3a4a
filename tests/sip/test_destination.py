"""A destination, as a value."""

from __future__ import annotations

import pytest

from reginfo.sip.destination import Destination
from reginfo.sip.flow import Address
from reginfo.sip.transport import Transport


@pytest.mark.parametrize("address", [("192.0.2.1", 5060), ("2001:db8::1", 5061)])
@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_destination_is_a_transport_and_an_address(
    transport: Transport, address: Address
) -> None:
    """RFC 3263 §4: the IP address, port and transport of the next hop."""
    found = Destination(transport, address)
    assert (found.transport, found.address) == (transport, address)
    assert found == Destination(transport, address)
    assert len({found, Destination(transport, address)}) == 1


def test_one_address_by_another_transport_is_another_destination() -> None:
    address = ("192.0.2.1", 5060)
    assert Destination(Transport.UDP, address) != Destination(Transport.TCP, address)


def test_a_destination_does_not_change() -> None:
    found = Destination(Transport.UDP, ("192.0.2.1", 5060))
    with pytest.raises(AttributeError):
        found.transport = Transport.TCP  # type: ignore[misc]


@pytest.mark.parametrize(
    ("transport", "address", "written"),
    [
        (Transport.UDP, ("192.0.2.1", 5060), "udp:192.0.2.1:5060"),
        (Transport.TCP, ("192.0.2.1", 5070), "tcp:192.0.2.1:5070"),
        (Transport.TCP, ("2001:db8::1", 5061), "tcp:[2001:db8::1]:5061"),
        (Transport.UDP, ("fe80::1%eth0", 5060), "udp:[fe80::1%eth0]:5060"),
    ],
)
def test_a_destination_is_written_as_in_the_configuration(
    transport: Transport, address: Address, written: str
) -> None:
    destination = Destination(transport, address)
    assert str(destination) == written
    assert repr(destination) == f"<Destination {written}>"
