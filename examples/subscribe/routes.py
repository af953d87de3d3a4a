"""reginfo_subscribe: watches users who register at another server through us."""

import logging

from reginfo import Message, Route, SubscriptionChanged

route = Route()
log = logging.getLogger("routes")

HOME = "sip:127.0.0.1:5070"


@route.request("REGISTER")
def register(msg: Message) -> None:
    msg.append_branch(HOME)
    msg.t_on_reply("1")
    msg.t_relay()


@route.reply("1")
def subscribe_on_200(msg: Message) -> None:
    if msg.t_check_status("200"):
        msg.reginfo_subscribe("$tu", 7200)


@route.event("subscription")
def subscription(event: SubscriptionChanged) -> None:
    what = f"{event.state}: {event.reason}" if event.reason else event.state
    log.warning("%s is %s", event.uri, what)
