"""An operator's script at work: what each function does to what is sent."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from reginfo.location.binding import Binding
from reginfo.reg import xml
from reginfo.script.load import ScriptError
from reginfo.sip.message import Request, Response
from reginfo.testing import Script

from ..make import binding, place
from .scripted import (
    ALICE,
    AT_BOB,
    BOB,
    BOBS_PHONE,
    CONFIG,
    PHONE,
    WATCHES_BOB,
    NewScript,
    Notifier,
    contact,
    document,
    written,
)

DESK = "sip:bob@192.0.2.61"
PUBLISHES = CONFIG + 'publish_to = "sip:192.0.2.9"\n'


@pytest.fixture
def new(tmp_path: Path) -> NewScript:
    """Makes a server with a script of this text."""

    def make(text: str, config: str = CONFIG) -> Script:
        return Script(written(tmp_path / "routes.py", text), config)

    return make


def code(answer: Response | None) -> tuple[int, str]:
    assert answer is not None
    return answer.status, answer.reason


def requests(script: Script) -> list[Request]:
    """The requests that have been sent since this was last asked."""
    sent = [one.message for one in script.sent()]
    return [message for message in sent if isinstance(message, Request)]


# Who answers.


def test_each_method_has_its_handler_and_the_rest_are_served_as_ever(
    new: NewScript,
) -> None:
    """Without a handler for it, a request meets the sensible default."""
    script = new(
        """
        @route.request("MESSAGE|INFO")
        def message(msg: Message) -> None:
            msg.send_reply(202, "Taken: $rm $rU")
        """
    )
    assert code(script.send("MESSAGE", BOB)) == (202, "Taken: MESSAGE bob")
    assert code(script.send("INFO", BOB)) == (202, "Taken: INFO bob")
    assert script.register(BOB, BOBS_PHONE) == 200
    assert code(script.send("OPTIONS", "sip:example.com")) == (200, "OK")
    assert code(script.send("UPDATE", ALICE))[0] == 404


@pytest.mark.parametrize(
    ("method", "uri", "headers", "status"),
    [
        ("REGISTER", "sip:example.com", [], 200),
        ("SUBSCRIBE", BOB, ["Event: reg", "Contact: <sip:w@192.0.2.50>"], 200),
        ("PUBLISH", BOB, ["Event: reg"], 403),
        ("NOTIFY", BOB, ["Event: reg"], 481),
        ("OPTIONS", "sip:example.com", [], 200),
        ("MESSAGE", BOB, [], 404),
        ("INFO", "sip:example.com", [], 405),
    ],
)
def test_default_does_what_is_done_without_a_script(
    new: NewScript, method: str, uri: str, headers: list[str], status: int
) -> None:
    with_default = new(
        """
        @route.request()
        def main(msg: Message) -> None:
            msg.default()
        """
    )
    assert code(with_default.send(method, uri, *headers))[0] == status
    without = new("""
        @route.request("ACK")
        def nothing(msg: Message) -> None:
            pass
        """)
    assert code(without.send(method, uri, *headers))[0] == status


def test_a_handler_may_be_a_coroutine_that_never_waits(new: NewScript) -> None:
    """It is no task: there is no loop here in which it could be one."""
    script = new(
        """
        @route.request("REGISTER")
        async def register(msg: Message) -> None:
            if await msg.save("location"):
                await msg.ul_add_key("location", "$tu", "seen", "$ci")
        """
    )
    assert script.register(BOB, BOBS_PHONE) == 200
    assert script.server.app.store.keys(place(BOB)) == {"seen": "call-1"}


def test_a_response_may_be_returned_and_a_refusal_raised(new: NewScript) -> None:
    script = new(
        """
        from reginfo.sip.message import Response

        @route.request("MESSAGE")
        def message(msg: Message) -> object:
            if msg.uri.user == "bob":
                raise Refusal(486, "Busy Here", headers=[("Retry-After", "5")])
            return Response(202, "Accepted")
        """
    )
    assert code(script.send("MESSAGE", ALICE)) == (202, "Accepted")
    refused = script.send("MESSAGE", BOB)
    assert code(refused) == (486, "Busy Here")
    assert refused is not None and refused.header("Retry-After") == "5"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pass", "the script did not answer"),
        ("return 5", "the handler returned 5"),
        ("raise KeyError('x')", "routes.py:9: MESSAGE of sip:alice@example.com: Key"),
        ("msg.send_reply(99, 'No')", "ValueError: 99 is not a SIP status"),
        ("msg.lookup('$nonsense')", None),
        ("msg.save('location')", "ValueError: save is only for REGISTER"),
        ("msg.handle_publish()", "ValueError: handle_publish is only for PUBLISH"),
        ("msg.handle_subscribe()", "handle_subscribe is only for SUBSCRIBE"),
        ("exit()", "the script did not answer"),
    ],
)
def test_an_error_in_a_handler_is_a_500_and_names_the_line(
    new: NewScript, caplog: pytest.LogCaptureFixture, line: str, said: str | None
) -> None:
    """The server goes on."""
    text = f"""
        @route.request("MESSAGE")
        def message(msg: Message) -> object:
            text = "lookup"
            {line}
        """
    if "$nonsense" in line:
        with pytest.raises(ScriptError, match=r"routes.py:9: .*nonsense"):
            new(text)
        return
    script = new(text)
    with caplog.at_level(logging.ERROR):
        answer = script.send("MESSAGE", BOB)
    assert code(answer)[0] in (400, 404, 500)
    if said is not None:
        assert code(answer)[0] == 500
        assert said in caplog.text
    assert script.register(BOB, BOBS_PHONE) == 200


def test_what_a_failed_handler_has_changed_is_taken_back(new: NewScript) -> None:
    """Nothing is changed by a request that is answered 500."""
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.ul_add_key("location", "$fu", "k", "v")
            msg.unregister("location", "$ru")
            raise RuntimeError("after that")
        """
    )
    script.register(BOB, BOBS_PHONE)
    assert code(script.send("MESSAGE", BOB))[0] == 500
    assert [b.contact for b in script.bindings(BOB)] == [BOBS_PHONE]
    assert script.server.app.store.keys(place(ALICE)) == {}


