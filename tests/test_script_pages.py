"""What docs/script.md and docs/pua_reginfo.md say is so: each block of them runs."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import msgspec
import pytest

from reginfo.reg import xml
from reginfo.script import pseudo
from reginfo.script.event import ContactChanged
from reginfo.script.message import Message
from reginfo.script.route import EVENTS
from reginfo.server.config import Config, PuaReginfo
from reginfo.sip.message import Response
from reginfo.testing import Script
from reginfo.testing.script import CONFIG, Sent

from .server.scripted import WATCHES_BOB, Notifier, contact, document

DOCS = Path(__file__).parents[1] / "docs"
SCRIPT = (DOCS / "script.md").read_text()
MODULE = (DOCS / "pua_reginfo.md").read_text()

BOB, BOBS_PHONE = "sip:bob@example.com", "sip:bob@192.0.2.60"
HEAD = (
    "import logging\n\nfrom reginfo import *\n\nroute = Route()\nlog = logging.root\n\n"
)


def blocks(page: str, kind: str = "python") -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    """What stands under a heading of the module's page."""
    found = re.search(
        rf"^###? {re.escape(title)}.*?$(.*?)(?=^###? |\Z)", MODULE, re.M | re.S
    )
    assert found is not None, title
    return found[1]


def scripted(tmp_path: Path, text: str, config: str = CONFIG) -> Script:
    path = tmp_path / "routes.py"
    path.write_text(text if "Route()" in text else HEAD + text)
    return Script(path, config)


def status(answer: Response | None) -> int:
    assert answer is not None
    return answer.status


# docs/script.md


def test_the_first_script_does_what_it_reads_as(tmp_path: Path) -> None:
    routes = blocks(SCRIPT)[0]
    config = CONFIG.replace('["example.com"]', '["example.com", "old.example.com"]')
    script = scripted(tmp_path, routes, config)
    assert script.register("sip:bob@old.example.com", BOBS_PHONE) == 403
    assert status(script.send("MESSAGE", BOB)) == 480
    assert script.register(BOB, BOBS_PHONE) == 200
    script.sent()
    script.send("MESSAGE", BOB)
    (relayed,) = [one for one in script.sent() if one.uri]
    script.answer(relayed, 486, "Busy Here")
    (voicemail,) = [one for one in script.sent() if one.uri]
    assert voicemail.uri == "sip:voicemail@192.0.2.9"


def test_a_handler_may_return_its_response(tmp_path: Path) -> None:
    script = scripted(tmp_path, blocks(SCRIPT)[1])
    answer = script.send("OPTIONS", BOB)
    assert answer is not None
    assert (answer.status, answer.header("Accept")) == (200, "application/sdp")


def test_who_registers_is_welcomed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        script = scripted(tmp_path, blocks(SCRIPT)[2], CONFIG + WATCHES_BOB)
        script.register(BOB, BOBS_PHONE)
        (message,) = [one for one in script.sent() if one.method == "MESSAGE"]
        assert (message.uri, message.message.body) == (BOBS_PHONE, b"Welcome")
        script.answer(message, 200)
        for _ in range(3):
            await asyncio.sleep(0)
        desk = contact("sip:bob@192.0.2.61", callid="desk")
        Notifier(script).notify(document(desk))
        assert [one for one in script.sent() if one.method == "MESSAGE"] == []

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    assert f"{BOB} at {BOBS_PHONE}: 200" in caplog.messages


