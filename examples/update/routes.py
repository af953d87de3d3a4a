"""reginfo_update: public identities that are learned later are told at once."""

from reginfo import Message, Route

route = Route()


@route.request("REGISTER")
def register(msg: Message) -> None:
    # Here this header comes from the user agent, to keep the example small; it is the
    # home network that knows it, and sends it in its 200.
    if msg.save("location") and msg.hdr("P-Associated-URI"):
        msg.ul_add_key("location", "$tU@$td", "identities", "$hdr(P-Associated-URI)")
        msg.reginfo_update("$tU@$td")
