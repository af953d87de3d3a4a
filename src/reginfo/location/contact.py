"""Contacts in the store: their claims, and what was announced of them."""

from __future__ import annotations

from .claim import Claim
from .lives import Claims


class ContactRow:
    """
    One contact of an address-of-record.

    It is in the index of changes, and in the timer wheel of the store: for when its
    time is up, and later for when it can be forgotten.
    """

    __slots__ = (
        "aor", "base", "claims", "key", "scheduled_at", "shown", "table", "timer_at",
    )  # fmt: skip

    def __init__(self, table: str, aor: str, key: str) -> None:
        self.table = table
        self.aor = aor
        self.key = key

        self.claims: Claims = ()
        "What is kept of it; the claim that holds comes first."

        self.shown: Claim | None = None
        "What it was announced to be bound by; None if it is not bound."

        self.base = ""
        "`Uri.base` of the contact, once it stands in an index."

        self.timer_at: float | None = None
        self.scheduled_at: float | None = None

    def has_number(self, number: int) -> bool:
        """Whether one of the claims has that number in the index of changes."""
        return any(claim.number == number for claim in self.claims)

    def timer_due(self, now: float) -> None:
        # Its store finds out what has become of it.
        self.timer_at = None


class UserContacts:
    """The contacts of one address-of-record, by their keys."""

    __slots__ = ("bound", "over", "rows")

    def __init__(self) -> None:
        self.rows: dict[str, ContactRow] = {}
        "All that are kept."

        self.bound: dict[str, ContactRow] = {}
        "Those that are shown: most often few, however many were left behind."

        self.over: dict[ContactRow, None] = {}
        "The others, those that ended first at the front."
