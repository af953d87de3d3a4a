"""One publication at a presence server, and its stored form."""

from __future__ import annotations

import logging
from typing import Protocol

import msgspec

from ..events.publish import Publication
from ..ledger.journal import Journal
from ..ledger.shelf import Rows, nothing
from ..location import claim
from ..location.binding import Binding
from ..location.place import Aor
from ..reg.legacy import Profile
from ..sip.clients import UDP_ONLY
from ..sip.flow import Flow
from ..sip.message import Response
from ..sip.moment import Moment

logger = logging.getLogger("reginfo.publisher")

KIND = "published"
CONTACT_KIND = "published-contact"
"""The kinds of its journal entries: a publication, and one contact in it."""


LONGEST_BODY = 1 << 19
"""Octets of a body over a stream, at most: half of what `max_message` is by default."""

LONGEST_DATAGRAM_BODY = 48 * 1024
"""Octets of a body in one datagram, which UDP carries in fragments, at most."""

SHORTEST_BODY = 1000
"""Octets of a body that is in no fragments: with its head, a request of 1300."""


LOST_ON_THE_WAY = frozenset({"connection lost", "connection reset", "message too long"})
"""Causes of a failure that the length of a request may have."""


class PresenceServer(msgspec.Struct, kw_only=True):
    """A presence server."""

    uri: str

    flow: Flow | None = None
    "Where PUBLISH is sent; None until the name of the server is found."

    profile: Profile | None = None
    "The profile of its documents; None to derive it from its Server header."

    recognised: Profile = Profile.STANDARD
    takes_claims: bool = False
    "Whether it is a `reginfo` server: it gets claims, and keeps them."

    refused: bool = False
    "Whether it has refused all publications."

    failing_since: float | None = None
    "When a PUBLISH failed for the first time after the last success, on our clock."

    problem: str = ""
    "Why."

    longest: int = LONGEST_BODY
    "Octets of the longest body that it is sent at the moment."

    longest_until: float = 0.0
    "When :attr:`longest` ends, in seconds on our clock: then all is tried again."

    def room(self, by_datagram: bool, now: float) -> int:
        """Return how many octets a body may have."""
        if now >= self.longest_until:
            self.longest = LONGEST_BODY
        return min(self.longest, LONGEST_DATAGRAM_BODY if by_datagram else LONGEST_BODY)

    def shorten(self, length: int, longest: int, now: float) -> None:
        """
        Send shorter bodies for a while, because one may have failed for its length.

        Args:
            length: octets of that body; one that fits into any datagram has not.
            longest: octets from now on, but not less than those.
        """
        if length > SHORTEST_BODY:
            self.longest = max(SHORTEST_BODY, longest)
            self.longest_until = now + UDP_ONLY

    def note_problem(self, problem: str, now: float) -> None:
        """Note that a PUBLISH has failed."""
        self.problem = problem
        if self.failing_since is None:
            self.failing_since = now

    def note_success(self) -> None:
        """Note that a PUBLISH was accepted."""
        self.refused, self.failing_since, self.problem = False, None, ""

    @property
    def speaks(self) -> Profile:
        """Return the profile of its documents."""
        return self.profile or self.recognised


class PublishedRow(msgspec.Struct, kw_only=True, gc=False):
    """The stored form of a publication; its contacts have rows of their own."""

    publication: Publication

    takes_claims: bool = False
    "Whether the server takes claims."


class PublicationKeeper(Protocol):
    """Keeps publications alive; see :class:`Publisher`."""

    def receive_response(
        self, published: PublishedState, response: Response, now: float
    ) -> None:
        """Receive the response to the unanswered PUBLISH."""

    def receive_failure(
        self, published: PublishedState, cause: str, now: float
    ) -> None:
        """Receive the news that the unanswered PUBLISH failed."""


