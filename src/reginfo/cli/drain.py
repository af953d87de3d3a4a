"""``reginfo drain``: the server takes leave of its watchers."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..web.client import ApiUnreachable, Client, Draining
from .ending import NOT_THERE, UNREACHABLE, fail, say
from .options import Admin, ServersConfig, client_of

LOOK = 0.2  # seconds between two looks at how far it is
SAY = 5.0  # seconds between two lines about it, where there is no terminal


def drain(
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            min=0.01,
            max=100_000,
            help="End so many subscriptions a second, at the most; 100 if left out.",
        ),
    ] = None,
    config: ServersConfig = None,
    admin: Admin = None,
) -> None:
    """
    Have a running server take leave of all who watch, before it goes for good.

    Each watcher is told that its subscription is over (`deactivated`, RFC 6665 §4.1.3),
    so that it subscribes elsewhere at once; not all at the same time, but N a second.
    Who subscribes meanwhile is answered 503. Registrations go on. This shows how far
    it is, and ends when all have confirmed it, or are known not to; then the server may
    be stopped with SIGTERM. Ctrl-C ends only the looking; asking again looks again,
    and with --rate changes the pace. A server that is started again serves as before.

    Ends with 0 if nobody watches any more, 1 if interrupted, 3 if no server answers.
    """
    try:
        with client_of(config, admin) as client:
            end = _watched(client, client.drain(rate))
    except ApiUnreachable as exc:
        fail(str(exc), UNREACHABLE)
    except KeyboardInterrupt:
        fail(
            "the server goes on taking leave; look again with the same command",
            NOT_THERE,
        )
    told = end.watchers - end.gave_up
    say(f"{told} watchers are told, {end.gave_up} did not answer: stop the server now")


def _watched(client: Client, draining: Draining) -> Draining:
    """Show how far the server is until it is through."""
    terminal = Console(stderr=True)
    columns = (TextColumn("taking leave"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal) as bar:
        task = bar.add_task("", total=draining.watchers)
        said_at = time.monotonic()
        while draining.left:
            bar.update(task, completed=draining.watchers - draining.left)
            if not terminal.is_terminal and time.monotonic() - said_at >= SAY:
                said_at = time.monotonic()
                say(f"{draining.left} of {draining.watchers} are left")
            time.sleep(LOOK)
            now = client.health().draining
            if now is None:
                raise ApiUnreachable(
                    "the server was started again, and serves as before"
                )
            draining = now
        bar.update(task, completed=draining.watchers)
    return draining
