"""What a handler changed before it raised is taken back, in every kind of route."""

from __future__ import annotations

from pathlib import Path

from reginfo.testing import Script

from ..make import place
from ..simulation import given

SCRIPT = """
from reginfo import Route

route = Route()

@route.request("MESSAGE")
def message(msg):
    msg.lookup("location")
    msg.t_on_reply("reply")
    msg.t_on_failure("failure")
    msg.t_relay()

@route.reply("reply")
def reply(msg):
    msg.ul_add_key("location", "$tU@$td", "reply", "1")
    raise ValueError("reply")

@route.failure("failure")
def failure(msg):
    msg.ul_add_key("location", "$tU@$td", "failure", "1")
    raise ValueError("failure")

@route.event("registered")
def registered(event):
    event.ul_add_key("location", event.aor, "event", "1")
    raise ValueError("event")

@route.request("OPTIONS")
def options(msg):
    msg.ul_add_key("location", "$tU@$td", "request", "1")
    raise ValueError("request")
"""
BOB = "sip:bob@example.com"


def test_a_handler_that_raises_has_changed_nothing(tmp_path: Path) -> None:
    """In request, reply, failure and event routes alike (docs/script.md)."""
    path = tmp_path / "routes.py"
    path.write_text(SCRIPT)
    script = Script(path)
    given(script.register(BOB, "sip:bob@192.0.2.60") == 200)
    script.send("OPTIONS", BOB)
    script.send("MESSAGE", BOB, "Content-Type: text/plain", body="Hi")
    (relayed,) = (one for one in script.sent() if one.uri == "sip:bob@192.0.2.60")
    script.answer(relayed, 486, "Busy Here")
    assert sorted(script.server.app.store.keys(place(BOB))) == []
