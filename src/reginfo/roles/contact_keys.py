"""Finds the keys of a contact among those of its user (RFC 3261 §19.1.4)."""

from __future__ import annotations

from collections.abc import Mapping

from ..location.claim import Claim
from ..location.lives import Claims
from ..sip.errors import Refusal
from ..sip.uri import Uri
from ..sip.uri_group import FEW, UriGroup

EACH = 4
SPARE = 1000
"""
The number of comparisons that one REGISTER may take: `EACH` for each contact that it
names or that is bound, and `SPARE`. Only a REGISTER that was made for it needs more.
"""


class ContactKeys:
    """
    The contacts that are bound, and those that a REGISTER binds.

    Args:
        rows: the claims about each bound contact, by key.
        asked: the number of contacts in the REGISTER.
    """

    def __init__(self, rows: Mapping[str, Claims], asked: int) -> None:
        self._rows = rows
        self._new: dict[str, Claim] = {}
        self._groups: dict[str, UriGroup[str]] | None = None
        self._left = SPARE + EACH * (len(rows) + asked)
        self.compared = 0
        "The number of comparisons so far."

        if len(rows) + asked > FEW:
            self._groups = {}
            for key, known in rows.items():
                self._index(key, Uri.parse(known[0].contact))

    def add(self, claim: Claim, uri: Uri) -> None:
        """Add a contact that the REGISTER binds or removes."""
        if claim.key in self._rows or claim.key in self._new:
            self._new[claim.key] = claim
            return
        self._new[claim.key] = claim
        if self._groups is not None:
            self._index(claim.key, uri)

    def of(self, uri: Uri, *, first: bool) -> list[str]:
        """
        Return the keys of a contact, beginning with the one to bind it by.

        There are several if two servers created keys for two spellings of it. A removal
        removes all of them; a refresh lets the others expire.

        Args:
            first: whether only the first one is needed.

        Raises:
            Refusal: 403; the contacts differ so little that the search takes too long.
        """
        # §19.1.4: URIs with different spellings can be equal, so no key is unique.
        key = uri.key
        found = [key] if key in self._rows or key in self._new else []
        if found and first:
            return found
        if self._groups is None:
            self._compare_all(uri, found)
            return found or [key]
        group = self._groups.get(uri.base)
        if group is not None:
            before = group.compared
            for other in group.find(uri):
                if other != key:
                    found.append(other)
                    if first:
                        break
            self._spend(group.compared - before + len(found))
        return found or [key]

    def _compare_all(self, uri: Uri, found: list[str]) -> None:
        for other, known in self._rows.items():
            if other != uri.key:
                self.compared += 1
                if uri.matches(Uri.parse(known[0].contact)):
                    found.append(other)
        for other, claim in self._new.items():
            if other != uri.key and other not in self._rows:
                self.compared += 1
                if uri.matches(Uri.parse(claim.contact)):
                    found.append(other)

    def _index(self, key: str, uri: Uri) -> None:
        assert self._groups is not None
        group = self._groups.get(uri.base)
        if group is None:
            group = self._groups[uri.base] = UriGroup()
        group.add(uri, key, key)

    def _spend(self, work: int) -> None:
        self.compared += work
        self._left -= work
        if self._left < 0:
            raise Refusal(403, "Contacts Too Similar")
