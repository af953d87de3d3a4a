"""The users of a server, what asks for their passwords, and who is believed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2s

from ..auth.account import Account, AccountError, UsersUnavailable, new_account
from ..auth.authenticator import Authenticator
from ..auth.digest import strongest
from ..auth.directory import Changed, Directory
from ..auth.users_file import read_users
from ..config.auth_section import AuthSection
from ..config.config import Config
from ..ledger.journal import Journal
from ..ledger.part import Parts
from ..location.place import Aor
from ..routing.domains import Domains
from ..script.route import Accounts
from ..sip.message import Request
from ..sip.token import Tokens
from ..sip.uri import Uri
from .asker import Asker
from .entrance import Entrance
from .gate import Gate
from .peers import Peers

logger = logging.getLogger("reginfo.script")


class Guarding:
    """
    Authentication, as `[auth]` of the configuration says.

    Args:
        identities: returns the further addresses-of-record of a user.
        new_id: makes a random token.
    """

    def __init__(
        self,
        config: Config,
        journal: Journal,
        *,
        domains: Domains,
        peers: Peers,
        identities: Callable[[Aor], Sequence[Aor]],
        new_id: Callable[[], str],
    ) -> None:
        self._auth = auth = config.auth or AuthSection(required=False)
        self.directory = Directory(self._read)
        "The users with passwords."

        self.algorithms = strongest(auth.algorithms)
        self.authenticator = Authenticator(
            self.find,
            algorithms=self.algorithms,
            realm=auth.realm,
            key=_secret(new_id),
            lifetime=auth.nonce_lifetime,
        )
        self.administrators = tuple(
            domains.aor(Uri.parse(uri)) for uri in auth.administrators
        )
        self.accounts: Callable[[], Accounts | None] = _nobody
        "Returns the function of the script that knows users, if there is one."

        self.asker = Asker(self.authenticator, domains, config.server.domains[0])
        self.gate = Gate(
            self.authenticator,
            journal,
            domains=domains,
            peers=peers,
            administrators=self.administrators,
            domain=config.server.domains[0],
            incoming=config.proxy.incoming,
            identities=identities,
            secret=_secret(new_id),
        )
        self.asks = config.asks
        "Whether requests in the name of our users need their passwords."

        self.believes: Callable[[Request], bool] | None = None
        "Whether the From of a request is that of its sender; None: it is."

        if self.asks:
            self.believes = peers.believes = self.gate.believes

    def install(self, entrance: Entrance, tokens: Tokens, parts: Parts) -> None:
        """Set the gate at the entrance, if requests need passwords."""
        if self.asks:
            self.gate.tokens = tokens
            entrance.gate = self.gate
            parts.add(self.gate)

    def find(self, name: str) -> Account | None:
        """
        Return an account: of the file, or else of the script.

        Raises:
            UsersUnavailable: the script cannot say.
        """
        account = self.directory.find(name)
        accounts = self.accounts()
        if account is not None or accounts is None:
            return account
        try:
            given = accounts(name)
            if given is None:
                return None
            if isinstance(given, str):
                return new_account(
                    name,
                    given,
                    algorithms=self.algorithms,
                    realm=self._auth.realm or "",
                )
            hashes = {key: str(value).lower() for key, value in given.items()}
            return Account(name, hashes, self._auth.realm or "")
        except AccountError:
            return None  # the name, which comes from the network, can be no user
        except Exception as exc:
            logger.error("! the script's function for credentials: %r", exc)
            raise UsersUnavailable(str(exc)) from exc

    def load(self) -> Changed:
        """
        Read the users; see :meth:`.Directory.load`.

        Raises:
            AccountError: they cannot be read.
        """
        return self.directory.load()

    def _read(self) -> Mapping[str, Account]:
        users = self._auth.users
        return {} if users is None or isinstance(users, str) else read_users(users)


def _secret(new_id: Callable[[], str]) -> bytes:
    """Make a key of 32 octets."""
    return blake2s((new_id() + new_id() + new_id()).encode()).digest()


def _nobody() -> Accounts | None:
    """Return nothing: there is no script."""
    return None
