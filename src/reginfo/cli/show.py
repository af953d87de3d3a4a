"""``reginfo show``: what a running server knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from ..web import bindings, peers, watchers
from ..web.client import ApiUnreachable, Client, NotFound
from ..web.table import table
from .ending import NOT_THERE, UNREACHABLE, WRONG, fail
from .options import Admin, Json, ServersConfig, client_of

PIPE_WIDTH = 1_000  # columns, where there is no terminal: lines stay whole

Page = bindings.BindingPage | watchers.WatcherPage | peers.PeerPage


def show(
    aor: Annotated[
        str | None,
        typer.Argument(
            metavar="AOR",
            help="An address-of-record, such as alice@example.com; all if left out.",
        ),
    ] = None,
    of_watchers: Annotated[
        bool,
        typer.Option("--watchers", help="Show who watches, and what they are told."),
    ] = False,
    of_peers: Annotated[
        bool,
        typer.Option(
            "--peers", help="Show the peers, and the subscriptions held there."
        ),
    ] = False,
    json: Json = False,
    config: ServersConfig = None,
    admin: Admin = None,
) -> None:
    """
    Show who is registered, as a running server knows it; or who watches, or its peers.

    Ends with 0 if there is an answer, 1 if AOR is not registered, or nobody watches it
    or is asked about it; 3 if no server answers.
    """
    if of_watchers and of_peers:
        fail("give --watchers or --peers, not both", WRONG)
    try:
        with client_of(config, admin) as client:
            page, rows, nothing = _asked(client, aor, of_watchers, of_peers)
    except NotFound as exc:
        fail(str(exc), NOT_THERE)
    except ApiUnreachable as exc:
        fail(str(exc), UNREACHABLE)
    if aor is not None and not rows:
        fail(nothing, NOT_THERE)
    if json:
        text = msgspec.json.format(msgspec.json.encode(page), indent=2)
        typer.echo(text.decode())
    elif rows:
        terminal = Console()
        width = terminal.width if terminal.is_terminal else None
        Console(width=width or PIPE_WIDTH).print(table(rows, width))
    else:
        typer.echo(nothing)


def _asked(
    client: Client, aor: str | None, of_watchers: bool, of_peers: bool
) -> tuple[Page, Sequence[msgspec.Struct], str]:
    """What the server says: all of it as a page, its rows, and what none means."""
    if of_watchers:
        watching = client.watchers(aor)
        nothing = f"nobody watches{'' if aor is None else f' {aor}'}"
        return watchers.WatcherPage(watchers=watching), watching, nothing
    if of_peers:
        peering = client.peers(aor)
        nothing = "there is no peer"
        if aor is not None:
            nothing = f"no peer is asked about {aor}"
        return peers.PeerPage(peers=peering), peering, nothing
    bound = client.bindings(aor)
    return bindings.BindingPage(bindings=bound), bound, "nobody is registered"
