"""Handlers that wait, fail, or answer for others; and a script that is read again."""

from __future__ import annotations

import asyncio
import logging
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reginfo.config.config import Config
from reginfo.reg import xml
from reginfo.script.load import NAME, ScriptError
from reginfo.sip.message import Request, Response
from reginfo.testing import Script, Wire
from reginfo.testing.script import SentMessage

from ..make import place
from .scripted import BOB, BOBS_PHONE, CONFIG, HEAD, PHONE, NewScript, written

FIRST = HEAD.count("\n") + 2
"""The line of a script's own first statement, after an empty one."""

SAVE = """
    @route.request("REGISTER")
    def register(msg: Message) -> None:
        msg.save("location")
"""


@pytest.fixture
def new(tmp_path: Path) -> NewScript:
    """Makes a server with a script of this text."""

    def make(text: str, config: str = CONFIG, **others: Any) -> Script:
        return Script(written(tmp_path / "routes.py", text), config, **others)

    return make


def module() -> Any:
    """The script that was loaded last: its own variables."""
    return sys.modules[NAME]


def requests(sent: list[SentMessage], method: str = "") -> list[SentMessage]:
    return [
        one for one in sent if not one.status and (not method or one.method == method)
    ]


def statuses(sent: list[SentMessage]) -> list[int]:
    return [one.status for one in sent if one.status]


def waiting(script: Script) -> int:
    """How many handlers wait."""
    running = script.server.app.script
    assert running is not None
    return running.waiting


def cancel(script: Script) -> None:
    """The caller gives up the first INVITE of a test."""
    data = (
        f"CANCEL {BOB} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.50:5060;"
        "branch=z9hG4bK-1\r\nFrom: <sip:alice@example.com>;tag=from-1\r\n"
        f"To: <{BOB}>\r\nCall-ID: call-1\r\nCSeq: 1 CANCEL\r\n"
        "Max-Forwards: 70\r\n\r\n"
    )
    script.wire.send(data.encode(), PHONE, script.server.address)


async def turns() -> None:
    """Let whoever can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


# Handlers that wait.

WAITS = """
    import asyncio
    gates = []

    @route.request("MESSAGE")
    async def message(msg: Message) -> None:
        gates.append(asyncio.Event())
        await gates[-1].wait()
        msg.send_reply(200, "OK")
"""


def test_a_coroutine_that_never_waits_makes_no_task(new: NewScript) -> None:
    """It has answered before the loop has had a turn; the hot path is synchronous."""

    async def main() -> None:
        text = SAVE.replace("def", "async def").replace("msg.save", "await msg.save")
        script = new(text)
        assert script.register(BOB, BOBS_PHONE) == 200
        assert waiting(script) == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_others_are_served_while_a_handler_waits(new: NewScript) -> None:
    async def main() -> None:
        script = new(WAITS)
        assert script.send("MESSAGE", BOB) is None
        assert script.send("MESSAGE", BOB) is None
        assert waiting(script) == 2
        assert script.register(BOB, BOBS_PHONE) == 200
        script.sent()
        first, second = module().gates
        second.set()
        await turns()
        assert [one.message.cseq.number for one in script.sent()] == [2]
        first.set()
        await turns()
        assert [one.message.cseq.number for one in script.sent()] == [1]
        assert waiting(script) == 0

    asyncio.run(main())


def test_an_error_in_a_handler_that_has_waited_is_a_500_too(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        script = new(WAITS.replace('msg.send_reply(200, "OK")', "1 / 0"))
        script.send("MESSAGE", BOB)
        module().gates[0].set()
        await turns()
        assert statuses(script.sent()) == [500]

    asyncio.run(main())
    assert f"! routes.py:{FIRST + 7}: MESSAGE of sip:alice@example.com: Zero" in (
        caplog.text
    )


def test_a_handler_that_waits_when_the_server_stops_never_resumes(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        script = new(WAITS)
        script.send("MESSAGE", BOB)
        running = script.server.app.script
        assert running is not None
        running.stop()
        await turns()
        assert waiting(script) == 0

    asyncio.run(main())
    assert not [one for one in caplog.records if one.exc_info]


def test_a_handler_that_waits_where_no_loop_is_fails(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a test that is no coroutine."""
    text = WAITS.replace("gates[-1].wait()", "asyncio.sleep(0)")
    response = new(text).send("MESSAGE", BOB)
    assert response is not None and response.status == 500
    assert "the handler waits, and no event loop is running" in caplog.text


