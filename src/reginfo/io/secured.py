"""TLS on one connection, between octets and octets: it has no socket."""

from __future__ import annotations

import ssl

from ..sip.certificate import identities, is_for
from ..sip.errors import RemoteProtocolError

READ = 65_536
"""The number of octets decrypted at once."""


class Secured:
    """
    One side of a TLS connection.

    Give it what the socket brings (:meth:`receive`) and what is to be sent
    (:meth:`write`); after each of them, send what :meth:`octets_to_send` returns.

    Args:
        context: of this side: its certificate, and whom it trusts.
        name: for a client, the SIP domain that the certificate of the server must be
            for (RFC 5922 §7.3); it is sent as `server_name`. None for a server.
    """

    def __init__(self, context: ssl.SSLContext, name: str | None = None) -> None:
        self._name = name
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            self._tls = context.wrap_bio(
                self._in,
                self._out,
                server_side=name is None,
                server_hostname=name,
            )
        except (ValueError, ssl.SSLError) as exc:
            raise RemoteProtocolError(f"{name}: no name for TLS: {exc}") from exc
        self.is_open = False
        "Whether the handshake is over, and the other side is who it should be."

        self.is_over = False
        "Whether the other side sends nothing more."

        self.identities: frozenset[str] = frozenset()
        "The SIP domains of the verified certificate of the other side, if it has one."

    def receive(self, data: bytes) -> bytes:
        """
        Receive octets of the connection; return those that they contain, decrypted.

        Raises:
            RemoteProtocolError: the handshake failed, the certificate is for another
                name, or what was received is no TLS. Nothing may be sent but what
                :meth:`octets_to_send` returns: an alert.
        """
        self._in.write(data)
        try:
            if not self.is_open:
                self._shake_hands()
            return self._decrypted() if self.is_open else b""
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as exc:
            raise RemoteProtocolError(in_short(exc)) from exc

    def write(self, data: bytes) -> None:
        """
        Encrypt ``data``; the handshake must be over.

        Raises:
            RemoteProtocolError: the connection has been closed.
        """
        try:
            self._tls.write(data)
        except ssl.SSLError as exc:
            raise RemoteProtocolError(in_short(exc)) from exc

    def close(self) -> None:
        """Say that nothing more is sent, so that nobody can cut off the end unseen."""
        if self.is_open:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # the answer of the other side is not waited for

    def octets_to_send(self) -> bytes:
        """Return the encrypted octets that are to be sent."""
        return self._out.read()

    def _shake_hands(self) -> None:
        self._tls.do_handshake()
        self.identities = identities(self._tls.getpeercert() or {})
        if self._name is not None and not is_for(self._name, self.identities):
            names = ", ".join(sorted(self.identities)) or "no SIP domain"
            raise RemoteProtocolError(
                f"its certificate is for {names}, not for {self._name}"
            )
        self.is_open = True

    def _decrypted(self) -> bytes:
        pieces = []
        while not self.is_over:
            try:
                piece = self._tls.read(READ)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                self.is_over = True
            pieces.append(piece)
        return b"".join(pieces)


def in_short(error: ssl.SSLError) -> str:
    """Say why TLS failed: the reason that OpenSSL gives, as people write it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError):
        return "the connection was cut off"
    reason = error.reason or str(error)
    return str(reason).lower().replace("_", " ")
