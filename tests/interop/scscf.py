"""Debian's Kamailio as an S-CSCF on loopback, for one test."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from .hss import REALM, Hss
from .kamailio import module_directory, program
from .phone import Address, Phone, eventually, free_port

CONFIGURATION = Path(__file__).with_name("scscf.cfg")

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


class Scscf:
    """One S-CSCF, whose users ``hss`` knows."""

    def __init__(self, directory: Path, hss: Hss) -> None:
        self.port = free_port()
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._hss = hss
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.port)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(f"the end of the S-CSCF's log:\n{self.log[-3000:]}")

    def start(self) -> None:
        """Start it, and return when it answers and has found its HSS."""
        kamailio, modules = program("kamailio"), module_directory()
        assert kamailio and modules
        cdp = self.directory / "cdp.xml"
        cdp.write_text(CDP.format(realm=REALM, hss=self._hss.diameter, own=free_port()))
        control = self.directory / "control"
        command = [
            kamailio, "-f", str(CONFIGURATION), "-L", str(modules),
            "-P", str(self.directory / "pid"), "-Y", str(self.directory),
            "-w", str(self.directory), "-m", "64", "-M", "8", "-DD",
            "-A", f"LISTEN_URI=udp:127.0.0.1:{self.port}",
            "-A", f'SELF_URI="sip:127.0.0.1:{self.port}"',
            "-A", f'CTL_SOCKET="unix:{control}"',
            "-A", f'CDP_XML="{cdp}"',
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        before = self._hss.watched
        eventually(self._is_up, within=20.0)
        # Its first watchdog: the two have agreed on what they can.
        eventually(lambda: self._hss.watched > before, within=20.0)

    def stop(self) -> None:
        """End it, and its children with it."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """End it and start it again, at the same port; it has forgotten everything."""
        self.stop()
        self.start()

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the S-CSCF has ended:\n{self.log[-3000:]}")
        with Phone(self.address) as probe:
            try:
                probe.options()
            except TimeoutError:
                return False
        return True
