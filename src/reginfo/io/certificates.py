"""Certificates: from files to contexts of TLS, ours and those that we trust."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..config.secure_sections import TlsSection
from ..sip.errors import ReginfoError
from .secured import Secured, in_short


class CertificateError(ReginfoError):
    """
    A file of ``[tls]`` cannot be used.

    Args:
        key: of the section: `certificate`, `key` or `ca`.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"tls.{key}: {message}")
        self.key = key
        self.message = message


class LoadedCertificate(NamedTuple):
    """One certificate of ours, with its key."""

    path: Path

    names: frozenset[str]
    "The domains that it is for, in lower case; `*` may be their first label."

    expires_at: float
    "In seconds since 1970."


class Contexts(NamedTuple):
    """What was read from the files together."""

    loaded: tuple[LoadedCertificate, ...]

    servers: tuple[ssl.SSLContext, ...]
    "For SIP: one for each of `loaded`."

    web_servers: tuple[ssl.SSLContext, ...]
    "For WSS: a browser is not asked for a certificate."

    client: ssl.SSLContext
    "For the connections that we open."


class Certificates:
    """
    The certificates of a server, or whom a client trusts.

    A connection keeps what it began with; :meth:`reload` is for those that follow.

    Args:
        section: names the files.

    Raises:
        CertificateError: one of the files cannot be used.
    """

    def __init__(self, section: TlsSection) -> None:
        self._section = section
        self._contexts = self._load()

    @property
    def loaded(self) -> tuple[LoadedCertificate, ...]:
        """The certificates in use."""
        return self._contexts.loaded

    def reload(self) -> None:
        """
        Read all files again.

        Raises:
            CertificateError: one cannot be used; the previous ones stay in use.
        """
        self._contexts = self._load()

    def server(self) -> Secured:
        """Begin the side of a server of a new SIP connection."""
        return Secured(self.server_context())

    def web_server(self) -> Secured:
        """Begin the side of a server of a new WSS connection."""
        return Secured(self._contexts.web_servers[0])

    def client(self, name: str) -> Secured:
        """
        Begin the side of a client of a new connection.

        Args:
            name: the SIP domain that the certificate of the server must be for.

        Raises:
            RemoteProtocolError: it cannot be the name of a server.
        """
        return Secured(self._contexts.client, name)

    def server_context(self) -> ssl.SSLContext:
        """
        Return the context of servers; it chooses a certificate by `server_name` (SNI).

        Its files are those of now: ask for it again after :meth:`reload`.
        """
        return self._contexts.servers[0]

    def _load(self) -> Contexts:
        section = self._section
        loaded, servers, web_servers = [], [], []
        for certificate, key in section.pairs:
            _check_key(key)
            context = _server(certificate, key)
            loaded.append(_decoded(certificate, context))
            web_servers.append(context)
            context = _server(certificate, key)
            if section.verify_clients != "none":
                optional = section.verify_clients == "optional"
                context.verify_mode = (
                    ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
                )
                _trust(context, section.ca, ssl.Purpose.CLIENT_AUTH)
            servers.append(context)
        for contexts in (servers, web_servers):
            _choose_by_name(loaded, contexts)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.minimum_version = ssl.TLSVersion.TLSv1_2
        # Names are checked by the rules of RFC 5922, which are not those of the web.
        client.check_hostname = False
        _trust(client, section.ca, ssl.Purpose.SERVER_AUTH)
        for certificate, key in section.pairs[:1]:
            client.load_cert_chain(certificate, key)  # it was loaded before
        return Contexts(tuple(loaded), tuple(servers), tuple(web_servers), client)


def _server(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    _readable("certificate", certificate)
    asked: list[Path] = []

    def password() -> bytes:
        asked.append(key)
        return b""

    try:
        context.load_cert_chain(certificate, key, password=password)
    except ssl.SSLError as exc:
        raise _wrong_pair(certificate, key, exc, is_encrypted=bool(asked)) from exc
    return context


def _wrong_pair(
    certificate: Path, key: Path, error: ssl.SSLError, *, is_encrypted: bool
) -> CertificateError:
    """Say which of two files is wrong; OpenSSL does not."""
    if error.reason == "KEY_VALUES_MISMATCH":
        return CertificateError("key", f"{key} is not the key of {certificate}")
    if is_encrypted:
        return CertificateError(
            "key", f"{key} is encrypted: a server has nobody to ask for a password"
        )
    if _has_certificate(certificate):
        return CertificateError("key", f"{key} has no usable key in PEM")
    return CertificateError(
        "certificate", f"{certificate} has no usable certificate in PEM"
    )


def _has_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return False
    return True


def _readable(key: str, path: Path) -> None:
    """
    Check that a file can be read.

    Raises:
        CertificateError: it cannot.
    """
    try:
        path.open("rb").close()
    except OSError as exc:
        raise CertificateError(key, f"{path}: {exc.strerror}") from exc


def _check_key(path: Path) -> None:
    _readable("key", path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o007:
        raise CertificateError(
            "key", f"{path} is open to everybody (mode {mode:04o}): chmod 600 {path}"
        )


def _trust(context: ssl.SSLContext, ca: Path | None, purpose: ssl.Purpose) -> None:
    """Trust the certificates in a file, by default those that the system trusts."""
    if ca is None:
        context.load_default_certs(purpose)
        return
    _readable("ca", ca)
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as exc:
        raise CertificateError("ca", f"{ca} has no usable certificate in PEM") from exc


def _decoded(path: Path, server: ssl.SSLContext) -> LoadedCertificate:
    """
    Decode a certificate of ours, and check that a server can use it now.

    The `ssl` module decodes only what another side has shown: so it is shown to a
    client that trusts just this file, in memory.

    Raises:
        CertificateError: it is over, not valid yet, or not for servers.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(path)
    there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(here, there)
    showing = server.wrap_bio(there, here, server_side=True)
    for side in (asking, showing, asking):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError as exc:
            raise CertificateError(
                "certificate", f"{path}: {exc.verify_message}"
            ) from exc
        except ssl.SSLError as exc:
            raise CertificateError("certificate", f"{path}: {in_short(exc)}") from exc
    shown: Mapping[str, Any] = asking.getpeercert() or {}
    names = {
        value.lower() if kind == "DNS" else value.lower().partition(":")[2]
        for kind, value in shown.get("subjectAltName", ())
        if kind in ("DNS", "URI")
    }
    ends = ssl.cert_time_to_seconds(str(shown["notAfter"]))
    return LoadedCertificate(path, frozenset(names), float(ends))


def _choose_by_name(
    loaded: Sequence[LoadedCertificate], contexts: Sequence[ssl.SSLContext]
) -> None:
    """Have the first context choose another one by the name that a client asks for."""
    by_name: dict[str, ssl.SSLContext] = {}
    for one, context in zip(loaded, contexts, strict=True):
        for name in one.names:
            by_name.setdefault(name, context)

    def choose(side: ssl.SSLObject, name: str | None, first: ssl.SSLContext) -> None:
        for candidate in _candidates(name or ""):
            if candidate in by_name:
                side.context = by_name[candidate]
                return

    if len(contexts) > 1:
        contexts[0].sni_callback = choose


def _candidates(name: str) -> Iterator[str]:
    """The names of a certificate that a browser accepts for ``name``."""
    yield name.lower()
    yield f"*.{name.lower().partition('.')[2]}"
