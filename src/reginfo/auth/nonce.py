"""Nonces: made and recognised by a keyed hash, each `nc` taken once (RFC 7616 §3.4)."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2s
from hmac import compare_digest

HASH = 15
"""The octets of the keyed hash; with the 12 before it there is no padding in Base64."""

LENGTH = 36
"""The characters of a nonce."""

WINDOW = 64
"""
How far behind the highest `nc` a lower one may come that was not seen before, as when
UDP changes the order of two requests.
"""

CAPACITY = 262_144
"""The nonces in use that are remembered: some 30 MB at most."""


class Nonces:
    """
    The nonces of one server.

    A nonce is a serial number, the time when it was made and a keyed hash of both, so
    that nothing is stored for one that is never used. Of those in use the `nc` are
    remembered; if there are too many, the first is forgotten, and neither it nor any
    older nonce that is not in use is taken again.

    Args:
        key: a secret of at most 32 octets, new at each start.
        lifetime: seconds for which a nonce may be used.
    """

    def __init__(
        self, key: bytes, lifetime: float, *, capacity: int = CAPACITY
    ) -> None:
        self._key = key
        self._lifetime = lifetime
        self._capacity = capacity
        self._serial = 0
        self._floor = 0
        # By serial number: the highest `nc`, and a bit for each one below it.
        self._used: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._used)

    def make(self, now: float) -> str:
        """Return a new nonce."""
        self._serial += 1
        said = self._serial.to_bytes(6, "big") + int(now * 1000).to_bytes(6, "big")
        return urlsafe_b64encode(said + self._hash(said)).decode()

    def take(self, nonce: str, count: int, now: float) -> bool:
        """
        Use a nonce once more, with its `nc`.

        Returns:
            False if it is not one of ours, too old, or was used with this `nc` before:
            the client must be given another one.
        """
        said = self._said(nonce)
        if said is None:
            return False
        if now - int.from_bytes(said[6:], "big") / 1000 > self._lifetime:
            return False
        serial = int.from_bytes(said[:6], "big")
        return self._count(serial, count)

    def is_ours(self, nonce: str) -> bool:
        """Whether a nonce was made here since the start, whatever its age and use."""
        return self._said(nonce) is not None

    def _said(self, nonce: str) -> bytes | None:
        if len(nonce) != LENGTH or not nonce.isascii():
            return None
        try:
            octets = urlsafe_b64decode(nonce)
        except binascii.Error:
            return None
        said = octets[:12]
        return said if compare_digest(octets[12:], self._hash(said)) else None

    def _count(self, serial: int, count: int) -> bool:
        known = self._used.get(serial)
        if known is None:
            if serial <= self._floor or not count:
                return False
            self._used[serial] = (count, 1)
            if len(self._used) > self._capacity:
                first = next(iter(self._used))
                del self._used[first]
                self._floor = max(self._floor, first)
            return True
        highest, seen = known
        ahead = count - highest
        if ahead > 0:
            seen = (seen << ahead | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            self._used[serial] = (count, seen)
            return True
        bit = 1 << -ahead if -ahead < WINDOW else 0
        if not bit or seen & bit or not count:
            return False
        self._used[serial] = (highest, seen | bit)
        return True

    def _hash(self, said: bytes) -> bytes:
        return blake2s(said, digest_size=HASH, key=self._key).digest()
