"""``reginfo shorten``: contacts end soon, unless their user agents refresh them."""

from __future__ import annotations

from typing import Annotated

import typer

from .ending import counted
from .options import Admin, AorArgument, OneContact, ServersConfig, client_of
from .unregister import refused


def shorten(
    aor: AorArgument,
    expires: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="The longest remaining time of the contacts.",
        ),
    ],
    contact: OneContact = None,
    config: ServersConfig = None,
    admin: Admin = None,
) -> None:
    """
    Let contacts of a user end soon, so that the user agents register again.

    Watchers, which include many user agents, get the event `shortened`. This also
    applies to contacts at other linked servers. A contact that ends earlier is not
    changed.

    Exit codes: 0 success; 1 nothing is registered; 3 no server answers.
    """
    with refused(), client_of(config, admin) as client:
        shortened = client.shorten(aor, expires=expires, contact=contact)
    typer.echo(f"{counted(shortened, 'contact')} shortened to {expires} s")
