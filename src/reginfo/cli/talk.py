"""What the SIP client commands have in common: the server, and how to reach it."""

from __future__ import annotations

import asyncio
import enum
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ..agent.agent import Agent
from ..agent.errors import NoAnswer
from ..agent.target import ServerAddress
from ..io.certificates import CertificateError
from ..sip.errors import ReginfoError
from ..sip.transaction import TIMER_F
from .ending import NOT_THERE, UNREACHABLE, WRONG, fail
from .options import trace_to
from .password import known_password

T = TypeVar("T")

LONGEST = 2**32 - 1  # seconds in an Expires header (RFC 3261 §20.19)


class TransportName(enum.StrEnum):
    """The transports of SIP."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


Server = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="The server, also as a SIP URI, or tls:HOST. An IPv6 address needs "
        "brackets; the default port is 5060, or 5061 for TLS.",
    ),
]

Transport = Annotated[
    TransportName | None,
    typer.Option(help="By default UDP, or the transport of the URI of --server."),
]

Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        metavar="FILE",
        help="For TLS: the authorities that are trusted, in PEM; by default the "
        "system's.",
    ),
]

Timeout = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0.1,
        help="How long to wait for the answer of the server.",
    ),
]


User = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Answer the challenges of the server as this user, such as `alice`.",
    ),
]


def talk(
    conversation: Callable[[Agent], Awaitable[T]],
    *,
    server: str,
    transport: TransportName | None,
    timeout: float = TIMER_F,
    ca: Path | None = None,
    trace: Path | None,
    user: str | None = None,
    password_file: Path | None = None,
) -> T | None:
    """
    Run a conversation with a server; returns None if Ctrl-C or SIGTERM ended it.

    Exits with a message if the server does not answer, or refuses.
    """
    try:
        target = ServerAddress.parse(server, transport)
    except ValueError as exc:
        fail(f"--server: {exc}", WRONG)
    if user is None and password_file is not None:
        fail("--password-file needs --user", WRONG)
    password = "" if user is None else known_password(user, password_file)
    file = trace_to(trace)

    async def run() -> T | None:
        task = asyncio.current_task()
        assert task is not None
        # The first signal lets the conversation end properly.
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            agent = Agent(
                target,
                ca=ca,
                trace=file,
                timeout=timeout,
                user=user,
                password=password,
            )
            async with agent:
                return await conversation(agent)
        except asyncio.CancelledError:
            return None

    try:
        return asyncio.run(run())
    except CertificateError as exc:
        fail(f"--{exc.key}: {exc.message}", WRONG)
    except NoAnswer as exc:
        fail(str(exc), UNREACHABLE)
    except ReginfoError as exc:
        fail(f"{target}: {exc}", NOT_THERE)
    finally:
        if file is not None:
            file.close()
