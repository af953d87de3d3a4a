"""What docs/script.md and docs/pua_reginfo.md say is so: each block of them runs."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import msgspec
import pytest

from reginfo.config.config import Config
from reginfo.config.sections import PuaReginfoSection
from reginfo.reg import xml
from reginfo.script import pseudo
from reginfo.script.event import ContactChanged
from reginfo.script.message import Message
from reginfo.script.route import EVENTS
from reginfo.sip.message import Response
from reginfo.testing import Script
from reginfo.testing.script import CONFIG

from .make import place
from .server import guarded
from .server.guarded import REGISTER, asking
from .server.scripted import WATCHES_BOB, Notifier, contact, document

DOCS = Path(__file__).parents[1] / "docs"
SCRIPT = (DOCS / "script.md").read_text("utf-8")
MODULE = (DOCS / "pua_reginfo.md").read_text("utf-8")

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


def test_the_first_script_works(tmp_path: Path) -> None:
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


def test_a_script_asks_for_passwords(tmp_path: Path) -> None:
    """8760-18"""
    server = asking(tmp_path, "required = false\n", blocks(SCRIPT)[2])
    assert server.logged_in(*REGISTER, to=guarded.ALICE) == 200
    assert server.logged_in(*REGISTER, to=guarded.ALICE, password="wrong") == 401
    assert server.logged_in(*REGISTER, to=guarded.BOB) == 403


def test_a_script_knows_passwords(tmp_path: Path) -> None:
    """8760-18"""
    server = asking(tmp_path, "", blocks(SCRIPT)[3])
    server.users.write_text("")
    server.server.app.reload()
    assert server.logged_in(*REGISTER, to=guarded.ALICE) == 200
    assert server.logged_in(*REGISTER, to=guarded.BOB, user="bob") == 401


def test_a_user_that_registers_is_welcomed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        script = scripted(tmp_path, blocks(SCRIPT)[4], CONFIG + WATCHES_BOB)
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
    assert len(blocks(SCRIPT)) == 6
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


def test_everything_that_the_page_names_exists() -> None:
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
            text = (DOCS / file).read_text("utf-8") if file else page
            anchors = {
                re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
                for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            }
            assert anchor in anchors, (link, sorted(anchors))


# docs/pua_reginfo.md


def test_each_parameter_has_its_heading_and_its_default() -> None:
    fields = {field.name: field for field in msgspec.structs.fields(PuaReginfoSection)}
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
    address = 'name = "p"\nmatch = {address = "192.0.2.50"}\ntrusted = true\n'
    script = scripted(tmp_path, text, f"{config}[[peer]]\n{address}")
    value = f'P-Associated-URI: "B, B" <{BOB}>, <tel:+15550100>'
    assert script.register(BOB, BOBS_PHONE, value) == 200
    store = script.server.app.store
    assert store.identities(place(BOB)) == (BOB, "tel:+15550100")


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
