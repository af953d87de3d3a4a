"""Credentials: the Authorization of a request (RFC 3261 §22, RFC 7616 §3.4)."""

from __future__ import annotations

import re

from ..sip.errors import RemoteProtocolError
from ..sip.message import Request
from ..sip.value import Value
from .digest import AUTH, AUTH_INT, response
from .parameters import parameters, quoted, scheme_of

NEEDED = ("username", "nonce", "uri", "response", "cnonce", "nc", "qop")
"""What credentials must have beside `realm`; `qop` because we always offer it."""

_NC = re.compile(r"[0-9A-Fa-f]{8}")


class Credentials(Value, frozen=True):
    """What one Authorization or Proxy-Authorization of the scheme Digest says."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    "In upper case; `MD5` if it is left out."

    qop: str
    cnonce: str
    nc: str
    "The nonce count: eight hexadecimal digits."

    @property
    def count(self) -> int:
        """The nonce count as a number."""
        return int(self.nc, 16)

    def expected(self, secret: str, request: Request, algorithm: str) -> str:
        """Return the right `response` for a request, given ``H(A1)``."""
        return response(
            algorithm,
            secret,
            nonce=self.nonce,
            nc=self.nc,
            cnonce=self.cnonce,
            qop=self.qop,
            method=request.method,
            uri=self.uri,
            body=request.body,
        )

    def write(self, opaque: str | None = None) -> str:
        """Write them as a header field has them."""
        parts = [
            f"Digest username={quoted(self.username)}",
            f"realm={quoted(self.realm)}",
            f"nonce={quoted(self.nonce)}",
            f"uri={quoted(self.uri)}",
            f'response="{self.response}"',
            f"algorithm={self.algorithm}",
        ]
        if self.qop:
            parts += [
                f"qop={self.qop}",
                f"nc={self.nc}",
                f"cnonce={quoted(self.cnonce)}",
            ]
        if opaque is not None:
            parts.append(f"opaque={quoted(opaque)}")
        return ", ".join(parts)


def credentials_for(request: Request, header: str, realm: str) -> Credentials | None:
    """
    Return the credentials of a request for one realm; None if it has none.

    A request may have several: for other realms, and of other schemes (§22.3).

    Args:
        header: `Authorization` or `Proxy-Authorization`.

    Raises:
        RemoteProtocolError: a parameter is missing, repeated or malformed.
    """
    lines = request.headers.get(header)
    if lines is None:
        return None
    for line in lines:
        if scheme_of(line) != "digest":
            continue
        given = parameters(line)
        if given.get("realm") != realm:
            continue
        if not given.get("nonce", "-"):
            return None  # RFC 8760 §2.7: a client that has not been challenged yet
        for name in NEEDED:
            if name not in given:
                raise RemoteProtocolError(f"credentials without {name}")
        if given["qop"] not in (AUTH, AUTH_INT):
            raise RemoteProtocolError("credentials of an unknown qop")
        if not _NC.fullmatch(given["nc"]):
            raise RemoteProtocolError("malformed nonce count")
        return Credentials(
            given["username"],
            realm,
            given["nonce"],
            given["uri"],
            given["response"].lower(),
            given.get("algorithm", "MD5").upper(),
            given["qop"],
            given["cnonce"],
            given["nc"],
        )
    return None
