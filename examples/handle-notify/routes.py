"""reginfo_handle_notify: adds contacts that another server notifies."""

import logging

from reginfo import Message, Route

route = Route()
log = logging.getLogger("routes")


@route.request("NOTIFY")
async def main(msg: Message) -> None:
    if await msg.reginfo_handle_notify("location") > 0:
        msg.send_reply(202, "Accepted")
    else:
        log.warning("a NOTIFY from %s: %s", msg.source[0], msg.reginfo_reason)
        msg.send_reply(400, "Invalid reg-info")
