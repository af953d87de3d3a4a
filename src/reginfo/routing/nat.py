"""How a contact is reached that is not where it says: behind a NAT, say (RFC 5626)."""

from __future__ import annotations

from collections.abc import Sequence

from ..location.binding import Binding
from ..sip.flow import Flow, Local
from ..sip.uri import Uri
from ..sip.way import numeric

SIP_PORT = 5060


class Reach:
    """
    Finds the flow that a REGISTER came by, for contacts that need it.

    Args:
        fix: whether a private address in a contact, which is not where its REGISTER
            came from, is not believed; see ``[nat] fix``.
    """

    def __init__(self, *, fix: bool) -> None:
        self._fix = fix
        self._locals: Sequence[Local] = ()

    def begin(self, locals: Sequence[Local]) -> None:
        """Take it that we listen at ``locals``."""
        self._locals = locals

    def hides(self, contact: Uri, host: str) -> bool:
        """Whether who came from ``host`` is not reached by the URI of its contact."""
        if contact.param("ob") is not None:
            return True
        said, private = numeric(contact.host)
        return self._fix and private and said != host

    def flow(self, binding: Binding) -> Flow | None:
        """
        The flow by which alone a binding is reached; None to follow its URI or Path.

        Of several addresses of ours it goes by the first of its kind.
        """
        if binding.path or not binding.received:
            return None
        received = Uri.parse(binding.received)
        host, _ = numeric(received.host)
        if not self.hides(Uri.parse(binding.contact), host):
            return None
        transport = (received.param("transport") or "udp").upper()
        for local in self._locals:
            if local.transport == transport and (":" in local.host) == (":" in host):
                return Flow(local, (host, received.port or SIP_PORT))
        return None
