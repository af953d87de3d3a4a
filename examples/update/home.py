"""The home network, which lists the identities of its users in the 200."""

from reginfo import Message, Route

route = Route()


@route.request("REGISTER")
def register(msg: Message) -> None:
    identities = '<sip:$tU@$td>, "Al, at work" <sip:al@$td>, <tel:+15550100>'
    msg.append_to_reply("P-Associated-URI", identities)
    msg.save("location")
