"""What docs/pua_reginfo.md says of what is sent, and of what comes in wrong, is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reginfo.config.config import Config, ConfigError
from reginfo.reg import xml
from reginfo.sip.message import Response
from reginfo.testing import Script
from reginfo.testing.script import CONFIG, SentMessage

from .server.scripted import BOB, BOBS_PHONE, WATCHES_BOB, Notifier, contact, document
from .test_script_pages import blocks, scripted, section

REGISTERS = """
@route.request("REGISTER")
def register(msg):
    msg.save("other")

@route.request("MESSAGE")
def message(msg):
    msg.send_reply(202, str(int(msg.reginfo_subscribe("$ru"))))

@route.request("INFO")
def info(msg):
    msg.send_reply(202, str(int(msg.lookup("other"))))
"""


def sent(script: Script, method: str) -> list[tuple[str, str]]:
    """Requests of a method since this was last asked: each's URI, and where it went."""
    script.pass_time(0)
    return [
        (one.uri, one.to[0])
        for one in script.sent()
        if one.method == method and one.uri
    ]


def reason(answer: Response | None) -> str:
    assert answer is not None
    return answer.reason


def test_default_domain(tmp_path: Path) -> None:
    shared = CONFIG.replace(
        "[pua_reginfo]", "[usrloc]\nuse_domain = false\n[pua_reginfo]"
    )
    shared += 'publish_to = "sip:192.0.2.9"\n'
    with pytest.raises(ConfigError, match="default_domain"):
        Config.parse(shared)
    script = scripted(tmp_path, "", shared + 'default_domain = "example.com"\n')
    for aor in ("sip:bob@example.com", "sip:example.com", "tel:+15550100"):
        assert script.register(aor, BOBS_PHONE) == 200
        assert sent(script, "PUBLISH") == [(aor, "192.0.2.9")]


@pytest.mark.parametrize("value", ["true", "1", "false", "0"])
def test_publish_reginfo(tmp_path: Path, value: str) -> None:
    config = f'{CONFIG}publish_to = "sip:192.0.2.9"\npublish_reginfo = {value}\n'
    script = scripted(tmp_path, "", config)
    script.send("SUBSCRIBE", BOB, "Event: reg", "Contact: <sip:w@192.0.2.50>")
    script.answer([one for one in script.sent() if one.method == "NOTIFY"][0], 200)
    script.register(BOB, BOBS_PHONE)
    methods = [one.method for one in script.sent() if one.uri]
    assert "NOTIFY" in methods
    assert ("PUBLISH" in methods) is (value in ("true", "1"))


@pytest.mark.parametrize(
    ("lines", "places"),
    [
        ("", []),
        ('publish_to = "sip:192.0.2.9"', ["192.0.2.9"]),
        ('publish_to = ["sip:192.0.2.9", "sip:192.0.2.8"]', ["192.0.2.8", "192.0.2.9"]),
        ('outbound_proxy = "sip:192.0.2.7"', ["192.0.2.7"]),
        (
            'outbound_proxy = "sip:192.0.2.7"\npublish_to = "sip:192.0.2.9"',
            ["192.0.2.9"],
        ),
    ],
)
def test_publish_to_and_outbound_proxy(
    tmp_path: Path, lines: str, places: list[str]
) -> None:
    script = scripted(tmp_path, REGISTERS.replace('"other"', ""), f"{CONFIG}{lines}\n")
    script.register(BOB, BOBS_PHONE)
    assert sorted(place for _, place in sent(script, "PUBLISH")) == places
    carol = "sip:carol@192.0.2.6"
    assert reason(script.send("MESSAGE", carol)) == "1"
    proxy = "192.0.2.7" if "outbound_proxy" in lines else "192.0.2.6"
    assert sent(script, "SUBSCRIBE") == [(carol, proxy)]


