"""The accounts of a server, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .account import Account

Load = Callable[[], Mapping[str, Account]]
"""
Reads all accounts.

Raises:
    AccountError: they cannot be read.
"""


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
        return len(self._accounts)

    def find(self, name: str) -> Account | None:
        """Return the account of a name; None if there is none."""
        return self._accounts.get(name)

    def load(self) -> list[Account]:
        """
        Read the accounts, again.

        Returns:
            Those that cannot log in any more: they are gone, or locked.

        Raises:
            AccountError: they cannot be read; those of before stay in use.
        """
        before, self._accounts = self._accounts, dict(self._read())
        return [one for one in before.values() if self._has_ended(one)]

    def lacking(self, algorithms: Iterable[str]) -> dict[str, list[str]]:
        """Return the names of accounts without a hash for some of ``algorithms``."""
        wanted = tuple(algorithms)
        return {
            name: lacks
            for name, account in self._accounts.items()
            if (lacks := account.lacks(wanted))
        }

    def _has_ended(self, before: Account) -> bool:
        now = self._accounts.get(before.name)
        return not before.locked and (now is None or now.locked)
