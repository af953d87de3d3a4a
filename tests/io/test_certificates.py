"""Files of certificates: their errors, several of them, and newer ones."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from reginfo.config.secure_sections import TlsSection
from reginfo.io.certificates import CertificateError, Certificates
from reginfo.io.secured import Secured

from ..authority import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def shown(certificates: Certificates, trusting: Certificates, name: str) -> Secured:
    """The side of a client that has asked for ``name``."""
    client, server = trusting.client(name), certificates.server()
    client.receive(b"")
    for _ in range(2):
        server.receive(client.octets_to_send())
        client.receive(server.octets_to_send())
    return client


def error(section: TlsSection) -> str:
    with pytest.raises(CertificateError) as caught:
        Certificates(section)
    assert str(caught.value) == f"tls.{caught.value.key}: {caught.value.message}"
    return str(caught.value)


def test_of_several_certificates_a_client_gets_its_own(authority: Authority) -> None:
    """5922-07"""
    names = ("a.example", "b.example", "*.c.example")
    section = authority.section(*(authority.issue(name) for name in names))
    certificates = Certificates(section)
    for name in ("a.example", "b.example"):
        assert shown(certificates, certificates, name).identities == {name}
    assert [one.names for one in certificates.loaded] == [{name} for name in names]


def test_who_asks_for_another_name_gets_the_first(authority: Authority) -> None:
    """5922-07"""
    a, b = authority.issue("127.0.0.1", "a.example"), authority.issue("b.example")
    certificates = Certificates(authority.section(a, b))
    found = shown(certificates, certificates, "127.0.0.1")
    assert found.identities == {"127.0.0.1", "a.example"}


def test_newer_files_are_for_connections_that_follow(authority: Authority) -> None:
    issued = authority.issue("a.example")
    certificates = Certificates(authority.section(issued))
    before = certificates.server()
    client = certificates.client("a.example")
    authority.write(issued, ["b.example"])
    certificates.reload()
    assert shown(certificates, certificates, "b.example").is_open
    # A connection that has begun goes on as it was.
    client.receive(b"")
    for _ in range(2):
        before.receive(client.octets_to_send())
        client.receive(before.octets_to_send())
    assert client.identities == {"a.example"}


def test_wrong_files_leave_the_previous_ones_in_use(authority: Authority) -> None:
    issued = authority.issue("a.example")
    certificates = Certificates(authority.section(issued))
    issued.certificate.write_text("nothing")
    with pytest.raises(CertificateError):
        certificates.reload()
    assert shown(certificates, certificates, "a.example").is_open


def test_the_key_may_be_in_the_file_of_the_certificate(authority: Authority) -> None:
    issued = authority.issue("a.example")
    both = issued.key
    both.write_bytes(both.read_bytes() + issued.certificate.read_bytes())
    section = TlsSection(certificate=(both,), ca=authority.path)
    certificates = Certificates(section)
    assert shown(certificates, certificates, "a.example").is_open


def test_a_certificate_says_when_it_ends(authority: Authority) -> None:
    certificates = Certificates(authority.section(authority.issue("a.example")))
    assert certificates.loaded[0].expires_at > time.time()


@pytest.mark.parametrize("key", ["certificate", "key", "ca"])
def test_a_file_that_is_not_there_is_named(authority: Authority, key: str) -> None:
    issued = authority.issue("a.example")
    path = {
        "certificate": issued.certificate, "key": issued.key, "ca": authority.path
    }[key]  # fmt: skip
    path.unlink()
    wanted = f"tls.{key}: {path}: No such file or directory"
    assert error(authority.section(issued)) == wanted


@pytest.mark.parametrize("key", ["certificate", "key", "ca"])
def test_a_file_with_something_else_is_named(authority: Authority, key: str) -> None:
    issued = authority.issue("a.example")
    path = {
        "certificate": issued.certificate, "key": issued.key, "ca": authority.path
    }[key]  # fmt: skip
    path.write_text("-----BEGIN NOTHING-----\n")
    what = "key" if key == "key" else "certificate"
    wanted = f"tls.{key}: {path} has no usable {what} in PEM"
    assert error(authority.section(issued)) == wanted


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(authority: Authority) -> None:
    issued = authority.issue("a.example")
    issued.key.chmod(0)
    assert error(authority.section(issued)).endswith(": Permission denied")


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o606])
def test_a_key_that_everybody_may_read_is_refused(
    authority: Authority, mode: int
) -> None:
    issued = authority.issue("a.example")
    issued.key.chmod(mode)
    assert error(authority.section(issued)) == (
        f"tls.key: {issued.key} is open to everybody (mode {mode:04o}):"
        f" chmod 600 {issued.key}"
    )


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_key_may_be_read_by_its_owner_and_group(
    authority: Authority, mode: int
) -> None:
    issued = authority.issue("a.example")
    issued.key.chmod(mode)
    Certificates(authority.section(issued))


def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    one, other = authority.issue("a.example"), authority.issue("a.example")
    mixed = authority.section(one._replace(key=other.key))
    wanted = f"tls.key: {other.key} is not the key of {one.certificate}"
    assert error(mixed) == wanted


def test_an_encrypted_key_is_refused_and_no_password_is_asked_for(
    authority: Authority,
) -> None:
    issued = authority.issue("a.example")
    key = load_pem_private_key(issued.key.read_bytes(), None)
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    issued.key.write_bytes(encrypted)
    wanted = f"tls.key: {issued.key} is encrypted: a server has nobody to ask for a"
    assert error(authority.section(issued)) == f"{wanted} password"


def test_a_certificate_that_is_over_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    ended = datetime.now(UTC) - timedelta(days=1)
    made = authority.issue_cert("a.example", not_after=ended)
    path = tmp_path / "both.pem"
    path.touch(0o600)
    made.private_key_and_cert_chain_pem.write_to_path(path)
    wanted = f"tls.certificate: {path}: certificate has expired"
    assert error(TlsSection(certificate=(path,))) == wanted


def test_without_files_a_client_trusts_the_authorities_of_the_system() -> None:
    assert Certificates(TlsSection()).loaded == ()
