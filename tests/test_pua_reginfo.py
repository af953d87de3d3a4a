"""
The parameters of `[pua_reginfo]`, each at work: set, left out, and wrong.

What a wrong value is told by stands with the others in tests/config/test_config.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reginfo.config.config import Config, ConfigError
from reginfo.location.binding import Binding
from reginfo.reg import xml
from reginfo.sip.message import Request
from reginfo.testing import Script
from reginfo.testing.script import SentMessage

from .server.scripted import BOB, BOBS_PHONE, WATCHES_BOB, Notifier, contact, document

BASE = """
[server]
id      = "test"
listen  = ["udp:192.0.2.1:5060"]
domains = ["example.com", "example.net"]
[store]
url = "memory:"
[notifier]
min_interval = 0.0
"""
ROUTES = """
from reginfo import Route
route = Route()

@route.request("MESSAGE")
def message(msg):
    msg.send_reply(200, str(int(msg.reginfo_subscribe(msg.hdr("X-Where")))))

@route.request("INFO")
def info(msg):
    msg.lookup("location") and msg.t_relay() or msg.send_reply(480, "Away")

@route.request("UPDATE")
def update(msg):
    msg.send_reply(200, str(int(msg.reginfo_update(msg.hdr("X-Who")))))
"""
PUBLISHER = """
[[peer]]
name  = "p"
match = { address = "192.0.2.50" }
"""
US = 'server_address = "sip:reginfo@192.0.2.1"\n'
PRESENCE, PROXY = ("192.0.2.9", 5060), ("192.0.2.8", 5060)

New = Callable[..., Script]


@pytest.fixture
def new(tmp_path: Path) -> New:
    """Makes a server with these lines in `[pua_reginfo]`, and more sections."""

    def make(lines: str = "", more: str = "") -> Script:
        path = tmp_path / "routes.py"
        path.write_text(ROUTES)
        config = f"{BASE}{more}\n[pua_reginfo]\n{lines}"
        hosts = {"there.example": ("192.0.2.7", 5060)}
        return Script(path, config, hosts=hosts)

    return make


def registered(
    script: Script, aor: str = BOB, uri: str = BOBS_PHONE
) -> list[SentMessage]:
    """Register, and return what was sent because of it."""
    script.sent()
    assert script.register(aor, uri) == 200
    return [one for one in script.sent() if one.uri]


def watched(script: Script, aor: str) -> None:
    lines = ["Event: reg", "Contact: <sip:w@192.0.2.50>"]
    response = script.send("SUBSCRIBE", aor, *lines)
    assert response is not None and response.status == 200
    [first] = [one for one in script.sent() if one.method == "NOTIFY"]
    script.answer(first, 200)


def aors_in(sent: SentMessage) -> list[str]:
    """The addresses-of-record that a document in a request is of."""
    assert isinstance(sent.message, Request)
    return [one.aor for one in xml.parse(sent.message.body).registrations]


def reason(script: Script, method: str, *headers: str, uri: str = BOB) -> str:
    response = script.send(method, uri, *headers)
    assert response is not None and response.status == 200
    return response.reason


def subscribed(script: Script, where: str) -> list[SentMessage]:
    """Subscribe there, and return the SUBSCRIBEs that were sent."""
    assert reason(script, "MESSAGE", f"X-Where: {where}") == "1"
    script.pass_time(0)
    return [one for one in script.sent() if one.method == "SUBSCRIBE"]


# default_domain, and use_domain.

NO_DOMAIN = "[usrloc]\nuse_domain = false"
DEFAULT = 'default_domain = "example.com"\n'
PUBLISHES = 'publish_to = "sip:192.0.2.9"\n'


@pytest.mark.parametrize(
    ("registers", "published"),
    [
        ("sip:bob@example.net", "sip:bob@example.com"),
        ("sip:bob@example.com", "sip:bob@example.com"),
        ("sip:bob@192.0.2.1", "sip:bob@example.com"),
        ("sip:example.net", "sip:example.com"),
        ("tel:+1-555-0100", "tel:+15550100"),
    ],
)
def test_a_user_without_a_domain_is_published_and_told_in_the_default_one(
    new: New, registers: str, published: str
) -> None:
    """The contract: an empty user becomes the domain; `tel:` stays as it is."""
    script = new(DEFAULT + PUBLISHES, NO_DOMAIN)
    watched(script, published)
    sent = registered(script, registers)
    assert {one.method for one in sent} == {"NOTIFY", "PUBLISH"}
    for one in sent:
        assert aors_in(one) == [published]
    [publish] = [one for one in sent if one.method == "PUBLISH"]
    assert publish.uri == publish.message.to.uri == published
    assert publish.message.from_.uri == published


def test_with_use_domain_each_domain_has_its_own_users(new: New) -> None:
    """Then the default domain is only for names that have none."""
    script = new(DEFAULT + PUBLISHES)
    [publish] = registered(script, "sip:bob@example.net")
    assert publish.uri == "sip:bob@example.net"
    assert aors_in(publish) == ["sip:bob@example.net"]
    assert script.bindings(BOB) == []
    assert reason(script, "UPDATE", "X-Who: bob") == "-1"
    registered(script, BOB)
    assert reason(script, "UPDATE", "X-Who: bob") == "1"


def test_without_a_default_domain_a_name_without_one_is_nobody(new: New) -> None:
    script = new()
    registered(script)
    assert reason(script, "UPDATE", "X-Who: bob") == "-1"
    assert reason(script, "UPDATE", "X-Who: bob@example.com") == "1"


def test_it_must_be_set_where_domains_are_left_out() -> None:
    with pytest.raises(ConfigError, match=r"pua_reginfo\.default_domain"):
        Config.parse(f"{BASE}{NO_DOMAIN}")
    Config.parse(f"{BASE}{NO_DOMAIN}\n[pua_reginfo]\n{DEFAULT}")


# publish_reginfo


@pytest.mark.parametrize(
    ("lines", "publishes"),
    [
        ("", True),
        ("publish_reginfo = true\n", True),
        ("publish_reginfo = 1\n", True),
        ("publish_reginfo = false\n", False),
        ("publish_reginfo = 0\n", False),
    ],
)
def test_whether_it_publishes_watchers_are_told(
    new: New, lines: str, publishes: bool
) -> None:
    """The contract: 1 by default; if it is off, watchers here are still notified."""
    script = new(lines + PUBLISHES)
    watched(script, BOB)
    methods = sorted(one.method for one in registered(script))
    assert methods == ["NOTIFY", "PUBLISH"][: 1 + publishes]


# publish_to, and outbound_proxy


@pytest.mark.parametrize(
    ("lines", "places"),
    [
        ("", []),
        (PUBLISHES, [PRESENCE]),
        ('publish_to = ["sip:192.0.2.9", "sip:192.0.2.8"]\n', [PRESENCE, PROXY]),
        ('outbound_proxy = "sip:192.0.2.8"\n', [PROXY]),
        (PUBLISHES + 'outbound_proxy = "sip:192.0.2.8"\n', [PRESENCE]),
        ('publish_to = "sip:example.net"\n', []),
        ('publish_to = "sip:192.0.2.1"\n', []),
        ('publish_to = "sip:192.0.2.1:5062"\n', [("192.0.2.1", 5062)]),
        ('publish_to = []\noutbound_proxy = "sip:192.0.2.8"\n', [PROXY]),
    ],
)
def test_where_it_publishes(
    new: New, lines: str, places: list[tuple[str, int]]
) -> None:
    """The contract: publish_to, else outbound_proxy; to ourselves nothing is sent."""
    script = new(lines)
    watched(script, BOB)
    sent = registered(script)
    assert [one.to for one in sent if one.method == "PUBLISH"] == places
    assert [one.method for one in sent].count("NOTIFY") == 1


def test_a_publish_is_for_the_user_wherever_it_goes(new: New) -> None:
    """3903-01: the Request-URI is the resource; the next hop is another matter."""
    script = new('outbound_proxy = "sip:192.0.2.8"\n')
    [publish] = registered(script)
    assert (publish.uri, publish.to) == (BOB, PROXY)
    assert publish.header("Event") == "reg"
    assert publish.header("SIP-If-Match") is None


@pytest.mark.parametrize(
    ("lines", "place"),
    [("", ("192.0.2.7", 5060)), ('outbound_proxy = "sip:192.0.2.8"\n', PROXY)],
)
def test_where_it_subscribes(new: New, lines: str, place: tuple[str, int]) -> None:
    """The contract: at the outbound proxy, instead of where the Request-URI points."""
    where = "sip:carol@there.example"
    [subscribe] = subscribed(new(US + lines), where)
    assert (subscribe.uri, subscribe.message.to.uri) == (where, where)
    assert subscribe.to == place


def test_a_peer_is_asked_where_its_own_uri_leads(new: New) -> None:
    script = new(f'{US}outbound_proxy = "sip:192.0.2.8"\n', WATCHES_BOB)
    script.pass_time(0)
    [subscribe] = [one for one in script.sent() if one.method == "SUBSCRIBE"]
    assert (subscribe.uri, subscribe.to) == (BOB, ("192.0.2.2", 5060))


# server_address


def test_who_we_are_is_in_from_and_contact(new: New) -> None:
    [subscribe] = subscribed(new(US), "sip:carol@192.0.2.9")
    assert subscribe.message.from_.uri == "sip:reginfo@192.0.2.1"
    assert subscribe.header("Contact") == "<sip:reginfo@192.0.2.1>"


def test_without_it_nothing_is_subscribed_to(
    new: New, caplog: pytest.LogCaptureFixture
) -> None:
    script = new()
    assert reason(script, "MESSAGE", "X-Where: sip:carol@192.0.2.9") == "-1"
    script.pass_time(60)
    assert [one for one in script.sent() if one.method == "SUBSCRIBE"] == []
    assert "reginfo_subscribe needs pua_reginfo.server_address" in caplog.text
    with pytest.raises(ConfigError, match=r"needs pua_reginfo\.server_address"):
        Config.parse(BASE + WATCHES_BOB)


# ul_domain


def test_what_a_peer_tells_goes_into_its_table(new: New) -> None:
    """The contract: the table that is read and published; `location` if not set."""
    for lines, table in (("", "location"), ('ul_domain = "far"\n', "far")):
        script = new(US + lines, WATCHES_BOB)
        assert Notifier(script).notify(document(contact())).status == 200
        found: list[Binding] = script.bindings(BOB, table)
        assert [one.contact for one in found] == [BOBS_PHONE]
        other = "location" if table == "far" else "far"
        assert script.bindings(BOB, other) == []


def test_what_a_peer_publishes_goes_into_its_table(new: New) -> None:
    script = new('ul_domain = "far"\n', PUBLISHER)
    lines = ["Event: reg", "Expires: 600", "Content-Type: application/reginfo+xml"]
    response = script.send("PUBLISH", BOB, *lines, body=document(contact()))
    assert response is not None and response.status == 200
    assert [one.contact for one in script.bindings(BOB, "far")] == [BOBS_PHONE]
    assert script.bindings(BOB) == []


def test_without_a_script_a_register_fills_it_and_is_published(new: New) -> None:
    script = new(PUBLISHES + 'ul_domain = "far"\n')
    [publish] = registered(script)
    assert aors_in(publish) == [BOB]
    assert [one.contact for one in script.bindings(BOB, "far")] == [BOBS_PHONE]
    assert script.bindings(BOB) == []


# ul_identities_key


@pytest.mark.parametrize(("value", "key"), [("", None), ('"ids"', "ids")])
def test_the_key_of_identities_is_what_is_set(value: str, key: str | None) -> None:
    """Left out, a document is of the address-of-record alone."""
    lines = f"[pua_reginfo]\nul_identities_key = {value}\n" if value else ""
    assert Config.parse(BASE + lines).pua_reginfo.ul_identities_key == key


@pytest.mark.parametrize("value", ['"a b"', '""', "1", "true", '["a"]'])
def test_a_key_that_is_no_token_is_an_error(value: str) -> None:
    with pytest.raises(ConfigError, match=r"pua_reginfo\.ul_identities_key: "):
        Config.parse(f"{BASE}[pua_reginfo]\nul_identities_key = {value}\n")


# Users without a domain, and what a peer tells of them.


def test_what_a_peer_tells_of_a_user_is_found_in_each_of_our_domains(
    new: New,
) -> None:
    """peers.md 4: with `use_domain = 0` Kamailio keeps what it learns apart."""
    watch = WATCHES_BOB.replace("bob@example.com", "bob@example.net")
    script = new(US + DEFAULT, f"{NO_DOMAIN}\n{watch}")
    peer = Notifier(script)
    there = "sip:bob@example.net"
    assert peer.notify(document(contact(), aor=there)).status == 200
    assert [one.contact for one in script.bindings(BOB)] == [BOBS_PHONE]
    script.sent()
    script.send("INFO", there)
    assert [one.uri for one in script.sent() if one.uri] == [BOBS_PHONE]
    gone = contact(event="unregistered", expires=0)
    assert peer.notify(document(gone, aor=there, version=1)).status == 200
    assert script.bindings(BOB) == []


def test_what_a_peer_publishes_of_a_user_is_found_in_each_of_our_domains(
    new: New,
) -> None:
    script = new(DEFAULT, f"{NO_DOMAIN}\n{PUBLISHER}")
    there = "sip:bob@example.net"
    lines = ["Event: reg", "Expires: 600", "Content-Type: application/reginfo+xml"]
    body = document(contact(), aor=there)
    response = script.send("PUBLISH", there, *lines, body=body)
    assert response is not None and response.status == 200
    assert [one.contact for one in script.bindings(BOB)] == [BOBS_PHONE]
    stranger = document(contact(), aor="sip:carol@example.net")
    response = script.send("PUBLISH", there, *lines, body=stranger)
    assert response is not None and response.status == 400


def test_a_user_whom_a_peer_tells_of_twice_is_one(new: New) -> None:
    """Of two domains that share their users: both registrations are of one user."""
    script = new(US + DEFAULT, f"{NO_DOMAIN}\n{WATCHES_BOB}")
    peer = Notifier(script)
    one = document(contact(), aor="sip:bob@example.net")
    desk = document(contact("sip:bob@192.0.2.61", callid="desk"), aor="tel:+1-555")
    two = document(contact("sip:bob@192.0.2.62", callid="two"))
    inside = [
        body[body.index(b"<registration") : body.index(b"</reginfo>")]
        for body in (desk, two)
    ]
    body = one.replace(b"</reginfo>", b"".join(inside) + b"</reginfo>")
    assert peer.notify(body).status == 200
    contacts = [binding.contact for binding in script.bindings(BOB)]
    assert contacts == [BOBS_PHONE, "sip:bob@192.0.2.62"]
    assert len(script.bindings("tel:+1555")) == 1
