"""The examples of the module's manual, as one script."""

from reginfo import Message, Route

route = Route()


@route.reply("register_reply")
async def register_reply(msg: Message) -> None:
    if msg.t_check_status("200") and msg.hdr("P-Associated-URI"):
        msg.ul_add_key("location", "$tU@$td", "identities", "$hdr(P-Associated-URI)")
        await msg.reginfo_update("$tU@$td")


@route.reply("1")
def subscribe_on_200(msg: Message) -> None:
    if msg.t_check_status("200"):
        msg.reginfo_subscribe("$ru")


@route.request()
async def main(msg: Message) -> None:
    if msg.is_method("NOTIFY"):
        if await msg.reginfo_handle_notify("location") > 0:
            msg.send_reply(202, "Accepted")
        else:
            msg.send_reply(400, "Invalid reg-info")
        return
    if msg.is_method("REGISTER"):
        msg.reginfo_disable_publish()
        msg.t_on_reply("register_reply")
    elif msg.is_method("SUBSCRIBE"):
        msg.handle_subscribe()  # of watchers at this server
        return
    else:
        msg.t_on_reply("1")
    await msg.t_relay()
