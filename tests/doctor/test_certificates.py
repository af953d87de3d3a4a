"""What the doctor finds about certificates."""

from __future__ import annotations

import time
from pathlib import Path

from reginfo.config.secure_sections import TlsSection
from reginfo.doctor.certificates import SOON, examine
from reginfo.doctor.finding import Level
from reginfo.io.certificates import Certificates

from ..authority import Authority

DOMAINS = ("example.com",)


def test_without_certificates_there_is_nothing_to_say() -> None:
    assert list(examine(TlsSection(), DOMAINS, time.time())) == []


def test_a_certificate_says_for_whom_it_is_and_for_how_long(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    section = authority.section(authority.issue("example.com", "www.example.com"))
    (loaded,) = Certificates(section).loaded
    (found,) = examine(section, DOMAINS, loaded.expires_at - (SOON + 0.5) * 86_400)
    assert found.level is Level.OK
    names = "example.com, www.example.com"
    assert found.text == f"{loaded.path} is for {names}; {SOON} days left"
    (found,) = examine(section, DOMAINS, loaded.expires_at - (SOON - 0.5) * 86_400)
    assert found.level is Level.WARNING
    assert found.text.endswith(f"; {SOON - 1} days left")


def test_a_domain_without_a_certificate_is_a_warning(tmp_path: Path) -> None:
    """RFC 5922 §7.3"""
    authority = Authority(tmp_path)
    section = authority.section(authority.issue("www.example.com"))
    _, found = examine(section, DOMAINS, time.time())
    assert found.level is Level.WARNING
    assert found.text.startswith("no certificate is for example.com: ")


def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    issued = authority.issue("example.com")
    issued.key.unlink()
    (found,) = examine(authority.section(issued), DOMAINS, time.time())
    assert (found.level, found.text) == (
        Level.ERROR,
        f"tls.key: {issued.key}: No such file or directory",
    )
