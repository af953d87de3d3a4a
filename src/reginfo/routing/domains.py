"""The domains and addresses of this server, and the addresses-of-record in them."""

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
        use_domain: whether alice in one domain and alice in another are different
            users.
        default_domain: the domain of all users if they are not.
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
        """Set the listening and the advertised addresses."""
        addresses: dict[str, set[int]] = {}
        for local in locals:
            for uri in {local.uri, f"sip:{local.bound}"}:
                parsed = Uri.parse(uri)
                port = parsed.port or local.default_port
                addresses.setdefault(parsed.host, set()).add(port)
        self._addresses = addresses
        self._bound = frozenset(uri_host(local.host) for local in locals)

    def __contains__(self, host: object) -> bool:
        """Whether a host, as written in a URI, is one of our domains or addresses."""
        return host in self._names or host in self._addresses

    def is_ours(self, uri: Uri) -> bool:
        """
        Whether a URI leads to this server, whatever its user part.

        This rule applies to a Request-URI, a Route, a To and a target:

        - One of our domains is ours with any port, because a load balancer or port
          forwarding in front of the server may use another port.
        - A listening address is ours without a port, and with the ports that we listen
        on.
          On another port there may be a phone on this host.
        - A ``maddr`` parameter replaces the host of the URI (RFC 3261 §19.1.1).
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
        """Whether a host, as written in a URI, is a listening address."""
        return host in self._bound

    def aor(self, uri: Uri) -> Aor:
        """
        Return the address-of-record of a URI, in canonical form.

        A port that leads here is insignificant, and is left out.

        Raises:
            RemoteProtocolError: the URI has none.
        """
        if not uri.aor:
            raise RemoteProtocolError("Unsupported URI Scheme", status=416)
        aor = uri.aor
        if uri.host not in self:
            return Aor(aor)
        if uri.scheme == "sips":
            aor = f"sip{aor[4:]}"  # one user, however it is reached (RFC 5630 §5.3)
        port = uri.port
        if port is not None:
            ports = self._addresses.get(uri.host)
            if uri.host in self._names or (ports is not None and port in ports):
                aor = aor.removesuffix(f":{port}")
        if self._use_domain:
            return Aor(aor)
        user, at, _ = aor.rpartition("@")
        domain = self._default_domain
        return Aor(f"{user}@{domain}" if at else f"{aor.partition(':')[0]}:{domain}")

    def named(self, name: str) -> Aor:
        """
        Return the address-of-record that an operator names: `bob@example.com`, or a
        URI.

        Without a domain, `bob` is in the default domain, or in our first one.

        Raises:
            RemoteProtocolError: it is not an address-of-record.
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
            if uri.scheme == "sip":
                return Aor(uri.aor)  # the hot path
        aor = self.aor(uri)
        return aor if self.serve(aor) else None

    def serve(self, aor: Aor) -> bool:
        """Whether ``aor`` is in one of our domains; a `tel:` URI always is."""
        uri = Uri.parse(aor)
        return uri.scheme == "tel" or uri.host in self
