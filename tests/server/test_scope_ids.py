"""A server at a link-local address: its scope stays on this machine."""

from __future__ import annotations

import pytest

from reginfo.config.config import Config
from reginfo.sip.message import Request
from reginfo.sip.parser import parse
from reginfo.sip.transport import TCP, UDP, Transport
from reginfo.testing import Wire, WireServer

ALICE = "sip:alice@example.com"
SERVER = ("fe80::1%eth0", 5060)
PHONE, WATCHER = ("fe80::50%eth0", 5060), ("fe80::51%eth0", 5062)
CONFIG = """
[server]
id = "a"
listen = ["udp:[fe80::1%eth0]:5060", "tcp:[fe80::1%eth0]:5060"]
domains = ["example.com"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
[pua_reginfo]
server_address = "sip:reginfo@[fe80::1]"
publish_to = "sip:[fe80::60]"
[[peer]]
name = "b"
uri = "sip:[fe80::60]"
watch = "sip:bob@example.com"
"""


class Link:
    """A link with a server on it."""

    def __init__(self, config: str = CONFIG) -> None:
        self.wire = Wire()
        self.server: WireServer = self.wire.serve(Config.parse(config))
        self.number = 0

    def ask(
        self,
        source: tuple[str, int],
        method: str,
        *lines: str,
        transport: Transport = UDP,
    ) -> None:
        """Send a request about Alice."""
        self.number += 1
        uri = "sip:example.com" if method == "REGISTER" else ALICE
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{transport.name} h;rport;branch=z9hG4bK{self.number}",
            f"From: <{ALICE}>;tag=1",
            f"To: <{ALICE}>",
            f"Call-ID: {method}",
            f"CSeq: {self.number} {method}",
            "Max-Forwards: 70",
            *lines,
        ]
        data = "\r\n".join([*head, "", ""]).encode()
        self.wire.send(data, source, SERVER, transport)


@pytest.mark.parametrize("transport", [UDP, TCP])
@pytest.mark.parametrize(
    "contact",
    ["sip:alice@[fe80::50]", "sip:alice@[fe80::99]:5061", "sip:alice@10.0.0.1"],
)
@pytest.mark.parametrize("event", ["", ";profile=x"])
def test_a_scope_id_is_never_sent(
    transport: Transport, contact: str, event: str
) -> None:
    """
    3261-92: in no response, NOTIFY, SUBSCRIBE of ours, forwarded request, Record-Route
    or document; and all of these reach a host on the link.
    """
    link = Link()
    suffix = "" if transport is UDP else ";transport=tcp"
    link.ask(PHONE, "REGISTER", f"Contact: <{contact}{suffix}>", transport=transport)
    watcher = f"Contact: <sip:w@[fe80::51]:5062{suffix}>"
    agent = "User-Agent: Kamailio (5.6.3)" if event else "User-Agent: x"
    link.ask(WATCHER, "SUBSCRIBE", "Event: reg", watcher, agent, transport=transport)
    link.ask(WATCHER, "MESSAGE", "Content-Length: 0", transport=transport)
    link.ask(WATCHER, "INVITE", watcher, transport=transport)
    link.wire.pass_time(1)
    (binding,) = link.server.bindings(ALICE)
    assert "%" not in f"{binding.received}{binding.contact}"

    phone, watching = link.wire.received(PHONE), link.wire.received(WATCHER)
    assert any(data.startswith(b"SIP/2.0 200") for data in phone)
    assert any(data.startswith(b"NOTIFY") for data in watching)
    peer = link.wire.received(("fe80::60%eth0", 5060))
    assert {data.partition(b" ")[0] for data in peer} == {b"SUBSCRIBE", b"PUBLISH"}
    for data in [*phone, *watching, *peer]:
        assert b"%" not in data, data
    if contact == "sip:alice@[fe80::50]":
        forwarded, *_ = [one for one in map(parse, phone) if is_invite(one)]
        assert "[fe80::1]" in str(forwarded.headers["Record-Route"])


def is_invite(message: object) -> bool:
    return isinstance(message, Request) and message.method == "INVITE"
