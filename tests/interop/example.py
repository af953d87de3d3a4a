"""An example of `examples/`, run as its reader runs it: a copy, with free ports."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx2

from .phone import Address, eventually, free_port
from .server import READY

ROOT = Path(__file__).parents[2] / "examples"
DOMAIN = "example.com"
PORTS = ("5060", "5070", "8060", "8070")


class Example:
    """
    A copy of an example, with the others beside it, at ports that nobody uses.

    Args:
        name: The directory in `examples/`.
        at: Other ports than free ones, by those that its configuration has.
    """

    def __init__(
        self, name: str, directory: Path, at: dict[str, int] | None = None
    ) -> None:
        copy = directory / name
        left = shutil.ignore_patterns("__pycache__", "*.db*")
        shutil.copytree(ROOT, copy, ignore=left)
        self.directory = copy / name
        self.ports = {port: free_port() for port in PORTS} | (at or {})
        for file in copy.rglob("*.*"):
            if file.suffix in (".toml", ".py", ".md"):
                file.write_text(self.moved(file.read_text("utf-8")))
        self._stack = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Example:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(15.0)
        self._stack.close()
        if error is not None:
            error.add_note(self.log())

    def moved(self, text: str) -> str:
        """Text of the example, with its ports where they are now."""
        for port, free in self.ports.items():
            here = rf'(127\.0\.0\.1(?::|", )){port}\b'
            text = re.sub(here, rf"\g<1>{free}", text)
        return text

    def log(self) -> str:
        return "\n".join(p.read_text("utf-8") for p in self.directory.glob("*.log"))

    def run(self, name: str, program: Sequence[str]) -> Path:
        """Start a program of it; where its output is."""
        log = self.directory / f"{name}.log"
        stream = self._stack.enter_context(log.open("ab"))
        self._processes[name] = subprocess.Popen(
            [sys.executable, *program],
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            cwd=self.directory,
        )  # fmt: skip
        return log

    def serve(self, config: str = "reginfo.toml") -> Address:
        """Start its server; where it listens."""
        log = self.run(config, ["-m", "reginfo", "serve", "-c", config])
        begin = log.stat().st_size

        def ready() -> re.Match[str] | None:
            assert self._processes[config].poll() is None, log.read_text("utf-8")
            return READY.search(log.read_bytes()[begin:].decode())

        found = eventually(ready, within=20.0)
        assert found is not None
        return ("127.0.0.1", int(found[1].rpartition(":")[2]))

    def stop(self, config: str = "reginfo.toml") -> None:
        process = self._processes.pop(config)
        process.terminate()
        assert process.wait(15.0) == 0

    def contacts(self, aor: str, port: str = "8060") -> set[str]:
        """Where a user is, as the API at ``port`` of the example says."""
        reply = httpx2.get(f"http://127.0.0.1:{self.ports[port]}/v1/aors", timeout=10.0)
        return {b["uri"] for b in reply.json()["bindings"] if b["aor"] == aor}

    def reginfo(self, *arguments: str) -> str:
        """What a command of ours says."""
        done = subprocess.run(
            [sys.executable, "-m", "reginfo", *arguments],
            cwd=self.directory, capture_output=True, text=True, timeout=30.0,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout
