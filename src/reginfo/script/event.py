"""Events of a script: changes of contacts and of subscriptions."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..location.binding import Binding
from ..location.place import Place
from ..sip.message import Response
from .core import Core
from .functions import Functions
from .pseudo import Data


class Event(Functions):
    """What has happened; it is on disk already."""

    __slots__ = ("name",)

    def __init__(self, core: Core, name: str) -> None:
        super().__init__(core)
        self.name = name
        "As :meth:`reginfo.script.route.Route.event` has it."

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class ContactChanged(Event):
    """One of the nine events of a contact (RFC 3680 §4.7.1)."""

    __slots__ = ("aor", "binding", "learned", "table")

    def __init__(
        self, core: Core, place: Place, binding: Binding, learned: bool
    ) -> None:
        super().__init__(core, binding.event.value)
        self.table = place.table
        self.aor: str = Data(place.aor)
        self.binding = binding
        "The contact as it is now, and whose it is."

        self.learned = learned
        "Whether it was registered at another server, and learned from that."

    def __repr__(self) -> str:
        where = "learned" if self.learned else "registered here"
        return f"<ContactChanged {self.name}: {self.aor} {self.contact}, {where}>"

    @property
    def contact(self) -> str:
        """The contact's URI."""
        return Data(self.binding.contact)

    def send_to_contact(
        self,
        method: str,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: str | bytes = b"",
        from_: str | None = None,
    ) -> Awaitable[Response]:
        """
        Send a request to this contact, by its flow or where its URI leads.

        Otherwise as :meth:`send_request`.
        """
        return self._core.send_request(
            method, self.aor, self.binding, headers, body, from_
        )


class SubscriptionChanged(Event):
    """What became of a subscription that was asked for by `reginfo_subscribe`."""

    __slots__ = ("reason", "state", "uri")

    def __init__(self, core: Core, uri: str, state: str, reason: str) -> None:
        super().__init__(core, "subscription")
        self.uri = uri
        "What was subscribed to."

        self.state = state
        """
        `active`, `terminated` by the other side, `refused`, `failed` for want of an
        answer or of an address, or `ended` by us. Unless it was ended, it is asked for
        again.
        """

        self.reason = reason
        "As Subscription-State, or the response, has it; why it failed."
