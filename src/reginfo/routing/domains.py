"""What is ours: domains, addresses, and the addresses-of-record in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..location.place import Aor
from ..sip.errors import RemoteProtocolError
from ..sip.flow import Local, uri_host
from ..sip.uri import Uri


class Domains:
    """
    The domains and addresses of this server.

    Args:
        names: the domains that this server is responsible for.
        use_domain: whether alice in one of them and alice in another are two users.
        default_domain: the domain that stands for all of them if they are one.
    """

    def __init__(
        self, names: Iterable[str], *, use_domain: bool, default_domain: str | None
    ) -> None:
        self._names = frozenset(names)
        self._addresses: dict[str, set[int]] = {}
        self._bound: frozenset[str] = frozenset()
        self._use_domain = use_domain
        self._default_domain = default_domain

    def begin(self, locals: Sequence[Local]) -> None:
        """Set the addresses that we listen at, and are reached at by others."""
        addresses: dict[str, set[int]] = {}
        for local in locals:
            for uri in {local.uri, f"sip:{local.bound}"}:
                parsed = Uri.parse(uri)
                addresses.setdefault(parsed.host, set()).add(parsed.port or 5060)
        self._addresses = addresses
        self._bound = frozenset(uri_host(local.host) for local in locals)

    def __contains__(self, host: object) -> bool:
        """Whether a host, as it stands in a URI, is a domain or an address of ours."""
        return host in self._names or host in self._addresses

    def is_ours(self, uri: Uri) -> bool:
        """
        Whether a URI, whatever its user is, leads to this server.

        This is the one rule for a Request-URI, a Route, a To and a target:

        - A domain of ours is ours with any port, since a load balancer or a port
          forwarding in front of us may use another port than we listen at.
        - An address that we listen at is ours without a port, and with a port that we
          listen at there. At another port of it there may be a phone on this host.
        - A ``maddr`` parameter says where the URI leads, in place of its host
          (RFC 3261 §19.1.1).
        - A ``tel`` URI has no host: its user may be one of ours.
        """
        if uri.scheme == "tel":
            return True
        host = uri.host
        if uri.params and (maddr := uri.param("maddr")):
            host = maddr.lower()
        if host in self._names:
            return True
        ports = self._addresses.get(host)
        return ports is not None and (uri.port is None or uri.port in ports)

    def is_address(self, host: str) -> bool:
        """Whether a host, as it stands in a URI, is an address that we listen at."""
        return host in self._bound

    def aor(self, uri: Uri) -> Aor:
        """
        Return the address-of-record that a URI names, in the form that records have.

        A port that leads here makes no difference, and is left out.

        Raises:
            RemoteProtocolError: it can name none.
        """
        if not uri.aor:
            raise RemoteProtocolError("Unsupported URI Scheme", status=416)
        aor = uri.aor
        if uri.host not in self:
            return Aor(aor)
        port = uri.port
        if port is not None:
            ports = self._addresses.get(uri.host)
            if uri.host in self._names or (ports is not None and port in ports):
                aor = aor.removesuffix(f":{port}")
        if self._use_domain:
            return Aor(aor)
        user, at, _ = aor.rpartition("@")
        domain = self._default_domain
        return Aor(f"{user}@{domain}" if at else f"{uri.scheme}:{domain}")

    def named(self, name: str) -> Aor:
        """
        Return the address-of-record that an operator names: `bob@example.com`, a URI.

        Without a domain, `bob` is in the default domain, or in the first of ours.

        Raises:
            RemoteProtocolError: it names none.
        """
        scheme, colon, _ = name.partition(":")
        if not colon or scheme.lower() not in ("sip", "sips", "tel"):
            if "@" not in name and self._default_domain and name not in self:
                name = f"{name}@{self._default_domain}"
            name = f"sip:{name}"
        return self.aor(Uri.parse(name))

    def served(self, uri: Uri) -> Aor | None:
        """
        Return the address-of-record that a URI names, if it is in a domain of ours.

        Raises:
            RemoteProtocolError: it can name none.
        """
        if uri.host in self._names and uri.port is None and self._use_domain:
            return Aor(uri.aor)  # the hot path
        aor = self.aor(uri)
        return aor if self.serve(aor) else None

    def serve(self, aor: Aor) -> bool:
        """Whether ``aor`` is in a domain of ours; a `tel:` one is in any."""
        uri = Uri.parse(aor)
        return uri.scheme == "tel" or uri.host in self
