"""The registrar: decides what a REGISTER does (RFC 3261 §10.3)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from ..location.binding import Binding
from ..location.claim import MARKUP, SMALL, Claim, is_too_large, stripped
from ..location.contacts import Contacts
from ..location.lives import Claims
from ..location.record import Record, RecordKind, Standing
from ..reg.document import ContactEvent, shortest_q
from ..sip.address import numeric
from ..sip.demands import check_extensions, understands_body
from ..sip.dialog import route_uri
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow, Local, unscoped, uri_host
from ..sip.headers import NameAddr, cached_name_addr, delta_seconds, quote
from ..sip.message import Headers, Request, Response
from ..sip.transport import SIP_PORT
from ..sip.uri import Uri
from ..sip.value import Value

EXTENSIONS = frozenset({"path"})
"""The option tags that are supported in Require of a REGISTER (§8.2.2.3)."""

REGISTERED, REFRESHED = ContactEvent.REGISTERED, ContactEvent.REFRESHED
UNREGISTERED, DEACTIVATED = ContactEvent.UNREGISTERED, ContactEvent.DEACTIVATED


class RegistrarPolicy(Value, frozen=True):
    """The registrar's policy; see ``[registrar]`` of the configuration."""

    min_expires: int = 60
    default_expires: int = 3600
    max_expires: int = 86_400
    "Seconds."

    max_contacts: int = 0
    "The maximum number of contacts per address-of-record; 0: no limit."

    replaces: bool = False
    "Whether a contact over the limit replaces the oldest one, or is refused."

    has_links: bool = False
    "Whether other servers may know of contacts that are not known here."

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
    """The response to a REGISTER, and the resulting claims and records."""

    response: Response
    claims: tuple[Claim, ...]
    records: tuple[Record, ...] = ()


def decide(
    request: Request,
    contacts: Contacts,
    *,
    policy: RegistrarPolicy,
    server_id: str,
    flow: Flow,
    date: str = "",
) -> Decision:
    """
    Decide a REGISTER, without changing anything.

    Args:
        request: an authorised REGISTER for an address-of-record of this server.
        contacts: the current contacts of that address-of-record.
        server_id: the owner of the new claims.
        flow: the flow that the request was received on.
        date: the Date of the response (§10.3 step 8).

    Raises:
        Refusal: 403 for a barred user, 413 for a contact that is too large, 420 for an
            unsupported extension, 423 for too short an interval, 500 for a CSeq out of
            order or a user on probation, 503 for too many contacts.
        RemoteProtocolError: a Contact or Path cannot be used.
    """
    check_extensions(request, EXTENSIONS)
    understands_body(request, None)
    values = request.values("Contact")
    if contacts.standing is not None:
        _check_standing(contacts.standing, contacts.now)
    branch = _branch(request)
    claims: tuple[Claim, ...] = ()
    records: tuple[Record, ...] = ()
    if values and not _came_before(request, contacts, values, branch):
        if "*" in values:
            claims, records = _remove_all(
                request, values, contacts, policy, server_id, branch
            )
        else:
            claims = _bind(request, values, contacts, policy, server_id, flow, branch)
    headers: Headers = {"Contact": _listed(contacts, claims)}
    if not headers["Contact"]:
        del headers["Contact"]
    path = request.headers.get("Path")
    if path and "path" in _options(request):
        headers["Path"] = path  # RFC 3327 §5.3
    if date:
        headers["Date"] = [date]
    return Decision(Response(200, "OK", headers), claims, records)


def expires_of(contact: NameAddr, request: Request, policy: RegistrarPolicy) -> int:
    """
    Return the interval of ``contact`` in seconds; 0 removes it.

    The ``expires`` of the contact comes first, then Expires of the request, then the
    policy (§10.3 step 7). A malformed value counts as 3600 (§20.10).

    Raises:
        Refusal: 423, if it is less than ``policy.min_expires``.
    """
    if "expires" in contact.params:
        own = delta_seconds(contact.params["expires"])
        expires = 3600 if own is None else own
    elif "Expires" in request.headers:
        common = request.expires
        expires = 3600 if common is None else common
    else:
        expires = policy.default_expires
    # Only an interval of less than one hour may be refused (ibid.).
    if 0 < expires < min(policy.min_expires, 3600):
        minimum = str(policy.min_expires)
        raise Refusal(423, "Interval Too Brief", headers=[("Min-Expires", minimum)])
    return min(expires, policy.max_expires)


def _options(request: Request) -> set[str]:
    return {option.lower() for option in request.values("Supported")}


def _branch(request: Request) -> int:
    """
    Return a hash of the topmost Via branch, as stored in rows; 0 if there is none.
    """
    return zlib.crc32(request.via.branch.encode())


