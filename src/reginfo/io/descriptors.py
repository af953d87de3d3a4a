"""The file descriptors of this process."""

from __future__ import annotations

import resource

RESERVE = 128
"""
The number of file descriptors that are left for everything but SIP connections: the
store, the API, DNS queries, listening sockets, the script.
"""


def raise_limit() -> None:
    """Raise the limit of file descriptors to the highest that the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connections_at_most(wanted: int) -> int:
    """
    Return how many connections there may be.

    Args:
        wanted: the configured number; 0 for as many as there are descriptors for.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    possible = max(1, soft - RESERVE)
    return min(wanted, possible) if wanted else possible
