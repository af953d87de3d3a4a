"""SIGHUP: a server reads its routing script again, and goes on if that is wrong."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .phone import Phone, becomes, eventually
from .server import Server

ROUTES = """
import {module}
from reginfo import Message, Route

route = Route()


@route.request("OPTIONS")
def options(msg: Message) -> None:
    msg.send_reply(200, {module}.SAID)
"""


def test_a_script_is_read_again_and_a_wrong_one_is_not_taken(tmp_path: Path) -> None:
    """The issue; by a real signal, with a module beside the script."""
    module = "reginfo_said"
    beside = tmp_path / "a" / f"{module}.py"
    beside.parent.mkdir()
    beside.write_text("SAID = 'First'\n")
    routes = tmp_path / "a" / "routes.py"
    script = ROUTES.format(module=module)
    with (
        Server(tmp_path / "a", script=script) as server,
        Phone(server.address) as phone,
    ):
        pid = server.pid

        def said() -> str:
            return phone.options().start

        def reload() -> None:
            os.kill(pid, signal.SIGHUP)

        assert said() == "SIP/2.0 200 First"
        phone.register("bob", expires=600)
        beside.write_text("SAID = 'Second'\n")
        assert said() == "SIP/2.0 200 First", "not before it is asked for"
        reload()
        becomes(said, "SIP/2.0 200 Second")

        for wrong in ("def", "1 / 0"):
            routes.write_text(wrong)
            before = len(server.log)
            reload()
            eventually(lambda: "routes.py:1: " in server.log[before:])  # noqa: B023
            assert said() == "SIP/2.0 200 Second"

        # One that loads, and fails when it is called, costs that request.
        routes.write_text(script.replace("SAID", "NONE"))
        reload()
        becomes(said, "SIP/2.0 500 Server Internal Error")
        assert "routes.py:10: OPTIONS of" in server.log
        routes.write_text(script)
        reload()
        becomes(said, "SIP/2.0 200 Second")

        routes.unlink()
        reload()
        eventually(lambda: "routes.py: No such file" in server.log)
        assert said() == "SIP/2.0 200 Second"
        assert server.pid == pid and server.contacts("bob")
        assert server.terminate() == 0


def test_without_a_script_the_signal_is_nothing(tmp_path: Path) -> None:
    with Server(tmp_path / "a") as server, Phone(server.address) as phone:
        os.kill(server.pid, signal.SIGHUP)
        assert phone.options().status == 200
        assert server.terminate() == 0