def test_what_was_answered_before_the_error_stays(new: NewScript) -> None:
    script = new(
        """
        @route.request("REGISTER")
        def register(msg: Message) -> None:
            msg.save("location")
            raise RuntimeError("after that")
        """
    )
    assert script.register(BOB, BOBS_PHONE) == 200
    assert len(script.bindings(BOB)) == 1


def test_a_request_is_answered_once(new: NewScript) -> None:
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            first = msg.send_reply(202, "Accepted")
            assert (int(first), int(msg.send_reply(200, "OK"))) == (1, -1)
            assert int(msg.t_relay()) == int(msg.reply_for_notify()) == -1
        """
    )
    script.sent()
    assert code(script.send("MESSAGE", BOB)) == (202, "Accepted")
    assert len(script.sent()) == 1


def binding_of_bob() -> Binding:
    return binding(contact=BOBS_PHONE, owner="test")


# registrar and usrloc.

SAVES = """
    @route.request("REGISTER")
    def register(msg: Message) -> None:
        code = int(msg.save("location"))
        msg.ul_add_key("location", "sip:codes@example.com", "last", str(code))
"""


def test_what_is_appended_to_the_reply_is_in_whatever_answers(
    new: NewScript,
) -> None:
    """`save`, `send_reply` and a `Response` that is returned, which stays as it was."""
    script = new(
        """
        from reginfo import Response

        GONE = Response(410, "Gone", {"X-Who": ["first"]})

        @route.request("REGISTER")
        def register(msg: Message) -> None:
            msg.append_to_reply("P-Associated-URI: <sip:$tU@$td>, <tel:+1>\\r\\n")
            msg.save()

        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.append_to_reply("X-Who", "$rU")
            msg.append_to_reply("X-Who", "$rm")
            msg.send_reply(202, "Accepted")

        @route.request("INFO")
        def info(msg: Message) -> Response:
            msg.append_to_reply("X-Who", "$rU")
            return GONE
        """
    )
    assert script.register(BOB, BOBS_PHONE) == 200
    (saved,) = script.sent()
    assert saved.message.values("P-Associated-URI") == [f"<{BOB}>", "<tel:+1>"]
    taken = script.send("MESSAGE", BOB)
    assert taken is not None and taken.headers["X-Who"] == ["bob", "MESSAGE"]
    for _ in range(2):
        gone = script.send("INFO", BOB)
        assert gone is not None and gone.headers["X-Who"] == ["first", "bob"]


def test_save_says_what_it_has_done(new: NewScript) -> None:
    """The codes of Kamailio's `save`: 1 bound, 2 refreshed, 3 removed, 4 asked; -1."""
    script = new(SAVES)
    codes = []
    for contact_, expires in ((BOBS_PHONE, 60), (BOBS_PHONE, 60), (BOBS_PHONE, 0)):
        assert script.register(BOB, contact_, expires=expires) == 200
        codes.append(last(script))
    script.send("REGISTER", "sip:example.com", to=BOB)
    codes.append(last(script))
    assert script.register(BOB, BOBS_PHONE, expires=5) == 423
    codes.append(last(script))
    assert codes == ["1", "2", "3", "4", "-1"]
    assert script.register("sip:bob@example.net", BOBS_PHONE) == 404


