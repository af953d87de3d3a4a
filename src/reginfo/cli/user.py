"""``reginfo user``: the users of a server, and their passwords."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ..auth.account import Account, AccountError, account_name, new_account
from ..config.auth_section import AuthSection
from ..config.config import Config
from ..sip.text import printable
from .ending import NOT_THERE, WRONG, echo_json, fail
from .options import DEFAULT_CONFIG, ConfigFile, Json, read_config
from .password import PasswordFile, new_password
from .users import Users

user = typer.Typer(
    no_args_is_help=True,
    help="The users of a server that asks for passwords (`[auth] users`). Only hashes "
    "of passwords are kept. A password is asked for, or read from --password-file or "
    "the environment variable REGINFO_PASSWORD; it is never an argument.",
)

Name = Annotated[
    str, typer.Argument(metavar="USER", help="The user, such as alice@example.com.")
]


@user.command()
def add(
    name: Name,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URI",
            help="A further address-of-record of the user; can be repeated.",
        ),
    ] = None,
    password_file: PasswordFile = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """
    Add a user, with a password.

    Exit codes: 0 success; 1 there is such a user; 2 the name or the configuration is
    wrong.
    """
    read, auth = _auth(config)
    with _mistakes():
        name = account_name(name)
        users = Users(read, auth)
        if users.get(name) is not None:
            why = "is a user already: `reginfo user password` changes the password"
            fail(f"{name} {why}", NOT_THERE)
        made = new_account(
            name,
            new_password(name, password_file),
            algorithms=auth.algorithms,
            realm=auth.realm or "",
            also=also or (),
        )
        users.put(made)
    typer.echo(f"{name} added")


@user.command()
def password(
    name: Name,
    password_file: PasswordFile = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """
    Change the password of a user.

    Exit codes: 0 success; 1 there is no such user; 2 the configuration is wrong.
    """

    def changed(known: Account, auth: AuthSection) -> Account:
        made = new_account(
            known.name,
            new_password(known.name, password_file),
            algorithms=auth.algorithms,
            realm=auth.realm or "",
        )
        return msgspec.structs.replace(known, hashes=made.hashes, realm=made.realm)

    _change(name, config, changed, "has another password")


@user.command()
def remove(name: Name, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """
    Remove a user; registrations and subscriptions of the user end.

    Exit codes: 0 success; 1 there is no such user; 2 the configuration is wrong.
    """
    _change(name, config, lambda known, auth: None, "removed")


@user.command()
def lock(
    name: Name,
    undo: Annotated[
        bool, typer.Option("--undo", help="Let the user log in again.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """
    Lock a user out; registrations and subscriptions of the user end.

    Exit codes: 0 success; 1 there is no such user; 2 the configuration is wrong.
    """
    _change(
        name,
        config,
        lambda known, auth: msgspec.structs.replace(known, locked=not undo),
        "may log in" if undo else "locked",
    )


@user.command("list")
def list_(json: Json = False, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """
    List the users, without their hashes.

    Exit codes: 0 success; 2 the configuration is wrong.
    """
    read, auth = _auth(config)
    with _mistakes():
        accounts = Users(read, auth).all()
    if json:
        rows = [
            {
                "user": one.name,
                "algorithms": list(one.hashes),
                "locked": one.locked,
                "also": list(one.also),
            }
            for one in accounts
        ]
        echo_json({"users": rows}, indent=2)
        return
    for one in accounts:
        cells = [one.name, ",".join(one.hashes) or "no password"]
        cells += ["locked"] * one.locked
        typer.echo(printable("  ".join([*cells, *one.also])))


def _change(
    name: str,
    config: Path,
    changed: Callable[[Account, AuthSection], Account | None],
    done: str,
) -> None:
    """Replace an account by what ``changed`` makes of it; remove it for None."""
    read, auth = _auth(config)
    with _mistakes():
        name = account_name(name)
        users = Users(read, auth)
        known = users.get(name)
        if known is None:
            fail(f"{name} is no user", NOT_THERE)
        account = changed(known, auth)
        if account is None:
            users.drop(name)
        else:
            users.put(account)
    typer.echo(f"{name} {done}")


def _auth(path: Path) -> tuple[Config, AuthSection]:
    """Read the configuration of a server that has users; exits if it has none."""
    read = read_config(path)
    if read.auth is None or read.auth.users is None:
        fail(f'{path}: auth.users is not set: write `users = "users"`', WRONG)
    return read, read.auth


@contextmanager
def _mistakes() -> Iterator[None]:
    """Exit with the message of a wrong name, or of a file that cannot be used."""
    try:
        yield
    except AccountError as exc:
        fail(str(exc), WRONG)
