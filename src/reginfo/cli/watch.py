"""``reginfo watch``: subscribes, and prints each NOTIFY."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import Annotated

import typer

from ..agent.agent import Agent
from ..agent.watching import Notification, Trouble, WatchEvent
from ..sip.transaction import TIMER_F
from .ending import WRONG, echo_json, fail, say
from .options import Trace, uri_of
from .password import PasswordFile
from .talk import LONGEST, Ca, Server, Timeout, Transport, User, talk
from .told import builtins, lines


def watch(
    uri: Annotated[
        str,
        typer.Argument(
            metavar="URI", help="The user to watch, such as alice@example.com."
        ),
    ],
    server: Server,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each NOTIFY.")
    ] = False,
    count: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Unsubscribe and exit after N NOTIFYs."),
    ] = None,
    expires: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=LONGEST,
            help="The interval to request; 0 asks for the state once.",
        ),
    ] = 3600,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="URI",
            help="The watcher; by default an address of this machine. Some servers "
            "accept only subscriptions of users to themselves.",
        ),
    ] = None,
    transport: Transport = None,
    ca: Ca = None,
    timeout: Timeout = TIMER_F,
    user: User = None,
    password_file: PasswordFile = None,
    trace: Trace = None,
) -> None:
    """
    Subscribe to registrations (RFC 3680), and print each NOTIFY.

    There is one line for each contact: time, address-of-record, contact, event, state
    and the seconds left. Anything else, such as a refused refresh, is reported on
    standard error, and the command subscribes again.

    Ctrl-C unsubscribes and exits, as --count does.

    Exit codes: 0 unsubscribed; 1 the server refused, or ended the subscription for
    good; 3 no server answers.
    """
    name = uri_of(uri, "URI")
    if from_ is not None:
        watcher = uri_of(from_, "--from")
        if watcher.scheme == "tel":
            fail(f"--from: {from_} is no SIP URI", WRONG)
        from_ = watcher.text

    async def conversation(agent: Agent) -> None:
        left = count
        events = agent.watch(name, expires=expires, from_=from_)
        async with aclosing(events):
            async for event in events:
                report(event, name.text, json)
                if left is not None and isinstance(event, Notification):
                    left -= 1
                    if not left:
                        return

    talk(
        conversation,
        server=server,
        transport=transport,
        timeout=timeout,
        ca=ca,
        trace=trace,
        user=user,
        password_file=password_file,
    )


def report(event: WatchEvent, uri: str, json: bool) -> None:
    """Print a NOTIFY, or report what else happened to the subscription."""
    if isinstance(event, Notification):
        at = time.time()
        if json:
            echo_json(builtins(event, uri, at))
        else:
            for line in lines(event, uri, at):
                typer.echo(line)
        if event.document is not None:
            for warning in event.document.warnings:
                say(f"the document: {warning}")
        if event.missed:
            say("an earlier NOTIFY was lost: requesting the full state")
    elif isinstance(event, Trouble):
        assert event.again_in is not None
        say(f"{event.error}; subscribing again in {event.again_in:.0f} s")
    else:
        say(f"a NOTIFY was refused: {event.error}")
