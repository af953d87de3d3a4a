"""What the operator asks for: ``reginfo.toml``, read, and checked as a whole."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Struct, field

from ..sip.errors import ReginfoError
from ..sip.uri import Uri
from .address import AdminAddress, ListenAddress, SocketAddress, UnixPath
from .lines import Lines, syntax_error
from .toml import Reading, written
from .values import (
    admin_address,
    file_path,
    flag,
    host_name,
    listen_address,
    one_of,
    one_or_several,
    seconds,
    several,
    sip_uri,
    socket_address,
    source_address,
    store_path,
    token,
    watcher,
    whole,
)


class ConfigError(ReginfoError):
    """
    What is wrong with a configuration, all of it.

    As text it has one line for each error: ``FILE:LINE: KEY: what is wrong``.
    """

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = tuple(errors)


# The sections, one class each. A field's annotation says how its key is read.


class ServerSection(Struct, frozen=True, kw_only=True):
    """``[server]``: who we are, and where we listen."""

    id: Annotated[str, token]
    "Our name among our peers; it travels with each binding registered here."

    listen: Annotated[
        tuple[ListenAddress, ...], several(listen_address, at_least=1)
    ] = (ListenAddress("127.0.0.1", 5060),)
    "Where SIP is spoken. Port 0 is any free port."

    domains: Annotated[tuple[str, ...], several(host_name, at_least=1)]
    "The domains that we are the registrar of, in lower case."

    admin: Annotated[AdminAddress | None, admin_address] = None
    "Where the administrator's API listens; None for no API."

    script: Annotated[Path | None, file_path] = None
    "The routing script; None for what the server does by itself with each method."


class StoreSection(Struct, frozen=True, kw_only=True):
    """``[store]``: where bindings are kept."""

    path: Annotated[Path | None, store_path] = field(
        default=Path("reginfo.db"), name="url"
    )
    "The SQLite file; None keeps all in memory, and loses it at the end."

    synchronous: Annotated[str, one_of("full", "normal")] = "full"
    "SQLite's own setting: with ``normal`` a power failure may lose the last second."


class LimitsSection(Struct, frozen=True, kw_only=True):
    """For how long something is granted, in seconds."""

    min_expires: Annotated[int, whole(0)] = 60
    max_expires: Annotated[int, whole(1)] = 86_400
    default_expires: Annotated[int, whole(1)] = 3_600


class RegistrarSection(LimitsSection, frozen=True, kw_only=True):
    """``[registrar]``: for how long a contact may be bound, and how many."""

    max_contacts: Annotated[int, whole(0)] = 0
    "How many contacts an address-of-record may have; 0 for any number."


class UsrlocSection(Struct, frozen=True, kw_only=True):
    """``[usrloc]``: how the location service keeps what it knows."""

    use_domain: Annotated[bool, flag] = True
    "Whether alice@a.example and alice@b.example are two."


class NotifierSection(Struct, frozen=True, kw_only=True):
    """``[notifier]``: how watchers are told."""

    min_interval: Annotated[float, seconds] = 5.0
    "Between two NOTIFYs of a subscription for one registration (RFC 3680 §4.10)."

    allow: Annotated[tuple[str, ...], several(watcher, at_least=1)] = ("all",)
    """
    Who may watch: `all`; `self`, a user who watches itself; `peers`; a domain; a SIP
    URI. Whoever a request says that it is from, it is taken to be.
    """

    max_subscriptions: Annotated[int, whole(0)] = 0
    max_per_watcher: Annotated[int, whole(0)] = 0
    "How many there may be, of all watchers and of one; 0 for any number."


class PresenceReginfoSection(LimitsSection, frozen=True, kw_only=True):
    """``[presence_reginfo]``: for how long watchers are served."""

    default_expires: Annotated[int, whole(1)] = 3_761
    "For a SUBSCRIBE without Expires (RFC 3680 §4.4)."

    aggregate_presentities: Annotated[bool, flag] = True
    "Taken for the sake of existing configurations; several sources always merge."


class PuaSection(Struct, frozen=True, kw_only=True):
    """``[pua]``: for how long registrations are published, in seconds."""

    min_expires: Annotated[int, whole(1)] = 60
    max_expires: Annotated[int, whole(1)] = 86_400


class PuaReginfoSection(Struct, frozen=True, kw_only=True):
    """``[pua_reginfo]``: the parameters of the module of that name."""

    server_address: Annotated[str | None, sip_uri] = None
    "From and Contact of the SUBSCRIBEs that we send."

    default_domain: Annotated[str | None, host_name] = None
    "The domain of an address-of-record that is kept without one."

    publish_reginfo: Annotated[bool, flag] = True
    "Whether registrations are published; who watches here is told in any case."

    publish_to: Annotated[tuple[str, ...], one_or_several(sip_uri)] = ()
    """
    Presence servers that PUBLISH is sent to. None, and no `outbound_proxy` either: our
    own watchers are told, and nothing is sent.
    """

    outbound_proxy: Annotated[str | None, sip_uri] = None
    """
    Where SUBSCRIBE goes, and PUBLISH if `publish_to` does not say. A [[peer]] has its
    own `uri`.
    """

    ul_identities_key: Annotated[str | None, token] = None
    """
    The key in an address-of-record's record under which its public identities stand,
    as P-Associated-URI has them.
    """

    ul_domain: Annotated[str, token] = "location"
    "The location table whose registrations are told."


class ProxySection(Struct, frozen=True, kw_only=True):
    """``[proxy]``: requests that are for somebody else."""

    record_route: Annotated[bool, flag] = True
    "Whether later requests of a dialog come through here, too (RFC 3261 §16.6)."

    timer_c: Annotated[float, seconds] = 181.0
    "How long an INVITE may ring, in seconds: more than three minutes (§16.6)."

    relay: Annotated[str, one_of("ours", "all", "none")] = "ours"
    """
    Whose requests to other domains are sent on, without a script: `ours`, from users
    of our domains; `all`; or `none`.
    """


class NatSection(Struct, frozen=True, kw_only=True):
    """``[nat]``: user agents behind address translators."""

    fix: Annotated[bool, flag] = True
    """
    Whether a contact with a private address, which is not where its REGISTER came from,
    is reached the way that it came.
    """

    ping: Annotated[str, one_of("none", "options", "crlf")] = "none"
    "What holds the way to a contact of ours open: a request, or an empty line."

    ping_interval: Annotated[float, seconds] = 30.0
    "Seconds between two pings of a contact."

    ping_all: Annotated[bool, flag] = False
    "Whether contacts are pinged, too, that are where they say they are."

    ping_from: Annotated[str | None, sip_uri] = None
    "From of OPTIONS; None for `pinger` at the first of our domains."

    ping_failures: Annotated[int, whole(1)] = 3
    "How many OPTIONS in a row without an answer are a failure."

    ping_failed: Annotated[str, one_of("keep", "deactivated", "expired")] = "keep"
    "What a failure does to the contact: nothing, or it is removed with that event."


class DnsSection(Struct, frozen=True, kw_only=True):
    """``[dns]``: where names are looked up (RFC 3263)."""

    servers: Annotated[tuple[SocketAddress, ...], several(socket_address)] = ()
    "Name servers, `HOST` or `HOST:PORT`; none for those of the system."

    timeout: Annotated[float, seconds] = 5.0
    "Seconds after which a name without an answer is taken to be unknown."


class PeerMatch(Struct, frozen=True, kw_only=True):
    """``match`` of a ``[[peer]]``: how to know its requests."""

    address: Annotated[tuple[str, int | None] | None, source_address] = None
    "Where its datagrams come from; a port of None stands for any."

    from_: Annotated[str | None, sip_uri] = field(default=None, name="from")
    "The URI in the From of its requests."


class PeerSection(Struct, frozen=True, kw_only=True):
    """``[[peer]]``: a server that we know by name."""

    name: Annotated[str, token]

    uri: Annotated[str | None, sip_uri] = None
    "Where its registration events are asked for."

    watch: Annotated[tuple[str, ...], several(sip_uri)] = ()
    "The addresses-of-record that we ask it about."

    profile: Annotated[str | None, one_of("standard", "legacy", "ims")] = None
    "Which dialect it understands; None to recognise that."

    min_interval: Annotated[float, seconds] = 0.0
    "Between two NOTIFYs to it, in the place of ``notifier.min_interval``."

    unsolicited: Annotated[bool, flag] = False
    "Whether a NOTIFY of its is taken that no subscription of ours has asked for."

    match: PeerMatch | None = None


class Config(Struct, frozen=True, kw_only=True):
    """The whole file. Every value is checked, every path absolute or from here."""

    server: ServerSection
    store: StoreSection = StoreSection()
    registrar: RegistrarSection = RegistrarSection()
    usrloc: UsrlocSection = UsrlocSection()
    notifier: NotifierSection = NotifierSection()
    presence_reginfo: PresenceReginfoSection = PresenceReginfoSection()
    pua: PuaSection = PuaSection()
    pua_reginfo: PuaReginfoSection = PuaReginfoSection()
    proxy: ProxySection = ProxySection()
    nat: NatSection = NatSection()
    dns: DnsSection = DnsSection()
    peers: tuple[PeerSection, ...] = field(default=(), name="peer")

    @staticmethod
    def read(path: Path) -> Config:
        """
        Read a file; the paths in it are relative to its directory.

        Raises:
            ConfigError: all that is wrong with it.
        """
        try:
            content = path.read_text("utf-8")
        except UnicodeDecodeError as exc:
            raise ConfigError([f"{path}: not UTF-8: {exc.reason}"]) from exc
        except OSError as exc:
            raise ConfigError([f"{path}: {exc.strerror}"]) from exc
        return Config.parse(content, str(path), path.parent)

    @staticmethod
    def parse(
        content: str, where: str = "reginfo.toml", directory: Path = Path()
    ) -> Config:
        """
        Read a file's text; ``where`` names it in errors.

        Raises:
            ConfigError: all that is wrong with it.
        """
        try:
            values = tomllib.loads(content)
        except tomllib.TOMLDecodeError as exc:
            line, message = syntax_error(exc, content)
            raise ConfigError([f"{where}:{line}: {message}"]) from exc
        reading = Reading(Config)
        config = reading.table(Config, values, ())
        _check_parts_agree(reading)
        if reading.errors or config is None:
            lines = Lines(content)
            errors = sorted((lines.at(p), written(p), m) for p, m in reading.errors)
            raise ConfigError(
                [f"{where}:{line}: {key}: {message}" for line, key, message in errors]
            )
        return _in_directory(config, directory)


def _in_directory(config: Config, directory: Path) -> Config:
    server, store = config.server, config.store
    if store.path is not None:
        store = msgspec.structs.replace(store, path=directory / store.path)
    if isinstance(server.admin, UnixPath):
        admin = UnixPath(directory / server.admin.path)
        server = msgspec.structs.replace(server, admin=admin)
    if server.script is not None:
        server = msgspec.structs.replace(server, script=directory / server.script)
    return msgspec.structs.replace(config, server=server, store=store)


def _check_parts_agree(reading: Reading) -> None:
    """Check each value against the others."""
    for path, server in reading.all(ServerSection):
        fixed = [address for address in server.listen if address.port]
        reading.require(
            len(set(fixed)) == len(fixed),
            "an address stands twice",
            (*path, "listen"),
        )
    for path, limits in reading.all(LimitsSection):
        least, most = (*path, "min_expires"), (*path, "max_expires")
        usual = (*path, "default_expires")
        reading.require(
            limits.min_expires <= limits.max_expires,
            f"is less than min_expires, {limits.min_expires}",
            most,
            least,
        )
        reading.require(
            limits.min_expires <= limits.default_expires <= limits.max_expires,
            f"{limits.default_expires} is not within min_expires and max_expires",
            usual,
            least,
            most,
        )
    for path, pua in reading.all(PuaSection):
        reading.require(
            pua.min_expires <= pua.max_expires,
            f"is less than min_expires, {pua.min_expires}",
            (*path, "max_expires"),
            (*path, "min_expires"),
        )
    for path, proxy in reading.all(ProxySection):
        # §16.6 step 11: "MUST be larger than 3 minutes".
        reading.require(
            proxy.timer_c > 180, "is not more than 180 seconds", (*path, "timer_c")
        )
    for path, nat in reading.all(NatSection):
        reading.require(
            nat.ping_interval >= 1, "is less than a second", (*path, "ping_interval")
        )
    for path, dns in reading.all(DnsSection):
        reading.require(dns.timeout > 0, "is no time at all", (*path, "timeout"))
    pua_reginfo = next(
        (s for _, s in reading.all(PuaReginfoSection)), PuaReginfoSection()
    )
    for path, usrloc in reading.all(UsrlocSection):
        reading.require(
            usrloc.use_domain or pua_reginfo.default_domain is not None,
            "false needs pua_reginfo.default_domain, the domain that is left out",
            (*path, "use_domain"),
            ("pua_reginfo", "default_domain"),
        )
    _check_peers(reading, pua_reginfo)


def _check_peers(reading: Reading, pua_reginfo: PuaReginfoSection) -> None:
    names = {server.id: "this server" for _, server in reading.all(ServerSection)}
    transports = {
        address.transport
        for _, server in reading.all(ServerSection)
        for address in server.listen
    }
    for path, peer in reading.all(PeerSection):
        reading.require(
            peer.name not in names,
            f'"{peer.name}" is the name of {names.get(peer.name)}',
            (*path, "name"),
        )
        names.setdefault(peer.name, "another peer")
        reading.require(
            peer.uri is not None or not peer.watch,
            "needs the peer's `uri`, where to ask for them",
            (*path, "watch"),
            (*path, "uri"),
        )
        reading.require(
            peer.uri is not None or peer.match is not None,
            "has neither a `uri` to ask nor a `match` to be known by",
            path,
            (*path, "uri"),
            (*path, "match"),
            (*path, "watch"),
        )
        reading.require(
            not (peer.uri and peer.watch) or pua_reginfo.server_address is not None,
            "needs pua_reginfo.server_address: who we are when we subscribe",
            (*path, "watch"),
            ("pua_reginfo", "server_address"),
        )
        reading.require(
            not (peer.watch and _by_tcp(peer.uri)) or "tcp" in transports,
            'needs a "tcp:" address in server.listen: a peer that is asked by TCP'
            " notifies by TCP",
            (*path, "uri"),
            ("server", "listen"),
        )
    for path, match in reading.all(PeerMatch):
        reading.require(
            match.address is not None or match.from_ is not None,
            "needs an `address`, a `from`, or both",
            path,
            (*path, "address"),
            (*path, "from"),
        )


def _by_tcp(uri: str | None) -> bool:
    return (
        uri is not None and (Uri.parse(uri).param("transport") or "").lower() == "tcp"
    )
