"""Debian's Kamailio as an S-CSCF on loopback, for one test."""

from __future__ import annotations

from pathlib import Path

from .hss import REALM, Hss
from .kamailio import Kamailio
from .phone import eventually, free_port

CONFIGURATION = Path(__file__).with_name("scscf.cfg")

PIPES = Path("/tmp")
"""Where its Diameter peer makes them, whatever it is told."""

CDP = """<?xml version="1.0" encoding="UTF-8"?>
<DiameterPeer FQDN="scscf.{realm}" Realm="{realm}" Vendor_Id="10415"
    Product_Name="CDiameterPeer" AcceptUnknownPeers="0" DropUnknownOnDisconnect="1"
    Tc="1" Workers="1" QueueLength="32" ConnectTimeout="5" TransactionTimeout="5"
    SessionsHashSize="128" DefaultAuthSessionTimeout="60" MaxAuthSessionTimeout="300">
  <Peer FQDN="127.0.0.1" Realm="{realm}" port="{hss}"/>
  <Acceptor port="{own}" bind="127.0.0.1"/>
  <Auth id="16777216" vendor="10415"/>
  <DefaultRoute FQDN="127.0.0.1" metric="10"/>
</DiameterPeer>
"""


class Scscf(Kamailio):
    """One S-CSCF, whose users ``hss`` knows."""

    def __init__(self, directory: Path, hss: Hss) -> None:
        super().__init__(directory)
        self._hss = hss
        self._pipes: set[Path] = set()

    def start(self) -> None:
        """Start it, and return when it answers and has found its HSS."""
        cdp = self.directory / "cdp.xml"
        cdp.write_text(CDP.format(realm=REALM, hss=self._hss.diameter, own=free_port()))
        before = self._hss.watched
        self._pipes = set(PIPES.glob("cdp_send_*"))
        self.launch(
            CONFIGURATION,
            {
                "SELF_URI": f'"sip:127.0.0.1:{self.port}"',
                "CDP_XML": f'"{cdp}"',
            },
        )
        # Its first watchdog: the two have agreed on what they can.
        eventually(lambda: self._hss.watched > before, within=20.0)

    def stop(self) -> None:
        """End it, and remove the pipes that it leaves behind."""
        super().stop()
        for pipe in set(PIPES.glob("cdp_send_*")) - self._pipes:
            pipe.unlink(missing_ok=True)
