"""``reginfo unregister``: the administrator removes contacts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ..web.client import ApiRefusal, ApiUnreachable, NotFound
from .ending import NOT_THERE, UNREACHABLE, WRONG, fail
from .options import Admin, ServersConfig, client_of


class RemovalEvent(StrEnum):
    """Why a contact is removed (RFC 3680 §4.7.1)."""

    DEACTIVATED = "deactivated"
    PROBATION = "probation"
    REJECTED = "rejected"
    UNREGISTERED = "unregistered"


def unregister(
    aor: Annotated[
        str,
        typer.Argument(
            metavar="AOR", help="An address-of-record, such as alice@example.com."
        ),
    ],
    contact: Annotated[
        str | None,
        typer.Option(
            metavar="URI", help="Remove only this contact; by default all of them."
        ),
    ] = None,
    event: Annotated[
        RemovalEvent,
        typer.Option(
            help="The event that watchers get: the user agent should register again at"
            " once (deactivated), later (probation), or not at all (rejected)."
        ),
    ] = RemovalEvent.DEACTIVATED,
    retry_after: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="With probation: when the user agent may register again.",
        ),
    ] = None,
    config: ServersConfig = None,
    admin: Admin = None,
) -> None:
    """
    Remove contacts of a user from a running server, and notify all watchers.

    Exit codes: 0 contacts were removed; 1 there was none; 3 no server answers.
    """
    try:
        with client_of(config, admin) as client:
            removed = client.remove(
                aor, contact=contact, event=event.value, retry_after=retry_after
            )
    except NotFound as exc:
        fail(str(exc), NOT_THERE)
    except ApiRefusal as exc:
        fail(str(exc), WRONG)
    except ApiUnreachable as exc:
        fail(str(exc), UNREACHABLE)
    typer.echo(f"{removed} {'contact' if removed == 1 else 'contacts'} removed")
