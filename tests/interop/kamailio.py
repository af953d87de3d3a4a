"""Debian's Kamailio, started on loopback for one test, and its location table."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.authority import Issued

from .phone import Phone, eventually, free_port

CONFIGURATION = Path(__file__).with_name("kamailio.cfg")
SCHEMA = Path("/usr/share/kamailio/db_sqlite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contact of Kamailio's location table."""

    aor: str
    uri: str
    expires: int | None
    "Seconds left; None for a contact that has expired or was deleted."

    call_id: str
    cseq: int


class Kamailio:
    """
    One Kamailio: registrar, presence server and pua_reginfo, in ``directory``.

    Args:
        directory: Where its pid file, control socket, database and log are.
        peer: The port to which it sends PUBLISH and SUBSCRIBE; itself if None.
        publish: Whether it publishes its own registrations.
        expiry_timer: Every how many seconds it removes what has expired.
        tcp: Whether it takes TCP, too, at the same port.
        grant: For how many seconds its presence server grants a subscription, at most.
        asks: The port to which it sends SUBSCRIBE, if that is not where it publishes.
        notified: Whether NOTIFYs come to an address of their own, whose processes do
            nothing else.
        tls: Its certificate, if it speaks TLS; then it does so with its peer.
        ca: Whom it trusts by TLS.
    """

    def __init__(
        self,
        directory: Path,
        *,
        peer: int | None = None,
        publish: bool = False,
        expiry_timer: int = 1,
        tcp: bool = False,
        grant: int = 7200,
        asks: int | None = None,
        notified: bool = False,
        tls: Issued | None = None,
        ca: Path | None = None,
    ) -> None:
        self.port = free_port()
        self._notified = free_port() if notified else self.port
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._peer = peer or self.port
        self._publish = publish
        self._expiry_timer = expiry_timer
        self._tcp = tcp
        self._grant = grant
        self._asks = asks
        self._tls, self._ca = tls, ca
        self.tls_port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def log(self) -> str:
        return (self.directory / "kamailio.log").read_text(errors="replace")

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
            error.add_note(f"the end of Kamailio's log:\n{self.log[-3000:]}")

    def start(self) -> None:
        """Start it, and return when it answers."""
        database = self.directory / "pua.sqlite"
        _create_tables(database)
        optional = {}
        own, peer = f"127.0.0.1:{self._notified}", f"127.0.0.1:{self._peer}"
        if self._tls is not None:
            own, peer = (
                f"127.0.0.1:{self.tls_port};transport=tls",
                f"{peer};transport=tls",
            )
            optional["TLS_URI"] = f"tls:127.0.0.1:{self.tls_port}"
            optional["TLS_CERT"] = f'"{self._tls.certificate}"'
            optional["TLS_KEY"] = f'"{self._tls.key}"'
            optional["TLS_CA"] = f'"{self._ca}"'
        if self._tcp:
            optional["TCP_URI"] = f"tcp:127.0.0.1:{self.port}"
        if self._notified != self.port:
            optional["NOTIFIED_URI"] = f"udp:127.0.0.1:{self._notified}"
        if self._asks is not None:
            optional["ASK_URI"] = f'"sip:127.0.0.1:{self._asks}"'
        self.launch(
            CONFIGURATION,
            {
                "PEER_URI": f'"sip:{peer}"',
                "PUA_DB": f'"sqlite:///{database}"',
                "PUBLISH": str(int(self._publish)),
                "EXPIRY_TIMER": str(self._expiry_timer),
                "GRANT": str(self._grant),
                "SELF_URI": f'"sip:reginfo@127.0.0.1:{self.port}"',
                "ASKS_URI": f'"sip:reginfo@{own}"',
            }
            | optional,
        )

    def launch(self, configuration: Path, values: dict[str, str]) -> None:
        """Start it with a configuration and what comes into it from the outside."""
        kamailio, modules = _program("kamailio"), _module_directory()
        assert kamailio and modules
        command = [
            kamailio,
            *("-f", str(configuration)),
            *("-L", str(modules)),
            *("-P", str(self.directory / "kamailio.pid")),
            *("-Y", str(self.directory)),
            *("-w", str(self.directory)),
            *("-m", "64", "-M", "8"),
            "-DD",  # not a daemon: it stays our child, and ends when we say so
            *("-A", f"LISTEN_URI=udp:127.0.0.1:{self.port}"),
            *("-A", f'CTL_SOCKET="unix:{self._control}"'),
        ]
        for name, value in values.items():
            command += ["-A", f"{name}={value}"]
        with (self.directory / "kamailio.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        eventually(self._is_up, within=20.0)

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

    def subscribe(self, user: str, expires: int = 3600) -> None:
        """Make it call ``reginfo_subscribe`` (0: to end the subscription)."""
        with Phone(self.address) as operator:
            reply = operator.options(user, headers=[f"X-Watch: {expires}"])
        assert reply.status == 200

    def received(self, method: str) -> list[str]:
        """By which transport each request of this method came since its start."""
        return [t.upper() for t in re.findall(rf"got {method} by (\w+)", self.log)]

    def published(self, user: str) -> int:
        """How many PUBLISHes of ``user`` came since its start."""
        return len(re.findall(rf"got a publication of sip:{user}@", self.log))

    def subscribers(self) -> int:
        """
        How many dialogs were asked for since its start, to be told of something.

        By SUBSCRIBEs without a To tag, retransmissions but once. It lists its
        publications on demand, yet not who watches them.
        """
        return len(
            set(re.findall(r"got SUBSCRIBE by \w+, dialog (\S+) <null>", self.log))
        )

    def location(self) -> list[Row]:
        """Its location table, from ``kamcmd ul.dump``."""
        return parse_dump(self.command("ul.dump"))

    def contacts(self, user: str) -> set[str]:
        """The URIs at which it would reach ``user`` now."""
        return {
            row.uri
            for row in self.location()
            if row.aor.partition("@")[0] == user and row.expires is not None
        }

    def command(self, *words: str) -> str:
        """What ``kamcmd`` prints for a command."""
        kamcmd = _program("kamcmd")
        assert kamcmd
        done = subprocess.run(
            [kamcmd, "-s", f"unix:{self._control}", *words],
            capture_output=True,
            text=True,
            timeout=10.0,
            check=True,
        )
        return done.stdout

    @property
    def _control(self) -> Path:
        return self.directory / "control"

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"Kamailio has ended:\n{self.log[-3000:]}")
        if not self._control.is_socket():
            return False
        with Phone(self.address) as probe:
            try:
                return probe.options().status == 200
            except TimeoutError:
                return False


