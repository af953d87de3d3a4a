"""A routing script in a server process: read again, wrong, and in the way of a NAT."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .phone import DOMAIN, Address, Message, Phone, becomes, eventually
from .server import Server

NewPhone = Callable[[Address], Phone]

SCRIPT = """
from reginfo import Message, Route

route = Route()


@route.request("MESSAGE")
async def message(msg: Message) -> None:
    if msg.body == b"fail":
        raise KeyError("no such thing")
    msg.send_reply(200, "first")
"""


def message(phone: Phone, number: int, body: bytes = b"Hi") -> Message:
    aor = phone.aor("ann")
    return phone.ask(
        phone.request(
            "MESSAGE", aor, to=f"<{aor}>", call_id=f"m{number}", cseq=1, body=body
        )
    )


def hang_up(ours: Server) -> None:
    """Send the server SIGHUP."""
    os.kill(ours.pid, signal.SIGHUP)


def test_sighup_reads_the_script_again_or_keeps_the_old_one(
    tmp_path: Path, phones: NewPhone
) -> None:
    """The issue: reload on SIGHUP keeps the old script if the new one does not load."""
    with Server(tmp_path, script=SCRIPT) as ours:
        phone, routes = phones(ours.address), tmp_path / "routes.py"
        assert message(phone, 1).start == "SIP/2.0 200 first"
        routes.write_text(SCRIPT.replace("first", "second").replace("def ", "dof "))
        hang_up(ours)
        eventually(lambda: "routes.py:8: " in ours.log)
        assert message(phone, 2).start == "SIP/2.0 200 first"
        routes.write_text(SCRIPT.replace("first", "third"))
        hang_up(ours)
        eventually(lambda: "was reloaded" in ours.log)
        assert message(phone, 3).start == "SIP/2.0 200 third"


def test_an_error_in_it_is_a_500_and_the_server_continues(
    tmp_path: Path, phones: NewPhone
) -> None:
    """The issue: a traceback in the log that points at the operator's line."""
    with Server(tmp_path, script=SCRIPT) as ours:
        phone = phones(ours.address)
        assert message(phone, 1, b"fail").status == 500
        assert "routes.py:10: MESSAGE of sip:phone@" in ours.log
        assert f'File "{tmp_path}/routes.py", line 10' in ours.log
        assert message(phone, 2).status == 200


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("async def", "async dof", 8, "invalid syntax"),
        ('"first"', '"$nonsense"', 11, "$nonsense: no such pseudo-variable"),
        (
            '@route.request("MESSAGE")',
            '@route.event("came")',
            7,
            "unknown event 'came'",
        ),
    ],
)
def test_what_is_wrong_with_it_is_found_before_it_serves(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    """The issue: an error is found when it is loaded, and by `reginfo check`."""
    ours = Server(tmp_path, script=SCRIPT.replace(old, new))
    with pytest.raises(RuntimeError, match=f"routes.py:{line}: ") as caught:
        ours.start()
    assert said in str(caught.value)
    checked = subprocess.run(
        [sys.executable, "-m", "reginfo", "check", "-c", "reginfo.toml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=30.0,
    )  # fmt: skip
    assert checked.returncode == 2
    assert f"routes.py:{line}: " in checked.stderr and said in checked.stderr


# Behind a NAT.

PRIVATE = "sip:ann@10.1.2.3:5060"
NAT = """
[nat]
ping          = "options"
ping_interval = 1.0
"""


def test_a_phone_behind_a_nat_is_reached_and_pinged_by_its_owner(
    tmp_path: Path, phones: NewPhone
) -> None:
    """The issue, NAT: keep-alive pings, by the owner of a binding only."""
    a = Server(tmp_path / "a", sections=[NAT])
    b = Server(tmp_path / "b", name="b", sections=[NAT])
    b.peers = (
        f'name = "a"\nuri = "sip:127.0.0.1:{a.port}"\nwatch = ["sip:ann@{DOMAIN}"]',
    )
    with a, b:
        phone, caller = phones(a.address), phones(a.address)
        phone.register("ann", expires=600, contacts=[f"Contact: <{PRIVATE}>"])
        becomes(lambda: b.contacts("ann"), {PRIVATE})
        # It is reached by the way that its REGISTER came.
        aor = caller.aor("ann")
        caller.send(caller.request("MESSAGE", aor, to=f"<{aor}>", call_id="m", cseq=1))
        assert phone.incoming("MESSAGE").start == f"MESSAGE {PRIVATE} SIP/2.0"
        # It is pinged by A, whose it is, and not by B.
        for _ in range(3):
            ping = phone.incoming("OPTIONS")
            assert ping.source == a.address
            assert ping["from"].startswith(f"<sip:pinger@{DOMAIN}>")