def last(script: Script) -> str:
    return script.server.app.store.keys(place("sip:codes@example.com"))["last"]


def test_save_can_fill_other_tables(new: NewScript) -> None:
    """The contract: several tables can exist; `save("location2")` makes one."""
    script = new(
        """
        @route.request("REGISTER")
        def register(msg: Message) -> None:
            msg.save("location2")

        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            found = msg.lookup("location")
            msg.send_reply(404, "Not Found") if not found else msg.t_relay()

        @route.request("INFO")
        def info(msg: Message) -> None:
            if msg.lookup("location2"):
                msg.t_relay()
        """
    )
    assert script.register(BOB, BOBS_PHONE) == 200
    assert script.bindings(BOB) == []
    assert [b.contact for b in script.bindings(BOB, "location2")] == [BOBS_PHONE]
    assert code(script.send("MESSAGE", BOB)) == (404, "Not Found")
    script.sent()
    script.send("INFO", BOB)
    (relayed,) = requests(script)
    assert relayed.uri == BOBS_PHONE


def test_lookup_finds_contacts_in_their_order(new: NewScript) -> None:
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            code = msg.lookup("location")
            if code < 0:
                msg.send_reply(480, f"{int(code)}")
            else:
                msg.t_relay()
        """
    )
    assert code(script.send("MESSAGE", BOB)) == (480, "-1")
    line = f'Contact: <{BOBS_PHONE}>;methods="INVITE,ACK"'
    script.send("REGISTER", "sip:example.com", line, to=BOB, from_=BOB)
    assert code(script.send("MESSAGE", BOB)) == (480, "-2")
    line = f"Contact: <{BOBS_PHONE}>;q=0.5, <{DESK}>;q=0.7"
    script.send("REGISTER", "sip:example.com", line, to=BOB, from_=BOB)
    script.sent()
    script.send("MESSAGE", BOB)
    (first,) = [one for one in script.sent() if one.uri]
    assert first.uri == DESK
    script.answer(first, 404, "Not Found")
    (second,) = [one for one in script.sent() if one.uri]
    assert second.uri == BOBS_PHONE


@pytest.mark.parametrize(
    ("event", "more", "subscribed"),
    [
        ("", "", "deactivated"),
        (', event="rejected"', "", "rejected"),
        (', event="probation"', ", retry_after=60", "probation"),
        (', event="unregistered"', "", "unregistered"),
    ],
)
def test_unregister_removes_as_the_administrator_does(
    new: NewScript, event: str, more: str, subscribed: str
) -> None:
    """The contract: `deactivated` unless another event is named; watchers are told."""
    script = new(
        f"""
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            done = msg.unregister("location", "$ru"{event}{more})
            again = msg.unregister("location", "$ru"{event}{more})
            msg.send_reply(200, f"{{int(done)}} {{int(again)}}")
        """
    )
    script.register(BOB, BOBS_PHONE)
    script.register(BOB, DESK)
    lines = ["Event: reg", "Contact: <sip:w@192.0.2.50>", "Expires: 600"]
    script.send("SUBSCRIBE", BOB, *lines)
    script.answer([one for one in script.sent() if one.method == "NOTIFY"][-1], 200)
    script.sent()
    # A probation of somebody who is on probation begins anew.
    again = 1 if more else -1
    assert code(script.send("MESSAGE", BOB)) == (200, f"1 {again}")
    assert script.bindings(BOB) == []
    (notify,) = [one for one in requests(script) if one.method == "NOTIFY"]
    contacts = xml.parse(notify.body).registrations[0].contacts
    assert {one.event.value for one in contacts} == {subscribed}
    assert {one.retry_after for one in contacts} == {60 if more else None}


def test_a_script_bars_admits_adds_and_shortens(new: NewScript) -> None:
    """3680-140 to 3680-144, by the functions of a script."""
    script = new(
        f"""
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            codes = [
                msg.unregister("location", "$ru", event="rejected"),
                msg.add("location", "$ru", "{DESK}"),
                msg.admit("location", "$ru"),
                msg.admit("location", "$ru"),
                msg.add("location", "$ru", "{DESK}", 600, 0.5),
                msg.add("location", "$ru", "nobody"),
                msg.add("location", "sip:x@elsewhere.example", "{DESK}"),
                msg.shorten("location", "$ru", 30),
                msg.shorten("location", "$ru", 60, "{DESK}"),
                msg.shorten("location", "sip:nobody@example.com", 60),
            ]
            msg.send_reply(200, " ".join(str(int(code)) for code in codes))
        """
    )
    assert code(script.send("MESSAGE", BOB)) == (200, "1 -1 1 -1 1 -1 -1 1 -1 -1")
    (bound,) = script.bindings(BOB)
    assert (bound.contact, bound.q) == (DESK, "0.5")
    assert bound.expires(script.wire.now) == 30


def test_unregister_can_name_one_contact(new: NewScript) -> None:
    script = new(
        f"""
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.unregister("location", "bob", "{DESK}")
            msg.send_reply(200, "OK")
        """,
        CONFIG.replace("[pua_reginfo]", '[pua_reginfo]\ndefault_domain="example.com"'),
    )
    script.register(BOB, BOBS_PHONE)
    script.register(BOB, DESK)
    script.send("MESSAGE", BOB)
    assert [b.contact for b in script.bindings(BOB)] == [BOBS_PHONE]


# tm.


def test_without_lookup_a_request_goes_to_its_request_uri(new: NewScript) -> None:
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.uri = "sip:192.0.2.77:5070"
            msg.append_hf("X-Who: $fU\\r\\n")
            msg.remove_hf("Subject")
            msg.t_relay()
        """
    )
    script.sent()
    assert script.send("MESSAGE", BOB, "Subject: secret") is None
    (relayed,) = [one for one in script.sent() if one.uri]
    assert (relayed.uri, relayed.to) == ("sip:192.0.2.77:5070", ("192.0.2.77", 5070))
    assert relayed.header("X-Who") == "alice"
    assert relayed.header("Subject") is None
    script.answer(relayed, 200)
    (answer,) = script.sent()
    assert (answer.status, answer.to) == (200, PHONE)


