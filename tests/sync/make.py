"""Servers that are linked, and what tests of links need."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lxml import etree

from reginfo.config.config import Config
from reginfo.testing.wire import Packet, WireServer

from ..simulation import ALICE, HOSTS, LossyWire

GROUP = "sip:allusers@example.com"

DOCS = Path(__file__).parents[2] / "docs"
REGINFO_XSD = etree.XMLSchema(
    etree.parse(str(Path(__file__).parents[1] / "reg" / "reginfo.xsd"))
)
LINK_XSD = etree.XMLSchema(etree.parse(str(DOCS / "link.xsd")))
LINK = "{urn:x-reginfo:link:1}"


def linked(
    me: str,
    peers: Iterable[str],
    *,
    transport: str = "tcp",
    extra: str = "",
    group: str = "",
) -> Config:
    """
    The configuration of the server ``me``, which is linked to each of ``peers``.

    Args:
        extra: more sections, as TOML; begins within ``[pua_reginfo]``.
        group: more keys of the group.
    """
    text = f"""
[server]
id = "{me}"
listen = ["udp:{HOSTS[me]}:5060", "tcp:{HOSTS[me]}:5060"]
domains = ["example.com", "example.org"]
[store]
url = "memory:"
[pua_reginfo]
server_address = "sip:server@{HOSTS[me]}"
{extra}
[[group]]
uri = "{GROUP}"
domains = ["example.com"]
{group}
"""
    by = ";transport=tcp" if transport == "tcp" else ""
    for peer in peers:
        text += f'[[peer]]\nname = "{peer}"\nuri = "sip:{HOSTS[peer]}{by}"\n'
        text += f'watch = "{GROUP}"\n'
    return Config.parse(text)


def documents(packets: Iterable[Packet]) -> list[etree._Element]:
    """The documents of all NOTIFYs among ``packets``."""
    return [
        etree.fromstring(packet.data.partition(b"\r\n\r\n")[2])
        for packet in packets
        if packet.data.startswith(b"NOTIFY ") and packet.data.partition(b"\r\n\r\n")[2]
    ]


def check_document(document: etree._Element) -> None:
    """Check a document against the schema of RFC 3680, and ours."""
    REGINFO_XSD.assertValid(document)
    for element in document.iter(f"{LINK}claim", f"{LINK}record", f"{LINK}cursor"):
        LINK_XSD.assertValid(element)


def notifies(wire: LossyWire, source: WireServer, to: WireServer) -> list[Packet]:
    """The NOTIFYs that one server has sent another."""
    hosts = source.address[0], to.address[0]
    return [
        packet
        for packet in wire.packets
        if (packet.source[0], packet.destination[0]) == hosts
        and packet.data.startswith(b"NOTIFY ")
    ]


def aors(server: WireServer) -> dict[str, list[str]]:
    """What is bound at a server."""
    return {aor: sorted(server.contacts(aor)) for aor in [ALICE, *server.app.aors()]}