def test_the_test_of_a_script_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is of the script that the page begins with."""
    routes, test = blocks(SCRIPT)[0], blocks(SCRIPT)[-1]
    (tmp_path / "routes.py").write_text(routes)
    monkeypatch.chdir(tmp_path)
    exec(compile(test, "script.md", "exec"), {})
    with pytest.raises(AssertionError):
        exec(compile(test.replace("== 200", "== 404", 1), "script.md", "exec"), {})


def test_the_page_has_no_other_blocks() -> None:
    """Else one of them would be tested by nobody."""
    assert len(blocks(SCRIPT)) == 4
    assert len(blocks(MODULE)) == 7
    assert len(blocks(MODULE, "sip")) == 2
    kinds = {"python", "toml", "sip", ""}
    assert set(re.findall(r"^```(\w*)$", SCRIPT + MODULE, re.MULTILINE)) == kinds


def test_every_pseudo_variable_and_function_is_on_the_page() -> None:
    for name in pseudo.VARIABLES:
        assert f"`${name}`" in SCRIPT, name
    functions = {
        name
        for name in dir(Message)
        if not name.startswith("_") and callable(getattr(Message, name))
    }
    pages = SCRIPT + MODULE
    assert {name for name in functions if not re.search(rf"\b{name}\b", pages)} == set()


def test_everything_that_the_page_names_is_there() -> None:
    table = SCRIPT.partition("## Functions")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)(?:\(.*?\))?`", row):
            if not name.endswith("_"):
                assert callable(getattr(Message, name)), name
    for name in re.findall(r"`event\.(\w+)`", SCRIPT):
        assert hasattr(ContactChanged, name), name
    events = SCRIPT.partition("## Events")[2].partition("```")[0]
    assert set(EVENTS) <= set(re.findall(r"`(\w+)`", events))


@pytest.mark.parametrize("page", [SCRIPT, MODULE], ids=["script", "pua_reginfo"])
def test_every_configuration_is_right(page: str) -> None:
    found = blocks(page, "toml")
    assert found
    for text in found:
        Config.parse(text)


@pytest.mark.parametrize("page", [SCRIPT, MODULE], ids=["script", "pua_reginfo"])
def test_every_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        assert not file or (DOCS / file).exists(), link
        if anchor:
            text = (DOCS / file).read_text() if file else page
            anchors = {
                re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
                for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            }
            assert anchor in anchors, (link, sorted(anchors))


# docs/pua_reginfo.md


def test_each_parameter_has_its_heading_and_its_default() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(PuaReginfo)}
    parameters = MODULE.partition("## Parameters")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### (\w+)$", parameters, re.MULTILINE)) == fields.keys()
    for name, field in fields.items():
        default = re.findall(r"\*([^*]+)\*", section(name))[-1]
        said = {"Not set.": None, "true.": True}.get(default, default.strip("`"))
        assert field.default == said or field.default == (), name


def test_reginfo_handle_notify(tmp_path: Path) -> None:
    (text,) = blocks(section("reginfo_handle_notify"))
    peer = Notifier(scripted(tmp_path, text, CONFIG + WATCHES_BOB))
    assert peer.notify(document(contact())).reason == "Accepted"
    assert peer.notify(b"<nonsense").reason == "Invalid reg-info"


def test_reginfo_subscribe(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    subscribe, event = blocks(section("reginfo_subscribe"))
    relays = """
@route.request("MESSAGE")
def message(msg):
    msg.t_on_reply("1")
    msg.t_relay()
"""
    script = scripted(tmp_path, subscribe + event + relays)
    there = "sip:carol@192.0.2.9"
    script.send("MESSAGE", there)
    (relayed,) = [one for one in script.sent() if one.uri]
    script.answer(relayed, 200)
    script.pass_time(0)
    (asked,) = [one for one in script.sent() if one.method == "SUBSCRIBE"]
    assert asked.uri == there
    script.answer(asked, 403, "Forbidden")
    assert f"{there}: 403 Forbidden" in caplog.messages


def test_reginfo_update(tmp_path: Path) -> None:
    (text,) = blocks(section("reginfo_update"))
    relays = """
@route.request("REGISTER")
def register(msg):
    msg.t_on_reply("register_reply")
    msg.t_relay()

@route.request("SUBSCRIBE")
def subscribe(msg):
    msg.handle_subscribe()
