"""``reginfo unregister``: the administrator removes contacts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer

from ..web.client import ApiRefusal, ApiUnreachable, NotFound
from .ending import NOT_THERE, UNREACHABLE, WRONG, counted, fail
from .options import Admin, AorArgument, OneContact, ServersConfig, client_of


class RemovalEvent(StrEnum):
    """Why a contact is removed (RFC 3680 §4.7.1)."""

    DEACTIVATED = "deactivated"
    PROBATION = "probation"
    REJECTED = "rejected"
    UNREGISTERED = "unregistered"


def unregister(
    aor: AorArgument,
    contact: OneContact = None,
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

    A user all of whose contacts are removed with `rejected` or `probation` is refused
    from then on (403), or until the probation is over (500 with Retry-After), also by
    the servers that are linked with this one, until `reginfo admit`.

    Where there are links, contacts that only other servers know are removed, too; they
    are not counted.

    Exit codes: 0 success; 1 nothing is registered; 3 no server answers.
    """
    with refused(), client_of(config, admin) as client:
        removed = client.remove(
            aor, contact=contact, event=event.value, retry_after=retry_after
        )
    typer.echo(f"{counted(removed, 'contact')} removed")


@contextmanager
def refused() -> Iterator[None]:
    """Exit with a message and the right code if the server cannot do something."""
    try:
        yield
    except NotFound as exc:
        fail(str(exc), NOT_THERE)
    except ApiRefusal as exc:
        fail(str(exc), WRONG)
    except ApiUnreachable as exc:
        fail(str(exc), UNREACHABLE)
