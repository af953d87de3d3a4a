"""reginfo_handle_notify: what others notify is known here."""

from reginfo import Message, Route

route = Route()


@route.request("NOTIFY")
def notify(msg: Message) -> None:
    match msg.reginfo_handle_notify("location"):
        case 1 | 2:  # with contacts, or without any now
            msg.send_reply(202, "Accepted")
        case _:
            msg.send_reply(400, "Invalid reg-info")
