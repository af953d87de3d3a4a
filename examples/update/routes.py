"""reginfo_update: reports the public identities from the home network at once."""

from reginfo import Message, Route

route = Route()

HOME = "sip:127.0.0.1:5070"


@route.request("REGISTER")
def register(msg: Message) -> None:
    msg.append_branch(HOME)
    msg.t_on_reply("register_reply")
    msg.t_relay()


@route.reply("register_reply")
async def register_reply(msg: Message) -> None:
    if msg.t_check_status("200") and msg.hdr("P-Associated-URI"):
        msg.ul_add_key("location", "$tU@$td", "identities", "$hdr(P-Associated-URI)")
        await msg.reginfo_update("$tU@$td")
