"""A routing script that does not return: it is logged, and the process can end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .phone import Address, Phone, eventually
from .server import Server

NewPhone = Callable[[Address], Phone]

HEAD = """
import asyncio
import time

from reginfo import Message, Route

route = Route()


"""

LOOPS = {
    "a loop": """
@route.request("MESSAGE")
def spin(msg: Message) -> None:
    while True:
        pass
""",
    "a loop in a coroutine that has waited": """
@route.request("MESSAGE")
async def spin(msg: Message) -> None:
    await asyncio.sleep(0.01)
    while True:
        pass
""",
    "a loop that calls the server": """
@route.request("MESSAGE")
def spin(msg: Message) -> None:
    while True:
        msg.ul_get_key("location", "sip:ann@example.test", "x")
        [n for n in range(1000)]
""",
    "a loop that ignores errors": """
@route.request("MESSAGE")
def spin(msg: Message) -> None:
    while True:
        try:
            while True:
                pass
        except Exception:
            pass
""",
    "a call that blocks": """
@route.request("MESSAGE")
def spin(msg: Message) -> None:
    time.sleep(1000)
""",
    "an event route": """
@route.event("registered")
def spin(event: object) -> None:
    while True:
        pass
""",
}

STUBBORN = {
    "a loop that ignores being interrupted": """
@route.request("MESSAGE")
def spin(msg: Message) -> None:
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
""",
    "a coroutine that ignores being cancelled": """
@route.request("MESSAGE")
async def spin(msg: Message) -> None:
    while True:
        try:
            await asyncio.sleep(1000)
        except BaseException:
            pass
""",
    "a timer of the loop": """
@route.request("MESSAGE")
def spin(msg: Message) -> None:
    asyncio.get_running_loop().call_later(0.01, time.sleep, 1000)
    msg.send_reply(200, "OK")
""",
}


def line_of(text: str, script: str) -> int:
    """The number of the first line that holds ``text``."""
    return 1 + next(n for n, one in enumerate(script.splitlines()) if text in one)


def send_message(phone: Phone) -> None:
    aor = phone.aor("ann")
    phone.send(
        phone.request("MESSAGE", aor, to=f"<{aor}>", call_id="spin", cseq=1, body=b"go")
    )


def end(ours: Server, number: int) -> tuple[int, float]:
    """Send a signal; return the exit code, and after how many seconds it came."""
    began = time.monotonic()
    return ours.terminate(number), time.monotonic() - began


@pytest.mark.parametrize(
    ("kind", "number"),
    [*((kind, signal.SIGTERM) for kind in LOOPS), ("a loop", signal.SIGINT)],
)
def test_a_process_whose_script_hangs_ends_in_order(
    kind: str, number: int, tmp_path: Path, phones: NewPhone
) -> None:
    """It ends with exit code 0, a line in the log, and all that it has confirmed."""
    with Server(tmp_path, script=HEAD + LOOPS[kind]) as ours:
        phone = phones(ours.address)
        assert phone.register("ann", expires=600).status == 200
        send_message(phone)
        time.sleep(0.3)
        code, took = end(ours, number)
        assert (code, 2.0 <= took < 5.0) == (0, True)
        assert "! to end, the script is interrupted: routes.py:" in ours.log
        assert ": spin" in ours.log
        ours.script = HEAD
        ours.start()
        assert len(ours.contacts("ann")) == 1


@pytest.mark.parametrize("kind", STUBBORN)
def test_a_process_that_does_not_end_by_itself_is_ended(
    kind: str, tmp_path: Path, phones: NewPhone
) -> None:
    """It ends with exit code 6, a line in the log, and all that it has confirmed."""
    with Server(tmp_path, script=HEAD + STUBBORN[kind]) as ours:
        phone = phones(ours.address)
        assert phone.register("ann", expires=600).status == 200
        send_message(phone)
        time.sleep(0.3)
        code, took = end(ours, signal.SIGTERM)
        assert (code, 2.0 <= took < 7.0) == (6, True)
        assert "! the process is ended with exit code 6: " in ours.log
        ours.script = HEAD
        ours.start()
        assert len(ours.contacts("ann")) == 1


SLOW = """
@route.request("MESSAGE")
def slow(msg: Message) -> None:
    if msg.body == b"timer":
        asyncio.get_running_loop().call_later(0.01, late)
    else:
        time.sleep(float(msg.body))
    msg.send_reply(200, "OK")


def late() -> None:
    time.sleep(0.3)
"""


def test_whatever_takes_long_is_logged_once_with_its_line(
    tmp_path: Path, phones: NewPhone
) -> None:
    """A turn over 100 ms is logged, and the stack of one that takes over 2 s."""
    script = HEAD + SLOW
    with Server(tmp_path, script=script) as ours:
        phone = phones(ours.address)
        aor = phone.aor("ann")

        def message(number: int, body: bytes) -> None:
            answer = phone.ask(
                phone.request(
                    "MESSAGE", aor, to=f"<{aor}>", call_id=f"m{number}", cseq=1,
                    body=body,
                ),
                within=5.0,
            )  # fmt: skip
            assert answer.status == 200

        message(1, b"0.0")
        time.sleep(0.1)
        assert "blocked the server" not in ours.log
        message(2, b"0.2")
        eventually(lambda: "blocked the server" in ours.log)
        (line,) = [one for one in ours.log.splitlines() if "blocked the server" in one]
        first = line_of("@route", script)
        assert f"! routes.py:{first}: slow blocked the server for 2" in line
        message(3, b"timer")
        eventually(lambda: ours.log.count("blocked the server") == 2)
        line = [one for one in ours.log.splitlines() if "blocked the server" in one][1]
        at = line_of("sleep(0.3)", script)
        assert f"! routes.py:{at}: late blocked the server for 3" in line
        message(4, b"2.6")
        eventually(lambda: "the server goes on" in ours.log)
        assert ours.log.count("! nothing has been served for 2.") == 1
        assert (
            f'File "{tmp_path}/routes.py", line {line_of("float", script)}, in slow'
            in ours.log
        )
        assert ours.log.count("s the server goes on") == 1
        assert ours.log.count("blocked the server") == 3
