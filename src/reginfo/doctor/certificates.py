"""The certificates of a server: whether they can be used, and for how long."""

from __future__ import annotations

from collections.abc import Iterator

from ..config.secure_sections import TlsSection
from ..io.certificates import CertificateError, Certificates
from .finding import Finding, error, ok, warning

SOON = 14
"""Days before its end in which a certificate should have been replaced."""


def examine(
    section: TlsSection, domains: tuple[str, ...], now: float
) -> Iterator[Finding]:
    """
    Examine the files of ``[tls]``.

    Args:
        domains: of `server.domains`; clients look for a certificate for each.
        now: in seconds since 1970.
    """
    if section == TlsSection():
        return
    try:
        loaded = Certificates(section).loaded
    except CertificateError as exc:
        yield error("tls", str(exc))
        return
    for one in loaded:
        days = int((one.expires_at - now) // 86_400)
        names = ", ".join(sorted(one.names)) or "no domain"
        text = f"{one.path} is for {names}; {days} days left"
        yield warning("tls", text) if days < SOON else ok("tls", text)
    certified = {name for one in loaded for name in one.names}
    for domain in domains:
        if loaded and domain not in certified:
            yield warning(
                "tls",
                f"no certificate is for {domain}: nobody who looks for this domain"
                " will speak to this server by TLS (RFC 5922)",
            )
