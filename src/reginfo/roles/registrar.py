"""The registrar: decides what a REGISTER does (RFC 3261 §10.3)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from ..location.binding import Binding
from ..location.merge import Survivors
from ..reg.document import ContactEvent, shortest_q
from ..sip.address import numeric
from ..sip.demands import check_extensions, understands_body
from ..sip.dialog import route_uri
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow, Local, uri_host
from ..sip.headers import NameAddr, cached_name_addr, delta_seconds, quote
from ..sip.message import Headers, Request, Response
from ..sip.uri import Uri
from ..sip.value import Value

SIP_PORT = 5060

EXTENSIONS = frozenset({"path"})
"""Option tags that a REGISTER may have in Require (§8.2.2.3)."""

REGISTERED, REFRESHED = ContactEvent.REGISTERED, ContactEvent.REFRESHED
UNREGISTERED, DEACTIVATED = ContactEvent.UNREGISTERED, ContactEvent.DEACTIVATED


class RegistrarPolicy(Value, frozen=True):
    """The registrar's policy; see ``[registrar]`` of the configuration."""

    min_expires: int = 60
    default_expires: int = 3600
    max_expires: int = 86_400
    "Seconds."

    max_contacts: int = 0
    "The most contacts that an address-of-record may have; 0 for no limit."

    replaces: bool = False
    "Whether a contact over the limit replaces the oldest one; else it is refused."

    def __post_init__(self) -> None:
        for name in ("min_expires", "default_expires", "max_expires", "max_contacts"):
            if type(value := getattr(self, name)) is not int:
                raise TypeError(
                    f"RegistrarPolicy.{name}: int is needed, not {value!r:.80}"
                )
            if value < 0:
                raise ValueError(f"RegistrarPolicy.{name}: {value} is negative")
        if type(self.replaces) is not bool:
            raise TypeError(
                f"RegistrarPolicy.replaces: bool is needed, not {self.replaces!r:.80}"
            )


class Decision(NamedTuple):
    """The response to a REGISTER, and the claims that make it true."""

    response: Response
    claims: tuple[Binding, ...]


def decide(
    request: Request,
    rows: Mapping[str, Survivors],
    *,
    policy: RegistrarPolicy,
    server_id: str,
    stamp: int,
    flow: Flow,
    now: float,
    date: str = "",
) -> Decision:
    """
    Decide a REGISTER; nothing is changed.

    Args:
        request: an authorised REGISTER for an address-of-record of ours.
        rows: all claims about its contacts, by their keys.
        server_id: the owner of what it binds: this server.
        stamp: later than that of any claim known.
        flow: the flow that the request came by.
        now: seconds on the clock that ``Binding.expires_at`` uses.
        date: for the response's Date header (§10.3 step 8).

    Raises:
        Refusal: 420 for an extension, 423 for too short an interval, 500 for a CSeq
            out of order, 503 for too many contacts.
        RemoteProtocolError: a Contact or Path that cannot be used.
    """
    check_extensions(request, EXTENSIONS)
    understands_body(request, None)
    values = request.values("Contact")
    branch = _branch(request)
    if values and not _came_before(request, rows, branch):
        if "*" in values:
            claims = _remove_all(request, values, rows, server_id, stamp, branch, now)
        else:
            claims = _bind(
                request, values, rows, policy, server_id, stamp, flow, branch, now
            )
    else:
        claims = ()
    headers: Headers = {"Contact": _listed(rows, claims, now)}
    if not headers["Contact"]:
        del headers["Contact"]
    path = request.headers.get("Path")
    if path and "path" in _options(request):
        headers["Path"] = path  # RFC 3327 §5.3
    if date:
        headers["Date"] = [date]
    return Decision(Response(200, "OK", headers), claims)


def expires_of(contact: NameAddr, request: Request, policy: RegistrarPolicy) -> int:
    """
    Return for how many seconds ``contact`` is to be bound; 0 to remove it.

    The contact's own ``expires`` comes first, then the request's Expires, then
    the policy (§10.3 step 7). A malformed one counts as 3600 (§20.10).

    Raises:
        Refusal: 423, for less than ``policy.min_expires``.
    """
    if "expires" in contact.params:
        own = delta_seconds(contact.params["expires"])
        expires = 3600 if own is None else own
    elif "Expires" in request.headers:
        common = request.expires
        expires = 3600 if common is None else common
    else:
        expires = policy.default_expires
    # Only an interval of less than an hour may be refused (ibid.).
    if 0 < expires < min(policy.min_expires, 3600):
        minimum = str(policy.min_expires)
        raise Refusal(423, "Interval Too Brief", headers=[("Min-Expires", minimum)])
    return min(expires, policy.max_expires)


