"""The accounts of a server, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from .account import Account

Load = Callable[[], Mapping[str, Account]]
"""
Reads all accounts.

Raises:
    AccountError: they cannot be read.
"""


class Changed(NamedTuple):
    """What a new reading of the accounts has changed."""

    out: list[Account]
    "Those that cannot log in any more: they are gone, or locked."

    back: list[Account]
    "Those that can log in again."


class Directory:
    """
    The accounts that :meth:`load` has read; until then nobody can log in.

    Args:
        read: reads them.
    """

    def __init__(self, read: Load) -> None:
        self._read = read
        self._accounts: Mapping[str, Account] = {}

    def __len__(self) -> int:
        return sum(not one.removed for one in self._accounts.values())

    def find(self, name: str) -> Account | None:
        """Return the account of a name; None if there is none."""
        return self._accounts.get(name)

    def load(self) -> Changed:
        """
        Read the accounts, again.

        Returns:
            Who cannot log in any more, and who can again. The first time these are all
            who cannot, because it is unknown what they were before.

        Raises:
            AccountError: they cannot be read; those of before stay in use.
        """
        before, self._accounts = self._accounts, dict(self._read())
        now = self._accounts
        out = [
            one
            for name, one in now.items()
            if one.is_out and not (name in before and before[name].is_out)
        ]
        out += [one for name, one in before.items() if name not in now]
        back = [
            one
            for name, one in now.items()
            if not one.is_out and name in before and before[name].is_out
        ]
        return Changed(out, back)

    def lacking(self, algorithms: Iterable[str]) -> dict[str, list[str]]:
        """Return the names of accounts without a hash for some of ``algorithms``."""
        wanted = tuple(algorithms)
        return {
            name: lacks
            for name, account in self._accounts.items()
            if not account.removed and (lacks := account.lacks(wanted))
        }