def test_an_invite_whose_handler_waits_is_answered_100(new: NewScript) -> None:
    """§17.2.1: a 100 unless there is an answer within 200 ms."""

    async def main() -> None:
        script = new(WAITS.replace("MESSAGE", "INVITE"))
        response = script.send("INVITE", BOB)
        assert response is not None and response.status == 100
        module().gates[0].set()
        await turns()
        assert statuses(script.sent()) == [100, 200]

    asyncio.run(main())


def test_an_invite_that_was_cancelled_while_its_handler_waited_goes_nowhere(
    new: NewScript,
) -> None:
    """§9.2: it has been answered 487; nobody is called any more."""
    text = WAITS.replace("MESSAGE", "INVITE").replace(
        'msg.send_reply(200, "OK")',
        'msg.append_branch("sip:bob@192.0.2.60"); codes.append(int(msg.t_relay()))',
    )

    async def main() -> None:
        script = new("codes = []\n" + textwrap.dedent(text))
        script.send("INVITE", BOB)
        script.sent()
        cancel(script)
        assert statuses(script.sent()) == [200, 487]
        module().gates[0].set()
        await turns()
        assert requests(script.sent()) == []
        assert module().codes == [-1]
        assert len(script.server.app.relaying.proxy) == 0

    asyncio.run(main())


def test_exit_ends_a_route_as_it_does_in_other_scripts(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    script = new(
        """
        @route.request()
        def main(msg: Message) -> None:
            if msg.is_method("MESSAGE"):
                msg.send_reply(202, "Accepted")
                exit()
            msg.send_reply(405, "Method Not Allowed")
        """
    )
    script.send("MESSAGE", BOB)
    assert statuses(script.sent()) == [202]
    assert caplog.records == []


def test_a_refusal_takes_back_what_was_changed_before_it(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    """The transaction of a request is all or nothing; and a refusal is no error."""
    script = new(
        """
        @route.request("MESSAGE")
        async def message(msg: Message) -> None:
            msg.ul_add_key("location", "$ru", "k", "v")
            raise Refusal(403, "Forbidden")
        """
    )
    response = script.send("MESSAGE", BOB)
    assert response is not None and response.status == 403
    assert script.server.app.store.keys(place(BOB)) == {}
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def test_the_line_that_is_told_is_where_the_script_left_off(
    new: NewScript, caplog: pytest.LogCaptureFixture
) -> None:
    """The operator's line: the innermost one of the script, not of what it calls."""
    text = """
    @route.request("MESSAGE")
    def message(msg: Message) -> None:
        changed(msg)

    def changed(msg: Message) -> None:
        name = "a b"
        msg.append_hf(name, "x")
    """
    response = new(text).send("MESSAGE", BOB)
    assert response is not None and response.status == 500
    [record] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert record.getMessage() == (
        f"! routes.py:{FIRST + 6}: MESSAGE of sip:alice@example.com: "
        "ValueError: not a header name: 'a b'"
    )
    assert record.exc_info is not None
    assert f'routes.py", line {FIRST + 2}, in message' in caplog.text


# Replies and failures.

RELAYS = (
    SAVE
    + """
    seen = []

    @route.request("MESSAGE")
    def message(msg: Message) -> None:
        msg.var["who"] = "alice"
        msg.lookup("location")
        msg.t_on_reply("reply")
        msg.t_on_failure("failure")
        msg.t_relay()

    @route.reply("reply")
    async def reply(msg: Message) -> None:
        seen.append(msg.status)
        if msg.hdr("X-Keep"):
            raise Refusal(500, "Kept Back")
        if msg.hdr("X-Fail"):
            1 / 0
        msg.append_hf("X-Ours", "$var(who) $rs")

    @route.failure("failure")
    def failure(msg: Message) -> object:
        seen.append(("failure", msg.status))
        if msg.t_check_status("486|600"):
            msg.t_on_failure("second")
            msg.append_branch("sip:voicemail@192.0.2.9")
            msg.t_relay()
        elif msg.t_check_status(404):
            raise Refusal(480, "Refused")
        elif msg.t_check_status(403):
            from reginfo import Response
            return Response(481, "Returned")
        elif msg.t_check_status(410):
            msg.send_reply(482, "Replied")
        elif msg.t_check_status(411):
            [][0]

    @route.failure("second")
    def second(msg: Message) -> None:
        seen.append(("second", msg.status))
    """
)


@pytest.fixture
def relayed(new: NewScript) -> tuple[Script, SentMessage]:
    """A server with bob, and a MESSAGE that has gone to him."""
    script = new(RELAYS)
    script.register(BOB, BOBS_PHONE)
    script.sent()
    script.send("MESSAGE", BOB)
    [one] = script.sent()
    return script, one


def test_a_reply_route_sees_what_its_request_has_noted(
    relayed: tuple[Script, SentMessage],
) -> None:
    script, request = relayed
    script.answer(request, 200)
    [answer] = script.sent()
    assert (answer.status, answer.to) == (200, PHONE)
    assert answer.header("X-Ours") == "alice 200"


def test_a_refusal_in_a_reply_route_keeps_the_reply_back(
    relayed: tuple[Script, SentMessage],
) -> None:
    script, request = relayed
    script.answer(request, 180, "Ringing", [("X-Keep", "1")])
    assert script.sent() == []
    script.answer(request, 200)
    assert statuses(script.sent()) == [200]


def test_an_error_in_a_reply_route_lets_the_reply_pass(
    relayed: tuple[Script, SentMessage], caplog: pytest.LogCaptureFixture
) -> None:
    script, request = relayed
    script.answer(request, 200, "OK", [("X-Fail", "1")])
    assert statuses(script.sent()) == [200]
    assert "reply route of MESSAGE of sip:alice@example.com: ZeroDiv" in caplog.text


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (404, (480, "Refused")),
        (403, (481, "Returned")),
        (410, (482, "Replied")),
        (488, (488, "Theirs")),
        (411, (411, "Theirs")),  # the handler has failed
    ],
)
def test_a_failure_route_may_answer_in_their_place(
    relayed: tuple[Script, SentMessage], status: int, answer: tuple[int, str]
) -> None:
    script, request = relayed
    script.answer(request, status, "Theirs")
    [sent] = script.sent()
    message = sent.message
    assert isinstance(message, Response)
    assert (message.status, message.reason) == answer


