"""reginfo_disable_publish: what some user agents register is not published."""

from reginfo import Message, Route

route = Route()


@route.request("REGISTER")
def register(msg: Message) -> None:
    if "monitor" in (msg.hdr("User-Agent") or "").lower():
        msg.reginfo_disable_publish()
    msg.save("location")
