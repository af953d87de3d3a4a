"""The system calls of a process, by strace: what was written, synced and sent."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ATTACH_LIMIT = 10.0  # seconds

WRITES = "pwrite64,pwritev,write,writev"
SYNCS = "fsync,fdatasync"
SENDS = "sendto,sendmsg,sendmmsg"

_LINE = re.compile(
    r"(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>(?P<rest>.*)"
    r"|(?P<name>\w+)\((?P<begun>.*))"
)
_DATA = re.compile(r'"(?:[^"\\]|\\.)*"')  # as in C, and in Python
_FILE = re.compile(r"\d+<(?P<file>[^>]*)>")


@dataclass(slots=True)
class Call:
    """One system call; calls of several threads overlap."""

    name: str
    text: str
    "Its arguments and its result, as strace writes them."

    begin: int
    end: int
    "Where it began and ended, among all beginnings and ends."

    @property
    def file(self) -> str:
        """What its first argument refers to: a path, or a socket."""
        match = _FILE.match(self.text)
        return "" if match is None else match["file"]

    @property
    def data(self) -> bytes:
        """The octets that it writes."""
        match = _DATA.search(self.text)
        assert match is not None, self.text
        data: bytes = ast.literal_eval(f"b{match[0]}")
        return data

    @property
    def numbers(self) -> list[int]:
        """Its numeric arguments after the file, without the data."""
        rest = _DATA.sub("", self.text).partition(">, ")[2].partition(")")[0]
        return [int(part) for part in rest.split(", ") if part]

    @property
    def result(self) -> str:
        return self.text.rpartition(" = ")[2]


class Strace:
    """
    Watches a running process and its threads until its ``with`` block ends.

    Args:
        calls: Which ones.
        inject: What is to fail, as strace's option of that name says it.
    """

    def __init__(
        self, pid: int, output: Path, *, calls: str, inject: str | None = None
    ) -> None:
        self._output = output
        self._command = [
            "strace", "--follow-forks", "--decode-fds=path", "--string-limit=6000",
            f"--attach={pid}", f"--output={output}", f"--trace={calls}",
            *([] if inject is None else [f"--inject={inject}"]),
        ]  # fmt: skip

    def __enter__(self) -> Self:
        said = self._output.with_suffix(".stderr")
        with said.open("wb") as stream:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stderr=stream
            )
        deadline = time.monotonic() + ATTACH_LIMIT
        while "attached" not in said.read_text("utf-8"):
            assert self._process.poll() is None, said.read_text("utf-8")
            assert time.monotonic() < deadline, "strace does not attach"
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGINT)  # it lets the process go on
        self._process.wait()

    def calls(self) -> list[Call]:
        """What was called, in the order in which it began."""
        return list(read(self._output))


def read(output: Path) -> Iterator[Call]:
    """The calls in what strace has written, in the order in which they began."""
    calls: list[Call] = []
    open_: dict[str, Call] = {}
    for at, line in enumerate(output.read_text("utf-8").splitlines()):
        match = _LINE.match(line)
        if match is None:
            continue  # a signal, or the end of a thread
        if match["resumed"]:
            call = open_.pop(match["pid"], None)
            if call is not None:  # which began before we came
                call.text += match["rest"]
                call.end = at
            continue
        call = Call(match["name"], match["begun"], at, at)
        if call.text.endswith(" <unfinished ...>"):
            call.text = call.text.removesuffix(" <unfinished ...>")
            open_[match["pid"]] = call
        calls.append(call)
    yield from calls
