"""What becomes of a user that cannot log in any more, or can again."""

from __future__ import annotations

import logging

from ..auth.directory import Changed
from ..location.place import Aor, Place
from ..location.store import LocationStore
from ..reg.document import ContactEvent
from ..roles.notifier import Notifier
from .acts import Acts

logger = logging.getLogger("reginfo.server")


class Expulsion:
    """
    Ends the bindings and subscriptions of users that cannot log in any more.

    Args:
        table: the location table of the bindings.
    """

    def __init__(
        self, store: LocationStore, acts: Acts, notifier: Notifier, table: str
    ) -> None:
        self._store = store
        self._acts = acts
        self._notifier = notifier
        self._table = table

    def carry_out(self, changed: Changed, now: float) -> None:
        """
        Carry out a change of the users, within a turn.

        A user that is out is `rejected`, and may register again once it is back.
        """
        for account in changed.out:
            for aor in (account.aor, *account.also):
                self._end(Aor(aor), now)
        for account in changed.back:
            for aor in (account.aor, *account.also):
                self._acts.admit(self._table, aor)

    def _end(self, aor: Aor, now: float) -> None:
        place = Place(self._table, aor)
        if self._store.bindings(place, now):
            logger.info("= %s cannot log in any more: its bindings end", aor)
            event = ContactEvent.REJECTED
            self._acts.remove(self._table, aor, None, event, None)
        self._notifier.reject(aor, now)
