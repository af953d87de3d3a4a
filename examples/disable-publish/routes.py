"""reginfo_disable_publish: the registrations of some users are not published."""

from reginfo import Message, Route

route = Route()


@route.request("REGISTER")
def register(msg: Message) -> None:
    if msg.to.parsed.user.startswith("probe-"):
        msg.reginfo_disable_publish()
    msg.save("location")