def _came_before(
    request: Request, contacts: Contacts, values: list[str], branch: int
) -> bool:
    """
    Whether this request is a retransmission of one that was processed (3261-29).

    After a restart its transaction is gone, and a phone that got no response sends the
    request again.
    """
    if not branch:
        return False
    call_id, number = request.call_id, request.cseq.number
    rows = contacts.rows
    for claims in rows.values():
        for claim in claims:
            if claim.branch == branch:
                return claim.cseq == number and claim.call_id == call_id
    for value in values:
        if value == "*" or (key := cached_name_addr(value).parsed.key) in rows:
            continue
        for claim in contacts.past(key):
            if (
                claim.branch == branch
                and claim.cseq == number
                and claim.call_id == call_id
            ):
                return True
    return False


def _check_standing(standing: Standing, now: float) -> None:
    """Refuse a user that an administrator has barred or put on probation."""
    if standing.rejected:
        raise Refusal(403, "Forbidden")
    if now < standing.probation_ends:
        left = max(1, math.ceil(standing.probation_ends - now))
        again = [("Retry-After", str(left))]
        raise Refusal(500, "On Probation", headers=again)


def _bind(
    request: Request,
    values: list[str],
    contacts: Contacts,
    policy: RegistrarPolicy,
    server_id: str,
    flow: Flow,
    branch: int,
) -> tuple[Claim, ...]:
    """Make claims for the contacts of a REGISTER (§10.3 step 7)."""
    call_id, number = request.call_id, request.cseq.number
    now = contacts.now
    path = _path(request) if "Path" in request.headers else ()
    user_agent = request.header("User-Agent") or ""
    texts = len(call_id) + len(user_agent)
    if path:
        texts += sum(map(len, path)) + MARKUP * len(path)
    claims: dict[str, Claim] = {}
    for value in values:
        contact = cached_name_addr(value)
        uri = contact.parsed
        expires = expires_of(contact, request, policy)
        keys = _keys(uri, contacts.rows, claims)
        for key in keys[:1] if expires else keys:
            bound = contacts.bound(key)
            _check_order(bound, call_id, number)
            if bound is None and not expires and not policy.has_links:
                continue  # removes a contact that is not bound here or elsewhere
            stamp = contacts.stamp(key)
            event = (
                (REGISTERED if bound is None else REFRESHED)
                if expires
                else UNREGISTERED
            )
            begin = stamp
            if bound is not None and bound.call_id == call_id:
                begin = bound.begin
            claims[key] = Claim(
                contact=contact.uri,
                key=key,
                call_id=call_id,
                cseq=number,
                begin=begin,
                stamp=stamp,
                edition=stamp,
                gone=not expires,
                event=event,
                owner=server_id,
                until=stamp + expires * 1_000_000,
                expires_at=now + expires,
                registered_at=now if bound is None else bound.registered_at,
                q=_q(contact),
                params=_params(contact),
                display_name=contact.display_name,
                path=path,
                received="" if path else _received(uri, flow),
                user_agent=user_agent,
                branch=branch,
                listener="" if path else _listener(flow.local),
            )
            size = texts + 2 * len(value) + MARKUP * len(contact.params)
            if size > SMALL and is_too_large(claims[key]):
                if expires:
                    raise Refusal(413, "Contact Too Large")
                claims[key] = stripped(claims[key])
    replaced: tuple[Claim, ...] = ()
    if policy.max_contacts:
        replaced = _over_limit(contacts, claims, policy, server_id)
    return (*replaced, *claims.values())


def _remove_all(
    request: Request,
    values: list[str],
    contacts: Contacts,
    policy: RegistrarPolicy,
    server_id: str,
    branch: int,
) -> tuple[tuple[Claim, ...], tuple[Record, ...]]:
    """Make claims that remove all contacts: ``Contact: *`` (§10.3 step 6)."""
    if len(values) > 1 or request.expires != 0:
        raise RemoteProtocolError("Contact: * needs Expires: 0 and no other contact")
    call_id, number = request.call_id, request.cseq.number
    stamp = contacts.record_stamp(RecordKind.CLEARED)
    claims = []
    for key in contacts.rows:
        bound = contacts.bound(key)
        if bound is None:
            continue
        _check_order(bound, call_id, number)
        claims.append(
            msgspec.structs.replace(
                bound,
                call_id=call_id,
                cseq=number,
                begin=bound.begin if bound.call_id == call_id else stamp,
                stamp=stamp,
                edition=stamp,
                gone=True,
                event=UNREGISTERED,
                owner=server_id,
                until=stamp,
                source=None,
                branch=branch,
                number=0,
            )
        )
    if not policy.has_links:
        return tuple(claims), ()
    # This also removes contacts that only other servers know.
    cleared = Record(kind=RecordKind.CLEARED, value="", stamp=stamp, owner=server_id)
    return tuple(claims), (cleared,)


