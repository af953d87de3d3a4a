"""The arguments of event handlers: changes of contacts and of subscriptions."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from ..location.binding import Binding
from ..location.place import Place
from ..sip.message import Response
from .core import Core
from .functions import Functions
from .pseudo import Data


class Event(Functions):
    """A change that is already on disk."""

    __slots__ = ("name",)

    def __init__(self, core: Core, name: str) -> None:
        super().__init__(core)
        self.name = name
        "The name of the event, as in :meth:`reginfo.script.route.Route.event`."

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
        "The contact after the change, with its owner."

        self.learned = learned
        "Whether the contact registered at another server, which reported it."

    def __repr__(self) -> str:
        where = "learned" if self.learned else "registered here"
        return f"<ContactChanged {self.name}: {self.aor} {self.contact}, {where}>"

    @property
    def contact(self) -> str:
        """The contact URI."""
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
        Send a request to this contact, by its flow or its URI.

        See :meth:`send_request`.
        """
        return self._core.send_request(
            method, self.aor, self.binding, headers, body, from_
        )


class SubscriptionChanged(Event):
    """A change of a subscription that `reginfo_subscribe` requested."""

    __slots__ = ("reason", "state", "uri")

    def __init__(self, core: Core, uri: str, state: str, reason: str) -> None:
        super().__init__(core, "subscription")
        self.uri = uri
        "The URI that was subscribed to."

        self.state = state
        """
        `active`, `terminated` by the other side, `refused`, `failed` (no answer, or no
        address), or `ended` by this server. Unless it has ended, it is retried.
        """

        self.reason = reason
        "The reason from Subscription-State or from the response, or of the failure."