def test_an_error_in_a_failure_route_is_told(
    relayed: tuple[Script, SentMessage], caplog: pytest.LogCaptureFixture
) -> None:
    script, request = relayed
    script.answer(request, 411, "Theirs")
    assert "failure route of MESSAGE of sip:alice@example.com: IndexErr" in caplog.text


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [(486, 408, 486), (486, 404, 404), (486, 503, 486), (600, 404, 600)],
)
def test_after_failed_retries_the_best_of_all_replies_is_forwarded(
    relayed: tuple[Script, SentMessage], first: int, second: int, best: int
) -> None:
    """3261-45: of those before the failure route, too; and it is asked once more."""
    script, request = relayed
    script.answer(request, first, "First")
    [again] = script.sent()
    assert again.uri == "sip:voicemail@192.0.2.9"
    script.answer(again, second, "Second")
    assert statuses(script.sent()) == [best]
    told = 500 if second == 503 else second
    asked = [one for one in module().seen if isinstance(one, tuple)]
    assert asked == [("failure", first), ("second", told)]


# What is no response.


@pytest.mark.parametrize(
    "statement",
    [
        'msg.send_reply(200, "OK", body="Hello")',
        'return Response(200, "OK", body="Hello")',
        'return Response("200", "OK")',
        "return Response(42, 'None')",
        "return Response(700, 'None')",
        'return Response(480, "No\\r\\nX-Evil: 1")',
        'return Response(480, "No", {"X-A": ["b\\r\\nX-Evil: 1"]})',
        'return Response(480, "No", {"X-A: b\\r\\nX-Evil": ["1"]})',
        'raise Refusal(480, "No\\r\\nX-Evil: 1")',
        'raise Refusal("480", "No")',
        'raise Refusal(480, "No", headers=[("X-A", 5)])',
        'msg.send_reply(480, "No\\r\\nX-Evil: 1")',
        'msg.send_reply(480, "No\\0")',
        'msg.send_reply(480, "\\ud800")',
        'return Response(480, "\\ud800")',
        'msg.append_to_reply("X-A", "\\ud800"); return Response(480, "No")',
    ],
)
def test_what_a_handler_answers_that_is_no_response_is_a_500(
    new: NewScript, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the script: whoever asks has an answer, and no header of others."""
    script = new(
        f"""
        from reginfo import Response

        @route.request("MESSAGE")
        def message(msg: Message) -> object:
            msg.append_to_reply("X-Ours: yes\\r\\n")
            {statement}
        """
    )
    script.send("MESSAGE", BOB)
    [answer] = script.sent()
    assert (answer.status, answer.header("X-Evil")) == (500, None)
    [record] = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert "MESSAGE of sip:alice@example.com: " in record.getMessage()
    assert "Error: " in record.getMessage()


def test_what_a_failure_route_returns_that_is_no_response_is_a_500(
    new: NewScript,
) -> None:
    script = new(
        RELAYS.replace('Response(481, "Returned")', 'Response(481, "A\\r\\nX-Evil: 1")')
    )
    script.register(BOB, BOBS_PHONE)
    script.sent()
    script.send("MESSAGE", BOB)
    [request] = script.sent()
    script.answer(request, 403, "Theirs")
    [answer] = script.sent()
    assert (answer.status, answer.header("X-Evil")) == (500, None)


def one_of_each(sent: SentMessage) -> bool:
    """Whether a response has one Via, From, To, Call-ID and CSeq, those of its own."""
    headers = sent.message.headers
    own = headers["Call-ID"][0].startswith("call-")
    names = ("Via", "From", "To", "Call-ID", "CSeq")
    return own and all(len(headers[name]) == 1 for name in names)


def test_a_reply_that_a_failure_route_hands_back_is_that_of_its_request(
    new: NewScript,
) -> None:
    """§8.2.6.2: what names the transaction is the request's own, and there once."""
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.append_branch("sip:bob@192.0.2.60")
            msg.t_on_failure("failure")
            msg.t_relay()

        @route.failure("failure")
        def failure(msg: Message) -> object:
            return msg.reply
        """
    )
    script.send("MESSAGE", BOB)
    [request] = script.sent()
    script.answer(request, 486, "Busy", [("X-Theirs", "yes")])
    [answer] = script.sent()
    assert (answer.status, answer.header("X-Theirs")) == (486, "yes")
    assert one_of_each(answer)


def test_the_answer_to_another_request_may_be_handed_back(new: NewScript) -> None:
    """§8.2.6.2: with its own headers, and with the transaction of who asked."""

    async def main() -> None:
        script = new(
            """
            @route.request("MESSAGE")
            async def message(msg: Message) -> object:
                return await msg.send_request("OPTIONS", "sip:x@192.0.2.60")
            """
        )
        script.send("MESSAGE", BOB)
        [options] = requests(script.sent(), "OPTIONS")
        script.answer(options, 200, "OK", [("X-Theirs", "yes")])
        await turns()
        [answer] = script.sent()
        assert (answer.status, answer.header("X-Theirs")) == (200, "yes")
        assert answer.method == "MESSAGE"
        assert one_of_each(answer)

    asyncio.run(main())


# Relaying, and what it returns.


def test_t_relay_is_minus_one_if_it_has_been_sent_on(new: NewScript) -> None:
    """The script's main route sends it on once; the first way stays the only one."""
    script = new(
        """
        codes = []

        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.append_branch("sip:bob@192.0.2.60")
            codes.append(int(msg.t_relay()))
            msg.append_branch("sip:bob@192.0.2.61")
            codes.append(int(msg.t_relay()))
        """
    )
    script.send("MESSAGE", BOB)
    assert [one.uri for one in requests(script.sent())] == [BOBS_PHONE]
    assert module().codes == [1, -1]


def test_a_final_answer_after_t_relay_cancels_who_is_still_called(
    new: NewScript,
) -> None:
    """3261-45: §16.7 step 10, once a final response was sent."""
    text = WAITS.replace("MESSAGE", "INVITE").replace(
        "gates.append",
        'msg.append_branch("sip:bob@192.0.2.60"); msg.t_relay()\n        gates.append',
    )

    async def main() -> None:
        script = new(text.replace('200, "OK"', '480, "He Rings Too Long"'))
        script.send("INVITE", BOB)
        [invite] = requests(script.sent(), "INVITE")
        script.answer(invite, 180, "Ringing")
        script.sent()
        module().gates[0].set()
        await turns()
        sent = script.sent()
        assert statuses(sent) == [480]
        assert [one.uri for one in requests(sent, "CANCEL")] == [BOBS_PHONE]
        script.answer(invite, 487, "Request Terminated")
        assert statuses(script.sent()) == []

    asyncio.run(main())


def test_a_failure_route_may_have_a_reply_route_of_its_own(new: NewScript) -> None:
    """docs/script.md: replies to what was relayed after `msg.t_on_reply`."""
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.append_branch("sip:bob@192.0.2.60")
            msg.t_on_failure("failure")
            msg.t_relay()

        @route.failure("failure")
        def failure(msg: Message) -> None:
            msg.append_branch("sip:bob@192.0.2.61")
            msg.t_on_reply("second")
            msg.t_relay()

        @route.reply("second")
        def second(msg: Message) -> None:
            msg.append_hf("X-Second", "yes")
        """
    )
    script.send("MESSAGE", BOB)
    [first] = script.sent()
    script.answer(first, 486, "Busy")
    [second] = script.sent()
    script.answer(second, 200)
    [answer] = script.sent()
    assert (answer.status, answer.header("X-Second")) == (200, "yes")


def test_t_relay_is_minus_one_if_it_was_answered_instead(new: NewScript) -> None:
    script = new(
        """
        codes = []

        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            codes.append(int(msg.t_relay()))
            codes.append(int(msg.t_relay()))
            codes.append(int(msg.send_reply(500, "Not This")))
        """
    )
    script.send("MESSAGE", BOB, "Proxy-Require: nonsense")
    assert statuses(script.sent()) == [420]
    assert module().codes == [-1, -1, -1]


def test_branches_are_tried_by_their_preference(new: NewScript) -> None:
    """3261-42: those that are alike at once."""
    script = new(
        """
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.append_branch("sip:low@192.0.2.61", 0.2)
            msg.append_branch("sip:high@192.0.2.62", q=0.8)
            msg.append_branch(msg.uri.parse("sip:alike@192.0.2.63"), 0.8)
            msg.t_relay()
        """
    )
    script.send("MESSAGE", BOB)
    first = requests(script.sent())
    uris = [one.uri for one in first]
    assert uris == ["sip:high@192.0.2.62", "sip:alike@192.0.2.63"]
    for one in first:
        script.answer(one, 480, "Away")
    assert [one.uri for one in requests(script.sent())] == ["sip:low@192.0.2.61"]


# Requests of our own.

SENDS = """
    @route.request("MESSAGE")
    async def message(msg: Message) -> None:
        reply = await msg.send_request("INFO", "WHERE", headers=[("X-For", "$fu")])
        msg.send_reply(reply.status, "As They Say")
"""


def test_a_request_of_our_own_is_sent_and_its_answer_awaited(new: NewScript) -> None:
    async def main() -> None:
        script = new(SENDS.replace("WHERE", "sip:$tU@192.0.2.60"))
        script.send("MESSAGE", BOB)
        [info] = requests(script.sent(), "INFO")
        assert (info.uri, info.header("X-For")) == (BOBS_PHONE, "$fu")
        script.answer(info, 100, "Trying")
        script.answer(info, 606, "No")
        await turns()
        assert statuses(script.sent()) == [606]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("where", "status"),
    [
        ("sip:nobody@example.com", 480),
        ("sip:x@nowhere.example", 503),
        (BOBS_PHONE, 408),
    ],
)
def test_a_request_of_our_own_always_has_an_answer(
    new: NewScript, where: str, status: int
) -> None:
    async def main() -> None:
        script = new(SENDS.replace("WHERE", where))
        script.send("MESSAGE", BOB)
        script.pass_time(32)
        await turns()
        assert statuses(script.sent())[-1] == status

    asyncio.run(main())


def test_a_request_of_our_own_that_a_refusal_takes_back_is_answered_503(
    new: NewScript,
) -> None:
    """Whoever else waits for its answer is told that it was never sent."""

    async def main() -> None:
        script = new(
            """
            answers = []

            @route.request("MESSAGE")
            async def message(msg: Message) -> None:
                answers.append(msg.send_request("INFO", "sip:x@192.0.2.60"))
                raise Refusal(403, "Forbidden")
            """
        )
        script.send("MESSAGE", BOB)
        sent = script.sent()
        assert (statuses(sent), requests(sent)) == ([403], [])
        [answer] = module().answers
        assert answer.done() and answer.result().status == 503

    asyncio.run(main())


@pytest.mark.parametrize(
    "call",
    [
        'send_request("INVITE", "sip:x@y")',
        'send_request("A B", "sip:x@y")',
        'send_request("INFO", "nobody")',
        'send_request("INFO", "sip:x@y", headers=[("Via", "z")])',
        'send_request("INFO", "sip:x@y", headers=[("X-A", "b\\r\\nc")])',
    ],
)
def test_a_request_that_cannot_be_written_is_an_error_of_the_script(
    new: NewScript, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = f"""
    @route.request("MESSAGE")
    async def message(msg: Message) -> None:
        await msg.{call}
    """

    async def main() -> None:
        response = new(text).send("MESSAGE", BOB)
        assert response is not None and response.status == 500

    asyncio.run(main())
    assert f"! routes.py:{FIRST + 2}: MESSAGE" in caplog.text
    assert "ValueError" in caplog.text


# What it asks the location service.


def telling(expression: str) -> str:
    """A script that answers a MESSAGE with the value of an expression."""
    return f"""
    @route.request("MESSAGE")
    def message(msg: Message) -> None:
        msg.send_reply(200, "OK", (("X-Value", repr({expression})),))
"""


def value(script: Script, *headers: str, uri: str = BOB) -> str | None:
    response = script.send("MESSAGE", uri, *headers)
    assert response is not None
    return response.header("X-Value")


def test_bindings_are_python_objects(new: NewScript) -> None:
    script = new(SAVE + telling("[(b.contact, b.cseq) for b in msg.bindings(msg.uri)]"))
    assert value(script) == "[]"
    script.register(BOB, BOBS_PHONE)
    assert value(script) == f"[('{BOBS_PHONE}', 2)]"


@pytest.mark.parametrize(
    ("aor", "code"),
    [("$rU@$rd", 1), ("$ru", 1), ("sip:nobody@example.com", -1), ("$hdr(X-No)", -1)],
)
def test_unregister_names_a_user_by_strings(
    new: NewScript, aor: str, code: int
) -> None:
    script = new(SAVE + telling(f'int(msg.unregister("location", "{aor}"))'))
    script.register(BOB, BOBS_PHONE)
    assert value(script) == str(code)
    assert len(script.bindings(BOB)) == (0 if code == 1 else 1)


def test_keys_are_of_a_user_in_a_table(new: NewScript) -> None:
    script = new(
        telling(
            '(msg.ul_get_key("location", msg.to.parsed, "k"),'
            ' int(msg.ul_rm_key("location", "$tu", "k")),'
            ' int(msg.ul_add_key("location", "$tU@$td", "k", "$hdr(X-V)")),'
            ' msg.ul_get_key("location", "$tu", "k"),'
            ' msg.ul_get_key("location2", "$tu", "k"),'
            ' int(msg.ul_add_key("location", "$hdr(X-No)", "k", "v")))'
        )
    )
    assert value(script, "X-V: 1") == "(None, -1, 1, '1', None, -1)"
    assert value(script, "X-V: 2") == "('1', 1, 1, '2', None, -1)"


# Pseudo-variables of a message that has come.


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("$ru", "sip:bob@example.com:5060"),
        ("$rU", "bob"),
        ("$rd", "example.com"),
        ("$rp", "5060"),
        ("$rm", "MESSAGE"),
        ("$tu", "sip:b@example.org"),
        ("$tU", "b"),
        ("$td", "example.org"),
        ("$tt", ""),
        ("$fu", "sip:alice@example.com"),
        ("$fU", "alice"),
        ("$fd", "example.com"),
        ("$ft", "from-1"),
        ("$ci", "call-1"),
        ("$cs", "1"),
        ("$ua", "phone/1"),
        ("$rb", "Hi"),
        ("$rs", ""),
        ("$rr", ""),
        ("$si", PHONE[0]),
        ("$sp", str(PHONE[1])),
        ("$hdr(X-One)", "1"),
        ("$var(x)", "mine"),
        ("$$", "$"),
    ],
)
def test_a_string_holds_what_the_message_says(
    new: NewScript, variable: str, expected: str
) -> None:
    script = new(
        f"""
        @route.request("MESSAGE")
        def message(msg: Message) -> None:
            msg.var["x"] = "mine"
            msg.send_reply(200, "<{variable}>")
        """
    )
    response = script.send(
        "MESSAGE",
        "sip:bob@example.com:5060",
        "X-One: 1",
        "User-Agent: phone/1",
        to="sip:b@example.org",
        body="Hi",
    )
    assert response is not None
    assert response.reason == f"<{expected}>"


# It is read again.


def test_what_began_by_the_old_script_ends_by_it(
    new: NewScript, tmp_path: Path
) -> None:
    async def main() -> None:
        script = new(WAITS)
        script.send("MESSAGE", BOB)
        [gate] = module().gates
        written(tmp_path / "routes.py", telling("'new'"))
        script.reload()
        assert value(script) == "'new'"
        script.sent()
        gate.set()
        await turns()
        [old] = script.sent()
        assert (old.status, old.header("X-Value")) == (200, None)

    asyncio.run(main())


def test_who_waited_its_turn_is_served_though_the_script_has_no_route_for_it_now(
    new: NewScript, tmp_path: Path
) -> None:
    """It is served as by a server without one."""
    text = WAITS.replace("MESSAGE", "REGISTER")

    async def main() -> None:
        script = new(text.replace('msg.send_reply(200, "OK")', "msg.save()"))
        for cseq in (60, 61):
            assert script.register(BOB, f"sip:bob@192.0.2.{cseq}") == 0
        [gate] = module().gates
        written(tmp_path / "routes.py", telling("'new'"))
        script.reload()
        gate.set()
        await turns()
        assert statuses(script.sent()) == [200, 200]
        assert len(script.bindings(BOB)) == 2

    asyncio.run(main())


BROKEN: list[Callable[[Path], object]] = [
    lambda path: written(path, "def"),
    lambda path: written(path, "1 / 0"),
    lambda path: written(path, telling("3").replace("OK", "$zz")),
    lambda path: written(path, "route = None"),
    lambda path: path.unlink(),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_script_that_cannot_be_loaded_leaves_the_one_that_runs(
    new: NewScript, tmp_path: Path, broken: Callable[[Path], object]
) -> None:
    script = new(telling("1"))
    broken(tmp_path / "routes.py")
    with pytest.raises(ScriptError, match=r"routes\.py"):
        script.reload()
    assert value(script) == "1"
    written(tmp_path / "routes.py", telling("2"))
    assert value(script) == "1", "it is read when that is asked for"
    script.reload()
    assert value(script) == "2"


def test_without_a_script_there_is_nothing_to_read_again() -> None:
    server = Wire().serve(Config.parse(CONFIG))
    server.app.reload()
    assert server.app.script is None


# Tables, and which of them is told of.


def test_watchers_are_told_of_the_table_of_ul_domain(new: NewScript) -> None:
    text = """
    @route.request("REGISTER")
    def register(msg: Message) -> None:
        msg.save(msg.hdr("X-Table") or "location")
    """
    script = new(text, CONFIG + 'ul_domain = "location2"\n')
    script.send("SUBSCRIBE", BOB, "Event: reg", "Contact: <sip:w@192.0.2.50>")
    script.answer(requests(script.sent(), "NOTIFY")[0], 200)
    script.register(BOB, "sip:bob@192.0.2.61")
    assert requests(script.sent()) == []
    script.register(BOB, BOBS_PHONE, "X-Table: location2")
    [told] = requests(script.sent(), "NOTIFY")
    assert isinstance(told.message, Request)
    [registration] = xml.parse(told.message.body).registrations
    assert [one.uri for one in registration.contacts] == [BOBS_PHONE]
