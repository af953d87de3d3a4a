"""Accounts: users with a password, of which only hashes are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..sip.errors import ReginfoError, RemoteProtocolError
from ..sip.uri import Uri
from ..sip.value import Value
from .digest import digits, ha1, strongest

_NAME = re.compile(r"[^\s@\"\\:<>\x00-\x1f\x7f]+@[A-Za-z0-9.\-\[\]:]+")


class AccountError(ReginfoError):
    """A user cannot have this name, or this password."""


class UsersUnavailable(ReginfoError):
    """Users cannot be looked up at present; no password is called wrong."""


class Account(Value, frozen=True):
    """One user with a password."""

    name: str
    "The user and the domain: `alice@example.com`, whose address-of-record is theirs."

    hashes: Mapping[str, str]
    "``H(A1)`` by algorithm (RFC 7616 §3.4.2)."

    realm: str = ""
    "The realm that they are for; empty for the domain."

    locked: bool = False
    "Whether no password is right."

    removed: bool = False
    "Whether there is no such user any more; kept so that a server ends what is left."

    also: tuple[str, ...] = ()
    "Further addresses-of-record of the user, as URIs: `sip:+4930123@example.com`."

    @property
    def is_out(self) -> bool:
        """Whether the user cannot log in."""
        return self.locked or self.removed

    @property
    def username(self) -> str:
        """The `username` of credentials."""
        return self.name.partition("@")[0]

    @property
    def domain(self) -> str:
        """The domain of the user."""
        return self.name.partition("@")[2]

    @property
    def aor(self) -> str:
        """The address-of-record of the user."""
        return f"sip:{self.name}"

    def owns(self, aor: str) -> bool:
        """Whether an address-of-record is of this user."""
        return aor.partition(":")[2] == self.name or aor in self.also

    def lacks(self, algorithms: Iterable[str]) -> list[str]:
        """Return those of ``algorithms`` for which there is no hash."""
        return [one for one in algorithms if one not in self.hashes]


def new_account(
    name: str,
    password: str,
    *,
    algorithms: Iterable[str],
    realm: str = "",
    also: Iterable[str] = (),
) -> Account:
    """
    Make an account, with a hash of the password for each of ``algorithms``.

    Raises:
        AccountError: the name or a further address cannot be used, or the password is
            empty.
    """
    name = account_name(name)
    if not password:
        raise AccountError("the password is empty")
    username, _, domain = name.partition("@")
    hashes = {
        algorithm: ha1(algorithm, username, realm or domain, password)
        for algorithm in strongest(algorithms)
    }
    others = tuple(_address(other) for other in also)
    return Account(name, hashes, "" if realm == domain else realm, also=others)


def account_name(text: str) -> str:
    """
    Read the name of a user: `alice@example.com`, with or without `sip:`.

    Raises:
        AccountError: it is none.
    """
    name = text.removeprefix("sip:")
    user, _, domain = name.partition("@")
    if not _NAME.fullmatch(name):
        raise AccountError(f"{text!r} is not a user: write alice@example.com")
    return f"{user}@{domain.lower()}"


def is_hash(algorithm: str, text: str) -> bool:
    """Whether a text can be a hash of an algorithm."""
    return bool(re.fullmatch(rf"[0-9a-f]{{{digits(algorithm)}}}", text))


def _address(text: str) -> str:
    try:
        uri = Uri.parse(text if ":" in text else f"sip:{text}")
    except RemoteProtocolError as exc:
        raise AccountError(f"{text!r} is not an address-of-record") from exc
    if not uri.aor:
        raise AccountError(f"{text!r} is not an address-of-record")
    return uri.aor
