"""Flow tokens and marks of dialogs, in our URIs (RFC 5626 §5.2)."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from hashlib import blake2s
from hmac import compare_digest

from .flow import Flow, Local

PREFIX = "flow."
"""The prefix of a token, which distinguishes it from a user."""

SIZE = 10
"""The size of the keyed hash in octets: 80 bits, as in the example of RFC 5626 §5.2."""


class Tokens:
    """
    Writes tokens, and reads its own tokens; nobody else can create a valid one.

    Args:
        secret: a secret key of at most 32 octets. Tokens written with another key, such
            as before a restart, are invalid.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._locals: dict[tuple[str, str, int], Local] = {}
        self.dialog_key: bytes | None = None
        """
        The key of the marks of dialogs, which outlives a restart as they do; None for
        no marks.
        """

    def begin(self, locals: Iterable[Local]) -> None:
        """Set the listening addresses; tokens of other addresses are invalid."""
        self._locals = {(one.transport, one.host, one.port): one for one in locals}

    def write(self, flow: Flow) -> str:
        """Return the token of a flow."""
        local, (host, port), name = flow
        named = f"{local.transport} {local.host} {local.port} {host} {port}"
        if name:
            named += f" {name}"
        octets = named.encode()
        token = urlsafe_b64encode(self._hash(octets) + octets)
        return PREFIX + token.decode().rstrip("=")

    def read(self, token: str) -> Flow | None:
        """Return the flow of a token; None if the token is invalid."""
        if not is_token(token):
            return None
        text = token.removeprefix(PREFIX)
        try:
            data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        named = data[SIZE:]
        if not compare_digest(data[:SIZE], self._hash(named)):
            return None
        transport, host, port, to, to_port, *name = named.decode().split(" ")
        local = self._locals.get((transport, host, int(port)))
        if local is None:
            return None
        return Flow(local, (to, int(to_port)), name[0] if name else "")

    def mark(self, call_id: str) -> str:
        """Return the mark of a dialog that begins through us; empty without a key."""
        key = self.dialog_key
        if key is None:
            return ""
        named = call_id.encode("utf-8", "surrogateescape")
        return blake2s(named, digest_size=SIZE, key=key).hexdigest()

    def has_mark(self, mark: str, call_id: str) -> bool:
        """Whether a mark is that of a dialog, and of nobody else's making."""
        known = self.mark(call_id)
        return bool(known) and compare_digest(
            known.encode(), mark.encode("utf-8", "surrogateescape")
        )

    def _hash(self, named: bytes) -> bytes:
        return blake2s(named, digest_size=SIZE, key=self._secret).digest()


def is_token(user: str) -> bool:
    """Whether the user part of a URI has the form of a token, valid or not."""
    return user.startswith(PREFIX)
