"""
The files of the store, cut at every write: whatever is left starts, and is right.

A server is watched by strace while phones register, its journal is folded and the
database is checkpointed. What it wrote is written again, up to any point, and what is
left is loaded. Each 200 that the server had sent by then must be kept.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from reginfo.ledger import shelf
from reginfo.ledger.journal import Journal
from reginfo.ledger.sqlite import SqliteStorage
from reginfo.location.place import TABLE, Place
from reginfo.location.schema import SCHEMA
from reginfo.location.store import LocationStore

from . import folding
from .fleet import Fleet
from .phone import DOMAIN, Phone
from .server import Server
from .strace import SENDS, SYNCS, Call, Strace
from .test_strace import on_disk, telling

pytestmark = pytest.mark.peers("strace")

USERS = 10
ANSWERS = 500
SECTOR = 512  # octets that a disk writes whole, at least
POWER_CUTS = 300
SEED = 20_080

Table = dict[str, int]
"""CSeqs by user."""

Files = dict[str, bytearray]
"""Contents by how the names end: the database, and what is beside it."""


@dataclass(frozen=True, slots=True)
class Write:
    """Octets put into a file; or its new length, where there are none."""

    file: str
    at: int
    data: bytes | None
    begin: int
    end: int
    synced: int | None
    "Where in the trace a sync of the file had ended that began after this."

    def apply(self, files: Files, kept: slice = slice(None)) -> None:
        """Do it again, or a part of it."""
        file = files[self.file]
        data = b"" if self.data is None else self.data[kept]
        at = self.at + (kept.start or 0)
        if self.data is None:
            del file[at:]
        file.extend(bytes(max(0, at + len(data) - len(file))))
        file[at : at + len(data)] = data

    def sectors(self) -> Iterator[slice]:
        if self.data is None:
            yield slice(None)
            return
        begin = 0
        while begin < len(self.data):
            end = begin + SECTOR - (self.at + begin) % SECTOR
            yield slice(begin, end)
            begin = end


@dataclass(frozen=True, slots=True)
class Recording:
    """What a server wrote and sent."""

    before: dict[str, bytes]
    "The files when it began."

    writes: list[Write]

    acknowledged: list[tuple[int, int]]
    "Where in the trace a 200 was sent, and how many commits that proves."

    tables: list[Table]
    "What holds after so many commits."

    def files(self) -> Files:
        return {end: bytearray(content) for end, content in self.before.items()}

    def check(self, table: Table, at: int) -> None:
        """It is what held after some commit, and after all that were acknowledged."""
        least = max((n for begin, n in self.acknowledged if begin < at), default=0)
        assert table in self.tables[least:], f"at {at}, after {least} commits"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    directory = tmp_path_factory.mktemp("power")
    server = Server(directory / "a", program=[str(Path(folding.__file__))])
    with server, Phone(server.address) as phone:
        fleet = Fleet(phone, USERS)
        calls = ",".join(("pwrite64,ftruncate,unlink", SYNCS, SENDS))
        with Strace(server.pid, directory / "trace", calls=calls) as strace:
            before = {
                end: Path(f"{server.store}{end}").read_bytes() for end in ("", "-wal")
            }
            while fleet.answers < ANSWERS:
                fleet.run(0.05)
        trace = strace.calls()
    durable = on_disk(trace)
    commits = sorted(set(durable.values()))
    number_of = {token: commits.index(at) + 1 for token, at in durable.items()}
    tables: list[Table] = [{}]
    for number in range(1, len(commits) + 1):
        table = dict(tables[-1])
        for token in number_of:
            user, _, cseq = token.partition(".")
            if number_of[token] == number:
                table[user] = max(int(cseq), table.get(user, 0))
        tables.append(table)
    return Recording(
        before=before,
        writes=list(writes(trace)),
        acknowledged=[
            (call.begin, number_of[token])
            for token, call in telling(trace, "SIP/2.0 200 OK")
        ],
        tables=tables,
    )


def writes(trace: list[Call]) -> Iterator[Write]:
    syncs = [call for call in trace if call.name in SYNCS.split(",")]
    for call in trace:
        if call.name not in ("pwrite64", "ftruncate", "unlink"):
            continue
        assert call.name != "unlink"
        is_write = call.name == "pwrite64"
        yield Write(
            file="-wal" if call.file.endswith("-wal") else "",
            at=call.numbers[-1],
            data=call.data if is_write else None,
            begin=call.begin,
            end=call.end,
            synced=min(
                (s.end for s in syncs if s.file == call.file and s.begin > call.end),
                default=None,
            ),
        )


def loaded(directory: Path, files: Files) -> Table:
    """What a start makes of the files."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    path = directory / "reginfo.db"
    for end, content in files.items():
        Path(f"{path}{end}").write_bytes(content)
    store = LocationStore("a", Journal())
    with closing(SqliteStorage(path, SCHEMA)) as journal:
        shelf.load(journal, store.shelves, boot=0.0, wall=0.0, boot_id="")
    table: Table = {}
    for aor in store.aors(TABLE):
        ((claim, *_),) = store.rows(Place(TABLE, aor)).values()
        table[aor.removeprefix("sip:").removesuffix(f"@{DOMAIN}")] = claim.cseq
    return table


def test_the_recording_has_all_that_a_server_does(
    recording: Recording, tmp_path: Path
) -> None:
    assert len(recording.tables) > 20
    assert max(n for _, n in recording.acknowledged) == len(recording.tables) - 1
    # There were checkpoints, and the file beside the database began anew.
    assert {write.file for write in recording.writes} == {"", "-wal"}
    assert sum(write.file == "-wal" and write.at == 0 for write in recording.writes) > 1
    files = recording.files()
    for write in recording.writes:
        write.apply(files)
    loaded(tmp_path / "whole", files)
    with closing(sqlite3.connect(tmp_path / "whole" / "reginfo.db")) as database:
        (folded,) = database.execute("SELECT count(*) FROM location").fetchone()
    assert folded > 0


def test_a_start_after_every_write_and_in_the_middle_of_it(
    recording: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts = 0
    files = recording.files()
    for write in recording.writes:
        if write.data is not None and len(write.data) > SECTOR:
            torn = {end: bytearray(content) for end, content in files.items()}
            write.apply(torn, slice(0, len(write.data) // 2))
            recording.check(loaded(tmp_path / "torn", torn), write.begin)
            starts += 1
        write.apply(files)
        recording.check(loaded(tmp_path / "cut", files), write.end)
        starts += 1
    assert loaded(tmp_path / "cut", files) == recording.tables[-1]
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(recording.writes)} writes of {len(recording.tables) - 1} commits:"
            f" {starts} starts from files cut there, each holds whole commits and all"
            " that was acknowledged\n"
        )


def test_a_start_after_a_power_cut_that_loses_what_was_not_synced(
    recording: Recording, tmp_path: Path
) -> None:
    """Of what was not synced, any sectors may be on the disk."""
    random = Random(SEED)
    lost = 0
    for _ in range(POWER_CUTS):
        last = random.randrange(len(recording.writes))
        at = recording.writes[last].end
        files = recording.files()
        for write in recording.writes[: last + 1]:
            if write.synced is not None and write.synced < at:
                write.apply(files)
                continue
            for sector in write.sectors():
                if random.random() < 0.5:
                    write.apply(files, sector)
                else:
                    lost += 1
        recording.check(loaded(tmp_path / "cut", files), at)
    assert lost > POWER_CUTS
