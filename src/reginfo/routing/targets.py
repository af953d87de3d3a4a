"""Where users and URIs are: contacts of the location service, and names in the DNS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..io.udp import family_of
from ..ledger.part import Found as Found
from ..ledger.part import Names as Names
from ..location.binding import Binding
from ..location.store import LocationStore
from ..sip.destination import Destination
from ..sip.dialog import route_uri
from ..sip.endpoint import AnyClient
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Flow, Local
from ..sip.headers import unquote
from ..sip.invite import InviteClientTransaction
from ..sip.message import Response
from ..sip.uri import Uri
from .blocklist import Blocklist
from .domains import Domains
from .target import Target


class Reached(NamedTuple):
    """A contact, and how it is reached."""

    target: Target

    methods: frozenset[str] | None
    "Those that it takes (RFC 3840 §10.2.4); None if it does not say."

    def takes(self, method: str) -> bool:
        """Whether it takes requests of ``method``."""
        return self.methods is None or method in self.methods


class Targets:
    """
    Finds what a request is to be sent to.

    Args:
        reach: the flow by which alone a binding is reached; None if its URI says where
            it is.
        now: seconds on the clock that bindings use.
    """

    def __init__(
        self,
        store: LocationStore,
        *,
        domains: Domains,
        reach: Callable[[Binding], Flow | None],
        now: Callable[[], float],
        table: str,
    ) -> None:
        self._store = store
        self._domains = domains
        self._reach = reach
        self._now = now
        self._table = table
        self._blocklist = Blocklist(now)
        self._names: Names | None = None
        self._locals: Sequence[Local] = ()

    def begin(self, locals: Sequence[Local], names: Names) -> None:
        """Take it that we listen at ``locals``, and find others by ``names``."""
        self._locals = locals
        self._names = names

    def contacts(self, aor: str, table: str) -> list[Reached]:
        """The contacts of an address-of-record, or of an identity; preferred first."""
        record = self._store.record_of(aor, table)
        bound = self._store.bindings(record, self._now(), table)
        found = [self._reached(binding) for binding in bound]
        # Of those that are alike, the one that was heard last.
        order = {id(one): at for at, one in enumerate(found)}
        found.sort(key=lambda one: (-one.target.q, -order[id(one)]))
        return found

    def served(self, uri: Uri) -> str | None:
        """The address-of-record that a URI names, if it is of a user of ours."""
        if not uri.aor:
            return None
        aor = self._domains.aor(uri)
        # An identity may be in a domain that we know nothing else of.
        if self._domains.hold(uri) or self._store.named_by(aor, self._table):
            return aor
        return None

    def knows(self, aor: str, table: str) -> bool:
        """Whether anything is known of a user, who may be nowhere now."""
        record = self._store.record_of(aor, table)
        return bool(self._store.rows(record, table) or self._store.keys(record, table))

    def ways(self, uri: Uri, binding: Binding | None) -> list[Target]:
        """
        Where a request of our own to ``uri`` goes: to ``binding``, if it is given.

        None at all if the user is one of ours, and nowhere.
        """
        if binding is not None:
            return [self._reached(binding).target]
        if aor := self.served(uri):
            return [one.target for one in self.contacts(aor, self._table)]
        return [Target(uri)]

    def find(self, uri: Uri, found: Found) -> None:
        """
        Find where a URI is: now, or when the name servers have answered.

        Who has failed lately comes last.
        """
        assert self._names is not None

        def ordered(places: list[Destination] | RemoteProtocolError) -> None:
            if not isinstance(places, RemoteProtocolError):
                places = self._blocklist.order(places)
            found(places)

        self._names.find(uri, ordered)

    def failed(self, transaction: AnyClient) -> None:
        """A request has got no answer: others are tried first for a while."""
        if isinstance(transaction, InviteClientTransaction) and transaction.cancels:
            return  # it rang, or nobody has waited for long
        self._blocklist.add(_place(transaction))

    def answered(self, transaction: AnyClient, response: Response) -> None:
        """A request has got an answer; who is overloaded is left alone (§21.5.4)."""
        if response.status == 503:
            after = (response.header("Retry-After") or "").partition(";")[0]
            seconds = after.partition("(")[0].strip()
            if seconds.isdecimal():
                self._blocklist.add(_place(transaction), float(seconds[:9]))
        elif len(self._blocklist):
            self._blocklist.remove(_place(transaction))

    def flow(self, target: Target, found: Callable[[Flow | str], None]) -> None:
        """The flow to the next hop of a target; or what is wrong."""
        if target.flow is not None:
            found(target.flow)
            return

        def located(places: list[Destination] | RemoteProtocolError) -> None:
            if isinstance(places, RemoteProtocolError):
                found(str(places))
                return
            flows = [flow for place in places if (flow := self.by(place)) is not None]
            found(flows[0] if flows else "we cannot send to an address of its kind")

        try:
            hop = Uri.parse(route_uri(target.route[0])) if target.route else target.uri
        except RemoteProtocolError as exc:
            found(str(exc))
            return
        self.find(hop, located)

    def reach(self, binding: Binding, found: Callable[[Flow | str], None]) -> None:
        """The flow to a binding; or what is wrong."""
        self.flow(self._reached(binding).target, found)

    def by(self, place: Destination) -> Flow | None:
        """The flow to a destination; None if we have no address of its kind."""
        family = family_of(place.address[0])
        return next(
            (
                Flow(local, place.address)
                for local in self._locals
                if local.transport == place.transport
                and family_of(local.host) == family
            ),
            None,
        )

    def _reached(self, binding: Binding) -> Reached:
        target = Target(
            Uri.parse(binding.contact),
            1.0 if binding.q is None else float(binding.q),
            binding.path,
            self._reach(binding),
        )
        methods = next((v for n, v in binding.params if n == "methods"), None)
        if methods is None:
            return Reached(target, None)
        names = unquote(methods).split(",")
        return Reached(target, frozenset(name.strip().upper() for name in names))


def _place(transaction: AnyClient) -> Destination:
    flow = transaction.flow
    return Destination(flow.local.transport, flow.remote)