def _options(request: Request) -> set[str]:
    return {option.lower() for option in request.values("Supported")}


def _branch(request: Request) -> int:
    """Return a hash of the topmost Via branch, which rows keep; 0 for none."""
    return zlib.crc32(request.via.branch.encode())


def _came_before(request: Request, rows: Mapping[str, Survivors], branch: int) -> bool:
    """
    Whether this request is a retransmission of one that was served (3261-29).

    Its transaction is gone after a restart, when a phone that got no answer sends the
    request again.
    """
    if not branch:
        return False
    call_id, number = request.call_id, request.cseq.number
    return any(
        claim.branch == branch and claim.cseq == number and claim.call_id == call_id
        for claims in rows.values()
        for claim in claims
    )


def _bind(
    request: Request,
    values: list[str],
    rows: Mapping[str, Survivors],
    policy: RegistrarPolicy,
    server_id: str,
    stamp: int,
    flow: Flow,
    branch: int,
    now: float,
) -> tuple[Binding, ...]:
    """Make claims of the contacts that a REGISTER lists (§10.3 step 7)."""
    call_id, number = request.call_id, request.cseq.number
    path = _path(request) if "Path" in request.headers else ()
    user_agent = request.header("User-Agent") or ""
    claims: dict[str, Binding] = {}
    for value in values:
        contact = cached_name_addr(value)
        uri = contact.parsed
        expires = expires_of(contact, request, policy)
        key, survivors = _find(uri, rows, claims)
        _check_order(survivors, call_id, number)
        bound = _bound(survivors, now)
        if bound is None and not expires:
            continue  # it removes what is not bound
        if expires:
            event = REGISTERED if bound is None else REFRESHED
            expires_at = now + expires
        else:
            event = UNREGISTERED
            # Until then, older reports of the contact may arrive.
            assert bound is not None
            expires_at = bound.expires_at
        claims[key] = Binding(
            contact=contact.uri,
            key=key,
            call_id=call_id,
            cseq=number,
            event=event,
            expires_at=expires_at,
            registered_at=now if bound is None else bound.registered_at,
            owner=server_id,
            stamp=stamp,
            q=_q(contact),
            params=_params(contact),
            display_name=contact.display_name,
            path=path,
            received="" if path else _received(uri, flow),
            user_agent=user_agent,
            branch=branch,
            listener="" if path else _listener(flow.local),
        )
    replaced: tuple[Binding, ...] = ()
    if policy.max_contacts:
        replaced = _over_limit(rows, claims, policy, server_id, stamp, now)
    return (*replaced, *claims.values())


def _remove_all(
    request: Request,
    values: list[str],
    rows: Mapping[str, Survivors],
    server_id: str,
    stamp: int,
    branch: int,
    now: float,
) -> tuple[Binding, ...]:
    """Make claims that remove all contacts: ``Contact: *`` (§10.3 step 6)."""
    if len(values) > 1 or request.expires != 0:
        raise RemoteProtocolError("Contact: * with another contact, or not to expire")
    call_id, number = request.call_id, request.cseq.number
    claims = []
    for survivors in rows.values():
        bound = _bound(survivors, now)
        if bound is None:
            continue
        _check_order(survivors, call_id, number)
        claims.append(
            msgspec.structs.replace(
                bound,
                call_id=call_id,
                cseq=number,
                event=UNREGISTERED,
                owner=server_id,
                stamp=stamp,
                source=None,
                branch=branch,
            )
        )
    return tuple(claims)


def _path(request: Request) -> tuple[str, ...]:
    """
    Return the route set of a contact, as Path records it (RFC 3327 §5.3).

    Raises:
        RemoteProtocolError: no request can be sent by it.
    """
    path = tuple(request.values("Path"))
    for value in path:
        if Uri.parse(route_uri(value)).scheme not in ("sip", "sips"):
            raise RemoteProtocolError(f"unusable Path: {value[:80]!r}")
    return path


