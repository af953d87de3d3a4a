"""The addresses of a server, and the kinds of address that it can send to."""

from __future__ import annotations

from typing import Any

import pytest

from reginfo.config.sections import DnsSection
from reginfo.io.network import Network
from reginfo.sip.endpoint import Endpoint
from reginfo.sip.flow import Local
from reginfo.sip.transport import Transport

from ..make import numbers

UDP = Local(Transport.UDP, "192.0.2.1", 5060)
TCP = Local(Transport.TCP, "192.0.2.1", 5060)
UDP6 = Local(Transport.UDP, "2001:db8::1", 5060)


class Rim:
    """The addresses of a server that listens nowhere."""

    def __init__(self, *locals: Local) -> None:
        self.locals = locals

    def wake(self) -> None:
        raise AssertionError("nobody waits")

    def attempt(self) -> Any:
        raise AssertionError("nothing is decided")


@pytest.mark.parametrize(
    ("locals", "types", "transports"),
    [
        ([UDP], ["A"], [Transport.UDP]),
        ([UDP6], ["AAAA"], [Transport.UDP]),
        ([UDP, TCP, UDP6], ["A", "AAAA"], [Transport.UDP, Transport.TCP]),
        ([TCP], ["A"], [Transport.TCP]),
    ],
)
def test_names_are_resolved_to_what_we_can_send_to(
    locals: list[Local], types: list[str], transports: list[Transport]
) -> None:
    """3263-03: other kinds of address and other transports are not asked for."""
    rim: Any = Rim(*locals)
    network = Network(rim, Endpoint(new_id=numbers(), methods=None, headers={}), None)
    resolver = network.resolver(DnsSection())
    assert (resolver.types, resolver.transports) == (types, transports)
    assert "localhost" in resolver.hosts
