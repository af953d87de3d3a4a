"""Announces changes of the store to the parts, the script and the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..ledger.journal import Journal
from ..ledger.part import Hears
from ..location.binding import BindingChange
from ..location.keyring import KeyChange
from ..reg.document import ContactEvent
from .scripting import Scripting

logger = logging.getLogger("reginfo.server")

REFRESHED = ContactEvent.REFRESHED


class Announcer:
    """
    Has every part hear a change, and the script and the log once it is durable.

    Args:
        hearers: of the parts that depend on changes, in their order; if one raises,
            the change is taken back.
    """

    def __init__(self, journal: Journal, hearers: Sequence[Hears]) -> None:
        self._journal = journal
        self._hearers = hearers
        self.script: Scripting | None = None

    def announce(self, change: BindingChange | KeyChange) -> None:
        """Announce a change that was just decided."""
        for hears in self._hearers:
            hears(change)
        if type(change) is not BindingChange:
            return
        binding = change.binding
        event = binding.event
        script = self.script
        if script is not None and script.listens(event):
            self._journal.after(script.happened, change)
        if event is not REFRESHED:
            self._journal.after(
                logger.info, "= %s %s %s", change.place, binding.contact, event.value
            )
