"""Whose registrar we are: domains, and the addresses-of-record in them."""

from __future__ import annotations

from collections.abc import Iterable

from ..sip.errors import RemoteProtocolError
from ..sip.flow import Local, uri_host
from ..sip.uri import Uri


class Domains:
    """
    Domains and addresses that are ours.

    Args:
        names: of the domains.
        use_domain: whether alice in one of them and alice in another are two.
        default_domain: the domain that stands for all of them if they are one.
    """

    def __init__(
        self, names: Iterable[str], *, use_domain: bool, default_domain: str | None
    ) -> None:
        self._hosts = set(names)
        self._places: dict[str, set[int]] = {}
        self._use_domain = use_domain
        self._default_domain = default_domain

    def add(self, locals: Iterable[Local]) -> None:
        """Take the addresses that we listen at for domains of ours, too."""
        for local in locals:
            host = uri_host(local.host)
            if host not in self._hosts or host in self._places:
                self._places.setdefault(host, set()).add(local.port)
            self._hosts.add(host)

    def __contains__(self, host: object) -> bool:
        return host in self._hosts

    def hold(self, uri: Uri) -> bool:
        """
        Whether a URI leads to one of our domains, or to where we listen.

        At another port of an address of ours is somebody else: a phone on this host.
        """
        if uri.scheme == "tel":
            return True
        ports = self._places.get(uri.host)
        if ports is None or uri.port is None:
            return uri.host in self._hosts
        return uri.port in ports

    def aor(self, uri: Uri) -> str:
        """
        The address-of-record that a URI names, as records are kept by.

        Raises:
            RemoteProtocolError: it can name none.
        """
        if not uri.aor:
            raise RemoteProtocolError("Unsupported URI Scheme", status=416)
        if self._use_domain or uri.host not in self._hosts:
            return uri.aor
        user, at, _ = uri.aor.rpartition("@")
        domain = self._default_domain
        return f"{user}@{domain}" if at else f"{uri.scheme}:{domain}"

    def named(self, name: str) -> str:
        """
        The address-of-record that an operator names: `bob@example.com`, or a URI.

        Without a domain, `bob` is in the default domain, or in the first of ours.

        Raises:
            RemoteProtocolError: it names none.
        """
        scheme, colon, _ = name.partition(":")
        if not colon or scheme.lower() not in ("sip", "sips", "tel"):
            if "@" not in name and self._default_domain and name not in self._hosts:
                name = f"{name}@{self._default_domain}"
            name = f"sip:{name}"
        return self.aor(Uri.parse(name))

    def serve(self, aor: str) -> bool:
        """Whether ``aor`` is in one of our domains; a `tel:` one is in any."""
        uri = Uri.parse(aor)
        return uri.scheme == "tel" or uri.host in self._hosts
