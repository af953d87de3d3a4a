"""Header field values with a structure."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reginfo.sip import grammar
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.headers import (
    CSeq,
    NameAddr,
    cached_name_addr,
    delta_seconds,
    parse_cseq,
    parse_name_addr,
    parse_params,
    parse_via,
    quote,
    retry_after,
    split,
    unquote,
)
from reginfo.sip.uri import LONGEST_CACHED

texts = st.text() | st.text('",<>;=\\ \t:@/[]sip.1a', max_size=20)


# Lists.


@pytest.mark.parametrize(
    ("value", "elements"),
    [
        ("", []),
        ("a", ["a"]),
        ("a, b ,c", ["a", "b", "c"]),
        (",a,, b,", ["a", "b"]),
        ("<sip:a,b@c>, <sip:d@e>;q=1", ["<sip:a,b@c>", "<sip:d@e>;q=1"]),
        ('"a, b" <sip:c@d>, e', ['"a, b" <sip:c@d>', "e"]),
        (r'"a\", b" <sip:c@d>,e', [r'"a\", b" <sip:c@d>', "e"]),
        ('"a<b" <sip:c@d>,"e>f" <sip:g@h>', ['"a<b" <sip:c@d>', '"e>f" <sip:g@h>']),
        ('a;x="1,2",b', ['a;x="1,2"', "b"]),
        # What is never closed takes all that is left, and is refused by its reader.
        ('a, "b, c', ["a", '"b, c']),
        ("a, <b, c", ["a", "<b, c"]),
        ('a,"b\\', ["a", '"b\\']),
    ],
)
def test_commas_in_quotes_and_brackets_separate_nothing(
    value: str, elements: list[str]
) -> None:
    assert split(value) == elements


@given(texts)
def test_what_split_returns_is_what_stands_there(value: str) -> None:
    at = 0
    for element in split(value):
        at = value.index(element, at) + len(element)


# Parameters.

NO_TOKENS = [
    *["a@b", "a,b", "a?", "a:b", "a/b", "[a]", "a\\b", "a(b)", "{a}", "a&b", "$a"],
    *["a\x01b", "\x00", "a\x7f", "\xe9"],
]


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("", {}),
        (";a", {"a": None}),
        (";A=b;c=", {"a": "b", "c": ""}),
        (" ; A = b ; lr ", {"a": "b", "lr": None}),
        (';a="x;y=\\"z";b', {"a": '"x;y=\\"z"', "b": None}),
        (";received=2001:db8::1;x=[::1]", {"received": "2001:db8::1", "x": "[::1]"}),
        ("\t;\treceived\t=\t2001:db8::1", {"received": "2001:db8::1"}),
    ],
)
def test_parameters_are_a_mapping(text: str, params: dict[str, str | None]) -> None:
    assert parse_params(text) == params


@pytest.mark.parametrize(
    "text",
    [
        *["a", ";", ";;", ";a;", ";a;A=1", ";=1", ";a=<b>", ";a=<b", ";a=>b"],
        *[" ", " a", "; ", "; a;", "; a; A=1", "; a=", '; a="', "; a b", ";a=b c"],
        *[';a="b"c', '; a="b";;', ";<a>", ";a>=1", ";a;b<"],
        # A name is a token (§25.1), with blanks in the list and without.
        *[f"{blank};{name}" for name in NO_TOKENS for blank in ("", " ")],
        *[f"{blank};b;{name}=1" for name in NO_TOKENS for blank in ("", " ")],
        # No value has a control character.
        *[f"{blank};a=b{c}" for c in "\0\x01\x1f\x7f" for blank in ("", " ")],
    ],
)
def test_an_invalid_list_of_parameters_is_refused(text: str) -> None:
    """3261-132"""
    with pytest.raises(RemoteProtocolError):
        parse_params(text)


# Addresses.


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<sip:a@b>", NameAddr("sip:a@b")),
        ("<sip:a@b;x>;tag=1", NameAddr("sip:a@b;x", {"tag": "1"})),
        ("<sip:a@b> ; tag = 1", NameAddr("sip:a@b", {"tag": "1"})),
        ("Al Ice <sip:a@b>", NameAddr("sip:a@b", {}, "Al Ice")),
        ("caller<sip:a@b>;tag=3", NameAddr("sip:a@b", {"tag": "3"}, "caller")),
        (r'"A \"B\" \\" <sip:a@b>', NameAddr("sip:a@b", {}, 'A "B" \\')),
        ('"" <sip:a@b>', NameAddr("sip:a@b")),
        ('"<a>" \t <sip:a@b>', NameAddr("sip:a@b", {}, "<a>")),
        ("sip:a@b", NameAddr("sip:a@b")),
        # §20.10: without brackets all parameters are the header's (4475-04 cparam01).
        ("sip:a@b;tag=1;x", NameAddr("sip:a@b", {"tag": "1", "x": None})),
        ("sip:a@b ; tag = 1", NameAddr("sip:a@b", {"tag": "1"})),
        ('sip:a@b;x="<y>;z"', NameAddr("sip:a@b", {"x": '"<y>;z"'})),
        ('sip:a@b ; x = "<y>,z" ;q=1', NameAddr("sip:a@b", {"x": '"<y>,z"', "q": "1"})),
        (r'sip:a@b;x="\"<"', NameAddr("sip:a@b", {"x": r'"\"<"'})),
        ('tel:+1;x=">"', NameAddr("tel:+1", {"x": '">"'})),
        ('<sip:a@b>;x="<y>;z"', NameAddr("sip:a@b", {"x": '"<y>;z"'})),
        ("*", NameAddr("*")),
    ],
)
def test_an_address_has_a_uri_parameters_and_a_name(
    text: str, address: NameAddr
) -> None:
    """
    An address is read with its URI, parameters and display name; also an addr-spec with
    a quoted-string as a parameter (4475-04, 3261-94).
    """
    assert parse_name_addr(text) == address
    assert cached_name_addr(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "<>", "<sip:a@b", "<sip:a@b>x", "< sip:a@b >", "<sip:<a@b>"],
        *['"A <sip:a@b>', "A, B <sip:a@b>", '"A" "B" <sip:a@b>', "A <sip:a@b>x"],
        *["sip:a@b?c=d", "sip:a@b,sip:c@d", 'sip:"a"@b', "sip:a b@c", ";tag=1"],
        *["sip:a\tb@c", "<sip:a\tb@c>", "x <sip:a\t@c>", "<\t>"],
        *["sip:a\x0b@c", "<sip:\x07@c>", "x <sip:a\u2028@c>", "<sip:a@c\x7f>"],
        *["sip:a@b;<x>", "sip:a@b;x=<y>", 'sip:a@b;x="<y', "sip:a@b;x>", "sip:<a@b"],
        *['sip:a@b;x="<y>"z', 'sip:a@b;x="<">', "sip:a@b; <x>", "a;x <sip:a@b>"],
    ],
)
def test_an_invalid_address_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_name_addr(text)


def test_the_tag_is_empty_when_there_is_none() -> None:
    assert parse_name_addr("<sip:a@b>").tag == ""
    assert parse_name_addr("<sip:a@b>;tag").tag == ""
    assert parse_name_addr("<sip:a@b>;TAG=x").tag == "x"


def test_the_uri_of_an_address_is_read_when_it_is_asked_for() -> None:
    assert parse_name_addr("<sip:a@B>").parsed.host == "b"
    with pytest.raises(RemoteProtocolError):
        _ = parse_name_addr("<a@b>").parsed


def test_a_long_address_is_read_anew_each_time_and_a_short_one_is_not() -> None:
    short = f"<sip:{'a' * (LONGEST_CACHED - 6)}>"
    assert cached_name_addr(short) is cached_name_addr(short)
    long = short + ";x"
    assert cached_name_addr(long) is not cached_name_addr(long)
    assert cached_name_addr(long) == cached_name_addr(long)


@given(texts)
def test_any_text_is_an_address_or_the_peers_error(text: str) -> None:
    for parse in (parse_name_addr, parse_params, parse_via, parse_cseq):
        try:
            parse(text)
        except RemoteProtocolError:
            pass


# Via.


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "params"),
    [
        ("SIP/2.0/UDP h;branch=b", "UDP", "h", None, {"branch": "b"}),
        ("SIP/2.0/UDP h:5060", "UDP", "h", 5060, {}),
        ("SIP/2.0/UDP h:65535", "UDP", "h", 65535, {}),
        ("SIP/2.0/UDP a-b.c:1;rport", "UDP", "a-b.c", 1, {"rport": None}),
        ("SIP/2.0/UDP h;rport=5;ttl=1", "UDP", "h", None, {"rport": "5", "ttl": "1"}),
        ("sip/2.0/tcp h", "TCP", "h", None, {}),
        ("SIP/2.0/UDP under_score", "UDP", "under_score", None, {}),
        ("SIP/2.0/UNKNOWN h", "UNKNOWN", "h", None, {}),
        ("SIP / 2.0 / TLS   h : 5061 ; x = y", "TLS", "h", 5061, {"x": "y"}),
        ("SIP\t/\t2.0\t/\tUDP\th\t;\tbranch\t=\tb", "UDP", "h", None, {"branch": "b"}),
        ("SIP/2.0/UDP [2001:db8::9:1]:5060", "UDP", "[2001:db8::9:1]", 5060, {}),
        ("SIP/2.0/UDP [::1];branch=b", "UDP", "[::1]", None, {"branch": "b"}),
        # RFC 5118 §4.5: `received` has no brackets, and with them is read as well.
        (
            "SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255",
            *("UDP", "[2001:db8::9:1]", None, {"received": "2001:db8::9:255"}),
        ),
        (
            "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255]",
            *("UDP", "[2001:db8::9:1]", None, {"received": "[2001:db8::9:255]"}),
        ),
        # Who wants a 505 must be found (4475-02 badvers).
        ("SIP/7.0/UDP h", "UDP", "h", None, {}),
    ],
)
def test_a_via_has_a_transport_an_address_and_parameters(
    text: str, transport: str, host: str, port: int | None, params: dict[str, str]
) -> None:
    """A Via is read with transport, address and parameters (4475-02)."""
    via = parse_via(text)
    assert (via.transport, via.host, via.port) == (transport, host, port)
    assert via.params == params


@pytest.mark.parametrize(
    "text",
    [
        *["", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0 h", "HTTP/2.0/UDP h", "UDP h"],
        *["SIP/2.0/UDP h:", "SIP/2.0/UDP h:x", "SIP/2.0/UDP :5060", "SIP/2.0/UDP h g"],
        *["SIP/2.0/UDP h:65536", "SIP/2.0/UDP h:123456", "SIP/2.0/UDP h;b;b"],
        *["SIP/2.0/UDP h:\u0661", "SIP/2.0/UDP \u00e4", "SIP/2.0/UDP h;;,;,,"],
        *["SIP/2.0/TCP h:65536", "SIP/2.0/UDP [x]", "SIP/2.0/UDP ::1"],
    ],
)
def test_an_invalid_via_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_via(text)


def test_sent_by_has_a_port_only_if_one_is_written() -> None:
    assert parse_via("SIP/2.0/UDP h;branch=b").sent_by == "h"
    assert parse_via("SIP/2.0/UDP h:5060").sent_by == "h:5060"
    assert parse_via("SIP/2.0/UDP h").branch == ""
    assert parse_via("SIP/2.0/UDP h;branch").branch == ""


# CSeq, 3261-18.


@pytest.mark.parametrize(
    ("text", "cseq"),
    [
        ("1 REGISTER", (1, "REGISTER")),
        ("0009 \t INVITE", (9, "INVITE")),
        ("1\tINVITE", (1, "INVITE")),
        ("0 x", (0, "x")),
        ("0" * 5000 + "7 x", (7, "x")),
        ("2147483647 NOTIFY", (2**31 - 1, "NOTIFY")),
    ],
)
def test_a_cseq_is_a_number_and_a_method(text: str, cseq: tuple[int, str]) -> None:
    assert parse_cseq(text) == CSeq(*cseq)


@pytest.mark.parametrize(
    "text",
    [
        *["", "1", "1 ", "x REGISTER", "-1 REGISTER", "+1 REGISTER", "1.0 REGISTER"],
        *["2147483648 NOTIFY", "36893488147419103232 REGISTER", "1 A B", "1 (A)"],
        *["\u0661 REGISTER", "1_0 REGISTER", "REGISTER 1"],
        *["00002147483648 NOTIFY", "9" * 5000 + " NOTIFY"],
    ],
)
def test_an_invalid_cseq_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_cseq(text)


# What is wrong with a value.

LONG = "<" * 81


@pytest.mark.parametrize(
    ("parse", "text", "fault"),
    [
        (parse_params, ";a;A=1", "malformed parameters: ';a;A=1'"),
        (parse_params, "a=b", "malformed parameters: 'a=b'"),
        (parse_params, "; a; A=1", "malformed parameters: '; a; A=1'"),
        (parse_params, f" {LONG}", f"malformed parameters: ' {LONG[:79]}'"),
        (parse_params, LONG, f"malformed parameters: '{LONG[:80]}'"),
        (parse_name_addr, "<sip:a@b", "malformed address: '<sip:a@b'"),
        (parse_name_addr, "x <sip:\x7f>", "malformed address: 'x <sip:\\x7f>'"),
        (parse_name_addr, "sip:a@b?c", "malformed address: 'sip:a@b?c'"),
        (parse_name_addr, LONG, f"malformed address: '{LONG[:80]}'"),
        (parse_via, "SIP/2.0/UDP", "malformed Via: 'SIP/2.0/UDP'"),
        (parse_via, LONG, f"malformed Via: '{LONG[:80]}'"),
        (parse_via, "HTTP/2.0/TCP h", "Via of another protocol: 'HTTP/2.0'"),
        (parse_via, "SIP/2.0/TCP h:65536", "port out of range in Via: 65536"),
        (parse_via, "SIP/2.0/UDP h:65536", "port out of range in Via: 65536"),
        (parse_cseq, "x REGISTER", "malformed CSeq: 'x REGISTER'"),
        (parse_cseq, "1 (A)", "malformed CSeq: '1 (A)'"),
        (parse_cseq, LONG, f"malformed CSeq: '{LONG[:80]}'"),
        (parse_cseq, "2147483648 A", "CSeq out of range: 2147483648"),
    ],
)
def test_the_error_of_an_invalid_value_names_the_header_and_quotes_it(
    parse: Callable[[str], object], text: str, fault: str
) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(text)
    assert (caught.value.status, str(caught.value)) == (400, fault)


# Seconds and quotes.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("0", 0), ("3600", 3600), (" 60 ", 60), ("007", 7)],
        *[("4294967295", 2**32 - 1), ("4294967296", 2**32 - 1), ("9" * 20, 2**32 - 1)],
        *[(None, None), ("", None), ("-1", None), ("1.5", None), ("x", None)],
        *[("1" * 21, 2**32 - 1), ("9" * 5000, 2**32 - 1), ("\u0661", None)],
        *[("0" * 30, 0), ("0" * 5000 + "60", 60), ("0" * 30 + "9" * 20, 2**32 - 1)],
    ],
)
def test_seconds_are_a_number_of_32_bits_or_nothing(
    text: str | None, seconds: int | None
) -> None:
    """Delta-seconds are a number of 32 bits, or are ignored (3261-09, 3261-131)."""
    assert delta_seconds(text) == seconds  # 3261-09


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        # The examples of RFC 3261 §20.33.
        ("18000;duration=3600", 18000),
        ("120 (I'm in a meeting)", 120),
        *[("0", 0), (" 60 ", 60), ("60 ;duration=1;x=2", 60), ("60(a)", 60)],
        *[("60 (a (b))", 60), ("60 (a; b)", 60), ("60 (a);x=(b)", 60)],
        *[("4294967294", 2**32 - 2), ("4294967295", 2**32 - 1)],
        *[("4294967296", 2**32 - 1), ("4294967297", 2**32 - 1)],
        *[("9999999999", 2**32 - 1), ("9" * 5000, 2**32 - 1)],
        *[("00000000120", 120), ("0" * 5000, 0), ("0" * 5000 + "7 (a)", 7)],
        *[(None, None), ("", None), ("x", None), ("-1", None), ("1.5", None)],
        *[("(60)", None), (";60", None), ("1 2", None), ("\u0661", None)],
        ("Mon, 30 Nov 2026 16:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_before_a_comment_and_parameters(
    value: str | None, seconds: int | None
) -> None:
    """RFC 3261 §20.33: at most 2**32 - 1; None for anything but a number."""
    assert retry_after(value) == seconds


without_line_ends = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")
)


@given(without_line_ends)
@example('a"b\\c\\"')
@example("\x00\x07\x1b\x7f\t")
def test_unquote_is_the_inverse_of_quote(text: str) -> None:
    """Escapes that were read are written as escapes again (3261-90)."""
    assert unquote(quote(text)) == text
    assert re.fullmatch(grammar.QUOTED_STRING, quote(text))


@given(without_line_ends)
@example('a"b\\')
@example("BEL:\x07 NUL:\x00 DEL:\x7f")
def test_a_quoted_name_is_read_back(text: str) -> None:
    """A display name is read as it was written, control characters too (3261-90)."""
    assert parse_name_addr(f"{quote(text)} <sip:a@b>").display_name == text


tokens = st.text("ab1-.!%*_+`'~", min_size=1)
addresses = st.builds(
    NameAddr,
    st.sampled_from(["sip:a@b", "sips:[::1]:5061", "tel:+1", "sip:b", "urn:x:y"]),
    st.dictionaries(
        tokens, st.none() | tokens | without_line_ends.map(quote), max_size=3
    ),
    without_line_ends.map(str.strip),
)


@given(addresses, st.sampled_from(["", " ", "\t "]), st.booleans())
@example(NameAddr("sip:a@b", {"x": '"<y>;z"'}), "", True)
def test_an_address_is_read_as_it_was_written(
    address: NameAddr, blank: str, bare: bool
) -> None:
    """3261-94: with brackets and without, with blanks around separators or not."""
    params = "".join(
        f"{blank};{blank}{name}" + ("" if value is None else f"{blank}={blank}{value}")
        for name, value in address.params.items()
    )
    if bare:
        written = address.uri + params
        address = NameAddr(address.uri, address.params)
    else:
        written = f"{quote(address.display_name)}{blank}<{address.uri}>{params}"
    assert parse_name_addr(written) == address
    assert split(f"{written}, {written}") == [written, written]


@given(st.text())
@example("a\r\nX-Evil: 1")
def test_a_quoted_string_ends_no_line(text: str) -> None:
    """CR and LF, which no quoted-pair may have, become blanks (3261-90)."""
    assert not set(quote(text)) & {"\r", "\n"}


def test_a_line_end_in_a_quoted_string_becomes_a_blank() -> None:
    """3261-90"""
    assert quote("a\r\nb\rc\nd") == '"a  b c d"'


@pytest.mark.parametrize(
    ("char", "written"),
    [("\x07", "\\\x07"), ("\0", "\\\0"), ("\x7f", "\\\x7f"), ("\t", "\t"), ("é", "é")],
)
def test_a_character_that_is_no_qdtext_is_a_quoted_pair(
    char: str, written: str
) -> None:
    """A control character stands in a quoted-pair alone; a tab is LWS (3261-90)."""
    assert quote(char) == f'"{written}"'


@pytest.mark.parametrize("text", ["", '"', "token", 'a"b"', '"a'])
def test_what_is_not_quoted_stays(text: str) -> None:
    assert unquote(text) == text
