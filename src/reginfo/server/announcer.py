"""Changes of the store, made known: to the parts, the script and the log."""

from __future__ import annotations

import logging

from ..ledger.journal import Journal
from ..ledger.part import Parts
from ..location.binding import BindingChange
from ..location.keyring import KeyChange
from ..reg.document import ContactEvent
from .scripting import Scripting

logger = logging.getLogger("reginfo.server")

REFRESHED = ContactEvent.REFRESHED


class Announcer:
    """Has every part hear a change, and the script and the log once it is durable."""

    def __init__(self, journal: Journal, parts: Parts) -> None:
        self._journal = journal
        self._hears = parts.hears
        self.script: Scripting | None = None

    def announce(self, change: BindingChange | KeyChange) -> None:
        """Make a change known that was just decided."""
        self._hears(change)
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
