"""A backup that is made under load is whole, and a server goes on from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path

from .fleet import Fleet, cseqs
from .phone import Phone
from .server import Server

BACKUPS = 4
WATCHED = 5


def test_a_backup_under_load_has_all_that_was_acknowledged_before_it(
    server: Server, tmp_path: Path
) -> None:
    with Phone(server.address) as phone, Phone(server.address) as watcher:
        fleet = Fleet(phone, 50)
        fleet.run(0.1)
        for user in fleet.users[:WATCHED]:
            assert watcher.subscribe(user).status == 200
        over = threading.Event()
        backups: list[tuple[Path, dict[str, int]]] = []

        def back_up() -> None:
            try:
                for number in range(BACKUPS):
                    before = {u: c.cseq for u, c in fleet.acknowledged.items()}
                    copy = tmp_path / f"copy{number}.db"
                    _backup(server, copy)
                    backups.append((copy, before))
            finally:
                over.set()

        thread = threading.Thread(target=back_up)
        thread.start()
        fleet.run_until(over, limit=30.0)
        thread.join()
        fleet.retransmit(within=20.0)
        assert len(backups) == BACKUPS
        assert cseqs(server.all_bindings()) == fleet.expected()
        server.stop()
        # The watcher still listens: a closed port would end its subscriptions.
        for copy, before in backups:
            _check(fleet, copy, before)


def _backup(server: Server, copy: Path) -> None:
    """As an operator does it."""
    config = server.directory / "reginfo.toml"
    command = [sys.executable, "-m", "reginfo", "backup", str(copy), "-c", str(config)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _check(fleet: Fleet, copy: Path, before: dict[str, int]) -> None:
    directory = copy.with_suffix("")
    directory.mkdir()
    shutil.copy(copy, directory / "reginfo.db")
    with Server(directory) as restored:
        table = cseqs(restored.all_bindings())
        now = fleet.expected()
        for user, cseq in before.items():
            aor = fleet.phone.aor(user)
            assert cseq <= table[aor] <= now[aor]
        assert restored.health()["watchers"] == WATCHED
        assert table != now  # the load went on
