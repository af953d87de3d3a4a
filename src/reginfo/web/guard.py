"""
Guards the API: who may use it, from which page, and how long a body may take.

A foreign web page in a browser on this machine can make requests to loopback addresses.
It is kept out by Host, which shows a name that was made to lead here (DNS rebinding),
and by Origin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..auth.account import AccountError
from ..auth.tokens import READ, WRITE, ApiToken, found, read_tokens
from .answers import WrongRequest, error

logger = logging.getLogger("reginfo.api")

BODY_LIMIT = 10.0
"""Seconds within which a body must be there."""

LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing."""


class Guard:
    """
    Lets requests through to an application, or refuses them.

    While there are no tokens, everybody who reaches the API may use it.

    Args:
        tokens: the file of tokens, read again when it has changed; None for no tokens.
        host: the host that the API listens at; empty for a Unix socket.
    """

    def __init__(self, application: ASGIApp, tokens: Path | None, host: str) -> None:
        self._application = application
        self._path = tokens
        self._host = host
        self._read: tuple[object, Sequence[ApiToken]] = (None, ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, as ASGI says."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        method = scope["method"]
        refused = self._refusal(headers, method)
        if isinstance(refused, tuple):
            status, reason = refused
            response = error(status, reason)
            if status == 401:
                response.headers["WWW-Authenticate"] = "Bearer"
            await response(scope, receive, send)
            return
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._application(scope, _limited(receive), noted)
        if method not in LOOKS:
            who = f"token {refused.name}" if refused else _place(scope)
            logger.info("= %s %s by %s: %d", method, scope["path"], who, status)

    def _refusal(
        self, headers: dict[str, str], method: str
    ) -> tuple[int, str] | ApiToken | None:
        """Return a status and a reason; or the token, if there is one."""
        if self._host and not self._is_ours(headers.get("host", "")):
            return 403, "Host is not the address of this API"
        origin = headers.get("origin")
        if origin is not None and not (
            self._host and self._is_ours(origin.partition("://")[2])
        ):
            return 403, "no foreign web page may use this API"
        try:
            tokens = self._tokens()
        except AccountError as exc:
            logger.error("! %s", exc)
            return 503, "the tokens cannot be read"
        if not tokens:
            return None
        kind, _, secret = headers.get("authorization", "").partition(" ")
        token = found(tokens, secret.strip()) if kind.lower() == "bearer" else None
        if token is None:
            return 401, "a token is needed: --token, or REGINFO_TOKEN"
        if not token.allows(READ if method in LOOKS else WRITE):
            return 403, f"token {token.name} may only read"
        return token

    def _tokens(self) -> Sequence[ApiToken]:
        path = self._path
        if path is None:
            return ()
        try:
            known = path.stat()
        except OSError:
            return ()
        mark = (known.st_mtime_ns, known.st_size, known.st_ino)
        if self._read[0] != mark:
            self._read = (mark, read_tokens(path))
        return self._read[1]

    def _is_ours(self, place: str) -> bool:
        """Whether a host with or without a port is a loopback address, or ours."""
        host = place.partition("]")[0].lstrip("[") if "[" in place else ""
        host = host or place.partition(":")[0].lower()
        if host in ("localhost", self._host):
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False


def _limited(receive: Receive) -> Receive:
    """Return ``receive``, but for a body that is there in time."""

    async def limited() -> Message:
        try:
            async with asyncio.timeout(BODY_LIMIT):
                return await receive()
        except TimeoutError as exc:
            raise WrongRequest("the body does not come", 408) from exc

    return limited


def _place(scope: Scope) -> str:
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else "the Unix socket"
