"""A user that cannot log in any more has no registrations and subscriptions left."""

from __future__ import annotations

from pathlib import Path

import msgspec

from reginfo.auth.account import Account
from reginfo.auth.users_file import read_users, save_users
from reginfo.sip.message import Request

from .guarded import ALICE, BOB, BOBS, PHONE, Guarded

EVENT = ("Event: reg", "Contact: <sip:w@192.0.2.50>")


def state_of(notify: Request) -> str:
    return notify.headers["Subscription-State"][0]


def change(server: Guarded, name: str, **fields: bool) -> None:
    accounts = read_users(server.users)
    accounts[name] = msgspec.structs.replace(accounts[name], **fields)
    save_users(server.users, accounts)
    server.server.app.reload_users()


def test_a_user_that_is_locked_is_rejected(tmp_path: Path) -> None:
    """7616-09: bindings, subscriptions, and what watchers are told"""
    server = Guarded(tmp_path)
    server.register("bob")
    server.register("alice", PHONE)
    assert server.logged_in("SUBSCRIBE", ALICE, *EVENT) == 200
    ops = {"from_": "sip:ops@example.com", "user": "ops"}
    assert server.logged_in("SUBSCRIBE", ALICE, *EVENT, **ops) == 200
    server.answer(PHONE)
    change(server, "alice@example.com", locked=True)
    server.wire.pass_time(0.1)
    assert server.server.contacts(ALICE) == []
    assert server.server.contacts(BOB) == ["sip:bob@192.0.2.60"]
    told = {one.to.uri: one for one in server.answer(PHONE)}
    assert state_of(told[ALICE]) == "terminated;reason=rejected"
    assert b'event="rejected"' in told["sip:ops@example.com"].body
    assert state_of(told["sip:ops@example.com"]).startswith("active")
    register = ("REGISTER", "sip:example.com", "Contact: <sip:alice@192.0.2.50>")
    assert server.logged_in(*register, to=ALICE) == 401
    change(server, "alice@example.com", locked=False)
    assert server.logged_in(*register, to=ALICE) == 200


def test_what_happened_while_the_server_did_not_run_is_made_up_for(
    tmp_path: Path,
) -> None:
    """7616-09"""
    server = Guarded(tmp_path)
    server.register("bob")
    accounts = read_users(server.users)
    accounts["bob@example.com"] = Account("bob@example.com", {}, removed=True)
    save_users(server.users, accounts)
    assert server.server.contacts(BOB) != []
    server.restart()
    assert server.server.contacts(BOB) == []
    server.restart()
    server.save("alice", "bob")
    server.server.app.reload_users()
    server.register("bob")
    assert server.server.contacts(BOB) == [f"sip:bob@{BOBS[0]}"]
