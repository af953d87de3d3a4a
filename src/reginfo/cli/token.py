"""``reginfo token``: who may use the API of a server."""

from __future__ import annotations

import enum
import secrets
from pathlib import Path
from typing import Annotated

import typer

from ..auth.account import AccountError
from ..auth.tokens import ApiToken, new_token, read_tokens, save_tokens
from ..sip.text import printable
from .ending import NOT_THERE, WRONG, fail
from .options import DEFAULT_CONFIG, ConfigFile, read_config

token = typer.Typer(
    no_args_is_help=True,
    help="The tokens of the API (`[server] tokens`). Only their hashes are kept. The "
    "commands send the one in REGINFO_TOKEN.",
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the token, for the log.")
]


class TokenScope(enum.StrEnum):
    """What a token is good for."""

    READ = "read"
    WRITE = "write"


@token.command()
def add(
    name: Name,
    scope: Annotated[
        TokenScope, typer.Option(help="`write` is good for reading, too.")
    ] = TokenScope.READ,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """
    Add a token, and print it: it is shown this once.

    The server knows it at once. From the first token on, nobody uses the API without.

    Exit codes: 0 success; 1 there is such a token; 2 the name or the configuration is
    wrong.
    """
    path, tokens = _tokens(config)
    if any(one.name == name for one in tokens):
        fail(f"there is a token {name} already", NOT_THERE)
    secret = secrets.token_urlsafe(32)
    try:
        save_tokens(path, [*tokens, new_token(name, scope, secret)])
    except AccountError as exc:
        fail(str(exc), WRONG)
    typer.echo(secret)


@token.command("list")
def list_(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """
    List the tokens, by name and scope.

    Exit codes: 0 success; 2 the configuration is wrong.
    """
    for one in _tokens(config)[1]:
        typer.echo(printable(f"{one.name}  {one.scope}"))


@token.command()
def remove(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """
    Remove a token. Without any token left, the API is open again.

    Exit codes: 0 success; 1 there is no such token; 2 the configuration is wrong.
    """
    path, tokens = _tokens(config)
    kept = [one for one in tokens if one.name != name]
    if len(kept) == len(tokens):
        fail(f"there is no token {name}", NOT_THERE)
    try:
        save_tokens(path, kept)
    except AccountError as exc:
        fail(str(exc), WRONG)
    typer.echo(f"{name} removed")


def _tokens(config: Path) -> tuple[Path, list[ApiToken]]:
    """Read the tokens of a server; exits if it cannot have any."""
    path = read_config(config).server.tokens
    if path is None:
        fail(f'{config}: server.tokens is not set: write `tokens = "tokens"`', WRONG)
    try:
        return path, read_tokens(path)
    except AccountError as exc:
        fail(str(exc), WRONG)
