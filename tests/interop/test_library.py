"""The examples of docs/library.md, and what it says, on real sockets."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import reginfo

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ALICE = "sip:alice@192.0.2.5"


@pytest.mark.parametrize(
    "example",
    [e for e in EXAMPLES if "def test_" not in e and "reginfo.watch" not in e],
    ids=lambda example: example.splitlines()[-1][:40],
)
def test_an_example_of_the_page_runs(example: str) -> None:
    async def server_for(program: str) -> None:
        async with reginfo.Server() as server:
            program = program.replace("192.0.2.1:5060", server.address)
            await asyncio.to_thread(exec, compile(program, "example", "exec"), {})

    asyncio.run(server_for(example))


def test_the_example_of_a_watch_sees_alice_come_and_go(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [example] = [e for e in EXAMPLES if "reginfo.watch" in e]

    async def scenario() -> None:
        async with reginfo.Server() as server:
            program = example.replace("192.0.2.1:5060", server.address)
            await reginfo.register("alice@example.com", ALICE, server=server.address)
            watching = asyncio.create_task(
                asyncio.to_thread(exec, compile(program, "example", "exec"), {})
            )
            async with asyncio.timeout(20.0):
                while "registered" not in capsys.readouterr().out:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await reginfo.register(
                "alice@example.com", ALICE, server=server.address, expires=0
            )
            await watching

    asyncio.run(scenario())
    assert f"sip:alice@example.com {ALICE} unregistered" in capsys.readouterr().out


def test_the_example_of_a_test_passes(tmp_path: Path) -> None:
    [example] = [e for e in EXAMPLES if "def test_" in e]
    (tmp_path / "test_example.py").write_text(example)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "reginfo.pytest_plugin"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_watch_gives_what_happens_over_udp_and_tcp(transport: str) -> None:
    async def scenario() -> None:
        async with reginfo.Server() as server:
            [address] = [a for a in server.addresses if a.startswith(transport)]
            there: Any = {"server": address.partition(":")[2], "transport": transport}
            async with reginfo.watch("alice@example.com", **there) as changes:
                assert changes.contacts == ()
                for expires, event in ((600, "registered"), (0, "unregistered")):
                    await reginfo.register(
                        "alice@example.com", ALICE, expires=expires, **there
                    )
                    change = await anext(changes)
                    assert change.aor == "sip:alice@example.com"
                    assert change.contact.uri == ALICE
                    assert change.contact.event.value == event

    asyncio.run(scenario())


def test_several_servers_and_watches_live_in_one_loop() -> None:
    async def scenario() -> None:
        async with reginfo.Server() as a, reginfo.Server() as b:
            assert a.address != b.address
            async with (
                reginfo.watch("alice@example.com", server=a.address) as at_a,
                reginfo.watch("alice@example.com", server=b.address) as at_b,
            ):
                await reginfo.register("alice@example.com", ALICE, server=b.address)
                assert (await anext(at_b)).contact.uri == ALICE
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await anext(at_a)
                assert a.contacts("alice@example.com") == []
                assert b.contacts("alice@example.com") == [ALICE]

    asyncio.run(scenario())


def test_a_refusal_is_raised_with_its_status() -> None:
    async def scenario() -> None:
        async with reginfo.Server() as server:
            with pytest.raises(reginfo.RequestRefused) as raised:
                await reginfo.register(
                    "alice@example.com", ALICE, server=server.address, expires=5
                )
            assert raised.value.status == 423

    asyncio.run(scenario())


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with reginfo.Server() as server:
            host, _, port = server.address.partition(":")
            file = tmp_path / "reginfo.toml"
            file.write_text(
                f'[server]\nid = "b"\ndomains = ["example.com"]\n'
                f'listen = ["udp:{host}:{port}"]\n[store]\nurl = "memory:"\n'
            )
            with pytest.raises(reginfo.StartError, match="in use"):
                async with reginfo.Server(file):
                    raise AssertionError("started")

    asyncio.run(scenario())
