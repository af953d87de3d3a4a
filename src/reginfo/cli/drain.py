"""``reginfo drain``: ends all subscriptions before a server is shut down."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..web.client import ApiRefusal, ApiUnreachable, Client, Draining
from .ending import NOT_THERE, UNREACHABLE, fail, say
from .options import Admin, ServersConfig, client_of

LOOK = 0.2  # seconds between two requests for the progress
SAY = 5.0  # seconds between two lines of it, if there is no terminal


def drain(
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            min=0.01,
            max=100_000,
            help="End at most N subscriptions a second; by default 100.",
        ),
    ] = None,
    config: ServersConfig = None,
    admin: Admin = None,
) -> None:
    """
    End all subscriptions of a running server, before it is shut down for good.

    Each watcher gets a last NOTIFY (`terminated;reason=deactivated`, RFC 6665 §4.1.3),
    so that it subscribes elsewhere at once: N of them a second. Links of other servers
    and watches of groups are ended, too. New subscriptions are answered 503;
    registrations are still accepted. The command shows the progress, and ends when
    every watcher has confirmed the NOTIFY or has failed to; then stop the server with
    SIGTERM. Ctrl-C stops the progress display, not the drain; run the command again to
    resume the display, or to change the rate. A server that is started again serves as
    before.

    Exit codes: 0 there are no watchers any more; 1 interrupted or refused; 3 no server
    answers.
    """
    try:
        with client_of(config, admin) as client:
            end = _watched(client, client.drain(rate))
    except ApiRefusal as exc:
        fail(str(exc), NOT_THERE)
    except ApiUnreachable as exc:
        fail(str(exc), UNREACHABLE)
    except KeyboardInterrupt:
        fail(
            "the drain continues; run the same command again to see its progress",
            NOT_THERE,
        )
    notified = end.watchers - end.gave_up
    say(
        f"{notified} watchers notified, {end.gave_up} did not answer:"
        " the server can be stopped now"
    )


def _watched(client: Client, draining: Draining) -> Draining:
    """Show the progress of the drain until it is complete."""
    terminal = Console(stderr=True)
    columns = (TextColumn("ending subscriptions"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal) as bar:
        task = bar.add_task("", total=draining.watchers)
        said_at = time.monotonic()
        while draining.left:
            bar.update(task, completed=draining.watchers - draining.left)
            if not terminal.is_terminal and time.monotonic() - said_at >= SAY:
                said_at = time.monotonic()
                say(f"{draining.left} of {draining.watchers} watchers are left")
            time.sleep(LOOK)
            now = client.health().draining
            if now is None:
                raise ApiUnreachable(
                    "the server was restarted, and is not draining any more"
                )
            draining = now
        bar.update(task, completed=draining.watchers)
    return draining
