"""Messages for users who are offline are stored, and delivered when they register."""

import sqlite3
from email.utils import formatdate
from pathlib import Path

from reginfo import ContactChanged, Message, Route

route = Route()
delivering: set[str] = set()
UNREACHABLE = {408, 430, 480, 503}  # the answer of a phone that got nothing

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
    msg.send_reply(202, "Accepted")  # RFC 3428 §7: it is not delivered yet


@route.event("registered")
@route.event("refreshed")  # for messages that did not arrive before
async def registered(event: ContactChanged) -> None:
    if event.aor in delivering:
        return  # two phones at once: each message goes to one of them
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
            return  # the phone is not there: the rest waits for it, in order
        if reply.status < 300:
            store.execute("DELETE FROM message WHERE id = ?", (number,))
        # A message that was refused is tried again when the phone registers next; it
        # does not hold up those behind it.
