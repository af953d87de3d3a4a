"""A group: whole domains under one URI."""

from __future__ import annotations

from collections.abc import Callable

from ..config.sections import GroupSection
from ..location.place import Aor
from ..roles.admission import Admission
from ..sip.message import Request
from .epochs import definition_of


class Group:
    """
    The users of some domains.

    Args:
        aor: the URI of the group, in the form that addresses-of-record have.
        table: the location table that its users are in.
        believes: whether the From of a request is that of its sender; None: it is.
    """

    __slots__ = ("admission", "aor", "definition", "domains", "table", "uri")

    def __init__(
        self,
        section: GroupSection,
        aor: Aor,
        table: str,
        believes: Callable[[Request], bool] | None = None,
    ) -> None:
        self.uri = section.uri
        self.aor = aor
        self.table = table
        self.domains = frozenset(section.domains)
        self.admission = Admission(allow=section.allow, believes=believes)
        self.definition = definition_of(table, section.domains)

    def covers(self, aor: str) -> bool:
        """Whether an address-of-record is in the group; a `tel:` one is in any."""
        _, at, host = aor.rpartition("@")
        if at:
            return host in self.domains
        return host.startswith("tel:") or host.partition(":")[2] in self.domains
