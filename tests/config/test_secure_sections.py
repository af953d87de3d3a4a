"""[tls] and [websocket]: how they are read, and what has to agree with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.config.agreement import warnings_of
from reginfo.config.config import Config, ConfigError
from reginfo.config.secure_sections import TlsSection
from reginfo.config.stance import said_at_start

HEAD = "[server]\nid = 'a'\ndomains = ['example.com']\n"


def test_paths_are_relative_to_the_file() -> None:
    text = "[tls]\ncertificate = 'c.pem'\nkey = '/etc/k.pem'\nca = 'ca.pem'\n"
    tls = Config.parse(HEAD + text, directory=Path("/etc/reginfo")).tls
    assert tls.certificate == (Path("/etc/reginfo/c.pem"),)
    assert (tls.key, tls.ca) == ((Path("/etc/k.pem"),), Path("/etc/reginfo/ca.pem"))


def test_a_key_is_by_default_in_the_file_of_its_certificate() -> None:
    both = (Path("a.pem"), Path("b.pem"))
    assert TlsSection(certificate=both).pairs == tuple(zip(both, both, strict=True))
    key = (Path("k.pem"),)
    assert TlsSection(certificate=both[:1], key=key).pairs == ((both[0], key[0]),)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "listen = ['tls:127.0.0.1:5061']",
            'server.listen: "tls:" needs tls.certificate',
        ),
        (
            "listen = ['wss:127.0.0.1:443']\n[websocket]\norigins = ['*']",
            'server.listen: "wss:" needs tls.certificate',
        ),
        (
            "listen = ['ws:127.0.0.1:80']",
            "server.listen: WebSocket needs websocket.origins",
        ),
        (
            "[tls]\ncertificate = ['a', 'b']\nkey = 'a'",
            "tls.key: needs one file for each of the 2 in certificate",
        ),
        ("[tls]\nkey = 'a'", "tls.key: needs one file for each of the 0"),
        (
            "[tls]\nverify_clients = 'yes'",
            '"none" or "optional" or "required" is needed',
        ),
        ("[websocket]\norigins = ['example.com']", '"https://HOST" or "*" is needed'),
        (
            "[[peer]]\nname = 'b'\nmatch = { certificate = 'b.example.com' }",
            "peer.match.certificate: needs tls.verify_clients",
        ),
        (
            "[[peer]]\nname = 'b'\nmatch = { certificate = '*.example.com' }",
            "is not a host name",
        ),
    ],
)
def test_what_does_not_agree_is_an_error(text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error.replace("*", r"\*")) as caught:
        Config.parse(HEAD + text)
    assert len(caught.value.errors) == 1


@pytest.mark.parametrize(
    "text",
    [
        "listen = ['tls:127.0.0.1:5061', 'udp:127.0.0.1:5060']\n"
        "[tls]\ncertificate = 'c.pem'",
        "listen = ['ws:127.0.0.1:80']\n[websocket]\norigins = ['https://a.example']",
        "[tls]\nverify_clients = 'optional'\n"
        "[[peer]]\nname = 'b'\nmatch = { certificate = 'b.example.com' }",
        # Who is connected to by TLS shows a certificate in any case.
        "[[peer]]\nname = 'b'\nuri = 'sips:b.example.com'\n"
        "match = { certificate = 'b.example.com' }",
    ],
)
def test_what_agrees_is_read(text: str) -> None:
    Config.parse(HEAD + text)


def test_the_origins_of_pages_are_compared_in_lower_case() -> None:
    web = Config.parse(HEAD + "[websocket]\norigins = ['HTTPS://A.Example']").websocket
    assert web.origins == ("https://a.example",)
    assert web.ping == 30.0


def test_a_certificate_is_no_from_alone() -> None:
    """5922-06: nothing is warned of, and nothing is said at the start."""
    tls = "[tls]\nverify_clients = 'optional'\n"
    match = "match = { certificate = 'b.test', from = 'sip:b@b.test' }"
    config = Config.parse(f"{HEAD}{tls}[[peer]]\nname = 'b'\n{match}")
    assert [message for _, message in warnings_of(config)] == []
    assert said_at_start(config) == []
