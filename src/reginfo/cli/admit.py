"""``reginfo admit``: a user that was rejected may register again."""

from __future__ import annotations

import typer

from .options import Admin, AorArgument, ServersConfig, client_of
from .unregister import refused


def admit(aor: AorArgument, config: ServersConfig = None, admin: Admin = None) -> None:
    """
    Let a user register again that was rejected, or is on probation.

    `reginfo show --barred` lists these users.

    Exit codes: 0 success; 1 the user is neither; 3 no server answers.
    """
    with refused(), client_of(config, admin) as client:
        admitted = client.admit(aor)
    typer.echo(f"{admitted} may register")
