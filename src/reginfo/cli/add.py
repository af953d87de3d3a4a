"""``reginfo add``: the administrator binds a contact without a REGISTER."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import Admin, AorArgument, ServersConfig, client_of
from .unregister import refused


def add(
    aor: AorArgument,
    contact: Annotated[
        str,
        typer.Argument(metavar="CONTACT", help="A URI: sip:desk@192.0.2.5."),
    ],
    expires: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            min=1,
            help="The interval, limited to what the server grants.",
        ),
    ] = 3600,
    q: Annotated[
        float | None, typer.Option(min=0, max=1, help="The preference of the contact.")
    ] = None,
    config: ServersConfig = None,
    admin: Admin = None,
) -> None:
    """
    Bind a contact to a user of a running server, without a REGISTER.

    Watchers get the event `created`.

    Exit codes: 0 success; 2 the server refuses it; 3 no server answers.
    """
    with refused(), client_of(config, admin) as client:
        added = client.add(aor, contact, expires=expires, q=q)
    typer.echo(f"{added.uri} is bound to {added.aor} for {added.expires} s")
