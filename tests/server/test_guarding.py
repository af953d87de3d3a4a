"""The users of a server, and who is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.auth.account import AccountError

from .guarded import ALICE, Guarded

REGISTER = ("REGISTER", "sip:example.com", "Contact: <sip:alice@192.0.2.50>")


def test_users_are_read_again_at_a_reload(tmp_path: Path) -> None:
    """7616-09"""
    server = Guarded(tmp_path)
    assert server.logged_in(*REGISTER, to=ALICE) == 200
    server.save("bob")
    assert server.logged_in(*REGISTER, to=ALICE) == 200
    server.server.app.reload()
    assert server.logged_in(*REGISTER, to=ALICE) == 401


def test_users_that_cannot_be_read_stay_as_they_are(tmp_path: Path) -> None:
    server = Guarded(tmp_path)
    server.users.write_text("garbage\n")
    with pytest.raises(AccountError):
        server.server.app.reload()
    assert server.logged_in(*REGISTER, to=ALICE) == 200


def test_a_nonce_of_before_a_restart_is_stale_once(tmp_path: Path) -> None:
    """8760-05: the key of the nonces is new, that of the marks of dialogs is not"""
    server = Guarded(tmp_path)
    key = server.server.app.relaying.tokens.dialog_key
    before = server.server.app._assembly.guarding.authenticator
    nonce = before.nonces.make(server.wire.now)
    server.restart()
    after = server.server.app._assembly.guarding.authenticator
    assert not after.nonces.is_ours(nonce)
    assert server.server.app.relaying.tokens.dialog_key == key
    assert key is not None


def test_without_auth_there_is_no_gate(tmp_path: Path) -> None:
    """8760-13"""
    server = Guarded(tmp_path, "required = false\n")
    assembly = server.server.app._assembly
    assert assembly.entrance.gate is None
    assert assembly.guarding.believes is None
    assert assembly.relaying.tokens.dialog_key is None