def test_a_reply_passes_its_route(new: NewScript) -> None:
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.lookup("location")
            msg.t_on_reply("1")
            msg.t_relay()

        @route.reply("1")
        def reply(msg: Message) -> None:
            if msg.t_check_status("20[02]"):
                msg.append_hf("X-Seen", "$rs $rr of $rU")
                msg.remove_hf("Server")
            elif msg.t_check_status(404):
                raise Refusal(404, "keeps it back")
        """
    )
    script.register(BOB, BOBS_PHONE)
    for status, seen in ((200, "200 OK of bob"), (500, None)):
        script.sent()
        script.send("MESSAGE", BOB)
        (relayed,) = [one for one in script.sent() if one.uri]
        script.answer(relayed, status, headers=[("Server", "phone")])
        (answer,) = script.sent()
        assert answer.header("X-Seen") == seen
        assert answer.header("Server") == ("phone" if seen is None else None)


def test_a_reply_route_sees_what_a_failure_route_replaces(new: NewScript) -> None:
    script = new(
        f"""
        seen: list[int] = []

        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.lookup("location")
            msg.t_on_reply("seen")
            msg.t_on_failure("next")
            msg.t_relay()

        @route.reply("seen")
        def look(msg: Message) -> None:
            seen.append(msg.status or 0)
            msg.append_hf("X-Seen", ",".join(map(str, seen)))

        @route.failure("next")
        def failed(msg: Message) -> None:
            msg.append_branch("{DESK}")
            msg.t_relay()
        """
    )
    script.register(BOB, BOBS_PHONE)
    script.sent()
    script.send("MESSAGE", BOB)
    for status in (486, 200):
        (relayed,) = [one for one in script.sent() if one.uri]
        script.answer(relayed, status)
    (answer,) = script.sent()
    assert (answer.status, answer.header("X-Seen")) == (200, "486,200")


def test_a_failure_route_may_try_elsewhere_answer_or_leave_it(new: NewScript) -> None:
    script = new(
        f"""
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.lookup("location")
            msg.t_on_failure("next")
            msg.t_relay()

        @route.failure("next")
        def failed(msg: Message) -> None:
            if msg.t_check_status("486"):
                msg.append_branch("{DESK}")
                msg.t_relay()
            elif msg.t_check_status("480|408"):
                msg.send_reply(600, "Nowhere")
        """
    )
    script.register(BOB, BOBS_PHONE)
    outcomes = []
    for status in (486, 480, 404):
        script.sent()
        script.send("MESSAGE", BOB)
        (relayed,) = [one for one in script.sent() if one.uri]
        script.answer(relayed, status, "No")
        for one in script.sent():
            outcomes.append((status, one.uri or one.status))
    assert outcomes == [(486, DESK), (480, 600), (404, 404)]


# pua_reginfo: reginfo_subscribe.

SUBSCRIBES = """
    results: list[int] = []

    @route.request("MESSAGE")
    def message(msg: Message) -> None:
        code = msg.reginfo_subscribe(ARGUMENTS)
        msg.send_reply(200, str(int(code)))

    @route.event("subscription")
    def subscription(event: object) -> None:
        log.warning("%s %s %s", event.uri, event.state, event.reason)