"""
    config = CONFIG + 'ul_identities_key = "identities"\n'
    script = scripted(tmp_path, text + relays, config)
    lines = ["Event: reg", "Contact: <sip:w@192.0.2.50>", "Expires: 600"]
    script.send("SUBSCRIBE", "sip:bb@example.com", *lines)
    script.answer([one for one in script.sent() if one.method == "NOTIFY"][-1], 200)
    script.send("REGISTER", "sip:192.0.2.9", f"Contact: <{BOBS_PHONE}>", to=BOB)
    (relayed,) = [one for one in script.sent() if one.method == "REGISTER"]
    value = [("P-Associated-URI", f"<{BOB}>, <sip:bb@example.com>")]
    script.answer(relayed, 200, headers=value)
    told = [one for one in script.sent() if one.method == "NOTIFY"][0]
    names = [one.aor for one in xml.parse(told.message.body).registrations]
    assert names == [BOB, "sip:bb@example.com"]


def test_ul_identities_key(tmp_path: Path) -> None:
    (text,) = blocks(section("ul_identities_key"))
    config = CONFIG + 'ul_identities_key = "identities"\n'
    script = scripted(tmp_path, text, config)
    value = f'P-Associated-URI: "B, B" <{BOB}>, <tel:+15550100>'
    assert script.register(BOB, BOBS_PHONE, value) == 200
    store = script.server.app.store
    assert store.identities(BOB) == (BOB, "tel:+15550100")


def test_reginfo_disable_publish(tmp_path: Path) -> None:
    (text,) = blocks(section("reginfo_disable_publish"))
    config = CONFIG + 'publish_to = "sip:192.0.2.9"\n'
    script = scripted(tmp_path, text, config)
    assert script.register(BOB, BOBS_PHONE) == 200
    assert [one for one in script.sent() if one.method == "PUBLISH"] == []
    loud = scripted(tmp_path, text.replace("msg.reginfo_disable_publish()", ""), config)
    loud.register(BOB, BOBS_PHONE)
    assert [one.uri for one in loud.sent() if one.method == "PUBLISH"] == [BOB]


def test_keys_of_a_record(tmp_path: Path) -> None:
    (text,) = blocks(section("ul_add_key, ul_get_key, ul_rm_key"))
    bars = """
@route.request("INFO")
def info(msg):
    msg.ul_add_key("location", "bob@example.com", "barred", "yes")
    msg.send_reply(200, "OK")

@route.request("UPDATE")
def update(msg):
    msg.ul_rm_key("location", "bob@example.com", "barred")
    msg.send_reply(200, "OK")
