"""SIP and tel URIs, addresses-of-record, and when two are equal."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.uri import LONGEST_CACHED, Uri, normal

EQUAL = [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
    (
        "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
        "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
    ),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;security=off"),
    # Not in the RFC's list, but by its rules.
    ("sip:a@[2001:DB8::0:1]", "sip:a@[2001:db8:0:0:0:0:0:1]"),
    # RFC 5118 §4.10: the grammar of RFC 3261 has a colon too many.
    ("sip:a@[2001:db8:::192.0.2.1]", "sip:a@[2001:db8::192.0.2.1]"),
    ("sip:a@b;x=%41", "sip:a@b;X=a"),
    ("sip:a%3bb@c", "sip:a%3Bb@c"),
    ("SIPS:a:secret@b", "sips:a:s%65cret@B"),
    ("sip:a@b;lr;x=1", "sip:a@b;x=1;lr"),
    ("tel:+1-201-555-0123", "tel:+12015550123"),
    ("tel:+1(201)555.0123;ext=1", "TEL:+12015550123;EXT=1"),
    ("tel:7042;phone-context=Example.com", "tel:7042;phone-context=example.com"),
    ("urn:service:sos", "urn:service:sos"),
]

UNEQUAL = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    # Not in the RFC's list, but by its rules.
    ("sip:a@b", "sips:a@b"),
    ("sip:a@b", "sip:b"),
    ("sip:a@b", "sip:a:@b"),
    ("sip:a:x@b", "sip:a:X@b"),
    ("sip:a@b", "sip:a@b;user=phone"),
    ("sip:a@b", "sip:a@b;ttl=1"),
    ("sip:a@b", "sip:a@b;method=INVITE"),
    ("sip:a@b", "sip:a@b;maddr=192.0.2.1"),
    ("sip:a@b;user=ip", "sip:a@b;user=phone"),
    ("sip:a;b@c", "sip:a%3Bb@c"),
    ("sip:%00@host5.example.com", "sip:%00%00@host5.example.com"),
    ("sip:a@b;n=value%41", "sip:a@b;n=value%25%34%31"),
    ("sip:a@b?x=1;y=2", "sip:a@b;y=2?x=1"),
    ("sip:a@b?x=A", "sip:a@b?x=a"),
    ("sip:a@b?x=A=b", "sip:a@b?x=a=b"),
    ("sip:a@b;x", "sip:a@b;x="),
    ("tel:+12015550123", "tel:12015550123"),
    ("tel:+12015550123", "sip:+12015550123@example.com;user=phone"),
    ("tel:7042;phone-context=a.com", "tel:7042;phone-context=b.com"),
]

MALFORMED = [
    "",
    "*",
    "alice",
    "sip:",
    "sip:@",
    "sip:@h",
    "sips:@h:5061",
    "sip::p@h",
    "sip::@h",
    "sip:@h;lr",
    "sip:@@h",
    "sip:a@",
    "sip:a b@c",
    "sip:a@b c",
    "sip: a@b",
    "<sip:a@b>",
    "sip:a@b>",
    "sip:a@b;",
    "sip:a@b;;x",
    "sip:a@b; lr",
    "sip:a@b;lr;LR",
    "sip:a@b?",
    "sip:a@b:0",
    "sip:a@b:65536",
    "sip:a@b:123456",
    "sip:a@b:x",
    "sip:a@b@c@d ",
    "sip:a%4@b",
    "sip:a%@b",
    "sip:a%zz@b",
    "sip:a%\u0661\u0662@b",
    "sip:a%+1@b",
    "sip:a@[::1",
    "sip:a@[1]",
    "sip:a@[::::]",
    "sip:a@2001:db8::1",
    "sip:a\\b@c",
    "sip:a@b\r\nX: y",
    "tel:",
    "tel:+",
    "tel:()",
    "tel:12 34",
    "tel:a@b",
    "tel:123;x;x",
    "1sip:a",
    "http:",
]

fragments = st.sampled_from(
    ["sip:", "sips:", "tel:", "+", "a", "B", "%41", "%3b", "%00", "%", "@", ":", ";"]
    + ["=", "?", "&", "[", "]", "::1", "transport", "lr", "5060", ".", "-", "\u00e4"]
    + ["\udc80", "\ud800", " ", "<"]
)
texts = st.text() | st.lists(fragments, max_size=12).map("".join)

users = st.sampled_from(["", "a@", "%61@", "A@", "a:b@", "a%3Bb@", "a;b@", "\u00e4@"])
hosts = st.sampled_from(["b", "B", "b:5060", "192.0.2.1", "[::1]", "[0::1]"])
params = st.lists(
    st.sampled_from(
        [";lr", ";x=1", ";X=%31", ";x=2", ";y=A", ";y=a", ";transport=udp", ";ttl=1"]
        + [";Transport=UDP", ";user=phone", ";a%3Bb=1", ";z="]
    ),
    max_size=3,
).map("".join)
headers = st.sampled_from(["", "?a=b", "?A=b", "?a=b&c=d", "?c=d&a=b", "?a=b;x=1"])
spellings = st.builds(
    lambda scheme, user, host, params, headers: scheme + user + host + params + headers,
    st.sampled_from(["sip:", "SIP:", "sips:"]),
    users,
    hosts,
    params,
    headers,
) | st.sampled_from(["tel:+1-2", "tel:+12", "tel:12;phone-context=+1", "tel:12;x"])


def uri_or_none(text: str) -> Uri | None:
    try:
        return Uri.parse(text)
    except RemoteProtocolError:
        return None


uris = spellings.map(uri_or_none).filter(lambda uri: uri is not None)


# 3261-11


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_uris_match_both_ways(one: str, other: str) -> None:
    assert Uri.parse(one).matches(Uri.parse(other))
    assert Uri.parse(other).matches(Uri.parse(one))


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_unequal_uris_match_neither_way(one: str, other: str) -> None:
    assert not Uri.parse(one).matches(Uri.parse(other))
    assert not Uri.parse(other).matches(Uri.parse(one))


def test_keys_are_equal_for_equal_uris_with_the_same_params() -> None:
    one, other = EQUAL[0]
    assert Uri.parse(one).key == Uri.parse(other).key
    one, other = EQUAL[1]
    assert Uri.parse(one).key != Uri.parse(other).key
    assert Uri.parse(one).base == Uri.parse(other).base


@given(uris)
def test_a_uri_matches_itself(uri: Uri) -> None:
    assert uri.matches(uri)


@given(uris, uris)
def test_matching_is_symmetric(one: Uri, other: Uri) -> None:
    assert one.matches(other) == other.matches(one)


@given(uris, uris)
@example(Uri.parse("sip:a@b?x=1;y=2"), Uri.parse("sip:a@b;y=2?x=1"))
def test_an_equal_key_means_a_match_and_a_match_means_an_equal_base(
    one: Uri, other: Uri
) -> None:
    if one.key == other.key:
        assert one.base == other.base
        assert one.matches(other)
    if one.matches(other):
        assert one.base == other.base


@given(uris, uris)
def test_with_the_same_params_two_match_only_if_their_keys_are_equal(
    one: Uri, other: Uri
) -> None:
    if {name for name, _ in one.params} == {name for name, _ in other.params}:
        assert one.matches(other) == (one.key == other.key)


# Reading.


@given(texts)
def test_any_text_is_a_uri_or_the_peers_error(text: str) -> None:
    uri = uri_or_none(text)
    assert uri is None or uri.text == text


@pytest.mark.parametrize("text", MALFORMED)
def test_an_invalid_uri_is_refused(text: str) -> None:
    """Nor is one without a user before its "@" (3261-95)."""
    with pytest.raises(RemoteProtocolError):
        Uri.parse(text)


def test_a_uri_is_taken_apart() -> None:
    uri = Uri.parse("SIPS:Al%69ce:x%79@Example.COM:5061;LR;Transport=TCP?Subject=a")
    assert (uri.scheme, uri.user, uri.password) == ("sips", "Al%69ce", "x%79")
    assert (uri.host, uri.port, uri.headers) == ("example.com", 5061, "Subject=a")
    assert uri.params == (("lr", None), ("transport", "TCP"))
    assert uri.param("transport") == "TCP"
    assert uri.param("lr") == ""
    assert uri.param("maddr") is None


def test_a_user_part_may_hold_what_separates_elsewhere() -> None:  # 4475-01 semiuri
    """A user part may hold characters that separate elsewhere (4475-01)."""
    uri = Uri.parse("sip:user;par=u%40example.net@example.com")
    assert (uri.user, uri.host, uri.params) == (
        "user;par=u%40example.net", "example.com", (),
    )  # fmt: skip
    assert Uri.parse("sip:a?b/c@d").host == "d"


def test_an_ipv6_reference_keeps_its_brackets() -> None:
    uri = Uri.parse("sip:[2001:db8::10]:5070")
    assert (uri.host, uri.port) == ("[2001:db8::10]", 5070)
    # RFC 5118 §4.2: without brackets, what might be a port is part of the address.
    assert Uri.parse("sip:[2001:db8::10:5070]").port is None


def test_uris_of_other_schemes_are_opaque() -> None:
    uri = Uri.parse("HTTP://www.example.com?x")
    assert (uri.scheme, uri.host, uri.aor) == ("http", "", "")


def test_a_uri_that_is_too_long_is_refused_with_414() -> None:
    Uri.parse("sip:" + "a" * 4092)
    with pytest.raises(RemoteProtocolError) as caught:
        Uri.parse("sip:" + "a" * 4093)
    assert caught.value.status == 414


def test_a_long_uri_is_read_anew_each_time_and_a_short_one_is_not() -> None:
    short = "sip:" + "a" * (LONGEST_CACHED - 4)
    assert Uri.parse(short) is Uri.parse(short)
    assert Uri.parse(short + "a") is not Uri.parse(short + "a")
    assert Uri.parse(short + "a") == Uri.parse(short + "a")


# Addresses-of-record.


@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("sip:Alice@Example.COM", "sip:Alice@example.com"),
        ("SIP:%41lice@example.com;user=phone?a=b", "sip:Alice@example.com"),
        ("sip:alice:secret@example.com", "sip:alice@example.com"),
        ("sip:alice@example.com:5060;x=1", "sip:alice@example.com:5060"),
        ("sips:example.com", "sips:example.com"),
        ("sip:a%3bb@c", "sip:a%3Bb@c"),
        ("sip:a%20b@c", "sip:a%20b@c"),
        ("sip:null-%00-null@example.com", "sip:null-%00-null@example.com"),
        ("sip:a@[2001:DB8::0:1]", "sip:a@[2001:db8::1]"),
        ("tel:+1-201-555-0123;x=y", "tel:+12015550123"),
        ("tel:7042;Phone-Context=Example.com;x", "tel:7042;phone-context=example.com"),
        ("tel:70-4A", "tel:704a"),
    ],
)
def test_the_aor_is_scheme_user_host_and_port_alone(text: str, aor: str) -> None:
    """The address-of-record is scheme, user, host and port alone (3261-05)."""
    assert Uri.parse(text).aor == aor  # 3261-05


@given(uris)
def test_an_aor_is_a_uri_and_its_own_aor(uri: Uri) -> None:
    assert Uri.parse(uri.aor).aor == uri.aor


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("%75se%72", "user"),
        ("%3b%2f", "%3B%2F"),
        ("%2541", "%2541"),  # never undone twice (4475-01 esc01)
        ("%c3%a4\u00e4", "%C3%A4\u00e4"),
        ("%00%7f%20", "%00%7F%20"),
    ],
)
def test_only_escapes_that_change_nothing_are_undone(text: str, expected: str) -> None:
    """Only escapes that change nothing are undone (4475-01)."""
    assert normal(text) == expected


@given(texts)
def test_normal_is_idempotent(text: str) -> None:
    try:
        once = normal(text)
    except RemoteProtocolError:
        return
    assert normal(once) == once


class Text(str):
    """Text as a script has it."""


@pytest.mark.parametrize("text", ["sip:text@192.0.2.77;x=1", "tel:+1777", "urn:x:y77"])
def test_a_uri_keeps_plain_text_whatever_it_was_read_from(text: str) -> None:
    """What is parsed once is given to others, who store it."""
    uri = Uri.parse(Text(text))
    parts = (uri.text, uri.scheme, uri.user, uri.host, uri.aor, uri.key, uri.base)
    assert {type(part) for part in parts} == {str}
    assert type(Uri.parse(text).text) is str


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("alice", "not a URI: 'alice'"),
        ("a" * 81, f"not a URI: '{'a' * 80}'"),
        ("sip:", "not a URI: 'sip:'"),
        ("sip:a%4@b", "broken escape in 'a%4'"),
        (f"sip:%4{'a' * 79}@b", None),
        (f"sip:%x{'a' * 79}@b", f"broken escape in '%x{'a' * 78}'"),
        ("sip:a:%x@b", "broken escape in '%x'"),
        ("sip:a@b;x=%x", "broken escape in '%x'"),
        ("sip:a@b:0", "port out of range in 'sip:a@b:0'"),
        ("sip:a@b:1", None),
        ("sip:a@b:65535", None),
        ("sip:a@b:65536", "port out of range in 'sip:a@b:65536'"),
        ("sip:a@b;lr;LR", "repeated URI parameter: ';lr;LR'"),
        ("tel:123;x;x=1", "repeated URI parameter: ';x;x=1'"),
        ("sip:a@b;=x", "URI parameter without a name: ';=x'"),
        ("tel:123;y;=", "URI parameter without a name: ';y;='"),
        ("sip:a@[::1:::]", "invalid IPv6 address in 'sip:a@[::1:::]'"),
        (f"sip:{'a' * 4093}", "URI of more than 4096 characters"),
    ],
)
def test_the_error_of_an_invalid_uri_names_what_is_wrong(
    text: str, fault: str | None
) -> None:
    if fault is None:
        assert Uri.parse(text).text == text
    else:
        with pytest.raises(RemoteProtocolError) as caught:
            Uri.parse(text)
        assert str(caught.value) == fault


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "SIPS:%41l:s%65c@B:5061;X=%41;ttl=1;lr?b=1&A=%32",
            Uri(
                text="SIPS:%41l:s%65c@B:5061;X=%41;ttl=1;lr?b=1&A=%32",
                scheme="sips",
                user="%41l",
                password="s%65c",
                host="b",
                port=5061,
                params=(("x", "%41"), ("ttl", "1"), ("lr", None)),
                headers="b=1&A=%32",
                aor="sips:Al@b:5061",
                key="sips:Al:sec@b:5061;ttl=1?a=2&b=1;lr;x=a",
                base="sips:Al:sec@b:5061;ttl=1?a=2&b=1",
            ),
        ),
        (
            "sip:[2001:DB8::0:1]",
            Uri(
                text="sip:[2001:DB8::0:1]",
                scheme="sip",
                host="[2001:db8::1]",
                aor="sip:[2001:db8::1]",
                key="sip:@[2001:db8::1]",
                base="sip:@[2001:db8::1]",
            ),
        ),
        (
            "TEL:70-4(2);X=A;Phone-Context=Example.com",
            Uri(
                text="TEL:70-4(2);X=A;Phone-Context=Example.com",
                scheme="tel",
                user="70-4(2)",
                params=(("x", "A"), ("phone-context", "Example.com")),
                aor="tel:7042;phone-context=example.com",
                key="tel:7042;phone-context=example.com;x=a",
                base="tel:7042;phone-context=example.com;x=a",
            ),
        ),
        (
            "tel:+1.2;phone-context=x",
            Uri(
                text="tel:+1.2;phone-context=x",
                scheme="tel",
                user="+1.2",
                params=(("phone-context", "x"),),
                aor="tel:+12",
                key="tel:+12;phone-context=x",
                base="tel:+12;phone-context=x",
            ),
        ),
        (
            "URN:service:sos",
            Uri(
                text="URN:service:sos",
                scheme="urn",
                key="URN:service:sos",
                base="URN:service:sos",
            ),
        ),
    ],
)
def test_every_part_of_a_uri_is_read(text: str, expected: Uri) -> None:
    """RFC 3261 §19.1.1 and §19.1.4, RFC 3966 §3 and §5"""
    found = Uri.parse(text)
    for name in ("text", "scheme", "user", "password", "host", "port", "params"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("headers", "aor", "key", "base"):
        assert getattr(found, name) == getattr(expected, name), name
