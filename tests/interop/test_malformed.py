"""
Broken datagrams get their error, or silence, and the server goes on.

No test waits for silence: loopback keeps the order of datagrams and the server
answers in order, so what comes before the answer to an OPTIONS that was sent
after the broken one is the answer to that.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator

import pytest

from .phone import Phone
from .server import Server

SILENCE = 0

ONE = frozenset({400})
"It can be answered, and the fault is the sender's."

QUIET = frozenset({SILENCE})
"Nobody could tell where an answer would go, or it is no request."

LONG = frozenset({513})
"A message or a header field is longer than is allowed (3261-153)."

EITHER = ONE | QUIET

ANY = frozenset({200, 400, 413, 414, 513, SILENCE})
"Odd but not broken: only that the server goes on is asked for."


HEAD = (
    b"REGISTER sip:example.test SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:PORT;branch=z9hG4bK-bad-NUMBER\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:mallory@example.test>;tag=m1\r\n"
    b"To: <sip:mallory@example.test>\r\n"
    b"Call-ID: malformed-NUMBER\r\n"
    b"CSeq: 1 REGISTER\r\n"
    b"Contact: <sip:mallory@127.0.0.1:PORT>\r\n"
    b"Expires: 60\r\n"
    b"Content-Length: 0\r\n"
    b"\r\n"
)
"What is well-formed, and is broken below in one place each."


def instead(old: bytes, new: bytes) -> bytes:
    """The message with one line, or a part of it, replaced."""
    assert HEAD.count(old) == 1, old
    return HEAD.replace(old, new)


def without(name: bytes) -> bytes:
    """The message without one of its headers."""
    lines = HEAD.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(name + b":"))


def garbage(size: int) -> bytes:
    """Bytes that are the same in every run."""
    return random.Random(size).randbytes(size)


BROKEN: dict[str, tuple[bytes, frozenset[int]]] = {
    # No SIP at all.
    "empty": (b"", QUIET),
    "a keep-alive": (b"\r\n\r\n", QUIET),
    "a ping": (b"\0\0\0\0", QUIET),
    "NULs": (bytes(1000), QUIET),
    "one random byte": (garbage(1), QUIET),
    "random": (garbage(1000), QUIET),
    "much random": (garbage(60_000), QUIET),
    "the same letter, as long as a datagram can be": (b"A" * 65_507, QUIET),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n", QUIET),
    "line ends only": (b"\r\n" * 2000, QUIET),
    # Halves.
    "a request line": (b"REGISTER sip:example.test SIP/2.0\r\n\r\n", QUIET),
    "a method": (b"REGISTER", QUIET),
    "a quarter": (HEAD[: HEAD.index(b"Max-F")], EITHER),
    "half a message": (HEAD[: HEAD.index(b"Call-ID")], EITHER),
    "cut in a header": (HEAD[: HEAD.index(b"=z9hG4bK")], EITHER),
    "no empty line": (HEAD[:-2], ANY),
    # Lengths.
    "Content-Length beyond the end": (
        instead(b"Content-Length: 0", b"Content-Length: 100"),
        ONE,
    ),
    "Content-Length beyond any end": (
        instead(b"Content-Length: 0", b"Content-Length: 99999999999999999999"),
        LONG,
    ),
    "negative Content-Length": (
        instead(b"Content-Length: 0", b"Content-Length: -1"),
        ONE,
    ),
    "Content-Length in words": (
        instead(b"Content-Length: 0", b"Content-Length: none"),
        ONE,
    ),
    "two Content-Lengths": (
        instead(b"Content-Length: 0", b"Content-Length: 0\r\nContent-Length: 7"),
        ONE,
    ),
    # RFC 3261 §18.3: bytes beyond the length are discarded.
    "bytes after the end": (HEAD + b"and more", frozenset({200})),
    # Sizes.
    "a huge header": (
        instead(b"Expires: 60", b"Expires: 60\r\nX-Junk: " + b"x" * 60_000),
        ANY,
    ),
    "thousands of headers": (
        instead(b"Expires: 60", b"Expires: 60" + b"\r\nX: y" * 9_000),
        ANY,
    ),
    "hundreds of Vias": (
        instead(b"Max-Forwards", b"Via: SIP/2.0/UDP h\r\n" * 900 + b"Max-Forwards"),
        ANY,
    ),
    "hundreds of contacts": (
        instead(b"Expires: 60", b"Contact: <sip:x@h>\r\n" * 900 + b"Expires: 60"),
        ANY | {403, 503},
    ),
    "a huge URI": (
        instead(b"R sip:example.test", b"R sip:example.test;" + b"a" * 50_000),
        ANY,
    ),
    "quotes without an end": (
        instead(b"To: <", b'To: "' + b'\\"' * 20_000 + b"<"),
        LONG,
    ),
    "angles": (instead(b"To: <", b"To: " + b"<" * 20_000), LONG),
    "parameters": (
        instead(b";tag=m1", b";tag=m1" + b";a" * 20_000),
        ANY,
    ),
    # CSeq.
    "CSeq in words": (instead(b"CSeq: 1 R", b"CSeq: one R"), ONE),
    "CSeq without a number": (instead(b"CSeq: 1 R", b"CSeq: R"), ONE),
    "CSeq without a method": (instead(b"1 REGISTER", b"1"), ONE),
    "CSeq of another method": (instead(b"1 REGISTER", b"1 INVITE"), ONE),
    "CSeq beyond 31 bits": (instead(b"1 REGISTER", b"4294967296 REGISTER"), ONE),
    "CSeq as long as a book": (
        instead(b"1 REGISTER", b"1" * 10_000 + b" REGISTER"),
        LONG,
    ),
    "negative CSeq": (instead(b"1 REGISTER", b"-1 REGISTER"), ONE),
    "CSeq in Arabic digits": (
        instead(b"1 REGISTER", "\N{ARABIC-INDIC DIGIT ONE} REGISTER".encode()),
        ONE,
    ),
    # Mandatory headers (RFC 3261 §8.1.1).
    "no Via": (without(b"Via"), QUIET),
    "no From": (without(b"From"), ONE),
    "no To": (without(b"To"), ONE),
    "no Call-ID": (without(b"Call-ID"), ONE),
    "no CSeq": (without(b"CSeq"), ONE),
    "no Max-Forwards": (without(b"Max-Forwards"), ANY),
    "no header": (HEAD.split(b"\r\n")[0] + b"\r\n\r\n", QUIET),
    "an empty Call-ID": (instead(b": malformed-NUMBER", b":"), ONE),
    "an empty To": (instead(b": <sip:mallory@example.test>\r", b":\r"), ONE),
    "two Call-IDs": (instead(b"CSeq", b"Call-ID: other\r\nCSeq"), ONE),
    "two CSeqs": (instead(b"Expires", b"CSeq: 2 REGISTER\r\nExpires"), ONE),
    "two Froms": (instead(b"To", b"From: <sip:x@h>;tag=2\r\nTo"), ONE),
    "two Tos": (instead(b"Call", b"To: <sip:x@example.test>\r\nCall"), ONE),
    # The start line.
    "another version": (instead(b"SIP/2.0\r", b"SIP/7.0\r"), ONE | {505}),
    "no version": (instead(b" SIP/2.0\r", b"\r"), EITHER),
    "angles about the URI": (instead(b"sip:example.test S", b"<sip:h> S"), ONE),
    "a blank in the URI": (instead(b"sip:example.test S", b"sip:h; x S"), ONE),
    "two blanks": (instead(b"REGISTER sip", b"REGISTER  sip"), EITHER),
    "a URI without a host": (instead(b"sip:example.test S", b"sip: S"), ONE),
    "a scheme that nobody knows": (
        instead(b"sip:example.test S", b"xyz:example.test S"),
        ONE | {416},
    ),
    # Single headers.
    "no colon": (instead(b"Max-Forwards: 70", b"Max-Forwards 70"), ANY),
    "a name with blanks": (instead(b"Max-Forwards", b"Max Forwards"), ANY),
    "a folded first line": (instead(b"Via", b" Via"), EITHER),
    "bytes that are no UTF-8": (instead(b"From: <", b"From: \xff\xfe <"), ANY),
    "NULs in a header": (instead(b"From: <", b"From: \0 <"), ANY),
    "line feeds alone": (HEAD.replace(b"\r\n", b"\n"), ANY),
    "Contact cut": (
        instead(b"Contact: <sip:mallory@127.0.0.1:PORT>", b"m: <sip:"),
        ONE,
    ),
    "Contact: * for an hour": (
        instead(b"Contact: <sip:mallory@127.0.0.1:PORT>", b"Contact: *"),
        ONE,
    ),
    "Contact: * and more": (instead(b"Expires: 60", b"m: *\r\nExpires: 0"), ONE),
    # §20.19 and §10.2.1.1: "malformed values SHOULD be treated as 3600".
    "Expires in words": (instead(b"Expires: 60", b"Expires: soon"), ANY),
    "Expires beyond 32 bits": (
        instead(b"Expires: 60", b"Expires: 99999999999999"),
        ANY,
    ),
    # Where to answer.
    "a Via port that is none": (instead(b".1:PORT;br", b".1:99999;br"), EITHER),
    "Via port 0": (instead(b".1:PORT;br", b".1:0;br"), EITHER),
    "a Via port in words": (instead(b".1:PORT;br", b".1:sip;br"), EITHER),
    "a Via without a host": (instead(b"127.0.0.1:PORT;br", b";br"), EITHER),
    "a Via of another version": (instead(b"SIP/2.0/UDP", b"SIP/9/UDP"), ANY),
    "a Via that is cut": (instead(b"SIP/2.0/UDP 127.0.0.1:PORT;", b"SIP/2.0;"), EITHER),
    "rport in words": (instead(b";branch", b";rport=x;branch"), ANY),
    # Responses that nobody asked for.
    "a stray response": (instead(HEAD.split(b"\r\n")[0], b"SIP/2.0 200 OK"), QUIET),
    "a status in words": (instead(HEAD.split(b"\r\n")[0], b"SIP/2.0 yes OK"), QUIET),
    "a status of two digits": (instead(HEAD.split(b"\r\n")[0], b"SIP/2.0 99 X"), QUIET),
    "half a response": (b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127", QUIET),
    "a response without headers": (b"SIP/2.0 200 OK\r\n\r\n", QUIET),
    # Methods.
    "a stray ACK": (HEAD.replace(b"REGISTER", b"ACK"), QUIET),
    "a method that is no token": (HEAD.replace(b"REGISTER", b"R@GISTER"), EITHER),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for them all: it must live through every one."""
    with Server(tmp_path_factory.mktemp("a")) as running:
        yield running


