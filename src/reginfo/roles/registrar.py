"""The registrar: decides what a REGISTER does (RFC 3261 §10.3)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import msgspec

from ..location.claim import (
    FIXED,
    MARKUP,
    MAX_SIZE,
    WORST,
    Claim,
    is_too_large,
    stripped,
)
from ..location.contacts import Contacts
from ..location.record import Record, RecordKind, Standing
from ..location.stamp import Stamp
from ..reg.document import ContactEvent
from ..sip.demands import check_extensions, understands_body
from ..sip.errors import Refusal, RemoteProtocolError
from ..sip.flow import Flow
from ..sip.message import Headers, Request, Response
from ..sip.uri import Uri
from ..sip.value import Value
from .contact_keys import ContactKeys
from .requested import (
    LONG,
    RequestedContact,
    contact_value,
    listener,
    path_of,
    received,
    requested_contact,
)

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
    """
    The maximum number of contacts per address-of-record that are registered here; 0:
    no limit.
    """

    max_per_register: int = 0
    "The maximum number of contacts in one REGISTER; 0: no limit."

    max_contact_size: int = MAX_SIZE
    "The maximum number of octets that are stored with a contact."

    replaces: bool = False
    "Whether a contact over the limit replaces the oldest one, or is refused."

    has_links: bool = False
    "Whether other servers may know of contacts that are not known here."

    def __post_init__(self) -> None:
        for name in (
            "min_expires", "default_expires", "max_expires", "max_contacts",
            "max_per_register", "max_contact_size",
        ):  # fmt: skip
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


class Decision(Value, frozen=True):
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
        Refusal: 403 for a barred user or too many contacts in the request, 413 for a
            contact that is too large, 420 for an unsupported extension, 423 for too
            short an interval, 500 for a CSeq out of order or a user on probation, 503
            for too many contacts of the user.
        RemoteProtocolError: a Contact or Path cannot be used.
    """
    # The hot path: nothing is called here that does nothing for most requests.
    received = request.headers
    if "Require" in received:
        check_extensions(request, EXTENSIONS)
    if request.body:
        understands_body(request, None)
    values = request.values("Contact")
    if len(values) > policy.max_per_register > 0:
        # Before any of them is parsed or compared.
        raise Refusal(
            403,
            "Too Many Contacts",
            headers=[_because(f"at most {policy.max_per_register} in one REGISTER")],
        )
    if contacts.standing is not None:
        _check_standing(contacts.standing, contacts.now)
    # Rows keep a hash of the topmost Via branch; 0 for none.
    branch = zlib.crc32(request.via.branch.encode())
    claims: tuple[Claim, ...] = ()
    records: tuple[Record, ...] = ()
    if values and not _came_before(request, contacts, values, branch):
        if "*" in values:
            claims, records = _remove_all(
                request, values, contacts, policy, server_id, branch
            )
        else:
            claims = _bind(request, values, contacts, policy, server_id, flow, branch)
    listed = _listed(contacts, claims)
    headers: Headers = {"Contact": listed} if listed else {}
    if "Path" in received and "path" in _options(request):
        headers["Path"] = received["Path"]  # RFC 3327 §5.3
    if date:
        headers["Date"] = [date]
    return Decision(Response(200, "OK", headers), claims, records)


def _granted(
    contact: RequestedContact, request: Request, policy: RegistrarPolicy
) -> int:
    """
    Return the interval of ``contact`` in seconds; 0 removes it.

    The ``expires`` of the contact comes first, then Expires of the request, then the
    policy (§10.3 step 7). A malformed value counts as 3600 (§20.10).

    Raises:
        Refusal: 423, if it is less than ``policy.min_expires``.
    """
    expires = contact.expires
    if expires is None:
        expires = policy.default_expires
        if "Expires" in request.headers:
            common = request.expires
            expires = LONG if common is None else common
    # Only an interval of less than one hour may be refused (ibid.).
    if 0 < expires < policy.min_expires and expires < 3600:
        minimum = str(policy.min_expires)
        raise Refusal(423, "Interval Too Brief", headers=[("Min-Expires", minimum)])
    most = policy.max_expires
    return expires if expires < most else most


def _options(request: Request) -> set[str]:
    return {option.lower() for option in request.values("Supported")}


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
    rows = contacts.rows
    for claims in rows.values():
        for claim in claims:
            if claim.branch == branch:
                return _is_of(claim, request)
    for value in values:
        if value == "*" or (key := requested_contact(value).uri.key) in rows:
            continue
        for claim in contacts.past(key):
            if claim.branch == branch and _is_of(claim, request):
                return True
    return False


