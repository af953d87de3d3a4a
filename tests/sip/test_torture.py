"""The torture messages of RFC 4475 and RFC 5118, read and answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.sip.endpoint import Endpoint
from reginfo.sip.errors import RemoteProtocolError
from reginfo.sip.headers import parse_name_addr, parse_via
from reginfo.sip.message import Request, Response, request_uri
from reginfo.sip.parser import Malformed, parse
from reginfo.sip.uri import Uri

from .messages import METHODS, answers, endpoint, parsed, received, request

TORTURE = Path(__file__).parents[1] / "torture"
ALL = sorted(TORTURE.rglob("*.sip"))

VALID = {path.stem for path in (TORTURE / "valid").iterdir()}

# What becomes of each at an endpoint that takes METHODS: it is handed up, answered with
# a status, or dropped.
PASSED, DROPPED = 0, -1
FATES = {
    # 4475-01
    "wsinv": 405, "intmeth": 405, "esc01": 405, "escnull": PASSED, "esc02": 405,
    "lwsdisp": PASSED, "longreq": 405, "dblreq": PASSED, "semiuri": PASSED,
    "transports": PASSED, "mpart01": 405, "unreason": DROPPED, "noreason": DROPPED,
    # 4475-02
    "badinv01": 400, "clerr": 400, "ncl": 400, "scalar02": 400,
    "scalarlg": DROPPED, "quotbal": 400, "ltgtruri": 400, "lwsruri": 400,
    "lwsstart": 400, "trws": PASSED, "escruri": 400, "baddate": 405,
    "regbadct": PASSED, "badaspec": 400, "baddn": 400, "badvers": 505,
    "mismatch01": 400, "mismatch02": 400, "bigcode": DROPPED,
    # 4475-03; what is unsupported in them is for whoever they are handed to
    "badbranch": PASSED, "insuf": 400, "unkscm": 416, "novelsc": 416,
    "unksm2": PASSED, "bext01": PASSED, "invut": 405, "regaut01": PASSED,
    "multi01": 400, "mcl01": 400, "bcast": DROPPED, "zeromf": PASSED,
    "cparam01": PASSED, "cparam02": PASSED, "regescrt": PASSED, "sdp01": 405,
    "inv2543": 405,
    # 4475-05; ipv6-in-sdp says that its body is longer than it is
    "ipv6-good": PASSED, "ipv6-bad": 400, "port-ambiguous": PASSED,
    "port-unambiguous": PASSED, "via-received-param-with-delim": 405,
    "via-received-param-no-delim": PASSED, "ipv6-in-sdp": 400,
    "mult-ip-in-header": 405, "mult-ip-in-sdp": 405, "ipv4-mapped-ipv6": 405,
    "ipv6-bug-abnf-3-colons": PASSED, "ipv6-correct-abnf-2-colons": PASSED,
}  # fmt: skip


def data(name: str) -> bytes:
    (path,) = (path for path in ALL if path.stem == name)
    return path.read_bytes()


def read(name: str) -> Request:
    """A request that is in order."""
    message = parsed(data(name))
    message.check()
    return message


def test_each_message_has_its_fate() -> None:
    assert sorted(FATES) == sorted(path.stem for path in ALL)
    assert len(ALL) == 49 + 12


@pytest.mark.parametrize("name", sorted(FATES))
def test_an_endpoint_handles_each_message_and_continues(name: str) -> None:
    ours = endpoint()
    requests = received(ours, data(name))
    responses = [parse(datagram.data) for datagram in ours.datagrams_to_send()]
    fate = FATES[name]
    assert len(requests) == (fate == PASSED)
    assert [r.status for r in responses if isinstance(r, Response)] == (
        [fate] if fate > 0 else []
    )
    assert len(received(ours, request())) == 1


@pytest.mark.parametrize("name", sorted(FATES))
def test_an_endpoint_that_takes_any_method_meets_each_without_an_error(
    name: str,
) -> None:
    method = data(name).split(b" ")[0].decode()
    ours = Endpoint(new_id=lambda: "1", methods=(*METHODS, method), headers={})
    requests = received(ours, data(name))
    if FATES[name] in (PASSED, 405):
        assert [request.method for request in requests] == [method]
    else:
        assert requests == []


@pytest.mark.parametrize("name", sorted(VALID))
def test_a_valid_message_is_in_order(name: str) -> None:
    message = parse(data(name))
    if isinstance(message, Request):
        message.check()
        request_uri(message)
    for via in message.values("Via"):
        parse_via(via)
    for contact in message.values("Contact"):
        assert parse_name_addr(contact).parsed.host
    assert message.from_.parsed.host
    assert message.to.parsed.host


# The values that they were made for, 4475-01.


def test_wsinv_has_spaces_wherever_they_may_be() -> None:
    message = read("wsinv")
    assert message.uri == "sip:vivekg@chair-dnrc.example.com;unknownparam"
    assert message.to.uri == "sip:vivekg@chair-dnrc.example.com"
    assert message.to.tag == "1918181833n"
    assert message.from_.display_name == 'J Rosenberg \\"'
    assert (message.from_.uri, message.from_.tag) == (
        "sip:jdrosen@example.com", "98asjd8",
    )  # fmt: skip
    assert message.call_id == "wsinv.ndaksdj@192.0.2.1"
    assert message.cseq == (9, "INVITE")
    vias = [parse_via(value) for value in message.values("Via")]
    assert [(via.transport, via.sent_by, via.branch) for via in vias] == [
        ("UDP", "192.0.2.2", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert message.via == vias[0]
    assert message.header("Max-Forwards") == "0068"
    assert message.header("Subject") == ""
    assert message.header("Newfangledheader") == (
        "newfangled value continued newfangled value"
    )
    assert message.header("Unknownheaderwithunusualvalue") == ";;,,;;,;"
    assert message.values("Route") == [
        "<sip:services.example.com;lr;unknownwith=value;unknown-no-value>"
    ]
    contact = message.contact()
    assert contact is not None
    assert (contact.display_name, contact.uri) == (
        'Quoted string ""', "sip:jdrosen@example.com",
    )  # fmt: skip
    assert contact.params == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    assert len(message.body) == 150


def test_intmeth_has_each_character_that_may_be_there() -> None:
    message = read("intmeth")
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    uri = request_uri(message)
    assert uri.user == "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    assert uri.password == "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"
    assert uri.host == "example.com"
    assert message.via.branch == "z9hG4bK-.!%66*_+`'~"
    assert message.to.display_name == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.display_name == "token1~` token2'+_ token3*%!.-"
    assert message.from_.tag == "_token~1'+`*%!-."
    assert message.from_.params["fromparam''~+*_!.-%"] == '"работающий"'
    assert message.call_id == "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"
    assert message.header("Extensionheader-!.%*+_`'~") == "\ufeff大停電"


def test_esc01_is_unescaped_once_and_only_where_escapes_are() -> None:
    message = read("esc01")
    assert request_uri(message).user == "sips%3Auser%40example.com"
    assert message.to.parsed.aor == "sip:user@example.com"
    assert message.from_.parsed.user == "I%20have%20spaces"
    contact = message.contact()
    assert contact is not None
    assert contact.parsed.aor == "sip:caller@host5.example.net"
    assert contact.parsed.param("lr") == ""
    assert contact.parsed.param("name") == "v%61lue%25%34%31"
    same = Uri.parse("sip:caller@host5.example.net;lr;name=value%2541")
    other = Uri.parse("sip:caller@host5.example.net;lr;name=valueA")
    assert contact.parsed.matches(same)
    assert not contact.parsed.matches(other)


def test_escnull_names_a_user_with_a_nul_and_two_contacts() -> None:
    message = read("escnull")
    assert message.to.parsed.aor == "sip:null-%00-null@example.com"
    one, other = (parse_name_addr(value).parsed for value in message.values("Contact"))
    assert not one.matches(other)


def test_esc02_has_no_escapes() -> None:
    message = read("esc02")
    assert message.method == "RE%47IST%45R"
    assert message.to.display_name == "%Z%45"
    assert message.values("Contact") == [
        "<sip:alias1@host1.example.com>", "<sip:alias3@host3.example.com>",
    ]  # fmt: skip


def test_lwsdisp_has_a_name_without_a_space_behind_it() -> None:
    assert read("lwsdisp").from_.display_name == "caller"


def test_longreq_is_long() -> None:
    message = read("longreq")
    assert len(message.values("Via")) == 34
    assert message.to.display_name == (
        f"I have a user name of {'extreme' * 10} proportion"
    )
    assert message.to.parsed.port == 6000
    assert message.from_.tag == f"12{'982' * 50}424"
    assert message.call_id == f"longreq.one{'really' * 20}longcallid"
    last = parse_via(message.values("Via")[-1])
    assert last.branch == f"very{'long' * 50}branchvalue"
    assert len(message.body) == 150


def test_dblreq_ends_before_the_second_request() -> None:
    message = read("dblreq")
    assert message.body == b""
    assert message.call_id == "dblreq.0ha0isndaksdj99sdfafnl3lk233412"


def test_semiuri_has_a_semicolon_in_its_user() -> None:
    uri = request_uri(read("semiuri"))
    assert (uri.user, uri.host) == ("user;par=u%40example.net", "example.com")


def test_transports_has_vias_of_every_transport() -> None:
    vias = [parse_via(value) for value in read("transports").values("Via")]
    assert [via.transport for via in vias] == ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]


def test_mpart01_has_a_binary_body() -> None:
    message = read("mpart01")
    assert len(message.body) == 553
    assert message.body.endswith(b"--7a9cbec02ceef655--\r\n")
    assert b"\0" in message.body


def test_unreason_and_noreason_have_a_reason_like_no_other() -> None:
    unusual, none = parse(data("unreason")), parse(data("noreason"))
    assert isinstance(unusual, Response)
    assert isinstance(none, Response)
    assert (none.status, none.reason) == (100, "")
    assert unusual.reason.startswith("= 2**3 * 5**2 но сто")


# What is invalid, 4475-02, and what only the application can judge, 4475-03, -04.


@pytest.mark.parametrize("name", ["clerr", "ncl", "multi01", "mcl01"])
def test_what_cannot_be_read_whole_is_malformed(name: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse(data(name))
    assert caught.value.status == 400
    assert isinstance(caught.value.message, Request)


def test_badinv01_is_answered_to_its_source() -> None:
    """A Via that cannot be read is copied as it is (4475-02, 3261-93)."""
    (response,) = answers(endpoint(), data("badinv01"))
    assert response.status == 400
    assert response.headers["Via"] == ["SIP/2.0/UDP 192.0.2.15;;,;,,"]


def test_regbadct_has_a_contact_that_cannot_be_read() -> None:
    with pytest.raises(RemoteProtocolError):
        read("regbadct").contact()


def test_a_400_copies_what_there_is() -> None:
    (response,) = answers(endpoint(), data("insuf"))
    assert response.header("CSeq") == "193942 INVITE"
    assert response.header("Call-ID") == ""
    assert response.header("Via") == (
        "SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf;received=192.0.2.1"
    )


def test_unksm2_is_about_nobody_that_can_register() -> None:
    message = read("unksm2")
    assert message.to.parsed.scheme == "isbn"
    assert message.to.parsed.aor == ""


def test_scalar02_asks_for_longer_than_there_is() -> None:
    with pytest.raises(RemoteProtocolError):
        read("scalar02")
    # RFC 4475 §3.1.2.4 leaves it open; the longest that there is, as elsewhere.
    assert parsed(data("scalar02")).expires == 2**32 - 1


def test_cparam01_has_a_parameter_of_the_header_and_cparam02_of_the_uri() -> None:
    one, other = read("cparam01").contact(), read("cparam02").contact()
    assert one is not None
    assert other is not None
    assert (one.uri, one.params) == (
        "sip:+19725552222@gw1.example.net", {"unknownparam": None},
    )  # fmt: skip
    assert (other.uri, other.params) == (
        "sip:+19725552222@gw1.example.net;unknownparam", {},
    )  # fmt: skip


def test_regescrt_has_a_contact_with_a_header() -> None:
    contact = read("regescrt").contact()
    assert contact is not None
    assert contact.parsed.headers == "Route=%3Csip:sip.example.com%3E"


def test_inv2543_has_neither_branch_nor_tag_nor_length() -> None:
    message = read("inv2543")
    assert (message.via.branch, message.from_.tag) == ("", "")
    assert message.body.startswith(b"v=0")


# RFC 5118, 4475-05.


def test_a_port_may_be_in_an_ipv6_address_or_behind_it() -> None:
    uri = request_uri(read("port-ambiguous"))
    assert (uri.host, uri.port) == ("[2001:db8::10:5070]", None)
    uri = request_uri(read("port-unambiguous"))
    assert (uri.host, uri.port) == ("[2001:db8::10]", 5070)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("via-received-param-with-delim", "[2001:db8::9:255]"),
        ("via-received-param-no-delim", "2001:db8::9:255"),
    ],
)
def test_received_may_have_brackets(name: str, value: str) -> None:
    via = read(name).via
    assert (via.host, via.params["received"]) == ("[2001:db8::9:1]", value)


def test_addresses_of_both_kinds_may_stand_in_one_message() -> None:
    vias = [parse_via(value) for value in read("mult-ip-in-header").values("Via")]
    assert [via.sent_by for via in vias] == [
        "[2001:db8::9:1]:6050", "192.0.2.1", "[2001:db8::9:255]",
    ]  # fmt: skip
    contact = read("ipv4-mapped-ipv6").contact()
    assert contact is not None
    assert contact.parsed.host.startswith("[::ffff:")


def test_a_colon_too_many_is_overlooked() -> None:
    one = request_uri(read("ipv6-bug-abnf-3-colons"))
    other = request_uri(read("ipv6-correct-abnf-2-colons"))
    assert one.matches(other)