def _find(
    uri: Uri, rows: Mapping[str, Survivors], claims: Mapping[str, Binding]
) -> tuple[str, Survivors]:
    """Return the key under which a contact is kept, and the claims about it."""
    key = uri.key
    survivors = rows.get(key)
    if survivors is not None:
        return key, survivors
    # §19.1.4 calls URIs equal that are spelled differently, and no key can tell.
    for other, known in rows.items():
        if uri.matches(Uri.parse(known[0].contact)):
            return other, known
    for other, claim in claims.items():
        if uri.matches(Uri.parse(claim.contact)):
            return other, ()
    return key, ()


def _check_order(survivors: Survivors, call_id: str, number: int) -> None:
    """
    Within one Call-ID the CSeq must have grown, or the request fails whole.

    Also where the contact is gone: the copy of a REGISTER that the network held back
    must not bring back what its successor has removed.
    """
    for claim in survivors:
        if claim.call_id == call_id and number <= claim.cseq:
            raise Refusal(500, "CSeq Out Of Order")


def _bound(survivors: Survivors, now: float) -> Binding | None:
    if survivors:
        holds = survivors[0]
        if holds.active and holds.expires_at > now:
            return holds
    return None


def _over_limit(
    rows: Mapping[str, Survivors],
    claims: Mapping[str, Binding],
    policy: RegistrarPolicy,
    server_id: str,
    stamp: int,
    now: float,
) -> tuple[Binding, ...]:
    """
    Make claims that remove the contacts which ``claims`` replace (3261-16, -17).

    Contacts of other servers do not count, and are not replaced.

    Raises:
        Refusal: 503, if nothing may be replaced; Retry-After is the time until the
            first contact expires.
    """
    bound_here = {
        key: bound
        for key, survivors in rows.items()
        if (bound := _bound(survivors, now)) is not None and bound.owner == server_id
    }
    new = {key for key, claim in claims.items() if claim.active} - bound_here.keys()
    left = [bound for key, bound in bound_here.items() if key not in claims]
    kept = sum(claims[key].active for key in bound_here.keys() & claims.keys())
    excess = len(left) + kept + len(new) - policy.max_contacts
    # A limit that was lowered since must not keep a contact from being refreshed.
    if not new or excess <= 0:
        return ()
    if not policy.replaces or excess > len(left):
        until = min((bound.expires(now) for bound in bound_here.values()), default=60)
        headers = [("Retry-After", str(max(1, until)))]
        raise Refusal(503, "Too Many Registered Contacts", headers=headers)
    left.sort(key=lambda bound: bound.registered_at)
    return tuple(
        msgspec.structs.replace(
            bound, event=DEACTIVATED, stamp=stamp, source=None, retry_after=None
        )
        for bound in left[:excess]
    )


def _q(contact: NameAddr) -> str | None:
    value = contact.params.get("q")
    if not value:
        return None
    try:
        return shortest_q(value)
    except ValueError as exc:
        raise RemoteProtocolError(f"malformed q: {value!r}") from exc


def _params(contact: NameAddr) -> tuple[tuple[str, str | None], ...]:
    if not contact.params:
        return ()
    return tuple(
        (name, value)
        for name, value in contact.params.items()
        if name != "expires" and name != "q"
    )


def _received(uri: Uri, flow: Flow) -> str:
    """Return the source of a REGISTER as a URI; empty if its Contact says the same."""
    host, port = flow.remote
    if (numeric(uri.host).address, uri.port or SIP_PORT) == (host, port):
        return ""
    transport = flow.local.transport.lower()
    suffix = "" if transport == "udp" else f";transport={transport}"
    return f"sip:{uri_host(host)}:{port}{suffix}"


@lru_cache(64)
def _listener(local: Local) -> str:
    return str(local)


def _listed(
    rows: Mapping[str, Survivors], claims: tuple[Binding, ...], now: float
) -> list[str]:
    """Contact values for all that is bound, once ``claims`` hold (§10.3 step 8)."""
    new = {claim.key: claim for claim in claims}
    bound = [
        holds
        for key, survivors in rows.items()
        if (holds := new.pop(key, None) or survivors[0]).active
        and holds.expires_at > now
    ]
    bound += [claim for claim in new.values() if claim.active]
    return [contact_value(binding, now) for binding in bound]


def contact_value(binding: Binding, now: float) -> str:
    """A binding as a Contact header has it."""
    text = f"<{binding.contact}>;expires={binding.expires(now)}"
    if binding.display_name:
        text = f"{quote(binding.display_name)} {text}"
    if binding.q is not None:
        text += f";q={binding.q}"
    for name, value in binding.params:
        text += f";{name}" if value is None else f";{name}={value}"
    return text