"""
THERE = "sip:carol@192.0.2.9"


def subscribing(new: NewScript, arguments: str, config: str = CONFIG) -> Script:
    head = "\n    import logging\n    log = logging.getLogger('script')\n"
    return new(head + SUBSCRIBES.replace("ARGUMENTS", arguments), config)


def test_subscribe_takes_pseudo_variables_and_subscribes_once(new: NewScript) -> None:
    """The contract: a second call for the same target returns the one subscription."""
    script = subscribing(new, '"sip:$rU@192.0.2.9", 900')
    for _ in range(5):
        assert code(script.send("MESSAGE", "sip:carol@example.com")) == (200, "1")
    script.pass_time(0)
    (subscribe,) = requests(script)
    assert (subscribe.method, subscribe.uri) == ("SUBSCRIBE", THERE)
    assert subscribe.to.uri == THERE
    assert subscribe.from_.uri == "sip:reginfo@192.0.2.1"
    assert subscribe.header("Contact") == "<sip:reginfo@192.0.2.1>"
    assert subscribe.header("Event") == "reg"
    assert subscribe.header("Expires") == "900"
    assert subscribe.header("Accept") == "application/reginfo+xml"


def test_subscribe_asks_for_an_hour_unless_told(new: NewScript) -> None:
    script = subscribing(new, "msg.uri")
    script.send("MESSAGE", THERE)
    script.pass_time(0)
    assert requests(script)[0].header("Expires") == "3600"


@pytest.mark.parametrize(
    ("argument", "config"),
    [
        ("'nonsense'", CONFIG),
        ("'tel:+1555'", CONFIG),
        ("'$hdr(X-None)'", CONFIG),
        (f"'{THERE}'", CONFIG.replace("server_address", "#")),
    ],
)
def test_subscribe_says_when_it_cannot(
    new: NewScript, caplog: pytest.LogCaptureFixture, argument: str, config: str
) -> None:
    """The contract: -1, and nothing is sent; one log line says why."""
    script = subscribing(new, argument, config)
    assert code(script.send("MESSAGE", BOB)) == (200, "-1")
    assert requests(script) == []
    assert len([r for r in caplog.records if "reginfo_subscribe" in r.message]) == 1


def test_subscribe_with_0_unsubscribes(new: NewScript) -> None:
    script = subscribing(new, f'"{THERE}", int(msg.body or 3600)')
    script.send("MESSAGE", BOB)
    peer = Notifier(script)
    peer.notify()
    assert code(script.send("MESSAGE", BOB, body="0")) == (200, "1")
    script.pass_time(0)
    (last,) = requests(script)
    assert (last.method, last.header("Expires")) == ("SUBSCRIBE", "0")
    assert last.call_id == peer.subscribe.call_id


def test_a_subscription_that_the_other_side_ends_is_asked_for_again(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    """The contract: watch until told otherwise; what becomes of it is an event."""
    script = subscribing(new, f'"{BOB}"', CONFIG)
    script.wire.hosts["example.com"] = ("192.0.2.2", 5060)
    script.send("MESSAGE", BOB)
    peer = Notifier(script)
    peer.notify(document(contact()))
    assert [b.contact for b in script.bindings(BOB)] == [BOBS_PHONE]
    ended = peer.notify(document(), state="terminated;reason=deactivated")
    assert ended.status == 200
    script.pass_time(10)
    anew = [one for one in requests(script) if one.method == "SUBSCRIBE"]
    assert anew and anew[0].call_id != peer.subscribe.call_id
    told = [r.getMessage() for r in caplog.records if r.name == "script"]
    assert told == [f"{BOB} active ", f"{BOB} terminated deactivated"]


# pua_reginfo: publishing.


def published(script: Script) -> list[str]:
    return [one.uri for one in requests(script) if one.method == "PUBLISH"]


def test_a_registration_is_published(new: NewScript) -> None:
    script = new(
        """
        @route.request("REGISTER")
        def register(msg: Message) -> None:
            msg.save("location")
        """,
        PUBLISHES,
    )
    script.register(BOB, BOBS_PHONE)
    assert published(script) == [BOB]


def test_disable_publish_is_for_what_this_message_changes(new: NewScript) -> None:
    """The contract: no PUBLISH; watchers here are told."""
    script = new(
        """
        @route.request("REGISTER")
        def register(msg: Message) -> None:
            if msg.hdr("X-Quiet"):
                msg.reginfo_disable_publish()
            msg.save("location")
        """,
        PUBLISHES,
    )
    lines = ["Event: reg", "Contact: <sip:w@192.0.2.50>", "Expires: 600"]
    script.send("SUBSCRIBE", BOB, *lines)
    script.answer([one for one in script.sent() if one.method == "NOTIFY"][-1], 200)
    script.sent()
    script.register(BOB, BOBS_PHONE, "X-Quiet: 1")
    sent = requests(script)
    assert [one.method for one in sent] == ["NOTIFY"]
    script.register(BOB, DESK)
    assert published(script) == [BOB]


def test_update_publishes_and_tells_again(new: NewScript) -> None:
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.send_reply(200, str(int(msg.reginfo_update("$ru"))))
        """,
        PUBLISHES,
    )
    assert code(script.send("MESSAGE", BOB)) == (200, "-1")
    script.register(BOB, BOBS_PHONE)
    (publish,) = [one for one in script.sent() if one.method == "PUBLISH"]
    script.answer(publish, 200, headers=[("SIP-ETag", "e1"), ("Expires", "3600")])
    assert code(script.send("MESSAGE", BOB)) == (200, "1")
    (again,) = [one for one in requests(script) if one.method == "PUBLISH"]
    assert again.header("SIP-If-Match") == "e1"


