"""What a handler sees of a message, and what it can do with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reginfo.script.message import FAILURE, MAIN, PROTECTED, REPLY
from reginfo.script.pseudo import VARIABLES
from reginfo.sip.errors import LocalProtocolError, RemoteProtocolError
from reginfo.sip.message import Response
from reginfo.sip.uri import Uri

from ..make import request, response
from .fake import Core, message

INVITE = request(
    "INVITE",
    "User-Agent: phone/1",
    "Subject: one, two",
    "Subject: three",
    "Route: <sip:p.example;lr>",
    uri="sip:bob@example.org:5070;x=y",
    to="Bob <sip:b%6Fb@example.com>",
    from_='"A" <sip:alice@example.com>;tag=f',
    cseq=7,
    call_id="c@x",
    body=b"v=0",
)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("$ru", "sip:bob@example.org:5070;x=y"),
        ("$rU", "bob"),
        ("$rd", "example.org"),
        ("$rp", "5070"),
        ("$rm", "INVITE"),
        ("$tu", "sip:b%6Fb@example.com"),
        ("$tU", "b%6Fb"),
        ("$td", "example.com"),
        ("$tt", ""),
        ("$fu", "sip:alice@example.com"),
        ("$fU", "alice"),
        ("$fd", "example.com"),
        ("$ft", "f"),
        ("$ci", "c@x"),
        ("$cs", "7"),
        ("$ua", "phone/1"),
        ("$rb", "v=0"),
        ("$rs", ""),
        ("$rr", ""),
        ("$si", "192.0.2.50"),
        ("$sp", "5060"),
        ("$hdr(subject)", "one, two,three"),
        ("$hdr(s)", "one, two,three"),
        ("$hdr(X-None)", ""),
        ("$var(x)", "1"),
        ("$var(none)", ""),
    ],
)
def test_every_pseudo_variable_has_its_value(variable: str, value: str) -> None:
    core = Core()
    msg = message(core, INVITE)
    msg.var["x"] = "1"
    msg.reginfo_subscribe(f"<{variable}>")
    assert core.asked == [("subscribe", f"<{value}>", 3600)]


def test_no_pseudo_variable_is_without_a_value() -> None:
    msg = message(Core(), INVITE)
    for name in VARIABLES:
        msg._text(f"${name}")


def test_beside_them_stand_typed_forms() -> None:
    msg = message(Core(), INVITE)
    assert msg.method == "INVITE"
    assert (msg.uri.user, msg.uri.host, msg.uri.port) == ("bob", "example.org", 5070)
    assert msg.to.parsed.aor == "sip:bob@example.com"
    assert (msg.from_.display_name, msg.from_.tag) == ("A", "f")
    assert (msg.call_id, msg.cseq) == ("c@x", 7)
    assert msg.source == ("192.0.2.50", 5060)
    assert (msg.body, msg.status) == (b"v=0", None)
    assert msg.hdr("User-Agent") == "phone/1"
    assert msg.hdrs("subject") == ["one, two", "three"]
    assert msg.hdr("X-None") is None


def test_a_reply_has_its_own_headers_and_its_request() -> None:
    core = Core()
    reply = response(200, "Contact: <sip:x>", "P-Associated-URI: <sip:a@b>")
    reply.headers["To"] = ["<sip:b@example.com>;tag=theirs"]
    msg = message(core, INVITE, kind=REPLY, reply=reply)
    assert msg.status == 200
    assert msg.hdr("P-Associated-URI") == "<sip:a@b>" and msg.hdr("Subject") is None
    msg.reginfo_subscribe("$rs $rr $ru $tt $rm")
    assert (
        core.asked[0][1] == "200 Some Reason sip:bob@example.org:5070;x=y theirs INVITE"
    )
    msg.append_hf("X-Passed", "by us")
    msg.remove_hf("Contact")
    assert reply.headers["X-Passed"] == ["by us"] and "Contact" not in reply.headers


def test_a_method_is_one_of_those_named() -> None:
    msg = message(Core(), INVITE)
    assert msg.is_method("INVITE") and msg.is_method("ACK | INVITE")
    assert not msg.is_method("INVIT") and not msg.is_method("REGISTER|BYE")


@pytest.mark.parametrize(
    ("pattern", "is_it"),
    [("200", True), (200, True), ("2[0-9][0-9]", True), ("404|2..", True),
     ("^2", True), ("404", False), ("^0", False)],
)  # fmt: skip
def test_a_status_is_checked_by_a_pattern(pattern: Any, is_it: bool) -> None:
    msg = message(Core(), INVITE, kind=REPLY, reply=response(200))
    assert msg.t_check_status(pattern) is is_it


def test_a_request_has_no_status() -> None:
    assert not message(Core(), INVITE).t_check_status(".")


def test_what_is_changed_is_the_copy_that_is_passed_on() -> None:
    msg = message(Core(), INVITE)
    assert msg.append_hf("X-One: 1\r\n") and msg.append_hf("X-One", "$rU")
    assert msg.append_hf("Subject", "four")
    assert msg.remove_hf("Route") and not msg.remove_hf("Route")
    assert msg.request.headers["X-One"] == ["1", "bob"]
    assert msg.hdrs("Subject") == ["one, two", "three", "four"]
    msg.uri = "sip:carol@example.net"
    assert msg.request.uri == "sip:carol@example.net"
    assert INVITE.uri == "sip:bob@example.org:5070;x=y"
    assert INVITE.headers["Subject"] == ["one, two", "three"]
    assert "Route" in INVITE.headers and "X-One" not in INVITE.headers


@pytest.mark.parametrize("name", sorted(PROTECTED))
def test_headers_of_the_transaction_cannot_be_changed(name: str) -> None:
    msg = message(Core(), INVITE)
    with pytest.raises(ValueError, match="a script cannot change"):
        msg.append_hf(name, "x")
    with pytest.raises(ValueError, match="a script cannot change"):
        msg.remove_hf(name.lower())
    with pytest.raises(ValueError, match="a script cannot change"):
        msg.append_to_reply(name, "x")


@pytest.mark.parametrize(
    "line", ["no colon", ": x", "X Y: z", "X: a\r\nY: b", "X: a\nY: b", "X: a\0"]
)
def test_a_header_line_is_one_line(line: str) -> None:
    with pytest.raises(ValueError):
        message(Core(), INVITE).append_hf(line)


def test_an_invalid_uri_is_an_error_of_the_script() -> None:
    msg = message(Core(), INVITE)
    with pytest.raises(ValueError, match="not a URI"):
        msg.uri = "bob"
    with pytest.raises(ValueError, match="not a header name"):
        msg.hdr("a b")


def test_a_reply_is_sent_once() -> None:
    core = Core()
    msg = message(core, INVITE)
    assert msg.send_reply(180, "Ringing") == 1
    assert msg.send_reply(486, "Busy $rU", (("Retry-After", "5"),)) == 1
    assert core.response.headers == {"Retry-After": ["5"]}
    assert msg.send_reply(200, "OK") == -1 and msg.t_relay() == -1
    assert msg.reply_for_notify() == -1
    assert [a[1:] for a in core.asked] == [(180, "Ringing"), (486, "Busy bob")]


@pytest.mark.parametrize("reply", [(99, "x"), (700, "x"), (200, "a\r\nb"), ("x", "y")])
def test_an_invalid_reply_is_an_error_of_the_script(reply: Any) -> None:
    core = Core()
    with pytest.raises(ValueError):
        message(core, INVITE).send_reply(*reply)
    assert core.asked == []


def test_it_is_relayed_to_the_branches_that_are_named() -> None:
    core = Core()
    msg = message(core, INVITE)
    assert msg.append_branch("sip:1@$rd") == 1
    assert msg.append_branch(Uri.parse("sip:2@x"), 0.5) == 1
    assert msg.append_branch("tel:+1") == -1 and msg.append_branch("2") == -1
    assert msg.t_relay()
    assert core.asked == [("relay", ["sip:1@example.org", "sip:2@x"])]
    assert [b.q for b in msg.targets] == [1.0, 0.5]
    core.answers["relay"] = False
    assert msg.t_relay() == -1


def test_functions_of_pua_reginfo_return_as_the_module_does() -> None:
    core = Core(handle_notify=2, save=4, lookup=-2)
    msg = message(core, INVITE)
    assert msg.reginfo_handle_notify("location2") == 2
    assert msg.reginfo_subscribe("$ru") == 1
    assert msg.reginfo_subscribe("sip:x@y", 0) == 1
    assert msg.reginfo_update("$tU@$td") == 1
    assert msg.reginfo_disable_publish() == 1 and not msg._call.publishes
    assert msg.lookup("t") == -2
    register = request("REGISTER", to="<sip:bob@example.com>")
    assert message(core, register).save() == 4
    assert core.asked == [
        ("handle_notify", "location2"),
        ("subscribe", "sip:bob@example.org:5070;x=y", 3600),
        ("subscribe", "sip:x@y", 0),
        ("update", "b%6Fb@example.com"),
        ("lookup", "t"),
        ("save", "location"),
    ]


def test_a_return_code_is_true_if_it_is_positive_and_can_be_awaited() -> None:
    core = Core(handle_notify=-1, subscribe=False, update=RemoteProtocolError("x"))
    msg = message(core, INVITE)

    async def handler() -> list[int]:
        return [
            await msg.reginfo_handle_notify("location"),
            await msg.reginfo_subscribe("x"),
            await msg.reginfo_update("x"),
            await msg.t_relay(),
        ]

    assert asyncio.run(handler()) == [-1, -1, -1, 1]
    assert not msg.reginfo_handle_notify() and msg.t_relay()


@pytest.mark.parametrize("expires", [-1, 1.5, "60", True, None])
def test_a_time_is_a_whole_number(expires: Any) -> None:
    core = Core()
    with pytest.raises(ValueError, match="expires: a whole number is needed"):
        message(core, INVITE).reginfo_subscribe("$ru", expires)
    assert core.asked == []


def test_keys_of_a_record_are_kept_read_and_removed() -> None:
    core = Core()
    msg = message(core, INVITE)
    assert msg.ul_add_key("location", "$fU@$fd", "ids", "$hdr(User-Agent)") == 1
    assert core.keys == {("location", "alice@example.com", "ids"): "phone/1"}
    assert msg.ul_get_key("location", "alice@example.com", "ids") == "phone/1"
    assert msg.ul_get_key("location2", "alice@example.com", "ids") is None
    assert msg.ul_rm_key("location", "alice@example.com", "ids") == 1
    assert msg.ul_rm_key("location", "alice@example.com", "ids") == -1
    # No AoR: an error code, as a script expects.
    assert msg.ul_add_key("location", "$hdr(X)", "ids", "x") == -1
    assert msg.ul_get_key("location", "", "ids") is None
    assert msg.ul_rm_key("location", "", "ids") == -1
    with pytest.raises(ValueError, match="is not the name of a key"):
        msg.ul_add_key("location", "x", "", "x")


def test_contacts_are_removed_as_the_administrator_does() -> None:
    core = Core(remove=2)
    msg = message(core, INVITE)
    assert msg.unregister("location", "$tu") == 1
    assert msg.unregister("location", "bob", Uri.parse("sip:x"), "probation", 60) == 1
    core.answers["remove"] = 0
    assert msg.unregister("location", "bob", event="rejected") == -1
    core.answers["remove"] = RemoteProtocolError("no URI")
    assert msg.unregister("location", "") == -1
    assert [a[2:] for a in core.asked] == [
        ("sip:b%6Fb@example.com", None, "deactivated", None),
        ("bob", "sip:x", "probation", 60),
        ("bob", None, "rejected", None),
        ("", None, "deactivated", None),
    ]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            {"event": "expired"},
            "'expired' is no event of a removal; these are: d",
        ),
        ({"event": "gone"}, "'gone' is no event of a removal"),
        ({"event": "probation"}, "probation, and only probation, needs retry_after"),
        ({"retry_after": 5}, "probation, and only probation, needs retry_after"),
        ({"event": "probation", "retry_after": -1}, "a whole number"),
    ],
)
def test_an_invalid_removal_is_an_error_of_the_script(
    arguments: dict[str, Any], error: str
) -> None:
    with pytest.raises(ValueError, match=error):
        message(Core(), INVITE).unregister("location", "bob", **arguments)


def test_contacts_are_shortened_and_added_as_the_administrator_does() -> None:
    """3680-140, 3680-141, 3680-144: the names and the codes that a script has."""
    core = Core()
    msg = message(core, INVITE)
    assert msg.shorten("location", "$tu", 30) == 1
    assert msg.shorten("location", "bob", 30, Uri.parse("sip:x")) == 1
    assert msg.add("location", "bob", "$fu") == 1
    assert msg.add("location", "bob", "sip:x", 60, 0.5) == 1
    assert msg.admit("location", "bob") == 1
    assert [(a[0], *a[2:]) for a in core.asked] == [
        ("shorten", "sip:b%6Fb@example.com", None, 30),
        ("shorten", "bob", "sip:x", 30),
        ("create", "bob", "sip:alice@example.com", 3600, None),
        ("create", "bob", "sip:x", 60, "0.500"),
        ("admit", "bob"),
    ]


@pytest.mark.parametrize(
    "answer", [False, RemoteProtocolError("no"), LocalProtocolError("barred")]
)
def test_an_act_that_changes_nothing_is_an_error_code(answer: Any) -> None:
    core = Core(shorten=answer, create=answer, admit=answer)
    msg = message(core, INVITE)
    assert msg.add("location", "bob", "sip:x") == -1
    if not isinstance(answer, LocalProtocolError):
        assert msg.shorten("location", "bob", 30) == -1
        assert msg.admit("location", "bob") == -1


@pytest.mark.parametrize("expires", [-1, "soon", 1.5])
def test_how_long_a_contact_is_bound_is_a_whole_number(expires: Any) -> None:
    msg = message(Core(), INVITE)
    with pytest.raises(ValueError, match="expires: a whole number"):
        msg.shorten("location", "bob", expires)
    with pytest.raises(ValueError, match="expires"):
        msg.add("location", "bob", "sip:x", expires)
    with pytest.raises(ValueError, match="use unregister"):
        msg.add("location", "bob", "sip:x", 0)


MAIN_ONLY = ["default", "save", "reginfo_handle_notify", "reply_for_notify",
             "handle_subscribe", "handle_publish"]  # fmt: skip
METHODS = {
    "save": "REGISTER",
    "handle_subscribe": "SUBSCRIBE",
    "handle_publish": "PUBLISH",
}


@pytest.mark.parametrize("function", [*MAIN_ONLY, "t_relay", "lookup"])
def test_what_is_not_for_a_route_is_said(function: str) -> None:
    kinds = [REPLY, FAILURE] if function in MAIN_ONLY else [REPLY]
    for kind in kinds:
        msg = message(Core(), INVITE, kind=kind, reply=response(404))
        with pytest.raises(ValueError, match="is not available in a"):
            getattr(msg, function)()
    method = METHODS.get(function)
    suited = INVITE if method is None else request(method)
    getattr(message(Core(), suited, kind=MAIN), function)()
    if method is not None:
        with pytest.raises(ValueError, match=f"{function} is only for {method}, not"):
            getattr(message(Core(), INVITE, kind=MAIN), function)()


def test_a_reply_cannot_be_answered_and_a_failure_can() -> None:
    core = Core()
    msg = message(core, INVITE, kind=REPLY, reply=response(404))
    with pytest.raises(ValueError, match="send_reply is not available"):
        msg.send_reply(200, "OK")
    with pytest.raises(ValueError, match="append_branch is not available"):
        msg.append_branch("sip:x")
    failed = message(core, INVITE, kind=FAILURE, reply=response(404))
    assert failed.t_check_status("404")
    assert failed.append_branch("sip:x") and failed.t_relay()
    assert failed.send_reply(480, "Away")


def test_a_notify_is_answered_as_fits() -> None:
    core = Core()
    msg = message(core, INVITE)
    msg._call.refusal = Response(415, "Unsupported Media Type")
    msg.reply_for_notify()
    assert core.asked == [("reply", 415, "Unsupported Media Type")]
    core = Core()
    message(core, INVITE).reply_for_notify()
    assert core.asked == [("reply", 200, "OK")]


def test_a_request_of_our_own_is_sent() -> None:
    core = Core()
    msg = message(core, INVITE)
    sent = msg.send_request("MESSAGE", "$fu", body="hi", from_="sip:us@example.com")

    async def handler() -> int:
        return (await sent).status

    assert asyncio.run(handler()) == 200
    assert core.asked == [
        ("send_request", "MESSAGE", "sip:alice@example.com", None, (), "hi",
         "sip:us@example.com")
    ]  # fmt: skip


def test_a_string_is_needed() -> None:
    with pytest.raises(TypeError, match="a string is needed, not 5"):
        message(Core(), INVITE).reginfo_update(5)  # type: ignore[arg-type]