def _is_of(claim: Claim, request: Request) -> bool:
    return claim.cseq == request.cseq.number and claim.call_id == request.call_id


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
    now, rows = contacts.now, contacts.rows
    path = path_of(request) if "Path" in request.headers else ()
    user_agent = request.header("User-Agent") or ""
    texts = len(call_id) + len(user_agent)
    if path:
        texts += sum(map(len, path)) + MARKUP * len(path)
    # Else the same long texts would be measured once more for each contact.
    most = policy.max_contact_size
    is_too_long = texts > most
    small = (most - FIXED) // WORST  # this many characters are never too large
    claims: dict[str, Claim] = {}
    known: ContactKeys | None = None
    for value in values:
        contact = requested_contact(value)
        uri = contact.uri
        expires = _granted(contact, request, policy)
        keys = [uri.key]
        if len(rows) != 1 or claims or uri.key not in rows:  # else the hot path
            if known is None:
                known = ContactKeys(rows, len(values))
                for claim in claims.values():
                    known.add(claim, Uri.parse(claim.contact))
            keys = known.of(uri, first=expires > 0)
        for key in keys:
            bound = contacts.bound(key)
            goes_on = bound is not None and bound.call_id == call_id
            if bound is not None and goes_on and number <= bound.cseq:
                raise _out_of_order()
            if expires:
                event = REGISTERED if bound is None else REFRESHED
            elif bound is not None or policy.has_links:
                event = UNREGISTERED
            else:
                continue  # removes a contact that is not bound here or elsewhere
            stamp = contacts.stamp(key)
            # By position: by name, a struct of this size takes eight times as long.
            claims[key] = Claim(
                uri.text,
                key,
                call_id,
                number,
                bound.begin if bound is not None and goes_on else stamp,
                stamp,
                stamp,  # edition
                not expires,  # gone
                event,
                server_id,
                Stamp(stamp + expires * 1_000_000),  # until
                now + expires,  # expires_at
                now if bound is None else bound.registered_at,
                None,  # source
                contact.q,
                contact.params,
                contact.display_name,
                path,
                "" if path else received(uri, flow),
                user_agent,
                None,  # retry_after
                branch,
                "" if path else listener(flow.local),
            )
            if texts + contact.size > small and (
                is_too_long or is_too_large(claims[key], most)
            ):
                if expires:
                    why = _because(f"at most {most} octets are stored with a contact")
                    raise Refusal(413, "Contact Too Large", headers=[why])
                claims[key] = stripped(claims[key])
            if known is not None:
                known.add(claims[key], uri)
    replaced: tuple[Claim, ...] = ()
    # Most users have far fewer: then nothing has to be counted.
    if len(contacts.rows) + len(claims) > policy.max_contacts > 0:
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
        if bound.call_id == call_id and number <= bound.cseq:
            raise _out_of_order()
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


def _because(text: str) -> tuple[str, str]:
    """Return a Warning with the reason of a refusal (§20.43)."""
    return ("Warning", f'399 reginfo "{text}"')


def _out_of_order() -> Refusal:
    """
    Refuse a CSeq that is not greater than that of the binding with the same Call-ID.

    Then the whole request fails (§10.3 step 7). If the contact is not bound, or has
    another Call-ID, there is no CSeq to compare with.
    """
    return Refusal(500, "CSeq Out Of Order")


def _over_limit(
    contacts: Contacts,
    claims: Mapping[str, Claim],
    policy: RegistrarPolicy,
    server_id: str,
) -> tuple[Claim, ...]:
    """
    Make claims that remove the contacts which ``claims`` replace (3261-16, -17).

    Only contacts that are registered here count: what other servers report cannot lock
    out a user.

    Raises:
        Refusal: 503, if no contact may be replaced; Retry-After is the time until the
            first contact expires.
    """
    now = contacts.now
    bound = {
        key: found
        for key in contacts.rows
        if (found := contacts.bound(key)) is not None and found.owner == server_id
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


def _listed(contacts: Contacts, claims: tuple[Claim, ...]) -> list[str]:
    """Return Contact values of all bindings after ``claims`` (§10.3 step 8)."""
    now = contacts.now
    if len(claims) == 1:
        claim = claims[0]
        if len(contacts.rows) == 1 and claim.key in contacts.rows:
            return [] if claim.gone else [contact_value(claim, now)]  # the hot path
    new = {claim.key: claim for claim in claims}
    bound = []
    for key in contacts.rows:
        holds = new.pop(key, None) or contacts.bound(key)
        if holds is not None and not holds.gone:
            bound.append(holds)
    bound += [claim for claim in new.values() if not claim.gone]
    return [contact_value(binding, now) for binding in bound]