def _path(request: Request) -> tuple[str, ...]:
    """
    Return the route set of a contact, as Path records it (RFC 3327 §5.3).

    Raises:
        RemoteProtocolError: no request can be routed by it.
    """
    path = tuple(request.values("Path"))
    for value in path:
        if Uri.parse(route_uri(value)).scheme not in ("sip", "sips"):
            raise RemoteProtocolError(f"unusable Path: {value[:80]!r}")
    return path


def _keys(
    uri: Uri, rows: Mapping[str, Claims], claims: Mapping[str, Claim]
) -> list[str]:
    """
    Return the keys of a contact, beginning with the one to bind it by.

    There are several if two servers created keys for two spellings of it. A removal
    removes all of them; a refresh lets the others expire.
    """
    key = uri.key
    if len(rows) == 1 and key in rows and not claims:
        return [key]  # the hot path
    # §19.1.4: URIs with different spellings can be equal, so no key is unique.
    found = [key] if key in rows or key in claims else []
    for other, known in rows.items():
        if other != key and uri.matches(Uri.parse(known[0].contact)):
            found.append(other)
    for other, claim in claims.items():
        if other != key and other not in rows:
            if uri.matches(Uri.parse(claim.contact)):
                found.append(other)
    return found or [key]


def _check_order(bound: Claim | None, call_id: str, number: int) -> None:
    """
    Refuse a CSeq that is not greater than that of the binding with the same Call-ID.

    Then the whole request fails (§10.3 step 7). If the contact is not bound, or has
    another Call-ID, there is no CSeq to compare with.
    """
    if bound is not None and bound.call_id == call_id and number <= bound.cseq:
        raise Refusal(500, "CSeq Out Of Order")


def _over_limit(
    contacts: Contacts,
    claims: Mapping[str, Claim],
    policy: RegistrarPolicy,
    server_id: str,
) -> tuple[Claim, ...]:
    """
    Make claims that remove the contacts which ``claims`` replace (3261-16, -17).

    All bound contacts count, whatever their owner.

    Raises:
        Refusal: 503, if no contact may be replaced; Retry-After is the time until the
            first contact expires.
    """
    now = contacts.now
    bound = {
        key: found
        for key in contacts.rows
        if (found := contacts.bound(key)) is not None
    }
    new = {key for key, claim in claims.items() if not claim.gone} - bound.keys()
    left = [found for key, found in bound.items() if key not in claims]
    kept = sum(not claims[key].gone for key in bound.keys() & claims.keys())
    excess = len(left) + kept + len(new) - policy.max_contacts
    # If the limit was lowered, existing contacts can still be refreshed.
    if not new or excess <= 0:
        return ()
    if not policy.replaces or excess > len(left):
        until = min((found.expires(now) for found in bound.values()), default=60)
        headers = [("Retry-After", str(max(1, until)))]
        raise Refusal(503, "Too Many Registered Contacts", headers=headers)
    left.sort(key=lambda found: found.registered_at)
    replaced = []
    for found in left[:excess]:
        # A life of its own, like an action of an administrator: no refresh undoes it.
        stamp = contacts.stamp(found.key)
        replaced.append(
            msgspec.structs.replace(
                found,
                begin=stamp,
                stamp=stamp,
                edition=stamp,
                gone=True,
                event=DEACTIVATED,
                owner=server_id,
                until=stamp,
                source=None,
                retry_after=None,
                number=0,
            )
        )
    return tuple(replaced)


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
    """Return the source of a REGISTER as a URI; empty if its Contact is the same."""
    host, port = flow.remote
    if port == (uri.port or SIP_PORT) and numeric(uri.host).address == unscoped(host):
        return ""
    return f"sip:{uri_host(host)}:{port}{flow.local.transport.uri_param}"


@lru_cache(64)
def _listener(local: Local) -> str:
    return str(local)


def _listed(contacts: Contacts, claims: tuple[Claim, ...]) -> list[str]:
    """Return Contact values of all bindings after ``claims`` (§10.3 step 8)."""
    now = contacts.now
    new = {claim.key: claim for claim in claims}
    bound = []
    for key in contacts.rows:
        holds = new.pop(key, None) or contacts.bound(key)
        if holds is not None and not holds.gone:
            bound.append(holds)
    bound += [claim for claim in new.values() if not claim.gone]
    return [contact_value(binding, now) for binding in bound]


def contact_value(binding: Binding, now: float) -> str:
    """Return the Contact header value of a binding."""
    text = f"<{binding.contact}>;expires={binding.expires(now)}"
    if binding.display_name:
        text = f"{quote(binding.display_name)} {text}"
    if binding.q is not None:
        text += f";q={binding.q}"
    for name, value in binding.params:
        # A peer may have listed these as parameters (§7.3.1: none stands twice).
        if name != "expires" and name != "q":
            text += f";{name}" if value is None else f";{name}={value}"
    return text
