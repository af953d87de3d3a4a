"""
The tokens of the API: bearer tokens (RFC 6750), of which only hashes are kept.

A line of their file is a name, a scope and a hash::

    backup read 5d6f…
    ops write 77c1…
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from hmac import compare_digest
from pathlib import Path

from ..sip.value import Value
from .account import AccountError
from .users_file import save_private

READ, WRITE = "read", "write"
"""The scopes: to look, and to change something as well."""

HEAD = "# Written by `reginfo token`: hashes of tokens.\n"

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ApiToken(Value, frozen=True):
    """One token, known by its hash."""

    name: str
    scope: str
    hash: str
    "SHA-256 of the token, in hexadecimal: it is random, so nobody guesses it."

    def allows(self, scope: str) -> bool:
        """Whether it is good for a scope."""
        return self.scope in (scope, WRITE)


def new_token(name: str, scope: str, secret: str) -> ApiToken:
    """
    Make a token.

    Args:
        secret: at least 128 random bits, as text.

    Raises:
        AccountError: the name cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise AccountError(f"{name!r} is no name: letters, digits, `.`, `_` and `-`")
    return ApiToken(name, scope, hash_of(secret))


def hash_of(secret: str) -> str:
    """Return the hash of a token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def found(tokens: Iterable[ApiToken], secret: str) -> ApiToken | None:
    """Return the token with this secret; None if there is none."""
    hashed = hash_of(secret)
    right = None
    for token in tokens:
        if compare_digest(token.hash, hashed):
            right = token
    return right


def read_tokens(path: Path) -> list[ApiToken]:
    """
    Read the file of tokens; one that does not exist has none.

    Raises:
        AccountError: it cannot be read.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as exc:
        raise AccountError(f"{path}: cannot be read") from exc
    tokens = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if (
            len(words) != 3
            or words[1] not in (READ, WRITE)
            or not re.fullmatch("[0-9a-f]{64}", words[2])
        ):
            raise AccountError(f"{path}:{number}: not a token: NAME read|write HASH")
        tokens.append(ApiToken(*words))
    return tokens


def save_tokens(path: Path, tokens: Iterable[ApiToken]) -> None:
    """
    Replace the file of tokens.

    Raises:
        AccountError: it cannot be written.
    """
    lines = [f"{one.name} {one.scope} {one.hash}\n" for one in tokens]
    save_private(path, HEAD + "".join(lines))
