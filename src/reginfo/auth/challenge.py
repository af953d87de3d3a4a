"""Challenges, as a client reads them (RFC 3261 §22.2, §22.3; RFC 8760 §2.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..sip.errors import RemoteProtocolError
from ..sip.message import Response
from ..sip.value import Value
from .digest import ALGORITHMS, AUTH, AUTH_INT
from .parameters import parameters, scheme_of

_HEADERS = (
    ("WWW-Authenticate", "Authorization"),
    ("Proxy-Authenticate", "Proxy-Authorization"),
)


class Challenge(Value, frozen=True):
    """One challenge of the scheme Digest that can be answered."""

    header: str
    "The header field that answers it: `Authorization` or `Proxy-Authorization`."

    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop: str = ""
    "What to answer with: `auth` if it is offered, else `auth-int`, else nothing."

    opaque: str | None = None
    "To be returned as it is."

    stale: bool = False
    "Whether only the nonce was wrong: the password was right."


def challenges_of(response: Response) -> list[Challenge]:
    """
    Return the challenges of a 401 or 407 that can be answered: one for each realm.

    What is malformed, or of an unknown scheme or algorithm, is left out (RFC 8760
    §2.4). Of several algorithms the strongest is chosen, whatever their order.
    """
    best: dict[tuple[str, str], Challenge] = {}
    for challenge in _readable(response):
        key = (challenge.header, challenge.realm)
        known = best.get(key)
        if known is None or _strength(challenge) < _strength(known):
            best[key] = challenge
    return list(best.values())


def _strength(challenge: Challenge) -> int:
    return ALGORITHMS.index(challenge.algorithm)


def _readable(response: Response) -> Iterator[Challenge]:
    for header, answer in _HEADERS:
        for line in response.headers.get(header, ()):
            if scheme_of(line) == "digest":
                try:
                    yield from _read(answer, parameters(line))
                except RemoteProtocolError:
                    continue


def _read(header: str, given: dict[str, str]) -> Iterator[Challenge]:
    algorithm = given.get("algorithm", "MD5").upper()
    offered = given.get("qop")
    qop = "" if offered is None else _chosen(offered.split(","))
    if (
        {"realm", "nonce"} <= given.keys()
        and algorithm in ALGORITHMS
        and (qop or offered is None)
    ):
        yield Challenge(
            header,
            given["realm"],
            given["nonce"],
            algorithm,
            qop,
            given.get("opaque"),
            given.get("stale", "").lower() == "true",
        )


def _chosen(offered: Iterable[str]) -> str:
    names = {one.strip().lower() for one in offered}
    return AUTH if AUTH in names else AUTH_INT if AUTH_INT in names else ""
