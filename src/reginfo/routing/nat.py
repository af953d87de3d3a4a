"""The flows of contacts, and contacts that only their flow reaches (RFC 5626)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ..location.binding import Binding
from ..sip.address import numeric
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Address, Flow, Local, scoped, unscoped
from ..sip.transport import ACCEPTING_ONLY, Transport
from ..sip.uri import Uri

logger = logging.getLogger("reginfo.proxy")


class Nat:
    """
    Finds the flow of the REGISTER of a binding.

    Args:
        fix: whether to use this flow for a contact with a private address that is not
            the source of its REGISTER; see ``[nat] fix``.
        reaches: whether a flow leads to a validated address. Another address that a
            contact names may be that of a third party, so such a contact is reached at
            the source of its REGISTER, too.
    """

    def __init__(
        self, *, fix: bool, reaches: Callable[[Flow], bool] = lambda flow: True
    ) -> None:
        self._fix = fix
        self._reaches = reaches
        self._locals: Sequence[Local] = ()
        self._listeners: dict[str, Local] = {}

    def begin(self, locals: Sequence[Local]) -> None:
        """Set the listening addresses."""
        self._locals = locals
        self._listeners = {str(local): local for local in locals}

    def needs_flow(self, contact: Uri, flow: Flow) -> bool:
        """
        Whether a contact is reachable only by the flow of its message.

        This is the case if it requests it (``;ob``, RFC 5626 §5.3), if it came by TLS
        or WebSocket, or if its address is private and differs from the source of its
        message. A `sips:` URI is not reached by an insecure flow, whatever it says.
        """
        transport = flow.local.transport
        if contact.scheme == "sips" and not transport.is_secure:
            return False
        if transport in ACCEPTING_ONLY or contact.param("ob") is not None:
            return True
        source = flow.remote[0]
        host = numeric(contact.host)
        return self._fix and not host.is_global and host.address != unscoped(source)

    def flow(self, binding: Binding) -> Flow | None:
        """Return the only flow that reaches a binding; None to follow its URI."""
        origin = self.origin(binding)
        if origin is None:
            return None
        contact = Uri.parse(binding.contact)
        if self.needs_flow(contact, origin):
            return origin
        return None if self._is_reachable(contact, origin) else origin

    def _is_reachable(self, contact: Uri, origin: Flow) -> bool:
        """Whether a contact may be reached at the address in its URI."""
        host = numeric(contact.host).address
        transport = Transport.of(contact)
        if not host or transport is None or transport.is_reliable:
            return True  # a name is resolved first; a stream is validated
        if origin.local.is_reliable:
            return True
        address = scoped((host, contact.port or transport.default_port), origin.local)
        if address == origin.remote or self._reaches(Flow(origin.local, address)):
            return True
        # Some phones send from one port, and listen at another.
        return address[0] == origin.remote[0] and self._reaches(origin)

    def origin(self, binding: Binding) -> Flow | None:
        """
        Return the flow of the REGISTER of a binding; None if unknown.

        A binding with a Path came through another element, which knows its flow. If the
        server no longer listens at the address of the REGISTER, another address of the
        same kind is used.
        """
        if binding.path:
            return None
        listener = self._listeners.get(binding.listener)
        if binding.received:
            source = parse_received(binding.received)
            if source is None:
                logger.warning(
                    "! %s: unusable source %.80r is ignored",
                    binding.contact, binding.received,
                )  # fmt: skip
                return None
            transport: Transport | None
            transport, address = source
        elif binding.listener:
            contact = Uri.parse(binding.contact)
            host = numeric(contact.host).address
            if not host:
                return None
            transport = Transport.named(binding.listener.partition(":")[0])
            if transport is None:
                return None
            address = (host, contact.port or transport.default_port)
        else:
            return None
        if listener is None or listener.transport != transport:
            listener = self._first(transport, ":" in address[0])
        return None if listener is None else Flow(listener, scoped(address, listener))

    def _first(self, transport: Transport | None, is_ipv6: bool) -> Local | None:
        return next(
            (
                local
                for local in self._locals
                if local.transport == transport and (":" in local.host) == is_ipv6
            ),
            None,
        )


def parse_received(text: str) -> tuple[Transport, Address] | None:
    """
    Parse the source of a REGISTER: its transport and address; None if it is unusable.

    IPv6 addresses without brackets, as old versions stored them, are accepted.
    """
    try:
        uri = Uri.parse(text)
    except RemoteProtocolError:
        host, _, rest = text.removeprefix("sip:").partition(";")[0].rpartition(":")
        bracketed = text.replace(host, f"[{host}]", 1) if ":" in host else ""
        if not (bracketed and rest.isdecimal() and numeric(f"[{host}]").address):
            return None
        return parse_received(bracketed)
    host = numeric(uri.host).address
    if not host:
        return None
    transport = Transport.of(uri)
    if transport is None:
        return None
    return transport, (host, uri.port or transport.default_port)
