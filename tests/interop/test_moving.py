"""The Kamailio of the tests is moved over, and goes on serving its phones."""

from __future__ import annotations

from pathlib import Path

from reginfo.moving.move import dialect_of, move
from reginfo.moving.source import read

from .phone import DOMAIN, Phone, free_port
from .server import Server

KAMAILIO = Path(__file__).with_name("kamailio.cfg")


class Moved(Server):
    """A server whose configuration was Kamailio's."""

    def configuration(self) -> str:
        me = f"127.0.0.1:{self.port}"
        defined = {
            "LISTEN_URI": f"udp:{me}",
            "SELF_URI": f"sip:{me}",
            "PEER_URI": f"sip:127.0.0.1:{free_port()}",
            "PUBLISH": "0",
        }
        source = read(KAMAILIO.read_text("utf-8"), lambda name: None, defined)
        moved = move(source, dialect_of(source, KAMAILIO.name), KAMAILIO.name)
        # Of what the tests need, a configuration of Kamailio says nothing.
        return moved.toml.replace("[server]", '[server]\nadmin = "127.0.0.1:0"', 1)


def test_a_phone_registers_where_kamailio_was(tmp_path: Path) -> None:
    with Moved(tmp_path / "a") as server, Phone(server.address) as phone:
        reply = phone.register("alice", expires=100_000)
        assert "expires=7200" in reply["contact"]  # max_expires of kamailio.cfg
        assert [b["aor"] for b in server.all_bindings()] == [f"sip:alice@{DOMAIN}"]
        assert phone.subscribe("alice").status == 200
        assert b'event="registered"' in phone.notify().body