# Events.

TELLS = "\n".join(
    f"""
    @route.event("{name}")
    def {name}(event: object) -> None:
        log.warning("%s %s %s %s", event.name, event.aor, event.contact, event.learned)
    """
    for name in (
        "registered", "refreshed", "created", "shortened", "unregistered", "expired",
        "deactivated", "probation", "rejected",
    )
)  # fmt: skip


def telling(new: NewScript, config: str = CONFIG) -> Script:
    head = """
    import logging
    log = logging.getLogger("script")

    @route.request("MESSAGE")
    def message(msg: Message) -> None:
        event = msg.body.decode()
        after = 60 if event == "probation" else None
        done = msg.unregister("location", "$ru", event=event, retry_after=after)
        msg.send_reply(200, str(int(done)))
    """
    return new(head + TELLS, config)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [r.getMessage() for r in caplog.records if r.name == "script"]
    caplog.clear()
    return lines


def test_what_happens_to_contacts_of_ours_is_told(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    script = telling(new)
    script.register(BOB, BOBS_PHONE)
    script.register(BOB, BOBS_PHONE)
    script.register(BOB, BOBS_PHONE, expires=0)
    script.register(BOB, BOBS_PHONE, expires=60)
    script.pass_time(61)
    for event in ("deactivated", "probation", "rejected"):
        script.pass_time(61)
        script.register(BOB, BOBS_PHONE)
        assert code(script.send("MESSAGE", BOB, body=event)) == (200, "1")
    assert [line.split()[0] for line in told(caplog)] == [
        "registered", "refreshed", "unregistered", "registered", "expired",
        "registered", "deactivated", "registered", "probation", "registered",
        "rejected",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "event",
    ["registered", "refreshed", "created", "shortened", "unregistered", "expired",
     "deactivated", "probation", "rejected"],
)  # fmt: skip
def test_what_is_learned_is_told_as_learned(
    new: NewScript, caplog: pytest.LogCaptureFixture, event: str
) -> None:
    """The issue: own bindings and learned ones are told apart."""
    script = telling(new, CONFIG + WATCHES_BOB)
    peer = Notifier(script)
    version = 0
    cseq = 1
    if event not in ("registered", "created"):
        peer.notify(document(contact()))
        version = 1
        cseq += contact(event=event).state.value == "active"
    told(caplog)
    peer.notify(document(contact(event=event, cseq=cseq), version=version))
    assert told(caplog) == [f"{event} {BOB} {BOBS_PHONE} True"]


def test_an_event_is_told_after_the_commit(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    """What is taken back has never happened."""
    script = telling(new)
    app = script.server.app
    app.journal.close()
    app.turns._settling = True  # nobody commits meanwhile
    app.store.apply(place(BOB), [binding_of_bob()], script.wire.now)
    assert told(caplog) == []
    batch = app.journal.close()
    batch.take_back()
    assert told(caplog) == []
    app.store.apply(place(BOB), [binding_of_bob()], script.wire.now)
    app.journal.close().announce()
    assert told(caplog) == [f"registered {BOB} {BOBS_PHONE} False"]


def test_an_error_in_an_event_handler_stops_nothing(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    script = new(
        """
        @route.event("registered")
        def registered(event: object) -> None:
            raise ValueError("no")
        """
    )
    assert script.register(BOB, BOBS_PHONE) == 200
    assert "routes.py:8: event registered: ValueError: no" in caplog.text


def test_an_event_may_send_to_the_contact(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        script = new(
            """
            @route.event("registered")
            async def registered(event: object) -> None:
                answer = await event.send_to_contact(
                    "MESSAGE", body="Welcome", from_="sip:us@example.com"
                )
                event.ul_add_key("location", event.aor, "welcome", str(answer.status))
            """
        )
        script.register(BOB, BOBS_PHONE)
        (message,) = [one for one in script.sent() if one.method == "MESSAGE"]
        assert (message.uri, message.to) == (BOBS_PHONE, AT_BOB)
        assert message.message.body == b"Welcome"
        script.answer(message, 200)
        for _ in range(5):
            await asyncio.sleep(0)
        assert script.server.app.store.keys(place(BOB)) == {"welcome": "200"}

    asyncio.run(scenario())


# It waits, and is read again.


def test_requests_of_one_user_keep_their_order_while_a_handler_waits(
    new: NewScript,
) -> None:
    """RFC 3261 §10.3: REGISTERs of one user are processed in order."""

    async def scenario() -> None:
        script = new(
            """
            import asyncio
            gate = asyncio.Event()

            @route.request("REGISTER")
            async def register(msg: Message) -> None:
                if msg.cseq == 1:
                    await gate.wait()
                msg.save("location")

            @route.request("MESSAGE")
            def message(msg: Message) -> None:
                gate.set()
                msg.send_reply(200, "OK")
            """
        )
        assert script.register(BOB, BOBS_PHONE) == 0  # it waits
        assert script.register(BOB, DESK) == 0
        assert script.register(ALICE, "sip:alice@192.0.2.50") == 200
        script.sent()
        script.send("MESSAGE", BOB)
        for _ in range(5):
            await asyncio.sleep(0)
        answered = [
            one.message.cseq.number for one in script.sent() if one.status == 200
        ]
        assert answered == [4, 1, 2]
        assert len(script.bindings(BOB)) == 2

    asyncio.run(scenario())


def test_a_script_that_does_not_load_leaves_the_one_that_runs(
    new: NewScript, tmp_path: Path
) -> None:
    """The issue: reload on SIGHUP."""
    text = """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.send_reply(200, "NUMBER")
        """
    script = new(text.replace("NUMBER", "first"))
    written(tmp_path / "routes.py", "this is no Python")
    with pytest.raises(ScriptError, match="routes.py:5"):
        script.reload()
    assert code(script.send("MESSAGE", BOB)) == (200, "first")
    written(tmp_path / "routes.py", text.replace("NUMBER", "second"))
    script.reload()
    assert code(script.send("MESSAGE", BOB)) == (200, "second")


# Addresses-of-record of every kind.


def test_use_domain_off_makes_one_user_of_all_domains(new: NewScript) -> None:
    """The contract: `use_domain`, `default_domain`."""
    config = CONFIG.replace('["example.com"]', '["example.com", "example.net"]')
    config = config.replace(
        "[pua_reginfo]", '[pua_reginfo]\ndefault_domain="example.net"'
    )
    config += "[usrloc]\nuse_domain = false\n"
    script = new(SAVES.replace("sip:codes@example.com", "$tu"), config)
    script.register(BOB, BOBS_PHONE)
    assert [b.contact for b in script.bindings("sip:bob@example.net")] == [BOBS_PHONE]
    assert script.server.app.store.keys(place("sip:bob@example.net"))["last"] == "1"


def test_a_user_part_may_be_empty_and_a_number_be_dialled(new: NewScript) -> None:
    """The contract: an empty user; `tel:` AoRs stay as they are."""
    script = new(SAVES)
    assert script.register("sip:example.com", BOBS_PHONE) == 200
    assert len(script.bindings("sip:example.com")) == 1
    assert script.register("tel:+1-555-0100", DESK) == 200
    assert [b.contact for b in script.bindings("tel:+15550100")] == [DESK]
    script.sent()
    script.send("MESSAGE", "tel:+15550100")
    (relayed,) = [one for one in script.sent() if one.method == "MESSAGE"]
    assert relayed.uri == DESK


# What came in a message is no template.


def test_a_dollar_in_what_came_in_is_a_dollar(new: NewScript) -> None:
    """A SIP URI may have one; nobody reads variables of ours by it."""
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.ul_add_key("location", "$fu", "subject", msg.hdr("Subject"))
            msg.append_to_reply("X-Key", msg.ul_get_key("location", "$fu", "subject"))
            msg.send_reply(480, f"{msg.quote(msg.to.uri)} is not at $si")

        @route.event("registered")
        def registered(event: object) -> None:
            event.ul_add_key("location", event.aor, "at", event.contact)
        """
    )
    odd = "sip:bo$ru@example.com"
    answer = script.send("MESSAGE", odd, "Subject: $hdr(To) costs $5")
    assert code(answer) == (480, f"{odd} is not at {PHONE[0]}")
    assert answer is not None and answer.header("X-Key") == "$hdr(To) costs $5"
    assert script.register(odd, "sip:bo$ru@192.0.2.60") == 200
    assert script.server.app.store.keys(place(odd)) == {"at": "sip:bo$ru@192.0.2.60"}


def test_what_began_by_the_old_script_ends_by_it(
    new: NewScript, tmp_path: Path
) -> None:
    """docs/script.md: its reply and failure routes are those that it was begun with."""
    text = """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.t_on_reply("seen")
            msg.t_on_failure("last")
            msg.t_relay()

        @route.reply("seen")
        def seen(msg: Message) -> None:
            msg.append_hf("X-Seen", "NAME")

        @route.failure("last")
        def last(msg: Message) -> None:
            msg.send_reply(480, "NAME")
        """
    script = new(text.replace("NAME", "old"))
    script.send("MESSAGE", "sip:carol@192.0.2.9")
    (first,) = [one for one in script.sent() if one.uri]
    written(tmp_path / "routes.py", text.replace("NAME", "new"))
    script.reload()
    script.answer(first, 404)
    assert [one.message.reason for one in script.sent() if one.status] == ["old"]  # type: ignore[union-attr]
    script.send("MESSAGE", "sip:carol@192.0.2.9")
    (second,) = [one for one in script.sent() if one.uri]
    script.answer(second, 200)
    assert [one.header("X-Seen") for one in script.sent()] == ["new"]