def test_server_address(tmp_path: Path) -> None:
    """Without it nobody is subscribed to."""
    config = re.sub("server_address.*", "", CONFIG)
    script = scripted(tmp_path, REGISTERS, config)
    assert reason(script.send("MESSAGE", "sip:carol@192.0.2.6")) == "-1"
    assert sent(script, "SUBSCRIBE") == []
    with pytest.raises(ConfigError, match="server_address"):
        Config.parse(config + WATCHES_BOB)


@pytest.mark.parametrize("told", [False, True])
def test_ul_domain(tmp_path: Path, told: bool) -> None:
    """Another table is looked up, and not told of, unless it is the one named here."""
    config = CONFIG + 'publish_to = "sip:192.0.2.9"\n'
    script = scripted(tmp_path, REGISTERS, config + 'ul_domain = "other"\n' * told)
    assert script.register(BOB, BOBS_PHONE) == 200
    assert bool(sent(script, "PUBLISH")) is told
    assert reason(script.send("INFO", BOB)) == "1"


def test_parameters_of_other_modules_have_their_defaults() -> None:
    config = Config.parse(CONFIG)
    rows = re.findall(
        r"^\| `\[(\w+)\] (\w+)` \| .*?(\w+)(?: \(.*\))? \|$",
        section("Parameters of other modules"),
        re.MULTILINE,
    )
    assert len(rows) == 15
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

    def publishes(self) -> list[SentMessage]:
        """What was sent since this was last asked, retransmissions but once."""
        sent = [one for one in self.script.sent() if one.method == "PUBLISH"]
        return list({one.header("Via"): one for one in sent}.values())

    def published(self) -> SentMessage:
        (one,) = self.publishes()
        return one

    def answer(
        self, publish: SentMessage, status: int, *headers: tuple[str, str]
    ) -> None:
        """Answer; and, with 200, as a presence server must (RFC 3903 §6)."""
        granted = ("Expires", publish.header("Expires") or "")
        self.script.answer(publish, status, "-", [granted, *headers])


def told(page: str, sent: SentMessage) -> None:
    """See that a message begins as the page has it, and has all headers of it."""
    start, *lines = page.splitlines()
    assert start == f"{sent.method} {sent.uri} SIP/2.0"
    for line in lines:
        name, _, value = line.partition(": ")
        assert (sent.header(name) or "").partition(";tag=")[0] == value


def test_a_publish_is_as_on_the_page(tmp_path: Path) -> None:
    peer = Publishing(tmp_path)
    peer.script.register(BOB, "sip:bob@192.0.2.61", expires=100)
    peer.answer(peer.published(), 200, ("SIP-ETag", "first"))
    peer.script.register(BOB, BOBS_PHONE)
    second = peer.published()
    told(blocks(section("Requests that it sends"), "sip")[0], second)
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


def test_responses_to_a_publish_are_handled_as_the_page_says(
    tmp_path: Path,
) -> None:
    rows = dict(
        re.findall(
            r"^\| (\d+|none) \| (.*) \|$", section("Requests that it sends"), re.M
        )
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


def test_an_unknown_entity_tag_is_discarded_once(tmp_path: Path) -> None:
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
def test_the_end_of_the_last_contact_is_published_before_the_removal(
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


def test_a_subscribe_is_as_on_the_page(tmp_path: Path) -> None:
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
    told(
        blocks(section("Requests that it sends"), "sip")[1],
        SentMessage(peer.subscribe, there),
    )
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
    (line,) = [one for one in caplog.messages if one.startswith("! ")]
    assert f"NOTIFY of p/{BOB}: " in line and why in line


def test_one_bad_contact_does_not_lose_the_good_ones(tmp_path: Path) -> None:
    (text,) = blocks(section("reginfo_handle_notify"))
    script = scripted(tmp_path, text, CONFIG + WATCHES_BOB)
    good = contact(callid="good")
    bad = contact("sip:bob@192.0.2.61", callid="bad")
    body = document(bad, good).replace(b"<uri>sip:bob@192.0.2.61</uri>", b"")
    assert Notifier(script).notify(body).status == 202
    assert [one.contact for one in script.bindings(BOB)] == [BOBS_PHONE]
