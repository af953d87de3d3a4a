"""A page of JsSIP in a real browser registers by WebSocket, calls and is called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.authority import Authority

from .browser import LIMIT, Browser
from .phone import Phone, becomes
from .server import Server

pytestmark = pytest.mark.peers("jssip")


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return Browser(tmp_path_factory.mktemp("browser") / "profile", "ann", "bob")


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, stack: ExitStack, browser: Browser
) -> Server:
    """A server that takes the page, and the browser with it."""
    directory = tmp_path_factory.mktemp("server")
    issued = Authority(directory).issue("127.0.0.1")
    server = Server(
        directory,
        sections=[
            f'[tls]\ncertificate = "{issued.certificate}"\nkey = "{issued.key}"',
            f'[websocket]\norigins = ["{browser.origin}"]',
        ],
        registrar=['connection_lost = "expire"'],
    )
    server.transports = ("udp", "wss")
    stack.enter_context(server)
    browser.server = f"wss://127.0.0.1:{server.port}"
    stack.enter_context(browser)
    for user in ("ann", "bob"):
        browser.sees(user, "registered")
    return server


def test_a_page_registers_by_wss(server: Server) -> None:
    """7118-01, 7118-05, 7118-07"""
    for user in ("ann", "bob"):
        (binding,) = server.bindings(user)
        assert ".invalid;transport=ws" in binding["uri"]
        assert binding["received"] is not None
        assert binding["received"].endswith(";transport=wss")


def test_a_page_calls_a_page_and_hangs_up(server: Server, browser: Browser) -> None:
    """7118-07, 3261-164: INVITE, ACK and BYE go by the connections of both."""
    browser.do("ann", "call", "sip:bob@example.test")
    assert browser.sees("bob", "called")["from"] == "sip:ann@example.test"
    for user in ("ann", "bob"):
        browser.sees(user, "confirmed")
    browser.do("bob", "hangup")
    browser.sees("ann", "ended")


def test_messages_go_between_a_page_and_a_phone(
    server: Server, browser: Browser
) -> None:
    """7118-04, 7118-07"""
    with Phone(server.address) as phone:
        phone.register("cid", expires=600)
        phone.send(
            phone.request(
                "MESSAGE", phone.aor("bob"), to=f"<{phone.aor('bob')}>",
                call_id="m1", cseq=1, body="Grüße".encode(),
                headers=["Content-Type: text/plain"],
            )
        )  # fmt: skip
        assert browser.sees("bob", "message")["body"] == "Grüße"
        browser.do("bob", "message", "sip:cid@example.test")
        assert phone.incoming("MESSAGE").body == b"from a page"


def test_a_page_that_unregisters_is_gone(server: Server, browser: Browser) -> None:
    browser.do("ann", "stop")
    becomes(lambda: server.contacts("ann"), set(), within=LIMIT)
    assert server.contacts("bob")
