"""The disk: the time of a sync, the space, the file system; the database on it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from reginfo.doctor.disk import (
    FREE,
    SLOW,
    SYNCS,
    access,
    examine,
    file_system,
    integrity,
    space,
    sync_times,
    syncs,
)
from reginfo.doctor.finding import Level

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /run tmpfs rw 0 0
/dev/sdb1 /run/kept ext4 rw 0 0
ramfs /mnt/with\\040blank ramfs rw 0 0
"""


def database(path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a, b)")
    connection.executemany(
        "INSERT INTO t VALUES (?, ?)", [(n, "x" * 99) for n in range(999)]
    )
    connection.commit()
    connection.close()
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("times", "level"),
    [
        ([SLOW / 2] * 19 + [9.0], Level.OK),
        ([SLOW * 2] * 11 + [SLOW / 2] * 9, Level.WARNING),
    ],
)
def test_the_median_of_the_syncs_counts(times: list[float], level: Level) -> None:
    found = syncs(times)
    assert found.level is level
    assert f"{max(times) * 1e3:.1f} ms (worst)" in found.text


def test_syncs_are_timed_and_leave_nothing(tmp_path: Path) -> None:
    times = sync_times(tmp_path)
    assert len(times) == SYNCS
    assert all(time > 0.0 for time in times)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/run", "tmpfs"),
        ("/run/reginfo", "tmpfs"),
        ("/run/kept", None),
        ("/runway", None),
        ("/var/lib", None),
        ("/mnt/with blank/x", "ramfs"),
    ],
)
def test_a_store_in_memory_is_an_error(directory: str, kind: str | None) -> None:
    found = file_system(Path(directory), MOUNTS)
    if kind is None:
        assert found is None
    else:
        assert found is not None
        assert found.level is Level.ERROR
        assert kind in found.text


def test_mounts_that_cannot_be_read_report_nothing() -> None:
    assert file_system(Path("/var"), "nonsense\n\n") is None


@pytest.mark.parametrize(
    ("free", "level"), [(FREE - 1, Level.WARNING), (FREE, Level.OK)]
)
def test_little_space_is_a_warning(free: int, level: Level) -> None:
    assert space(Path("/var"), free).level is level


@pytest.mark.parametrize(
    ("mode", "found"), [(0o100600, False), (0o100640, True), (0o100604, True)]
)
def test_a_database_is_for_its_server_only(mode: int, found: bool) -> None:
    assert (access(Path("reginfo.db"), mode) is not None) == found


def test_a_database_in_use_can_be_examined(tmp_path: Path) -> None:
    path = database(tmp_path / "reginfo.db")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("INSERT INTO t VALUES (1, 2)")
    connection.commit()
    try:
        assert integrity(path).level is Level.OK
    finally:
        connection.close()


@pytest.mark.parametrize("at", [0, 4096 + 8, 8192 + 5])
def test_a_damaged_database_is_an_error(tmp_path: Path, at: int) -> None:
    path = database(tmp_path / "reginfo.db")
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 900)
    found = integrity(path)
    assert found.level is Level.ERROR
    assert str(path) in found.text
    assert "backup" in found.text


def test_nothing_is_created_where_there_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "reginfo.db"
    found = list(examine(path))
    assert found[-1].text == f"{path} does not exist yet"
    assert not path.exists()


def test_a_database_is_examined_after_its_disk(tmp_path: Path) -> None:
    path = database(tmp_path / "reginfo.db")
    path.chmod(0o644)
    found = [
        (one.subject, one.level) for one in examine(path) if "in memory" not in one.text
    ]
    assert found[0][0] == "disk"
    assert found[-2:] == [("store", Level.WARNING), ("store", Level.OK)]


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    [found] = examine(tmp_path / "gone" / "reginfo.db")
    assert (found.subject, found.level) == ("disk", Level.ERROR)
    assert "No such file or directory" in found.text
