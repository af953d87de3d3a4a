"""Announces changes of the store to the parts, the script and the log."""

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
    """Passes changes to every part at once, and to script and log once durable."""

    def __init__(self, journal: Journal, parts: Parts) -> None:
        self._journal = journal
        self._hears = parts.hears
        self.script: Scripting | None = None

    def announce(self, change: BindingChange | KeyChange) -> None:
        """Announce a change that was just decided."""
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
