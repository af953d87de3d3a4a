"""TLS between octets and octets: two sides, and no socket."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from reginfo.io.certificates import Certificates
from reginfo.io.secured import Secured, in_short
from reginfo.sip.errors import RemoteProtocolError

from ..authority import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def carry(one: Secured, other: Secured) -> bytes:
    """What ``other`` reads of what ``one`` has to send."""
    return other.receive(one.octets_to_send())


def met(client: Secured, server: Secured) -> None:
    """Shake hands."""
    client.receive(b"")
    for _ in range(3):
        carry(client, server)
        carry(server, client)


def test_what_one_side_writes_the_other_reads(authority: Authority) -> None:
    certificates = Certificates(authority.section(authority.issue("example.com")))
    client, server = certificates.client("example.com"), certificates.server()
    met(client, server)
    assert client.is_open and server.is_open
    assert client.identities == {"example.com"} and server.identities == frozenset()
    client.write(b"hello" * 50_000)
    assert carry(client, server) == b"hello" * 50_000
    server.write(b"there")
    assert carry(server, client) == b"there"
    assert not client.is_over
    server.close()
    assert carry(server, client) == b"" and client.is_over


def test_octets_may_come_one_by_one(authority: Authority) -> None:
    certificates = Certificates(authority.section(authority.issue("example.com")))
    client, server = certificates.client("example.com"), certificates.server()
    client.receive(b"")
    for _ in range(3):
        for sender, receiver in ((client, server), (server, client)):
            for octet in sender.octets_to_send():
                receiver.receive(bytes([octet]))
    assert client.is_open and server.is_open


@pytest.mark.parametrize(
    "names", [("other.example",), ("*.example.com",), ("www.example.com",)]
)
def test_a_server_with_another_name_is_not_spoken_to(
    authority: Authority, names: tuple[str, ...]
) -> None:
    """5922-03, 5922-04, sec-01"""
    certificates = Certificates(authority.section(authority.issue(*names)))
    client, server = certificates.client("sip.example.com"), certificates.server()
    with pytest.raises(RemoteProtocolError, match="not for sip.example.com"):
        met(client, server)
    assert not client.is_open


def test_a_server_of_another_authority_is_not_spoken_to(
    authority: Authority, tmp_path: Path
) -> None:
    """sec-01"""
    other = Authority(tmp_path)
    theirs = Certificates(other.section(other.issue("example.com")))
    ours = Certificates(authority.section())
    with pytest.raises(RemoteProtocolError, match="its certificate is not valid: "):
        met(ours.client("example.com"), theirs.server())


def test_what_is_no_tls_is_an_error(authority: Authority) -> None:
    server = Certificates(authority.section(authority.issue("a.example"))).server()
    with pytest.raises(RemoteProtocolError):
        server.receive(b"REGISTER sip:example.com SIP/2.0\r\n\r\n")


def test_old_versions_are_refused(authority: Authority) -> None:
    """sec-01: TLS 1.2 at least."""
    issued = authority.issue("example.com")
    server = Certificates(authority.section(issued)).server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    client = Secured(context, "example.com")
    client.receive(b"")
    with pytest.raises(RemoteProtocolError, match="protocol"):
        carry(client, server)
    assert server.octets_to_send()  # the alert that says so


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..example"])
def test_a_name_that_cannot_be_asked_for_is_an_error(
    authority: Authority, name: str
) -> None:
    with pytest.raises(RemoteProtocolError, match="no name for TLS"):
        Certificates(authority.section()).client(name)


def test_a_cut_connection_is_named_so() -> None:
    assert in_short(ssl.SSLEOFError()) == "the connection was cut off"


# Certificates of clients.


@pytest.mark.parametrize("required", ["optional", "required"])
def test_a_client_shows_its_certificate_to_who_asks(
    authority: Authority, required: str
) -> None:
    """5922-05"""
    ours = Certificates(authority.section(authority.issue("a.example")))
    theirs = Certificates(
        authority.section(authority.issue("b.example"), verify_clients=required)
    )
    client, server = ours.client("b.example"), theirs.server()
    met(client, server)
    assert server.is_open and server.identities == {"a.example"}


def test_a_client_without_a_certificate_is_nobody(authority: Authority) -> None:
    """5922-05"""
    nobody = Certificates(authority.section())
    section = authority.section(authority.issue("b.example"), verify_clients="optional")
    client, server = nobody.client("b.example"), Certificates(section).server()
    met(client, server)
    assert server.is_open and server.identities == frozenset()


def test_who_must_have_a_certificate_is_refused_without(authority: Authority) -> None:
    """5922-05"""
    nobody = Certificates(authority.section())
    section = authority.section(authority.issue("b.example"), verify_clients="required")
    client, server = nobody.client("b.example"), Certificates(section).server()
    with pytest.raises(RemoteProtocolError, match="peer did not return a certificate"):
        met(client, server)


def test_a_certificate_of_another_authority_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    """5922-05"""
    other = Authority(tmp_path)
    issued = other.issue("a.example")
    client_section = authority.section(issued)
    section = authority.section(authority.issue("b.example"), verify_clients="optional")
    client = Certificates(client_section).client("b.example")
    server = Certificates(section).server()
    with pytest.raises(RemoteProtocolError, match="its certificate is not valid"):
        met(client, server)


def test_a_browser_is_not_asked_for_a_certificate(authority: Authority) -> None:
    ours = Certificates(authority.section(authority.issue("a.example")))
    section = authority.section(authority.issue("b.example"), verify_clients="required")
    client, server = ours.client("b.example"), Certificates(section).web_server()
    met(client, server)
    assert server.is_open and server.identities == frozenset()
