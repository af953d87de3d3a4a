"""``reginfo register``: one REGISTER."""

from __future__ import annotations

from typing import Annotated

import typer

from ..agent.agent import Agent
from ..agent.register import ALL, RegisteredContact, contact_value
from ..sip.text import printable
from ..sip.transaction import TIMER_F
from .ending import NOT_THERE, WRONG, echo_json, fail
from .options import Json, Trace, uri_of
from .password import PasswordFile
from .talk import LONGEST, Ca, Server, Timeout, Transport, User, talk


def register(
    aor: Annotated[
        str,
        typer.Argument(
            metavar="AOR", help="The address-of-record, such as alice@example.com."
        ),
    ],
    server: Server,
    contact: Annotated[
        str | None,
        typer.Argument(
            metavar="CONTACT",
            help="A URI, or `'<URI>;q=0.5'` with parameters; `'*'` with --expires 0 "
            "for all contacts. Without it the command only asks.",
        ),
    ] = None,
    expires: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            max=LONGEST,
            help="How long; 0 removes CONTACT. By default the registrar decides.",
        ),
    ] = None,
    transport: Transport = None,
    ca: Ca = None,
    timeout: Timeout = TIMER_F,
    json: Json = False,
    user: User = None,
    password_file: PasswordFile = None,
    trace: Trace = None,
) -> None:
    """
    Register a contact at any SIP registrar, and show what is registered now.

    The command sends one REGISTER; nothing refreshes it. Without CONTACT it asks, and
    changes nothing.

    Exit codes: 0 the registrar accepted it; 1 it refused; 3 no server answers.
    """
    name = uri_of(aor, "AOR")
    if contact is None and expires is not None:
        fail("--expires needs a CONTACT; '*' with --expires 0 removes all", WRONG)
    if contact == ALL and expires != 0:
        fail("'*' needs --expires 0 (RFC 3261 §10.2.2)", WRONG)
    try:
        value = None if contact is None else contact_value(contact)
    except ValueError as exc:
        fail(f"CONTACT: {exc}", WRONG)

    async def conversation(agent: Agent) -> list[RegisteredContact]:
        return await agent.register(name, value, expires)

    contacts = talk(
        conversation,
        server=server,
        transport=transport,
        timeout=timeout,
        ca=ca,
        trace=trace,
        user=user,
        password_file=password_file,
    )
    if contacts is None:
        fail("interrupted: it is unknown whether the contact is registered", NOT_THERE)
    if json:
        echo_json({"aor": name.aor, "contacts": contacts}, indent=2)
        return
    for one in contacts:
        typer.echo(_line(one))
    if not contacts:
        typer.echo("nobody is registered")


def _line(contact: RegisteredContact) -> str:
    """Write a contact as a line: its URI and its parameters."""
    cells = [contact.uri]
    if contact.expires is not None:
        cells.append(f"expires={contact.expires}")
    if contact.q is not None:
        cells.append(f"q={contact.q}")
    cells += [
        name if value is None else f"{name}={value}"
        for name, value in contact.params.items()
    ]
    return printable("  ".join(cells))
