"""No 200 leaves before what it says is on disk: seen from outside, by strace."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from .fleet import Fleet
from .phone import Phone
from .server import Server
from .strace import SENDS, SYNCS, WRITES, Call, Strace
from .watchers import Watchers

pytestmark = pytest.mark.peers("strace")

LOAD = 0.5  # seconds

TOKEN = re.compile(r"~(\w+\.\d+)~")
"Of one REGISTER; its contact has it twice."


def telling(calls: list[Call], start: str) -> list[tuple[str, Call]]:
    """Datagrams that begin so, each with the REGISTER of which it tells."""
    return [
        (token, call)
        for call in calls
        if call.name in SENDS.split(",") and f'"{start}' in call.text
        for token in set(TOKEN.findall(call.text))
    ]


def on_disk(calls: list[Call]) -> dict[str, int]:
    """Where in the trace each REGISTER was on disk: written, and synced after that."""
    written: dict[str, Call] = {}
    for call in calls:
        if call.name in WRITES.split(",") and call.file.endswith("-wal"):
            for token in TOKEN.findall(call.text):
                written.setdefault(token, call)
    syncs = [call for call in calls if call.name in SYNCS.split(",")]
    return {
        token: min(
            sync.end
            for sync in syncs
            if sync.file == call.file and sync.begin > call.end and sync.result == "0"
        )
        for token, call in written.items()
        if any(s.file == call.file and s.begin > call.end for s in syncs)
    }


@pytest.mark.parametrize("synchronous", ["full", "normal"])
def test_no_200_and_no_notify_leaves_before_the_sync_of_its_batch(
    tmp_path: Path, synchronous: str
) -> None:
    """With `normal`, which does not promise it, the same look finds that it is not."""
    server = Server(tmp_path / "a", synchronous=synchronous)
    with (
        server,
        Phone(server.address) as phone,
        Watchers(server.address, ["u0", "u1"]),
    ):
        fleet = Fleet(phone, 20, random=Random(1))
        calls = ",".join((WRITES, SYNCS, SENDS))
        with Strace(server.pid, tmp_path / "trace", calls=calls) as strace:
            fleet.run(LOAD)
        trace = strace.calls()
    durable = on_disk(trace)
    answers = telling(trace, "SIP/2.0 200 OK")
    notifies = telling(trace, "NOTIFY ")
    early = [
        token
        for token, call in answers + notifies
        if token not in durable or call.begin < durable[token]
    ]
    assert len(answers) > 50
    assert notifies
    if synchronous == "full":
        assert not early
    else:
        assert len(early) > 25
