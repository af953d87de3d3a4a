"""Answers challenges with a user's name and password (RFC 3261 §22, RFC 8760)."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..sip.message import Draft, Response
from .challenge import Challenge, challenges_of
from .credentials import Credentials
from .digest import ha1, response

CHALLENGED = (401, 407)
"""The status codes with challenges."""

REALMS = 8
"""Realms that are answered at a time; beyond it, the first is forgotten."""


Tried = set[tuple[str, str, bool]]
"""The header field, the realm and `stale` of challenges that a request was sent for."""


_CSEQ = re.compile(r"^(CSeq: )(\d+)(?= )", re.MULTILINE)


def sent_again(draft: Draft) -> Draft:
    """Return a request with the next CSeq, to be sent with credentials (§22.2)."""
    head = _CSEQ.sub(lambda match: f"{match[1]}{int(match[2]) + 1}", draft.head, 1)
    return Draft(draft.method, draft.uri, head, draft.body)


class _Answered:
    """A challenge, and how often it was answered."""

    __slots__ = ("challenge", "count")

    def __init__(self, challenge: Challenge) -> None:
        self.challenge = challenge
        self.count = 0


class Login:
    """
    A user's name and password, and the challenges that they answer.

    Requests have credentials for the challenges that are known, so that a nonce is used
    as long as the server takes it.

    Args:
        username: the user part alone, as the server knows it.
        new_id: makes a random token.
    """

    def __init__(self, username: str, password: str, new_id: Callable[[], str]) -> None:
        self.username = username
        self._password = password
        self._new_id = new_id
        self._known: dict[tuple[str, str], _Answered] = {}

    def __repr__(self) -> str:
        return f"<Login {self.username}>"

    def receive(self, received: Response, tried: Tried) -> bool:
        """
        Take the challenges of a response.

        Args:
            tried: the challenges that this request was sent again for, so far; those
                of the response are added.

        Returns:
            Whether the request should be sent again, with :meth:`headers`. Not if no
            challenge can be answered, or if one was answered and its nonce is not the
            reason for another: then the password is wrong.
        """
        if received.status not in CHALLENGED:
            return False
        answerable = False
        for challenge in challenges_of(received):
            key = (challenge.header, challenge.realm)
            if (*key, challenge.stale) in tried:
                self._known.pop(key, None)
                return False
            tried.add((*key, challenge.stale))
            self._known[key] = _Answered(challenge)
            answerable = True
            if len(self._known) > REALMS:
                del self._known[next(iter(self._known))]
        return answerable

    def headers(self, method: str, uri: str, body: bytes = b"") -> str:
        """
        Return the header lines with credentials of a request; empty if none are known.

        Args:
            uri: the Request-URI, as written.
        """
        return "".join(
            f"{known.challenge.header}: {self._answer(known, method, uri, body)}\r\n"
            for known in self._known.values()
        )

    def signed(self, draft: Draft) -> Draft:
        """Return a request with credentials, as far as challenges are known."""
        lines = self.headers(draft.method, draft.uri, draft.body)
        if not lines:
            return draft
        return Draft(draft.method, draft.uri, draft.head + lines, draft.body)

    def _answer(self, known: _Answered, method: str, uri: str, body: bytes) -> str:
        challenge = known.challenge
        known.count += 1
        nc, cnonce = f"{known.count:08x}", self._new_id() if challenge.qop else ""
        algorithm, realm = challenge.algorithm, challenge.realm
        proof = response(
            algorithm,
            ha1(algorithm, self.username, realm, self._password),
            nonce=challenge.nonce,
            nc=nc,
            cnonce=cnonce,
            qop=challenge.qop,
            method=method,
            uri=uri,
            body=body,
        )
        return Credentials(
            self.username,
            realm,
            challenge.nonce,
            uri,
            proof,
            algorithm,
            challenge.qop,
            cnonce,
            nc,
        ).write(challenge.opaque)
