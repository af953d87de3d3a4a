"""Stores messages for offline users, and delivers them when the users register."""

import sqlite3
from email.utils import formatdate
from pathlib import Path

from reginfo import ContactChanged, Message, Route

route = Route()
delivering: set[str] = set()
UNREACHABLE = {408, 430, 480, 503}  # the phone did not get the message

store = sqlite3.connect(Path(__file__).with_name("messages.db"), isolation_level=None)
store.execute("PRAGMA journal_mode = WAL")
store.execute(
    "CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, aor TEXT, sender TEXT,"
    " type TEXT, date TEXT, body BLOB)"
)


@route.request("MESSAGE")
def message(msg: Message) -> None:
    if msg.lookup("location"):
        msg.t_relay()
        return
    store.execute(
        "INSERT INTO message (aor, sender, type, date, body) VALUES (?, ?, ?, ?, ?)",
        (
            msg.uri.aor,
            msg.from_.uri,
            msg.hdr("Content-Type") or "text/plain",
            msg.hdr("Date") or formatdate(usegmt=True),
            msg.body,
        ),
    )
    msg.send_reply(202, "Accepted")  # RFC 3428 §7: stored, but not delivered yet


@route.event("registered")
@route.event("refreshed")  # for messages that did not arrive before
async def registered(event: ContactChanged) -> None:
    if event.aor in delivering:
        return  # two phones at once: deliver each message to one of them
    delivering.add(event.aor)
    try:
        await deliver(event)
    finally:
        delivering.discard(event.aor)


async def deliver(event: ContactChanged) -> None:
    waiting = store.execute(
        "SELECT id, sender, type, date, body FROM message WHERE aor = ? ORDER BY id",
        (event.aor,),
    ).fetchall()
    for number, sender, kind, date, body in waiting:
        reply = await event.send_to_contact(
            "MESSAGE",
            headers=[("Content-Type", kind), ("Date", date)],
            body=body,
            from_=sender,
        )
        if reply.status in UNREACHABLE:
            return  # the phone is gone: keep the rest, in order
        if reply.status < 300:
            store.execute("DELETE FROM message WHERE id = ?", (number,))
        # A refused message is retried at the next registration; the messages behind it
        # do not wait for that.
