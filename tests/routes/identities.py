"""Identities are taken from the REGISTER itself, to keep tests small."""

from reginfo import Message, Route

route = Route()


@route.request("REGISTER")
def register(msg: Message) -> None:
    if msg.save("location") and msg.hdr("P-Associated-URI"):
        msg.ul_add_key("location", "$tU@$td", "identities", "$hdr(P-Associated-URI)")
        msg.reginfo_update("$tU@$td")
