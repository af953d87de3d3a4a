"""A real phone with a password, and one with a wrong one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Never

import pytest

from reginfo.auth.account import new_account
from reginfo.auth.users_file import save_users

from .baresip import Baresip
from .phone import DOMAIN, eventually
from .server import Server


@pytest.fixture
def guarded(tmp_path: Path) -> Server:
    """A server that offers MD5 alone: Debian's baresip gives up at anything else."""
    users = tmp_path / "users"
    alice = new_account(f"alice@{DOMAIN}", "secret", algorithms=["MD5"])
    save_users(users, {alice.name: alice})
    auth = f'[auth]\nusers = "{users}"\nalgorithms = ["MD5"]'
    return Server(tmp_path / "a", sections=[auth], tcp=True)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_phone_with_its_password_registers(
    guarded: Server, tmp_path: Path, transport: str, do_without: Callable[[str], Never]
) -> None:
    """3261-140, 3261-141"""
    if shutil.which("baresip") is None:
        do_without("baresip")
    with (
        guarded as server,
        Baresip(
            tmp_path / "phone",
            server.address,
            "alice",
            password="secret",
            transport=transport,
        ) as phone,
    ):
        eventually(lambda: len(server.contacts("alice")) == 1)
        assert "401 Unauthorized" in phone.log


def test_a_phone_with_a_wrong_password_is_told(
    guarded: Server, tmp_path: Path, do_without: Callable[[str], Never]
) -> None:
    """3261-142"""
    if shutil.which("baresip") is None:
        do_without("baresip")
    with (
        guarded as server,
        Baresip(tmp_path / "phone", server.address, "alice", password="wrong") as phone,
    ):
        # It tries again at once, some times, until it has to wait.
        eventually(lambda: "403 Too Many Failed Passwords" in phone.log)
        assert "Authorization: Digest" in phone.log
        assert server.contacts("alice") == set()
