"""
Asks a server at one of its addresses, and prints who answers: for other networks.

    python asker.py udp|tcp HOST PORT

It subscribes by that address, and prints as JSON the address that the response comes
from, the one that the NOTIFY comes from, and the host of the Contact.
"""

import json
import re
import socket
import sys

CRLF = "\r\n"


def main() -> None:
    """Subscribe, and print what comes."""
    transport, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    us = socket.socket(family, kind)
    us.settimeout(5)
    # Not connected: a datagram from another address is received, too.
    us.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    if transport == "tcp":
        us.connect((host, port))
    here = us.getsockname()
    me = (
        f"[{here[0]}]:{here[1]}"
        if family == socket.AF_INET6
        else f"{here[0]}:{here[1]}"
    )
    lines = [
        "SUBSCRIBE sip:ann@example.com SIP/2.0",
        f"Via: SIP/2.0/{transport.upper()} {me};branch=z9hG4bK{host}{port};rport",
        "Max-Forwards: 70",
        "From: <sip:ann@example.com>;tag=1",
        "To: <sip:ann@example.com>",
        f"Call-ID: {transport}-{host}",
        "CSeq: 1 SUBSCRIBE",
        f"Contact: <sip:ann@{me};transport={transport}>",
        "Event: reg",
        "Expires: 600",
        "Content-Length: 0",
    ]
    data = CRLF.join([*lines, "", ""]).encode()
    found: dict[str, object] = {}
    if transport == "tcp":
        us.sendall(data)
    else:
        us.sendto(data, (host, port))
    received = b""
    while len(found) < 3:
        if transport == "tcp":
            received += us.recv(65535)
            source = us.getpeername()
        else:
            received, source = us.recvfrom(65535)
        text = received.decode()
        if "SIP/2.0 200" in text and "response" not in found:
            found["response"] = source[0]
            contact = re.search(r"\r\nContact: <sip:(.*?):\d+[;>]", text)
            found["contact"] = contact and contact[1].strip("[]")
        if "NOTIFY sip:" in text:
            found["notify"] = source[0]
    print(json.dumps(found))  # noqa: T201


main()