def answers(phone: Phone, datagram: bytes) -> list[int]:
    """What a datagram is answered, until the REGISTER behind it is."""
    after = f"after-{secrets.token_hex(4)}"
    # It asks for contacts, so its answer waits for what was stored before.
    nobody = "<sip:nobody@example.test>"
    probe = phone.request(
        "REGISTER", "sip:example.test", to=nobody, call_id=after, cseq=1
    )
    phone.send(datagram)
    phone.send(probe)
    statuses: list[int] = []
    while True:
        message = phone.receive(10.0)
        assert message is not None, "the server answers no more"
        if message.get("call-id") == after:
            assert message.status == 200
            return statuses
        statuses.append(message.status)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_datagram_gets_400_or_silence(server: Server, name: str) -> None:
    datagram, expected = BROKEN[name]
    number = list(BROKEN).index(name)
    pid = server.pid
    with Phone(server.address) as phone:
        datagram = datagram.replace(b"PORT", b"%d" % phone.port)
        datagram = datagram.replace(b"NUMBER", b"%d" % number)
        # A user each: what one leaves behind is no business of the next.
        datagram = datagram.replace(b"mallory", b"mallory%d" % number)
        got = answers(phone, datagram[:65_507])
    assert len(got) <= 1, "one datagram, more than one answer"
    assert (got or [SILENCE])[0] in expected
    assert server.pid == pid


def test_what_is_broken_is_well_formed_before(server: Server) -> None:
    with Phone(server.address) as phone:
        datagram = HEAD.replace(b"PORT", b"%d" % phone.port)
        assert answers(phone, datagram.replace(b"NUMBER", b"ok")) == [200]


def test_half_a_message_is_no_message_wherever_it_is_cut(server: Server) -> None:
    with Phone(server.address) as phone:
        message = HEAD.replace(b"PORT", b"%d" % phone.port)
        # A whole one whose empty line alone is lost is a case of its own, above.
        for size in range(len(message) - 2):
            cut = message[:size].replace(b"NUMBER", b"%d" % size)
            assert set(answers(phone, cut)) <= {400}, cut[-40:]