"""
    script = scripted(tmp_path, text + bars)
    lines = ["Event: reg", "Contact: <sip:w@192.0.2.50>"]
    outcomes = []
    for method in ("OPTIONS", "INFO", "UPDATE"):
        script.send(method, BOB)
        outcomes.append(status(script.send("SUBSCRIBE", BOB, *lines)))
    assert outcomes == [200, 403, 200]


def test_what_other_modules_had_has_its_default() -> None:
    config = Config.parse(CONFIG)
    rows = re.findall(
        r"^\| `\[(\w+)\] (\w+)` \| .*?(\w+)(?: \(.*\))? \|$",
        section("What other modules had"),
        re.MULTILINE,
    )
    assert len(rows) == 11
    for name, key, default in rows:
        value = getattr(type(getattr(config, name))(), key)
        assert str(value).lower() == default, (name, key)
    for name in ("presence_reginfo", "pua", "registrar", "usrloc"):
        keys = {key for one, key, _ in rows if one == name}
        assert keys == set(getattr(config, name).__struct_fields__)


class Publishing:
    """A script that publishes, and the presence server, played."""

    def __init__(self, tmp_path: Path) -> None:
        self.script = scripted(tmp_path, "", CONFIG + 'publish_to = "sip:192.0.2.9"\n')

    def publishes(self) -> list[Sent]:
        """What was sent since this was last asked, retransmissions but once."""
        sent = [one for one in self.script.sent() if one.method == "PUBLISH"]
        return list({one.header("Via"): one for one in sent}.values())

    def published(self) -> Sent:
        (one,) = self.publishes()
        return one

    def answer(self, publish: Sent, status: int, *headers: tuple[str, str]) -> None:
        """Answer; and, with 200, as a presence server must (RFC 3903 §6)."""
        granted = ("Expires", publish.header("Expires") or "")
        self.script.answer(publish, status, "-", [granted, *headers])


def told(page: str, sent: Sent) -> None:
    """See that a message begins as the page has it, and has all headers of it."""
    start, *lines = page.splitlines()
    assert start == f"{sent.method} {sent.uri} SIP/2.0"
    for line in lines:
        name, _, value = line.partition(": ")
        assert (sent.header(name) or "").partition(";tag=")[0] == value


def test_a_publish_is_as_the_page_has_it(tmp_path: Path) -> None:
    peer = Publishing(tmp_path)
    peer.script.register(BOB, "sip:bob@192.0.2.61", expires=100)
    peer.answer(peer.published(), 200, ("SIP-ETag", "first"))
    peer.script.register(BOB, BOBS_PHONE)
    second = peer.published()
    told(blocks(section("What is sent"), "sip")[0], second)
    assert second.header("SIP-If-Match") == "first"
    document = xml.parse(second.message.body)
    (registration,) = document.registrations
    assert document.full and len(registration.contacts) == 2
    # One at a time, and what has changed meanwhile goes with the next.
    peer.script.register(BOB, "sip:bob@192.0.2.62")
    peer.script.register(BOB, "sip:bob@192.0.2.63")
    assert peer.publishes() == []
    peer.answer(second, 200, ("SIP-ETag", "second"))
    third = peer.published()
    assert third.header("SIP-If-Match") == "second"
    assert len(xml.parse(third.message.body).registrations[0].contacts) == 4
    # In any case before the presence server forgets.
    peer.answer(third, 200, ("SIP-ETag", "third"))
    peer.script.pass_time(600)
    again = peer.publishes()
    assert again[0].header("SIP-If-Match") == "third"


def test_a_publish_that_is_not_taken_is_followed_as_the_page_says(
    tmp_path: Path,
) -> None:
    rows = dict(
        re.findall(r"^\| (\d+|none) \| (.*) \|$", section("What is sent"), re.M)
    )
    assert rows.keys() == {"412", "423", "503", "none"}
    peer = Publishing(tmp_path)
    peer.script.register(BOB, BOBS_PHONE)
    peer.answer(peer.published(), 423, ("Min-Expires", "900"))
    longer = peer.published()
    assert longer.header("Expires") == "900"
    peer.answer(longer, 200, ("SIP-ETag", "tag"))
    peer.script.register(BOB, BOBS_PHONE)
    peer.answer(peer.published(), 503, ("Retry-After", "30"))
    peer.script.pass_time(29)
    assert peer.publishes() == []
    peer.script.pass_time(5)
    later = peer.published()
    assert later.header("SIP-If-Match") == "tag"
    peer.script.pass_time(120)  # and no answer
    again = peer.publishes()[0]
    assert again.header("SIP-If-Match") == "tag"


def test_a_tag_that_is_dead_is_forgotten_once(tmp_path: Path) -> None:
    peer = Publishing(tmp_path)
    peer.script.register(BOB, BOBS_PHONE)
    peer.answer(peer.published(), 200, ("SIP-ETag", "dead"))
    peer.script.register(BOB, BOBS_PHONE)
    peer.answer(peer.published(), 412)
    anew = peer.published()
    assert anew.header("SIP-If-Match") is None and anew.message.body
    peer.answer(anew, 412)
    assert peer.publishes() == []


@pytest.mark.parametrize("is_back", [False, True])
def test_the_last_contact_is_told_before_it_is_removed(
    tmp_path: Path, is_back: bool
) -> None:
    peer = Publishing(tmp_path)
    peer.script.register(BOB, BOBS_PHONE)
    peer.answer(peer.published(), 200, ("SIP-ETag", "one"))
    peer.script.register(BOB, BOBS_PHONE, expires=0)
    gone = peer.published()
    assert xml.parse(gone.message.body).registrations[0].state == "terminated"
    assert int(gone.header("Expires") or 0) >= 60
    peer.answer(gone, 200, ("SIP-ETag", "two"))
    assert peer.publishes() == []
    if is_back:
        peer.script.register(BOB, BOBS_PHONE)
    peer.script.pass_time(1)
    last = peer.published()
    assert last.header("SIP-If-Match") == "two"
    assert (last.header("Expires") == "0") is not is_back


def test_a_subscribe_is_as_the_page_has_it(tmp_path: Path) -> None:
    text = """
