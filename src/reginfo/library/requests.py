"""Sends one REGISTER or PUBLISH from a program."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..agent.agent import Agent
from ..agent.publish import PublishResult, document_of
from ..agent.register import RegisteredContact, contact_value
from ..agent.target import aor_uri
from ..reg.document import Reginfo


async def register(
    aor: str,
    contact: str | None = None,
    *,
    server: str,
    expires: int | None = None,
    transport: str | None = None,
    ca: str | Path | None = None,
    user: str | None = None,
    password: str = "",
) -> list[RegisteredContact]:
    """
    Register a contact (RFC 3261 §10.2), once: nothing refreshes it.

    Args:
        aor: the address-of-record, such as ``alice@example.com``.
        contact: a URI, or a name-addr with parameters such as ``<sip:a@b>;q=0.5``;
            ``*`` with an ``expires`` of 0 for all; None to query the contacts.
        server: ``HOST:PORT``, ``tls:HOST:PORT`` or a SIP URI.
        expires: the interval in seconds, 0 to unregister; by default the registrar
            decides.
        transport: ``udp``, ``tcp`` or ``tls``; by default that of the URI, or UDP.
        ca: for TLS, the authorities that are trusted, a file in PEM; by default those
            of the system.
        user, password: to answer the challenges of the server with; the user part
            alone, such as ``alice``.

    Returns:
        All contacts that are registered now.

    Raises:
        ValueError: an argument is wrong.
        NoAnswer: no server answers within 32 seconds (:func:`asyncio.timeout` ends
            the wait earlier).
        RequestRefused: the server refuses.
        RemoteProtocolError: the response cannot be parsed.
    """
    name = aor_uri(aor)
    value = None if contact is None else contact_value(contact)
    async with Agent.to(server, transport, ca, user=user, password=password) as agent:
        return await agent.register(name, value, expires)


async def publish(
    aor: str,
    state: Iterable[str] | Reginfo = (),
    *,
    server: str,
    expires: int = 3600,
    etag: str | None = None,
    transport: str | None = None,
    ca: str | Path | None = None,
    user: str | None = None,
    password: str = "",
) -> PublishResult:
    """
    Publish registrations at a presence server (RFC 3903), once.

    Args:
        aor: the address-of-record, such as ``alice@example.com``.
        state: the URIs that it is registered at, or a document; neither, with
            ``etag``, to refresh a publication, or to remove it.
        server, transport, ca, user, password: as for :func:`register`.
        expires: the interval in seconds; 0 removes the publication of ``etag``.
        etag: the entity-tag of the publication to modify, refresh or remove; None
            creates a new one.

    Returns:
        The entity-tag for the next request, and the seconds that were granted.

    Raises:
        ValueError: an argument is wrong, or there is nothing to publish.
        NoAnswer: no server answers within 32 seconds (:func:`asyncio.timeout` ends
            the wait earlier).
        RequestRefused: the server refuses; 412 if it does not know the entity-tag.
        RemoteProtocolError: the response cannot be parsed.
    """
    name = aor_uri(aor)
    if isinstance(state, str):
        raise ValueError("state: a list of URIs is needed, not a string")
    if isinstance(state, Reginfo):
        body = state.serialize()
    else:
        uris = [aor_uri(uri).text for uri in state]
        body = document_of(name, uris, expires) if uris else b""
    async with Agent.to(server, transport, ca, user=user, password=password) as agent:
        return await agent.publish(name, body=body, expires=expires, etag=etag)