def parse_dump(text: str) -> list[Row]:
    """
    The rows of a ``ul.dump``.

    It is a tree of "name: value" lines: an ``AoR`` line, then a block for each
    of its contacts, whose ``Address`` comes first.
    """
    rows: list[Row] = []
    aor = ""
    fields: dict[str, str] = {}

    def close() -> None:
        if "Address" in fields:
            expires = fields["Expires"]
            rows.append(
                Row(
                    aor=aor,
                    uri=fields["Address"],
                    # "permanent" does not occur here; "expired", "deleted" do.
                    expires=int(expires) if expires.isdecimal() else None,
                    call_id=fields["Call-ID"],
                    cseq=int(fields["CSeq"]),
                )
            )
        fields.clear()

    for line in text.splitlines():
        match = re.match(r"\s*([\w-]+): (.*)", line)
        if not match:
            continue
        name, value = match[1], match[2].strip()
        if name in ("AoR", "Contact"):
            close()
        if name == "AoR":
            aor = value
        else:
            fields[name] = value
    close()
    return rows


def _create_tables(database: Path) -> None:
    database.unlink(missing_ok=True)
    with sqlite3.connect(database) as connection:
        for part in ("standard", "presence"):
            connection.executescript((SCHEMA / f"{part}-create.sql").read_text("utf-8"))
    connection.close()


def _program(name: str) -> str | None:
    # Debian keeps it where only root has it on the PATH.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def _module_directory() -> Path | None:
    # /usr/lib/x86_64-linux-gnu/kamailio/modules on Debian, for its architecture.
    found = [
        *Path("/usr/lib").glob("*/kamailio/modules"),
        *Path("/usr").glob("lib*/kamailio/modules"),
    ]
    return next(iter(found), None)
