"""
A disk that is full, read-only or broken: no 200 for what is not kept, and then on.

What design.md says of a commit that fails, seen at a server's process: what was decided
is taken back, and who asked gets 500 with Retry-After.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from typing import Never

import pytest

from reginfo.cli.ending import STORE_UNUSABLE
from reginfo.location.schema import SCHEMA

from .disk import Disk, NoDisk
from .fleet import Fleet, cseqs
from .phone import Phone, becomes
from .server import Server
from .strace import Strace
from .watchers import Watchers

SIZE = 16_000_000  # octets; the WAL alone may come to four
USERS, WATCHED = 30, 5


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test has started."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def disk(tmp_path: Path, stack: ExitStack, do_without: Callable[[str], Never]) -> Disk:
    """A small one, at `disk` in the directory of the server."""
    try:
        return stack.enter_context(Disk(tmp_path / "a" / "disk", SIZE))
    except NoDisk as exc:
        do_without(f"a small disk (mount -t tmpfs: {exc})")


def on(disk: Disk, directory: Path) -> Server:
    return Server(directory / "a", store="disk/reginfo.db", command=disk.command)


class Load:
    """A server whose disk fails now and then, its phones and its watchers."""

    def __init__(self, stack: ExitStack, server: Server) -> None:
        self.server = server
        self.phone = stack.enter_context(Phone(server.address))
        answers = (200, 500)
        self.fleet = Fleet(self.phone, USERS, random=Random(1), answers=answers)
        watched = self.fleet.users[:WATCHED]
        self.watchers = stack.enter_context(Watchers(server.address, watched))
        becomes(lambda: self.watchers.subscribed, True)

    def until(self, status: int) -> None:
        """Register until all answers are of this status."""
        deadline = time.monotonic() + 20.0
        while True:
            before = self.fleet.statuses.copy()
            self.fleet.run(0.05)
            if set(self.fleet.statuses - before) == {status}:
                return
            assert time.monotonic() < deadline

    def check(self) -> None:
        """Everybody knows what was answered 200, and nothing of what was not."""
        table = self.fleet.expected()
        assert cseqs(self.server.all_bindings()) == table
        aor, contact = self.phone.aor, self.phone.contact
        tables = {
            user: {contact(user): str(table[aor(user)])}
            for user in self.fleet.users[:WATCHED]
            if aor(user) in table
        }
        becomes(self.watchers.tables, tables)

    def check_that_it_fails(self, problem: str) -> None:
        """It says so, takes nothing, and does all that needs no disk."""
        self.until(500)
        health = self.server.health()
        assert health["status"] == "degraded"
        assert problem in str(health["problems"])
        assert "! the store cannot commit" in self.server.log
        assert self.phone.options().status == 200
        self.check()

    def check_that_it_is_back(self) -> None:
        self.until(200)
        assert self.server.health()["status"] == "ok"
        assert "= the store commits again" in self.server.log
        self.check()

    def check_after_a_kill(self) -> None:
        self.server.kill()
        self.server.start()
        self.check()


def test_a_full_disk_fails_registrations_until_there_is_room(
    tmp_path: Path, stack: ExitStack, disk: Disk
) -> None:
    server = on(disk, tmp_path)
    load = Load(stack, stack.enter_context(server))
    load.until(200)
    load.check()
    for _ in range(2):
        disk.fill()
        load.check_that_it_fails("database or disk is full")
        disk.free()
        load.check_that_it_is_back()
    load.check_after_a_kill()
    disk.fill()
    load.check_that_it_fails("database or disk is full")
    load.check_after_a_kill()  # and a start needs no room
    load.check_that_it_fails("database or disk is full")
    disk.free()
    load.check_that_it_is_back()
    assert server.terminate() == 0


@pytest.mark.peers("strace")
@pytest.mark.parametrize(
    ("call", "error", "problem"),
    [
        ("pwrite64", "ENOSPC", "database or disk is full"),
        ("pwrite64", "EROFS", "disk I/O error"),
        ("pwrite64", "EIO", "disk I/O error"),
        ("fdatasync", "EIO", "disk I/O error"),
    ],
)
def test_a_disk_that_fails_is_used_again_once_it_works(
    tmp_path: Path, stack: ExitStack, call: str, error: str, problem: str
) -> None:
    load = Load(stack, stack.enter_context(Server(tmp_path / "a")))
    load.until(200)
    inject = f"{call}:error={error}"
    with Strace(load.server.pid, tmp_path / "trace", calls=call, inject=inject):
        load.check_that_it_fails(problem)
    load.check_that_it_is_back()
    load.check_after_a_kill()


# What a start refuses.


def refused(server: Server) -> str:
    """Why it does not start: one line, and the exit code of an unusable store."""
    server.directory.mkdir(exist_ok=True)
    config = server.directory / "reginfo.toml"
    config.write_text(server.configuration())
    done = subprocess.run(
        [*server.command, sys.executable, "-m", "reginfo", "serve", "-c", str(config)],
        capture_output=True,
        text=True,
        timeout=20.0,
    )
    assert done.returncode == STORE_UNUSABLE
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_a_disk_that_is_read_only_is_refused_at_the_start(
    tmp_path: Path, stack: ExitStack, disk: Disk
) -> None:
    server = on(disk, tmp_path)
    phone = stack.enter_context(Phone(server.address))
    with server:
        phone.register("alice", expires=600)
    disk.make_read_only()
    because = f"reginfo: cannot run: {server.store}: Read-only file system"
    assert refused(server) == because
    disk.make_writable()
    with server:
        assert server.contacts("alice") == {phone.contact("alice")}


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path / "a")
    with closing(sqlite3.connect(server.store)) as database:
        database.execute("PRAGMA user_version = 99")
    assert refused(server) == (
        f"reginfo: cannot run: {server.store}: written by a newer version of reginfo"
        f" (schema 99; this one reads up to {SCHEMA.version})"
    )


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path / "a")
    server.store.write_text("What is this? " * 100)
    because = f"reginfo: cannot run: {server.store}: file is not a database"
    assert refused(server) == because


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path / "a")
    with closing(sqlite3.connect(server.store)) as database:
        database.execute("CREATE TABLE location (id INTEGER, username TEXT)")
    because = f"reginfo: cannot run: {server.store}: not a database of reginfo"
    assert refused(server) == because


def test_a_store_that_is_damaged_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path / "a")
    with server, Phone(server.address) as phone:
        phone.register("alice", expires=600)
    content = server.store.read_bytes()
    server.store.write_bytes(content[:8192].ljust(len(content), b"\0"))
    because = f"reginfo: cannot run: {server.store}: database disk image is malformed"
    assert refused(server) == because


def test_a_row_that_makes_no_sense_is_left_out(tmp_path: Path) -> None:
    """One bad row stops no start, and loses nothing else."""
    server = Server(tmp_path / "a")
    with server, Phone(server.address) as phone:
        phone.register("alice", expires=600)
        registered = {phone.contact("alice")}
    with closing(sqlite3.connect(server.store)) as database:
        entries = b"\x91\x93\xa5watch\xa1x\x01"  # in msgpack: [["watch", "x", 1]]
        database.execute(
            "INSERT INTO journal (boot, wall, entries) VALUES (1.0, 1.0, ?)", [entries]
        )
        database.commit()
    with server:
        assert server.contacts("alice") == registered
    assert "stored row watch 'x' cannot be used, left out" in server.log


def test_a_store_in_use_is_refused(tmp_path: Path) -> None:
    with Server(tmp_path / "a") as server:
        because = f"reginfo: cannot run: {server.store}: in use by another server"
        assert refused(server) == because
        assert server.health()["status"] == "ok"
