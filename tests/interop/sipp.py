"""SIPp: plays a scenario of ``sipp/`` many times over, and says how each came out."""

from __future__ import annotations

import csv
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from .phone import Address, free_port

SCENARIOS = Path(__file__).with_name("sipp")

LIMIT = 40.0  # seconds for a run, on a busy machine

Transport = Literal["UDP", "TCP"]
# One socket for all calls, of either kind.
_MODES: dict[Transport, str] = {"UDP": "u1", "TCP": "t1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The last line of SIPp's statistics: how the calls came out, all in all."""

    created: int
    successful: int
    failed: int
    unexpected: int
    "Messages that the scenario does not have at that point, or that are of no call."

    retransmissions: int
    "Of ours and of the server's."

    warnings: int
    errors: int

    @classmethod
    def read(cls, file: Path) -> Self:
        with file.open(newline="") as lines:
            *_, last = csv.DictReader(lines, delimiter=";")

        def total(*names: str) -> int:
            # Each is there twice: since the line before (P), and since the start (C).
            return sum(int(last[f"{name}(C)"]) for name in names)

        return cls(
            created=int(last["TotalCallCreated"]),
            successful=total("SuccessfulCall"),
            failed=total("FailedCall"),
            unexpected=total(
                "FailedUnexpectedMessage", "OutOfCallMsgs", "DeadCallMsgs"
            ),
            retransmissions=total("Retransmissions"),
            warnings=total("Warnings"),
            errors=total("FatalErrors"),
        )


class Sipp:
    """
    One run of a scenario, begun at once and awaited by :meth:`finish`.

    Args:
        scenario: The name of a file in ``sipp/``.
        server: Who is called.
        calls: How many there are, numbered from 1.
        directory: Where its files are.
        user: What the users' names begin with, before the number of the call.
        users: Lines of the users' file, for a scenario that has fields.
        rate: How many calls begin each second.
    """

    def __init__(
        self,
        scenario: str,
        server: Address,
        calls: int,
        directory: Path,
        *,
        transport: Transport = "UDP",
        user: str = "u",
        users: Sequence[str] = (),
        rate: int = 200,
    ) -> None:
        self.calls = calls
        self._file = directory / f"{scenario}-{transport}.csv"
        self._errors = directory / f"{scenario}-{transport}.errors"
        command = [
            "sipp",
            f"{server[0]}:{server[1]}",
            *("-sf", str(SCENARIOS / f"{scenario}.xml")),
            *("-t", _MODES[transport]),
            *("-i", "127.0.0.1", "-p", str(free_port())),
            *("-key", "user", user),
            *("-m", str(calls), "-r", str(rate), "-l", str(calls)),
            *("-timeout", f"{LIMIT:.0f}s", "-timeout_error"),
            *("-trace_stat", "-stf", str(self._file), "-fd", "1"),
            *("-trace_err", "-error_file", str(self._errors)),
            *("-nostdin", "-default_behaviors", "all,-bye"),
        ]
        if users:
            file = directory / f"{scenario}-{transport}.users"
            file.write_text("\n".join(["SEQUENTIAL", *users, ""]))
            command += ["-inf", str(file)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.communicate()
        if error is not None and self._errors.exists():
            error.add_note(f"SIPp's errors:\n{self._errors.read_text('utf-8')[-3000:]}")

    def finish(self) -> Statistics:
        """Wait until all calls are over; its statistics."""
        _, said = self._process.communicate(timeout=LIMIT + 10.0)
        assert self._file.exists(), said
        return Statistics.read(self._file)


def all_well(calls: int) -> Statistics:
    """Each call has gone as its scenario says, and nothing else has come."""
    return Statistics(
        created=calls,
        successful=calls,
        failed=0,
        unexpected=0,
        retransmissions=0,
        warnings=0,
        errors=0,
    )
