"""Identifies a watcher: its peer, if any, and the dialect that it understands."""

from __future__ import annotations

import logging

from ..ledger.journal import Journal
from ..reg.legacy import Profile, profile_of
from ..sip.flow import Flow
from ..sip.message import Request
from ..sip.value import Value

logger = logging.getLogger("reginfo.notifier")

LEGACY_HOSTS = 1_000
"""The number of hosts remembered as already logged as legacy."""


class Watcher(Value, frozen=True, kw_only=True):
    """What is known of the sender of a SUBSCRIBE."""

    name: str | None = None
    "The name of the configured peer, if it is one."

    profile: Profile | None = None
    "The profile of its documents; None to derive it from its User-Agent."

    min_interval: float = 5.0
    "The minimum time between two NOTIFYs about one registration, in seconds."


class Dialects:
    """Determines the profile of watchers for which none is configured."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._legacy: set[str] = set()

    def of(self, watcher: Watcher, request: Request, flow: Flow) -> Profile:
        """Return the profile of the documents for a watcher."""
        if watcher.profile is not None:
            return watcher.profile
        profile = profile_of(request.user_agent)
        host = flow.remote[0]
        if profile is Profile.LEGACY and host not in self._legacy:
            if len(self._legacy) >= LEGACY_HOSTS:
                self._legacy.clear()
            self._legacy.add(host)
            self._journal.after(
                logger.warning,
                "= %s is %r: it gets documents that Kamailio and OpenSIPS understand, "
                'unless a [[peer]] says profile = "standard"',
                host,
                request.user_agent,
            )
        return profile


def instance_of(request: Request) -> str:
    """Return the device that sends a request (RFC 5626 §4.1); empty if unknown."""
    contact = request.contact()
    return "" if contact is None else contact.params.get("+sip.instance") or ""
