"""
Who may do what: asks for passwords, and refuses what nobody may do.

The table of `docs/security.md`, as code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..auth.account import Account
from ..auth.authenticator import PROXY, USER_AGENT, Authenticator
from ..ledger.journal import Journal
from ..ledger.part import Description, Here
from ..ledger.shelf import Shelf
from ..location.place import Aor
from ..routing.decision import Decision, Onward, Ours
from ..routing.domains import Domains
from ..sip.errors import Refusal
from ..sip.flow import Flow, unscoped
from ..sip.headers import parse_name_addr
from ..sip.message import Request
from ..sip.moment import Moment
from ..sip.token import Tokens
from ..sip.uri import Uri
from .peers import Peers

UNCHALLENGED = frozenset({"ACK", "CANCEL"})
"""The methods that have no challenge (RFC 3261 §22.1, §22.3)."""

PEERS_OWN = frozenset({"SUBSCRIBE", "PUBLISH", "NOTIFY"})
"""What a peer sends for itself."""

ANSWERED = frozenset({"REGISTER", "SUBSCRIBE", "PUBLISH"})
"""The methods that this server answers for its users, and does not relay."""

DIALOGS = "dialogs"
"""The name of the key of the marks of dialogs."""


class Gate:
    """
    Lets requests pass, asks for passwords, or refuses.

    Args:
        administrators: the users that may register others, as addresses-of-record.
        domain: the domain of users without one, such as those of `tel:` URIs.
        incoming: who may send requests to our users from elsewhere: `all` or `peers`.
        identities: returns the further addresses-of-record of a user.
        secret: a new key, for a server that has none yet.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        journal: Journal,
        *,
        domains: Domains,
        peers: Peers,
        administrators: Sequence[str],
        domain: str,
        incoming: str,
        identities: Callable[[Aor], Sequence[Aor]],
        secret: bytes,
    ) -> None:
        self.authenticator = authenticator
        self.tokens: Tokens | None = None
        "Gets the key of the marks of dialogs."

        self._domains = domains
        self._peers = peers
        self._administrators = frozenset(administrators)
        self._domain = domain
        self._incoming = incoming
        self._identities = identities
        self._new_secret = secret
        self._secrets: Shelf[bytes] = Shelf(journal, "secret", bytes)

    def check(
        self, request: Request, flow: Flow, decision: Decision, now: float
    ) -> bool:
        """
        Let a request pass, or refuse it.

        Returns:
            Whether it has the password of its sender.

        Raises:
            Refusal: 401 or 407 with challenges, 403, or 503.
            RemoteProtocolError: From, an identity or the credentials are malformed.
        """
        method = request.method
        if method in UNCHALLENGED:
            return False
        peer = self._peers.by_address(request, flow)
        if peer is not None and (peer.trusted or method in PEERS_OWN):
            return False
        is_here = type(decision) is Ours
        is_answered = is_here or (method in ANSWERED and type(decision) is not Onward)
        if method == "REGISTER" and is_answered:
            return self._check_register(request, flow, now)
        if decision.in_dialog and not is_answered:
            return False
        if method == "NOTIFY" and request.to.tag:
            return False  # the subscription knows its notifier
        if method == "OPTIONS" and is_here:
            return False
        said = [uri for uri in identities_of(request) if self._is_ours(uri)]
        if said:
            status = USER_AGENT if is_answered else PROXY
            aors = [self._domains.aor(uri) for uri in said]
            account = self._authenticate(request, aors[0], status, flow, now)
            if not all(self.owns(account, aor) for aor in aors):
                raise Refusal(403, "Not Your Identity")
            if status == PROXY:
                # §22.3: they are of no use to others, but to guess the password.
                self.authenticator.consume(request, status)
            return True
        if type(decision) is Onward:
            raise Refusal(403, "Relaying Denied")
        if self._incoming == "peers" and peer is None and not is_here:
            raise Refusal(403, "Forbidden")
        return False

    def believes(self, request: Request) -> bool:
        """
        Whether the From of a request that has passed is that of its sender.

        Raises:
            RemoteProtocolError: it is malformed.
        """
        return self._is_ours(request.from_.parsed)

    def owns(self, account: Account, aor: Aor) -> bool:
        """Whether an address-of-record is one of a user."""
        return account.owns(aor) or aor in self._identities(Aor(account.aor))

    def _check_register(self, request: Request, flow: Flow, now: float) -> bool:
        """
        Authenticate a REGISTER: its To belongs to the user (§10.3 steps 3 and 4).

        Whether there is such a user is not told.
        """
        aor = self._domains.served(request.to.parsed)
        if aor is None:
            return False  # 404, whoever asks
        account = self._authenticate(request, aor, USER_AGENT, flow, now)
        if not self.owns(account, aor) and account.aor not in self._administrators:
            raise Refusal(403, "Forbidden")
        return True

    def _authenticate(
        self, request: Request, aor: Aor, status: int, flow: Flow, now: float
    ) -> Account:
        account = self.authenticator.check(
            request,
            domain=aor.rpartition("@")[2] if "@" in aor else self._domain,
            status=status,
            source=unscoped(flow.remote[0]),
            now=now,
        )
        request.user = account.name
        return account

    def _is_ours(self, uri: Uri) -> bool:
        return uri.scheme == "tel" or uri.host in self._domains

    # A part of the server.

    @property
    def shelves(self) -> tuple[Shelf[bytes]]:
        """The key of the marks of dialogs, which outlive a restart."""
        return (self._secrets,)

    def begin(self, here: Here, moment: Moment) -> None:
        """Use the stored key; make one at the first start."""
        if DIALOGS not in self._secrets:
            self._secrets.put(DIALOGS, self._new_secret)
        if self.tokens is not None:
            self.tokens.dialog_key = self._secrets[DIALOGS]

    @property
    def timer_at(self) -> None:
        """There is nothing to do at a time."""
        return None

    def timer_due(self, moment: Moment) -> None:
        """Do nothing."""

    def undone(self, moment: Moment) -> None:
        """Do nothing: nonces and failures are not in the journal."""

    def describe(self) -> Description:
        """Describe challenges and failed passwords."""
        machine = self.authenticator
        figures = {
            "challenges_total": machine.challenged,
            "failed_passwords_total": machine.failures.total,
            "blocked_total": machine.failures.blocked,
            "nonces": len(machine.nonces),
        }
        line = (
            f"challenges: {machine.challenged}, failed passwords:"
            f" {machine.failures.total}, blocked: {machine.failures.blocked}"
        )
        return Description("auth", line, figures)


def identities_of(request: Request) -> list[Uri]:
    """
    Return who a request says that it is from: From, and P-Preferred-Identity (RFC 3325
    §9.2).

    Raises:
        RemoteProtocolError: one of them is malformed.
    """
    uris = [request.from_.parsed]
    if "P-Preferred-Identity" in request.headers:
        preferred = request.values("P-Preferred-Identity")
        uris += [parse_name_addr(value).parsed for value in preferred]
    return uris