@route.request("MESSAGE")
def message(msg):
    msg.reginfo_subscribe("$ru")
    msg.send_reply(200, "OK")
"""
    script = scripted(tmp_path, text)
    script.send("MESSAGE", "sip:carol@192.0.2.9")
    there = ("192.0.2.9", 5060)
    peer = Notifier(script)
    told(blocks(section("What is sent"), "sip")[1], Sent(peer.subscribe, there))
    assert peer.notify(source=there).status == 200
    script.pass_time(3600)
    refresh = [one for one in script.sent() if one.method == "SUBSCRIBE"][0]
    assert refresh.header("Call-ID") == peer.subscribe.call_id


@pytest.mark.parametrize(
    ("reason", "asks"),
    [("deactivated", True), ("timeout", True), ("rejected", False)],
)
def test_a_subscription_that_is_ended_is_asked_for_again_if_it_may_be(
    tmp_path: Path, reason: str, asks: bool
) -> None:
    peer = Notifier(scripted(tmp_path, "", CONFIG + WATCHES_BOB))
    peer.notify(state=f"terminated;reason={reason}")
    peer.script.pass_time(60)
    again = [one for one in peer.script.sent() if one.method == "SUBSCRIBE"]
    assert bool(again) is asks
    if again:
        assert again[0].header("Call-ID") != peer.subscribe.call_id


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (document(contact())[:-40].replace(b"<contact", b"\n<contact"), "line 3"),
        (b"<!DOCTYPE x><reginfo/>", "document type declaration"),
        (
            document().replace(b' version="0"', b""),
            "<reginfo> without version (line 2)",
        ),
        (b" " * 2_000_000 + document(contact()), "allowed"),
    ],
)
def test_what_comes_in_wrong_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: bytes, why: str
) -> None:
    (text,) = blocks(section("reginfo_handle_notify"))
    script = scripted(tmp_path, text, CONFIG + WATCHES_BOB)
    peer = Notifier(script)
    peer.notify(document(contact()))
    known = script.bindings(BOB)
    assert len(known) == 1
    assert peer.notify(wrong).status == 400
    assert script.bindings(BOB) == known
    (line,) = [one for one in caplog.messages if "reginfo_handle_notify" in one]
    assert "192.0.2.2" in line and why in line


def test_one_bad_contact_does_not_lose_the_good_ones(tmp_path: Path) -> None:
    (text,) = blocks(section("reginfo_handle_notify"))
    script = scripted(tmp_path, text, CONFIG + WATCHES_BOB)
    good = contact(callid="good")
    bad = contact("sip:bob@192.0.2.61", callid="bad")
    body = document(bad, good).replace(b"<uri>sip:bob@192.0.2.61</uri>", b"")
    assert Notifier(script).notify(body).status == 202
    assert [one.contact for one in script.bindings(BOB)] == [BOBS_PHONE]