class PublishedState:
    """One address-of-record, or identity, at one presence server."""

    __slots__ = (
        "aor",
        "asked",
        "flow",
        "heard",
        "is_plain",
        "keeper",
        "owed",
        "publication",
        "scheduled_at",
        "left_out",
        "length",
        "saved",
        "sent",
        "stored",
        "target",
        "told",
    )

    def __init__(
        self,
        aor: Aor,
        target: PresenceServer,
        publication: Publication,
        keeper: PublicationKeeper,
    ) -> None:
        self.keeper = keeper
        "Receives the responses to its PUBLISHes."

        self.aor = aor
        self.target = target
        self.publication = publication
        self.is_plain = False
        "Whether the PUBLISH under way has a document without claims."

        self.flow: Flow | None = None
        "Where the PUBLISH under way was sent."

        self.asked = 0
        "The Expires of the unanswered PUBLISH, in seconds."

        self.owed = False
        "Whether there is a change, and more changes of the same REGISTER will follow."

        self.length = 0
        "Octets of the body of the PUBLISH under way."

        self.left_out = 0
        "How many contacts the last PUBLISH had no room for."

        self.told: dict[str, Binding] = {}
        "Contacts that the server may list, by key."

        self.sent: dict[str, Binding] = {}
        "Contacts in the unanswered PUBLISH."

        self.stored: dict[str, Binding] = {}
        "Contacts that have a row in the storage."

        self.saved: tuple[dict[str, Binding], dict[str, Binding]] = ({}, {})
        "`told` and `sent` when the publication was last stored."

        self.heard = (0, 0.0)
        "CSeq of the last completed PUBLISH, and when; a failed commit undoes neither."

        self.scheduled_at: float | None = None

    def __repr__(self) -> str:
        return f"<PublishedState of {self.aor} at {self.target.uri}>"

    def note_failure(self, cause: str, by_datagram: bool, now: float) -> None:
        """Note a failure; shorten later bodies if the length of this one may be why."""
        uri = self.target.uri
        logger.warning("! PUBLISH of %s at %s got no answer: %s", self.aor, uri, cause)
        self.target.note_problem(f"PUBLISH got no answer: {cause}", now)
        if cause in LOST_ON_THE_WAY:
            self.target.shorten(self.length, self.length // 4, now)
        elif cause == "timeout" and by_datagram:
            # Fragments of a datagram may never arrive (RFC 3261 §18.1.1).
            self.target.shorten(self.length, SHORTEST_BODY, now)

    def note_left_out(self, number: int) -> None:
        """Log once that a publication has fewer contacts than ``number``."""
        here = sum(one.active for one in self.sent.values())
        if here < number and not self.left_out:
            message = "! PUBLISH of %s at %s is too long: it has %d of %d contacts"
            logger.warning(message, self.aor, self.target.uri, here, number)
        self.left_out = number - here

    def doubt(self) -> None:
        """Note that the unanswered PUBLISH may have arrived, with its contacts."""
        self.told, self.sent = {**self.told, **self.sent}, {}

    @property
    def timer_at(self) -> float | None:
        return self.publication.timer_at

    @timer_at.setter
    def timer_at(self, at: float | None) -> None:
        self.publication.timer_at = at

    def timer_due(self, now: float) -> None:
        self.publication.timer_due(now)

    # The user of each PUBLISH (:class:`reginfo.sip.user.User`).

    def receive_response(self, response: Response, moment: Moment) -> None:
        """Receive the response to the unanswered PUBLISH."""
        self.keeper.receive_response(self, response, moment.now)

    def receive_failure(self, cause: str, moment: Moment) -> None:
        """Receive the news that the unanswered PUBLISH failed."""
        self.keeper.receive_failure(self, cause, moment.now)

    def never_sent(self) -> None:
        """Do nothing: the journal's undo list restores the publication."""


class PublishedShelf:
    """
    The stored publications: the state of each, and a row for each of its contacts.

    The key is the URI of the presence server and the address-of-record.
    """

    def __init__(self, journal: Journal) -> None:
        self._loaded: dict[str, PublishedRow] = {}
        self._loaded_contacts: dict[str, dict[str, Binding]] = {}
        self._rows: Rows[PublishedRow] = Rows(
            journal, KIND, PublishedRow, self._loaded.__setitem__, _shifted
        )
        self._contacts: Rows[Binding] = Rows(
            journal, CONTACT_KIND, Binding, self._take_contact, claim.shifted
        )

    @property
    def rows(self) -> tuple[Rows[PublishedRow], Rows[Binding]]:
        """The stored rows; :meth:`take` returns them."""
        return (self._rows, self._contacts)

    def stored_at(self, uri: str) -> list[str]:
        """Return the keys of the loaded publications at a server."""
        return [key for key in self._loaded if key.partition("\0")[0] == uri]

    def take(self, key: str) -> tuple[PublishedRow, dict[str, Binding]]:
        """Return a loaded publication, and its contacts by key."""
        return self._loaded.pop(key), self._loaded_contacts.pop(key, {})

    def save(self, key: str, published: PublishedState) -> None:
        """Store a publication, and those of its contacts that have changed."""
        # A copy, because the row is encoded when the batch closes.
        publication = msgspec.structs.replace(published.publication)
        row = PublishedRow(
            publication=publication, takes_claims=published.target.takes_claims
        )
        self._rows.write(key, row, nothing)
        source = (published.told, published.sent)
        if published.saved[0] is source[0] and published.saved[1] is source[1]:
            return
        published.saved = source
        before, after = published.stored, {**published.told, **published.sent}
        published.stored = after
        for name, contact in after.items():
            if before.get(name) is not contact:
                self._contacts.write(f"{key}\0{name}", contact, nothing)
        for name in before:
            if name not in after:
                self._contacts.erase(f"{key}\0{name}", nothing)

    def erase(self, key: str, published: PublishedState) -> None:
        """Remove a publication from the storage; the caller provides the undo."""
        self._rows.erase(key, nothing)
        for name in published.stored:
            self._contacts.erase(f"{key}\0{name}", nothing)

    def _take_contact(self, key: str, contact: Binding) -> None:
        server, aor, name = key.split("\0", 2)
        contacts = self._loaded_contacts.setdefault(f"{server}\0{aor}", {})
        contacts[name] = contact


def _shifted(row: PublishedRow, by: float) -> PublishedRow:
    publication = row.publication
    publication.expires_at += by
    publication.refresh_at += by
    publication.unheard_until += by
    return row
