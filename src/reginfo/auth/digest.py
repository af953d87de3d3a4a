"""The arithmetic of digest: A1, A2 and the response (RFC 7616 §3.4, RFC 8760)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

ALGORITHMS = ("SHA-512-256", "SHA-256", "MD5")
"""The algorithms, strongest first (RFC 7616 §3.7); none of them as `-sess`."""

AUTH, AUTH_INT = "auth", "auth-int"
"""The qualities of protection: of the request line alone, or of the body, too."""


def hashed(algorithm: str, data: bytes) -> str:
    """
    Return ``H(data)`` in lower-case hexadecimal.

    Args:
        algorithm: one of :data:`ALGORITHMS`.
    """
    if algorithm == "SHA-256":
        return hashlib.sha256(data).hexdigest()
    if algorithm == "SHA-512-256":
        return hashlib.new("sha512_256", data).hexdigest()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def digits(algorithm: str) -> int:
    """Return the length of a hash, in hexadecimal digits."""
    return 32 if algorithm == "MD5" else 64


def ha1(algorithm: str, username: str, realm: str, password: str) -> str:
    """Return ``H(A1)``, which stands for a password (RFC 7616 §3.4.2)."""
    return hashed(algorithm, _octets(f"{username}:{realm}:{password}"))


def response(
    algorithm: str,
    secret: str,
    *,
    nonce: str,
    nc: str,
    cnonce: str,
    qop: str,
    method: str,
    uri: str,
    body: bytes,
) -> str:
    """
    Return the `response` of a request (RFC 7616 §3.4.1).

    Args:
        secret: ``H(A1)``; see :func:`ha1`.
        nc: eight hexadecimal digits.
        qop: :data:`AUTH` or :data:`AUTH_INT`; empty for a challenge that offers
            neither (RFC 2069).
        uri: the `uri` of the credentials, as written.
    """
    a2 = f"{method}:{uri}"
    if qop == AUTH_INT:
        a2 = f"{a2}:{hashed(algorithm, body)}"
    ha2 = hashed(algorithm, _octets(a2))
    middle = f"{nonce}:{nc}:{cnonce}:{qop}" if qop else nonce
    return hashed(algorithm, _octets(f"{secret}:{middle}:{ha2}"))


def strongest(algorithms: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``algorithms`` that exist, strongest first."""
    wanted = set(algorithms)
    return tuple(one for one in ALGORITHMS if one in wanted)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
