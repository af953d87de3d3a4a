"""Validated addresses: who receives there what is sent there (as RFC 9000 §8)."""

from __future__ import annotations

from collections.abc import Iterable

from .flow import Address, Flow

FACTOR = 3
"""Octets that may be sent to an address that is not validated, per octet received."""

PERIOD = 16.0
"""
Seconds of one accounting period. A received octet counts in its own period and in the
next one, so for at most 32 s, the time in which a request is retransmitted.
"""

VALIDATED_FOR = 3600.0
"""Seconds that a validation lasts, unless its dialog or binding lasts longer."""

PROBE_PAUSE = 32.0
"""Seconds until an unanswered probe is given up (Timer F)."""

ADDRESSES = 200_000
"""The maximum number of validated addresses; the oldest is forgotten first."""

PROBES_OF_HOST = 2
"""Probes beyond any credit that are sent to one host in a period, whatever the port."""

ACCOUNTS = 50_000
"""
The maximum number of addresses with credit in one period; it ends early if there are
more. The same number of probes is remembered.
"""


class AddressValidation:
    """
    Knows which addresses are validated, and how much may be sent to the others.

    Everything here is about addresses that UDP reaches. The other end of a stream has
    answered our SYN-ACK, so it is validated.

    The source of a datagram can be forged. Whoever sends 60 octets in the name of
    another host must not cause much more than that to be sent to it. An address is
    validated by a message from it that only a host which receives there can send:
    an authenticated request, or a response with a branch of ours. So are the addresses
    that the configuration names.
    """

    def __init__(self) -> None:
        self._until: dict[Address, float] = {}
        self._configured: set[Address] = set()
        self._is_closed = False
        self._credit: dict[Address, int] = {}
        self._before: dict[Address, int] = {}
        self._period_ends = 0.0
        self._probed: dict[Address, float] = {}
        self._hosts: dict[str, int] = {}

    def __len__(self) -> int:
        """Count the validated addresses."""
        return len(self._until)

    def receive(self, remote: Address, octets: int, now: float) -> None:
        """Note a datagram of ``octets`` from ``remote``."""
        until = self._until.get(remote)
        if until is not None and until > now:
            return
        if now >= self._period_ends or len(self._credit) >= ACCOUNTS:
            self._begin_period(now)
        self._credit[remote] = self._credit.get(remote, 0) + FACTOR * octets

    def redirect(self, source: Address, remote: Address, octets: int) -> None:
        """
        Count a datagram of ``octets`` for ``remote`` instead of its source.

        A request without `rport` is answered at another port of its source (§18.2.2).
        """
        credit = self._credit.get(source)
        if credit is not None:
            octets = min(FACTOR * octets, credit)
            self._credit[source] = credit - octets
            self._credit[remote] = self._credit.get(remote, 0) + octets

    def prove(self, flow: Flow, until: float) -> None:
        """
        Validate the address of a peer, because of a message from it.

        Args:
            until: the end of its dialog or binding, or :data:`VALIDATED_FOR` seconds
                from now, whichever is later.
        """
        if flow.local.transport.is_reliable:
            return
        remote, known = flow.remote, self._until
        before = known.get(remote)
        # Most calls prolong by seconds, and would only move the address to the end.
        if before is not None:
            if before + PERIOD > until:
                return
            del known[remote]
        elif len(known) >= ADDRESSES:
            del known[next(iter(known))]
        known[remote] = until
        self._probed.pop(remote, None)

    def configure(self, addresses: Iterable[Address]) -> None:
        """Validate addresses that the configuration names."""
        self._configured.update(addresses)

    def validate_all(self) -> None:
        """Validate every address, for a network that nobody else can send to."""
        self._is_closed = True

    def is_validated(self, flow: Flow, now: float) -> bool:
        """Whether as much as needed may be sent on ``flow``."""
        remote = flow.remote
        return (
            flow.local.transport.is_reliable
            or self._until.get(remote, 0.0) > now
            or remote in self._configured
            or self._is_closed
        )

    def admit(self, remote: Address, octets: int, now: float) -> bool:
        """
        Whether ``octets`` may be sent to ``remote`` now; they are counted if so.
        """
        return self.is_known(remote, now) or self.spend(remote, octets, now)

    def is_known(self, remote: Address, now: float) -> bool:
        """Whether an address of UDP was validated by a message from it."""
        until = self._until.get(remote)
        return until is not None and until > now

    def spend(self, remote: Address, octets: int, now: float) -> bool:
        """Like :meth:`admit`, for an address that no message has validated."""
        if now >= self._period_ends:
            self._begin_period(now)
        credit = self._credit.get(remote, 0)
        if credit >= octets:
            self._credit[remote] = credit - octets
            return True
        before = self._before.get(remote, 0)
        if credit + before >= octets:
            self._before[remote] = before - min(before, octets)
            if before < octets:
                self._credit[remote] = credit + before - octets
            return True
        return self._is_closed or remote in self._configured

    def begin_probe(
        self, remote: Address, octets: int, now: float, *, is_first: bool
    ) -> bool:
        """
        Whether a probe may be sent to ``remote``; it is noted if so.

        To an address that has sent something lately, it goes within its credit. To any
        other it goes beyond, but not often, and not to many ports of one host: a
        request to ten contacts there must not cause ten probes.

        Args:
            is_first: whether it is the first request of a dialog, which somebody has
                asked for. Without that there is one probe an hour.
        """
        at = self._probed.get(remote)
        pause = PROBE_PAUSE if is_first else VALIDATED_FOR
        if at is not None and now < at + pause:
            return False
        if now >= self._period_ends:
            self._begin_period(now)
        if remote in self._credit or remote in self._before:
            if not self.spend(remote, octets, now):
                return False
        else:
            host = remote[0]
            count = self._hosts.get(host, 0)
            if count >= PROBES_OF_HOST or len(self._hosts) >= ACCOUNTS:
                return False
            self._hosts[host] = count + 1
        self.note_request(remote, now)
        return True

    def note_request(self, remote: Address, now: float) -> None:
        """Note a request to an address that is not validated: it is a probe, too."""
        probed = self._probed
        if remote in probed:
            del probed[remote]
        elif len(probed) >= ACCOUNTS:
            del probed[next(iter(probed))]
        probed[remote] = now

    def _begin_period(self, now: float) -> None:
        """Let the previous period end, and the one before it be forgotten."""
        is_next = now < self._period_ends + PERIOD
        self._before = self._credit if is_next else {}
        self._credit = {}
        self._hosts = {}
        self._period_ends = now + PERIOD
