"""How a server is, as its administrator is told."""

from __future__ import annotations

import msgspec

from ..ledger.part import Description


class StoreHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the database is."""

    url: str
    "As the configuration has it."

    problem: str | None
    "Why nothing can be committed at the moment; None if all is well."


class ClockHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How the calendar is."""

    time: float
    "Seconds since the epoch, as the server takes it."

    behind: float
    "Seconds by which the machine's calendar is behind the last commit."

    stepped: float
    "Seconds by which the calendar has jumped since the start, in all."


class DrainHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How far the server is with ending its subscriptions."""

    watchers: int
    "How many there were."

    left: int
    "How many there are still."

    gave_up: int
    "How many have not confirmed the last NOTIFY, and never will."

    rate: float
    "How many are ended each second, at most."


class ServerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is: its status, and figures since the start."""

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
    "None if nobody has asked for it."

    commits: int
    watchers: int
    "Subscriptions that are served."

    malformed: int
    "Datagrams that were no message."

    parts: list[Description]
    "Each part of the server, in a line and in figures."
