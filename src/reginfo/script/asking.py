"""The functions of a script that ask for passwords, as in the module auth."""

from __future__ import annotations

from .call import Call
from .core import Core
from .functions import Functions
from .result import ERROR, OK, Result, expands

MAIN, REPLY, FAILURE = "request", "reply", "failure"
"""The kinds of route."""

WWW, PROXY = 401, 407
"""The status of a challenge of a registrar or notifier, and of a proxy."""

NONE_GIVEN = -5
"""There are no credentials for the realm."""


class Asking(Functions):
    """
    Functions of the module auth, under their own names.

    They use the users of `[auth]`, or of :meth:`.Route.credentials`. Where the server
    has asked for the password already, it is not asked for again.
    """

    __slots__ = ("_call", "kind")

    def __init__(
        self, core: Core, call: Call, kind: str, var: dict[str, str] | None
    ) -> None:
        super().__init__(core, var)
        self._call = call
        self.kind = kind

    @property
    def auth_user(self) -> str:
        """
        Who has shown a password for the request, such as `alice@example.com`: `$au`.

        Empty if nobody has.
        """
        return self._call.request.user

    @expands("realm")
    def www_authorize(self, realm: str = "", table: str = "subscriber") -> Result:
        """
        Check the password in Authorization.

        Whether From or To belongs to that user is for the script to check, by
        :attr:`auth_user`.

        Args:
            realm: by default the domain of To for a REGISTER, else that of From.
            table: without effect; there is one directory of users.

        Returns:
            1 if it is right; -5 if there are no credentials; -4 if the nonce is stale;
            -2 if user or password is wrong; -1 if the credentials are malformed.

        Raises:
            Refusal: 403 after many failures; 503 if the users cannot be looked up.
        """
        return self._authorize("www_authorize", WWW, realm)

    @expands("realm")
    def proxy_authorize(self, realm: str = "", table: str = "subscriber") -> Result:
        """Check the password in Proxy-Authorization; see :meth:`www_authorize`."""
        return self._authorize("proxy_authorize", PROXY, realm)

    @expands("realm")
    def www_challenge(self, realm: str = "", qop: str | int = "") -> Result:
        """
        Answer with 401 and a challenge for each algorithm of `[auth]`.

        Args:
            qop: `auth` or `auth-int`; by default both. 0 and 1 are accepted, too.

        Returns:
            1; -1 if the request has been answered.
        """
        return self._challenge("www_challenge", WWW, realm, qop)

    @expands("realm")
    def proxy_challenge(self, realm: str = "", qop: str | int = "") -> Result:
        """Answer with 407 and challenges; see :meth:`www_challenge`."""
        return self._challenge("proxy_challenge", PROXY, realm, qop)

    def consume_credentials(self) -> Result:
        """
        Remove the credentials that were checked here, before the request is relayed.

        Returns:
            1; -1 if there are none.
        """
        self._only("consume_credentials", MAIN, FAILURE)
        return OK if self._call.consume_credentials() else ERROR

    def _authorize(self, name: str, status: int, realm: str) -> Result:
        self._only(name, MAIN, FAILURE)
        return Result(self._call.authorize(self._text(realm), status))

    def _challenge(self, name: str, status: int, realm: str, qop: str | int) -> Result:
        self._only(name, MAIN, FAILURE)
        if qop not in ("", 0, 1, "0", "1", "auth", "auth-int"):
            raise ValueError(f"{name}: qop is auth or auth-int, not {qop!r}")
        if self._call.answered:
            return ERROR
        offered = qop if qop in ("auth", "auth-int") else ""
        refusal = self._call.challenge(self._text(realm), status, str(offered))
        self._call.respond(refusal)
        return OK

    def _only(self, function: str, *kinds: str) -> None:
        if self.kind not in kinds:
            raise ValueError(f"{function} is not available in a {self.kind} route")
