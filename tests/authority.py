"""Certificates that tests are made of: an authority, and who is certified by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import trustme

from reginfo.config.secure_sections import TlsSection


class Issued(NamedTuple):
    """A certificate and its key, in files."""

    certificate: Path
    key: Path


class Authority:
    """
    An authority that certifies what it is asked to.

    Args:
        directory: for the files of what it issues.
    """

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA()
        self._directory = directory
        self._issued = 0
        self.path = directory / f"ca-{id(self)}.pem"
        self._ca.cert_pem.write_to_path(self.path)

    def issue(self, *names: str) -> Issued:
        """Issue a certificate for domains, or for addresses."""
        self._issued += 1
        stem = self._directory / f"{id(self)}-{self._issued}"
        issued = Issued(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        self.write(issued, names)
        return issued

    def write(self, issued: Issued, names: Sequence[str]) -> None:
        """Issue a certificate for files that may be there."""
        made = self._ca.issue_cert(*names)
        issued.certificate.unlink(missing_ok=True)
        for pem in made.cert_chain_pems:
            pem.write_to_path(issued.certificate, append=True)
        issued.key.unlink(missing_ok=True)
        issued.key.touch(0o600)
        made.private_key_pem.write_to_path(issued.key)

    def section(self, *issued: Issued, verify_clients: str = "none") -> TlsSection:
        """The configuration of whom it has certified, and who trusts it."""
        return TlsSection(
            certificate=tuple(one.certificate for one in issued),
            key=tuple(one.key for one in issued),
            ca=self.path,
            verify_clients=verify_clients,
        )
