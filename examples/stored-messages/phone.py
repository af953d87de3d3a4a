"""
A minimal phone for messages (RFC 3428)::

    python phone.py alice send bob@example.com "are you there?"
    python phone.py bob receive 2

`receive` registers, prints the given number of messages, and exits.
"""

import secrets
import socket
import sys

SERVER = ("127.0.0.1", 5060)
DOMAIN = "example.com"

user, command, *arguments = sys.argv[1:]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(SERVER)
udp.settimeout(10)
host, port = udp.getsockname()
seen: set[str] = set()


def request(method: str, uri: str, to: str, *headers: str, body: str = "") -> str:
    """Send a request, and return the status line of the response."""
    token = secrets.token_hex(4)
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{token};rport",
        "Max-Forwards: 70",
        f"From: <sip:{user}@{DOMAIN}>;tag={token}",
        f"To: <{to}>",
        f"Call-ID: {token}",
        f"CSeq: 1 {method}",
        *headers,
        f"Content-Length: {len(body.encode())}",
    ]
    udp.send("\r\n".join([*lines, "", body]).encode())
    while True:
        message = udp.recv(65535).decode()
        if message.startswith("SIP/2.0") and token in message:
            return message.partition("\r\n")[0]


def receive() -> tuple[str, str]:
    """Answer the next message with 200, and return its sender and its text."""
    while True:
        message = udp.recv(65535).decode()
        head, _, text = message.partition("\r\n\r\n")
        headers = [line.partition(": ")[::2] for line in head.split("\r\n")[1:]]
        if not message.startswith("MESSAGE "):
            continue
        same = ("Via", "From", "To", "Call-ID", "CSeq")
        lines = [f"{name}: {value}" for name, value in headers if name in same]
        lines = [f"{one};tag=1" if one.startswith("To: ") else one for one in lines]
        answer = ["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""]
        udp.send("\r\n".join(answer).encode())
        fields = dict(headers)
        if fields["Call-ID"] not in seen:
            seen.add(fields["Call-ID"])
            return fields["From"].partition(";")[0].strip("<>"), text


if command == "send":
    to = f"sip:{arguments[0]}"
    print(request("MESSAGE", to, to, "Content-Type: text/plain", body=arguments[1]))
else:
    contact = f"Contact: <sip:{user}@{host}:{port}>"
    aor = f"sip:{user}@{DOMAIN}"
    request("REGISTER", f"sip:{DOMAIN}", aor, contact, "Expires: 600")
    for _ in range(int(arguments[0])):
        print("{}: {}".format(*receive()))
