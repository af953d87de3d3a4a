"""reginfo_subscribe: whoever registers elsewhere by way of us is watched there."""

import logging

from reginfo import Message, Route, SubscriptionChanged

route = Route()
log = logging.getLogger("routes")


@route.request("REGISTER")
def register(msg: Message) -> None:
    msg.t_on_reply("registered")
    msg.t_relay()


@route.reply("registered")
def subscribe(msg: Message) -> None:
    if msg.t_check_status("200"):
        msg.reginfo_subscribe("$tu", 7200)


@route.event("subscription")
def subscription(event: SubscriptionChanged) -> None:
    log.warning("%s is %s %s", event.uri, event.state, event.reason)
