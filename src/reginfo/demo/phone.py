"""A phone that registers."""

from __future__ import annotations

import itertools
import socket
import time
from types import TracebackType
from typing import Self

T1 = 0.5  # seconds to the first retransmission (RFC 3261 §17.1.2.1)
LIMIT = 5.0  # seconds to wait for the 200

REGISTER = """\
REGISTER sip:{domain} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{port}.{cseq};rport
Max-Forwards: 70
From: <{aor}>;tag={port}
To: <{aor}>
Call-ID: {port}@127.0.0.1
CSeq: {cseq} REGISTER
Contact: <{contact}>;expires={expires}
User-Agent: a phone of reginfo demo
Content-Length: 0

"""


class RegistrationFailed(Exception):
    """The registrar did not answer, or did not answer with 200."""


class Phone:
    """The phone of one user, at a UDP port of its own."""

    def __init__(self, user: str, domain: str, registrar: tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(registrar)
        self._port = self._socket.getsockname()[1]
        self._domain = domain
        self._cseq = itertools.count(1)
        self.aor = f"sip:{user}@{domain}"
        self.contact = f"sip:{user}@127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def register(self, expires: int) -> None:
        """
        Register for ``expires`` seconds; 0 unregisters.

        Raises:
            RegistrationFailed: there was no answer, or it was not 200.
        """
        cseq = next(self._cseq)
        request = REGISTER.format(
            domain=self._domain,
            port=self._port,
            cseq=cseq,
            aor=self.aor,
            contact=self.contact,
            expires=expires,
        ).replace("\n", "\r\n")
        deadline = time.monotonic() + LIMIT
        wait = T1
        while time.monotonic() < deadline:
            self._socket.send(request.encode())
            self._socket.settimeout(wait)
            wait *= 2
            try:
                response = self._socket.recv(65_535).decode(errors="replace")
            except (TimeoutError, ConnectionRefusedError):
                continue
            if f"CSeq: {cseq} REGISTER" not in response:
                continue  # the response to an earlier request
            status = response.partition("\r\n")[0]
            if not status.startswith("SIP/2.0 200 "):
                raise RegistrationFailed(f"REGISTER was answered {status!r}")
            return
        raise RegistrationFailed(f"no answer to REGISTER within {LIMIT:g} s")
