"""The telephone of `phone.py` as a program by WebSocket (RFC 7118)."""

from __future__ import annotations

import ssl
from contextlib import ExitStack

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from .phone import DOMAIN, PATIENCE, Address, Phone


class WebPhone(Phone):
    """
    One connection by WebSocket, opened by the phone, whose contact is `.invalid`.

    Args:
        trusting: by WSS; None for WS.
        origin: of the page that it says that it is; None to say nothing.
        subprotocols: which it offers.
    """

    transport = "WS"

    def __init__(
        self,
        server: Address,
        *,
        domain: str = DOMAIN,
        trusting: ssl.SSLContext | None = None,
        origin: str | None = None,
        subprotocols: tuple[str, ...] = ("sip",),
    ) -> None:
        scheme = "ws" if trusting is None else "wss"
        self.transport = scheme.upper()
        self._stack = ExitStack()
        self.web: ClientConnection = self._stack.enter_context(
            connect(
                f"{scheme}://{server[0]}:{server[1]}/",
                ssl=trusting,
                origin=origin,  # type: ignore[arg-type]
                subprotocols=subprotocols,  # type: ignore[arg-type]
                open_timeout=PATIENCE,
            )
        )
        super().__init__(server, domain=domain)
        self.host = f"{self._run}.invalid"

    @property
    def port(self) -> int:
        return 1  # nobody can connect there

    @property
    def place(self) -> str:
        return f"{self.host};transport=ws"

    def close(self) -> None:
        self._stack.close()
        super().close()

    def send(self, data: bytes) -> None:
        self.web.send(data.decode())

    def is_closed(self, *, within: float = PATIENCE) -> bool:
        """Whether the server has closed the connection, or does ``within`` seconds."""
        try:
            while True:
                self.web.recv(within)
        except TimeoutError:
            return False
        except ConnectionClosed:
            return True

    def _read(self, timeout: float) -> tuple[bytes, Address] | None:
        try:
            data = self.web.recv(max(timeout, 0.001))
        except TimeoutError:
            return None
        return data if isinstance(data, bytes) else data.encode(), self.server

    def _reply(self, data: bytes, to: Address) -> None:
        self.send(data)
