"""Where `reginfo user` keeps the users: the file that a server reads."""

from __future__ import annotations

from pathlib import Path

from ..auth.account import Account
from ..auth.users_file import read_users, save_users
from ..config.address import SocketAddress
from ..config.auth_section import AuthSection
from ..config.config import Config
from ..sip.errors import ReginfoError
from ..web.client import Client
from .ending import say


class Users:
    """
    The file of users of a server.

    Raises:
        AccountError: it cannot be read.
    """

    def __init__(self, config: Config, auth: AuthSection) -> None:
        assert isinstance(auth.users, Path)
        self._config = config
        self._path = auth.users
        self._accounts = read_users(self._path) if self._path.exists() else {}

    def all(self) -> list[Account]:
        """Return all users, sorted by name."""
        known = [one for one in self._accounts.values() if not one.removed]
        return sorted(known, key=lambda one: one.name)

    def get(self, name: str) -> Account | None:
        """Return a user; None if there is none."""
        account = self._accounts.get(name)
        return None if account is None or account.removed else account

    def put(self, account: Account) -> None:
        """
        Add or change a user, and have a running server read the file.

        Raises:
            AccountError: the file cannot be written.
        """
        self._accounts[account.name] = account
        save_users(self._path, self._accounts)
        self._tell()

    def drop(self, name: str) -> None:
        """
        Remove a user; the file says so, for a server that does not run now.

        Raises:
            AccountError: the file cannot be written.
        """
        self.put(Account(name, {}, removed=True, also=self._accounts[name].also))

    def _tell(self) -> None:
        """Have the running server read the file, if it has an API."""
        admin = self._config.server.admin
        if admin is None or (isinstance(admin, SocketAddress) and not admin.port):
            say("a running server reads the file on SIGHUP")
            return
        try:
            with Client(str(admin)) as client:
                client.reload_users()
        except ReginfoError as exc:
            say(f"the file is written; a running server reads it on SIGHUP: {exc}")
