"""``reginfo publish``: one PUBLISH."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..agent.agent import Agent
from ..agent.publish import PublishResult, document_of
from ..reg import xml
from ..sip.errors import RemoteProtocolError
from ..sip.grammar import token
from ..sip.text import printable
from ..sip.transaction import TIMER_F
from ..sip.uri import Uri
from .ending import NOT_THERE, WRONG, echo_json, fail, say
from .options import Json, Trace, uri_of
from .password import PasswordFile
from .talk import LONGEST, Ca, Server, Timeout, Transport, User, talk

STDIN = Path("-")


def publish(
    aor: Annotated[
        str,
        typer.Argument(
            metavar="AOR", help="The address-of-record, such as alice@example.com."
        ),
    ],
    server: Server,
    contacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="CONTACT", help="The URIs that it is registered at."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Publish this document (RFC 3680 §5) instead; '-' reads it from "
            "standard input.",
        ),
    ] = None,
    etag: Annotated[
        str | None,
        typer.Option(
            metavar="TAG",
            help="The entity-tag of a publication to modify, or to refresh if nothing "
            "else is given.",
        ),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the publication of --etag.")
    ] = False,
    expires: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            min=1,
            max=LONGEST,
            help="How long the publication lasts.",
        ),
    ] = 3600,
    transport: Transport = None,
    ca: Ca = None,
    timeout: Timeout = TIMER_F,
    json: Json = False,
    user: User = None,
    password_file: PasswordFile = None,
    trace: Trace = None,
) -> None:
    """
    Publish registrations at a presence server (RFC 3903), and print the entity-tag.

    The command sends one PUBLISH; nothing refreshes it. The entity-tag identifies the
    publication in the next command:

        tag=$(reginfo publish al@example.com sip:al@192.0.2.1 --server HOST)
        tag=$(reginfo publish al@example.com --etag $tag --server HOST)
        reginfo publish al@example.com --etag $tag --remove --server HOST

    Exit codes: 0 the server accepted it; 1 it refused (412: it does not know the
    entity-tag); 3 no server answers.
    """
    name = uri_of(aor, "AOR")
    body = _body(name, contacts or [], file, expires)
    if etag is not None and not token.fullmatch(etag):
        fail(f"--etag: {etag!r} is no entity-tag", WRONG)
    if remove and (etag is None or body):
        fail("--remove needs --etag, and no document", WRONG)
    if etag is None and not body:
        fail("nothing to publish: give CONTACT, --file or --etag", WRONG)
    lifetime = 0 if remove else expires

    async def conversation(agent: Agent) -> PublishResult:
        return await agent.publish(name, body=body, expires=lifetime, etag=etag)

    published = talk(
        conversation,
        server=server,
        transport=transport,
        timeout=timeout,
        ca=ca,
        trace=trace,
        user=user,
        password_file=password_file,
    )
    if published is None:
        fail("interrupted: it is unknown whether it was published", NOT_THERE)
    if json:
        echo_json(published)
    elif published.etag is None:
        say("removed")
    else:
        say(f"published for {published.expires} s")
        typer.echo(printable(published.etag))


def _body(aor: Uri, contacts: list[str], file: Path | None, expires: int) -> bytes:
    """Make the document to publish; empty if there is none."""
    if file is None:
        uris = [uri_of(contact, "CONTACT").text for contact in contacts]
        return document_of(aor, uris, expires) if uris else b""
    if contacts:
        fail("give CONTACT or --file, not both", WRONG)
    try:
        body = sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
    except OSError as exc:
        fail(f"--file {file}: {exc.strerror}", WRONG)
    try:
        document = xml.parse(body)
    except RemoteProtocolError as exc:
        fail(f"--file {file}: {exc}", WRONG)
    for warning in document.warnings:
        say(f"{file}: {warning}")
    return body
