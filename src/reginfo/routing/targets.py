"""Finds the targets of users and URIs, and the flows to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..ledger.part import Found as Found
from ..ledger.part import Names as Names
from ..location.binding import Binding
from ..location.place import Aor, Place
from ..location.store import LocationStore
from ..sip.destination import Destination
from ..sip.dialog import route_uri
from ..sip.errors import RemoteProtocolError
from ..sip.event import AnyClient
from ..sip.flow import Address, Flow, Local, family_of, scoped
from ..sip.headers import retry_after, unquote
from ..sip.invite import InviteClientTransaction
from ..sip.message import Response
from ..sip.route import outgoing
from ..sip.transport import Transport, asked_for
from ..sip.uri import Uri
from .blocklist import Blocklist
from .domains import Domains
from .nat import Nat
from .target import Target

logger = logging.getLogger("reginfo.proxy")

FlowFound = Callable[[Flow | str], None]


class ContactTarget(NamedTuple):
    """A contact of the location service as a target."""

    target: Target

    methods: frozenset[str] | None
    "The methods that it supports (RFC 3840 §10.2.4); None if it does not say."

    def takes(self, method: str) -> bool:
        """Whether it supports requests of ``method``."""
        return self.methods is None or method in self.methods


class Targets:
    """
    Finds the targets of a request, and the flow to each.

    Args:
        nat: finds the flows of bindings.
        is_open: whether the connection of a flow is open.
        source_of: returns the local address from which packets to a destination are
            sent; None if unknown.
        now: returns the seconds on the clock that bindings use.
        table: the default location table.
    """

    def __init__(
        self,
        store: LocationStore,
        *,
        domains: Domains,
        nat: Nat,
        is_open: Callable[[Flow], bool],
        now: Callable[[], float],
        table: str,
        source_of: Callable[[Address], str | None] = lambda address: None,
    ) -> None:
        self._store = store
        self._domains = domains
        self._nat = nat
        self._is_open = is_open
        self._source_of = source_of
        self._now = now
        self._table = table
        self._blocklist = Blocklist(now)
        self._names: Names | None = None
        self._locals: Sequence[Local] = ()
        self._transports: set[Transport] = set()

    def begin(self, locals: Sequence[Local], names: Names) -> None:
        """Set the listening addresses, and the resolver."""
        self._nat.begin(locals)
        self._locals = locals
        self._transports = {local.transport for local in locals}
        self._names = names

    # Users of this server.

    def contacts(self, place: Place, *, is_secure: bool = False) -> list[ContactTarget]:
        """
        Return the contacts of an address-of-record, or of an identity, best first.

        A request to a `sips:` URI goes only to contacts that are `sips:` themselves;
        another one goes to these as well, but as `sip:` (RFC 5630 §5.3).

        Args:
            is_secure: whether they are the targets of a `sips:` URI.

        A contact that cannot be used, from whatever source, is left out and logged.
        This includes an unsupported scheme or transport.
        """
        record = self._store.record_of(place)
        found: list[ContactTarget] = []
        for binding in self._store.bindings(record, self._now()):
            try:
                one = self._target_of(binding)
                self._check(one.target)
                if one.target.uri.scheme == "sips":
                    if not is_secure:
                        one.target.downgrade()
                elif is_secure:
                    continue
            except (RemoteProtocolError, ValueError) as exc:
                logger.warning(
                    "! contact %.80r of %s cannot be used: %s", binding.contact, place,
                    exc,
                )  # fmt: skip
            else:
                found.append(one)
        # Of equal q, the contact that registered last comes first.
        order = {id(one): at for at, one in enumerate(found)}
        found.sort(key=lambda one: (-one.target.q, -order[id(one)]))
        return found

    def served(self, uri: Uri) -> Aor | None:
        """Return the address-of-record of a URI, if it is a user of this server."""
        if not uri.aor:
            return None
        aor = self._domains.aor(uri)
        # An identity may be in a foreign domain.
        if self._domains.is_ours(uri):
            return aor
        if self._store.named_by(Place(self._table, aor)):
            return aor
        return None

    def knows(self, place: Place) -> bool:
        """Whether there is a record of a user, with or without a contact."""
        return self._store.is_known(self._store.record_of(place))

    def of(self, uri: Uri, binding: Binding | None) -> list[Target]:
        """
        Return the targets of a request that we originate: ``binding``, if it is given.

        The list is empty if ``uri`` is a user of this server without a usable contact.
        """
        if binding is not None:
            try:
                return [self._target_of(binding).target]
            except (RemoteProtocolError, ValueError) as exc:
                logger.warning(
                    "! contact %.80r cannot be used: %s", binding.contact, exc
                )
                return []
        if aor := self.served(uri):
            place = Place(self._table, aor)
            return [one.target for one in self.contacts(place)]
        return [Target(uri)]

    # Destinations.

    def find(self, uri: Uri, found: Found) -> None:
        """
        Resolve a URI to destinations, now or when the name servers have answered.

        Destinations that failed recently come last.
        """
        assert self._names is not None

        def ordered(destinations: list[Destination] | RemoteProtocolError) -> None:
            if not isinstance(destinations, RemoteProtocolError):
                destinations = self._blocklist.order(destinations)
            found(destinations)

        self._names.find(uri, ordered)

    def failed(self, transaction: AnyClient) -> None:
        """Try the destination of an unanswered request last for a while."""
        if isinstance(transaction, InviteClientTransaction) and transaction.cancels:
            return  # it answered provisionally, or the caller gave up early
        self._blocklist.add(_destination(transaction))

    def answered(self, transaction: AnyClient, response: Response) -> None:
        """Note an answer; an overloaded destination is tried last (§21.5.4)."""
        if response.status == 503:
            seconds = retry_after(response.header("Retry-After"))
            if seconds is not None:
                self._blocklist.add(_destination(transaction), float(seconds))
        elif len(self._blocklist):
            self._blocklist.remove(_destination(transaction))

    # Flows.

    def flow(self, target: Target, found: FlowFound) -> None:
        """Find the flow to a target: ``found`` gets it, or an error text."""
        if target.flow is not None:
            found(target.flow)
            return
        try:
            first = outgoing(target.uri.text, target.route).first
        except RemoteProtocolError as exc:
            found(str(exc))
            return

        def resolved(destinations: list[Destination] | RemoteProtocolError) -> None:
            if isinstance(destinations, RemoteProtocolError):
                found(str(destinations))
                return
            flows = (self.by(one, target.local) for one in destinations)
            flow = next((flow for flow in flows if flow is not None), None)
            found(flow or "no listening address of its kind")

        self.find(first, resolved)

    def flow_of(self, binding: Binding, found: FlowFound) -> None:
        """Find the flow to a binding: ``found`` gets it, or an error text."""
        try:
            target = self._target_of(binding).target
        except (RemoteProtocolError, ValueError) as exc:
            found(str(exc))
            return
        self.flow(target, found)

    def by(self, destination: Destination, local: Local | None = None) -> Flow | None:
        """
        Return the flow to a destination; None if there is no listening address of its
        kind.

        If several local addresses fit, the first of these is used: the one with an open
        connection to the destination; ``local``; the one that the routing table of the
        host selects; the first in the configuration.
        """
        address = destination.address
        family = family_of(address[0])
        fitting = [
            one
            for one in self._locals
            if one.transport == destination.transport and family_of(one.host) == family
        ]
        if not fitting:
            return None
        chosen = fitting[0]
        if len(fitting) > 1:
            chosen = self._chosen(fitting, destination, local)
        return Flow(chosen, scoped(address, chosen), destination.name)

    def _chosen(
        self, fitting: list[Local], destination: Destination, preferred: Local | None
    ) -> Local:
        address = destination.address
        if fitting[0].is_reliable:
            for local in fitting:
                if self._is_open(Flow(local, address, destination.name)):
                    return local
        if preferred is not None and preferred in fitting:
            return preferred
        source = self._source_of(address)
        by_host = (local for local in fitting if local.host == source)
        return next(by_host, fitting[0])

    def _check(self, target: Target) -> None:
        """
        Check the scheme and transport of a target.

        Raises:
            RemoteProtocolError: one of them is not supported.
        """
        if target.flow is not None:
            return
        uri = outgoing(target.uri.text, target.route).first
        if uri.scheme not in ("sip", "sips"):
            raise RemoteProtocolError(f"{uri.scheme}: URIs are not reached")
        asked_for(uri, self._transports)

    def _target_of(self, binding: Binding) -> ContactTarget:
        """
        Make a target from a binding.

        Raises:
            RemoteProtocolError, ValueError: the binding cannot be used.
        """
        uri = Uri.parse(binding.contact)
        for value in binding.path:
            Uri.parse(route_uri(value))
        flow = self._nat.flow(binding)
        origin = None if flow is not None else self._nat.origin(binding)
        target = Target(
            uri,
            1.0 if binding.q is None else float(binding.q),
            binding.path,
            flow,
            None if origin is None else origin.local,
        )
        methods = next((v for n, v in binding.params if n == "methods"), None)
        if methods is None:
            return ContactTarget(target, None)
        names = unquote(methods).split(",")
        return ContactTarget(target, frozenset(name.strip().upper() for name in names))


def _destination(transaction: AnyClient) -> Destination:
    flow = transaction.flow
    return Destination(flow.local.transport, flow.remote, flow.name)
