"""The health report of a server."""

from __future__ import annotations

import msgspec

from ..ledger.part import Description


class StoreHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The health of the database."""

    url: str
    "The URL, as configured."

    problem: str | None
    "Why commits fail at the moment; None if they succeed."


class ClockHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the wall clock."""

    time: float
    "The time that the server uses, in seconds since the epoch."

    behind: float
    "Seconds by which the machine's wall clock is behind the last commit."

    stepped: float
    "The sum of the steps of the wall clock since the start, in seconds."


class DrainHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a drain."""

    watchers: int
    "The number of watchers at the beginning."

    left: int
    "The number of watchers that are left."

    gave_up: int
    "The number of watchers that did not answer the last NOTIFY."

    rate: float
    "The maximum number of watches ended per second."


class ServerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The health of a server: its status, and figures since the start."""

    status: str
    "`ok`, `degraded`, `draining` or `drained`."

    problems: list[str]
    server: str
    "`[server] id`."

    version: str
    sip: list[str]
    "The addresses that it listens at."

    store: StoreHealth
    clock: ClockHealth
    draining: DrainHealth | None
    "None if no drain was requested."

    commits: int
    watchers: int
    "The number of subscriptions that are served."

    malformed: int
    "The number of datagrams that could not be parsed."

    parts: list[Description]
    "A line and figures for each part of the server."
