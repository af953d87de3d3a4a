"""``reginfo show``: registrations, watchers and peers of a running server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from ..web import barred, bindings, peers, watchers
from ..web.client import ApiRefusal, ApiUnreachable, Client, NotFound
from ..web.table import table
from .ending import NOT_THERE, UNREACHABLE, WRONG, echo_json, fail
from .options import Admin, Json, ServersConfig, client_of

PIPE_WIDTH = 1_000  # columns, if the output is no terminal: lines are not wrapped

Page = bindings.BindingPage | watchers.WatcherPage | peers.PeerPage | barred.BarredPage


def show(
    aor: Annotated[
        str | None,
        typer.Argument(
            metavar="AOR",
            help="An address-of-record, such as alice@example.com; by default all.",
        ),
    ] = None,
    of_watchers: Annotated[
        bool,
        typer.Option("--watchers", help="Show the watchers and their subscriptions."),
    ] = False,
    of_peers: Annotated[
        bool,
        typer.Option("--peers", help="Show the peers, and the subscriptions at them."),
    ] = False,
    of_barred: Annotated[
        bool,
        typer.Option(
            "--barred", help="Show the users that are rejected or on probation."
        ),
    ] = False,
    json: Json = False,
    config: ServersConfig = None,
    admin: Admin = None,
) -> None:
    """
    Show the registrations of a running server, its watchers, its peers, or the users
    that are kept from registering.

    Exit codes: 0 success; 1 nothing is known about AOR; 3 no server answers.
    """
    if of_watchers + of_peers + of_barred > 1:
        fail("give one of --watchers, --peers and --barred", WRONG)
    try:
        with client_of(config, admin) as client:
            page, rows, nothing = _asked(client, aor, of_watchers, of_peers, of_barred)
            links = peers.LinkList(links=[])
            if of_peers and aor is None:
                links = client.links()
    except (NotFound, ApiRefusal) as exc:
        fail(str(exc), NOT_THERE)
    except ApiUnreachable as exc:
        fail(str(exc), UNREACHABLE)
    if aor is not None and not rows:
        fail(nothing, NOT_THERE)
    if isinstance(page, peers.PeerPage):
        page = msgspec.structs.replace(
            page, links=links.links, publications=links.publications
        )
    if json:
        echo_json(page, indent=2)
    elif rows or links.publications:
        terminal = Console()
        width = terminal.width if terminal.is_terminal else None
        for shown in (rows, links.links, links.publications):
            if shown:
                Console(width=width or PIPE_WIDTH).print(table(shown, width))
    else:
        typer.echo(nothing)


def _asked(
    client: Client,
    aor: str | None,
    of_watchers: bool,
    of_peers: bool,
    of_barred: bool,
) -> tuple[Page, Sequence[msgspec.Struct], str]:
    """Ask the server: the whole page, its rows, and a message for no rows."""
    if of_watchers:
        watching = client.watchers(aor)
        nothing = f"no watchers{'' if aor is None else f' of {aor}'}"
        return watchers.WatcherPage(watchers=watching), watching, nothing
    if of_peers:
        peering = client.peers(aor)
        nothing = "no peers"
        if aor is not None:
            nothing = f"no subscription to {aor} at any peer"
        return peers.PeerPage(peers=peering), peering, nothing
    if of_barred:
        barring = client.barred(aor)
        nothing = "nobody is rejected or on probation"
        if aor is not None:
            nothing = f"{aor} is neither rejected nor on probation"
        return barred.BarredPage(barred=barring), barring, nothing
    bound = client.bindings(aor)
    return bindings.BindingPage(bindings=bound), bound, "nobody is registered"
