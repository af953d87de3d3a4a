"""
The sections of ``reginfo.toml``, one class each, and their keys.

The annotation of a field says how the value of its key is read; the docstring of a
field is what the reference of the configuration prints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Struct, field

from ..sip.framing import MAX_MESSAGE
from .address import AdminAddress, AdvertisedAddress, ListenAddress, SocketAddress
from .values import (
    admin_address,
    advertised_address,
    duration,
    file_path,
    flag,
    group_uri,
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
    watched,
    watcher,
    whole,
)


class ServerSection(Struct, frozen=True, kw_only=True):
    """``[server]``: the name of this server, its addresses and its domains."""

    id: Annotated[str, token]
    "The name of this server among its peers; sent with each binding registered here."

    listen: Annotated[
        tuple[ListenAddress, ...], several(listen_address, at_least=1)
    ] = (ListenAddress("127.0.0.1", 5060),)
    """
    The addresses that SIP is received at. `0.0.0.0`, `[::]` or the name of an interface
    in the place of an address stands for each address of the machine, or of that
    interface. Port 0 stands for any free port.
    """

    advertise: Annotated[
        tuple[AdvertisedAddress, ...], one_or_several(advertised_address)
    ] = ()
    """
    The address or name, with or without a port, under which others reach this server,
    if that is not where it listens: it is written to Via, Contact, Record-Route and
    Path. One value for all of `listen`, or a list with one for each; `""` for none.
    """

    domains: Annotated[tuple[str, ...], several(host_name, at_least=1)]
    "The domains that this server is the registrar of; kept in lower case."

    admin: Annotated[AdminAddress | None, admin_address] = None
    "The address of the administrator's API: `HOST:PORT` or `unix:PATH`. None: no API."

    tokens: Annotated[Path | None, file_path] = None
    """
    The tokens of the API: a file that `reginfo token` writes. While it has none,
    everybody who reaches the API may use it.
    """

    script: Annotated[Path | None, file_path] = None
    "The routing script, a Python file. Without one, each method is handled by default."

    max_message: Annotated[int, whole(65_535)] = MAX_MESSAGE
    "The longest message that a stream may bring, in octets; a longer one: 513."

    def advertised(self, number: int, port: int) -> str:
        """
        Return the address advertised for a listener; empty for its own.

        Args:
            number: its place in `listen`, from 0.
            port: the port that it is bound to.
        """
        told = self.advertise
        if not told:
            return ""
        return told[number if len(told) > 1 else 0].at(port)


class StoreSection(Struct, frozen=True, kw_only=True):
    """``[store]``: the database that keeps bindings, subscriptions and publications."""

    path: Annotated[Path | None, store_path] = field(
        default=Path("reginfo.db"), name="url"
    )
    "`sqlite:PATH`, or `memory:` to keep nothing after the end of the process."

    synchronous: Annotated[str, one_of("full", "normal")] = "full"
    "SQLite's setting; `normal` may lose the last second at a power failure."

    @property
    def url(self) -> str:
        """The value of `url`, as it was written."""
        return "memory:" if self.path is None else f"sqlite:{self.path}"


class LimitsSection(Struct, frozen=True, kw_only=True):
    """Limits of an Expires value, in seconds."""

    min_expires: Annotated[int, whole(0)] = 60
    "The shortest interval that is granted; a shorter request is answered 423."

    max_expires: Annotated[int, whole(1)] = 86_400
    "The longest interval that is granted; a longer request is shortened to it."

    default_expires: Annotated[int, whole(1)] = 3_600
    "The interval that is granted to a request without Expires."


class RegistrarSection(LimitsSection, frozen=True, kw_only=True):
    """``[registrar]``: how long a contact is bound, and how many may be."""

    max_contacts: Annotated[int, whole(0)] = 10
    "The most contacts of a user that are registered here, not elsewhere; 0: any."

    max_per_register: Annotated[int, whole(0)] = 16
    """
    The most contacts that one REGISTER may name, removals included; 0 for no limit. A
    REGISTER with more is refused with 403, before any of them is looked at.
    """

    max_contact_size: Annotated[int, whole(0)] = 4_096
    """
    The most octets that are stored with a contact: its URI and parameters, its path,
    the user agent, and 700 for the rest. A larger one is refused with 413; 0 for the
    8192 that fit into a document.
    """

    max_contacts_reached: Annotated[str, one_of("refuse", "replace")] = "refuse"
    """
    What a REGISTER of one contact more does: it is refused with 503 and Retry-After, or
    it replaces the contact that was registered first, which is `deactivated`.
    """

    connection_lost: Annotated[str, one_of("keep", "expire")] = "keep"
    """
    What the end of a connection (TCP, TLS, WebSocket) does to the contacts that were
    registered over it: nothing, or they expire unless they register again within 5 s.
    """


class UsrlocSection(Struct, frozen=True, kw_only=True):
    """``[usrloc]``: the location service."""

    use_domain: Annotated[bool, flag] = True
    "Whether alice@a.example and alice@b.example are two users."


class NotifierSection(Struct, frozen=True, kw_only=True):
    """``[notifier]``: who may subscribe to registrations, and how often to notify."""

    min_interval: Annotated[float, seconds] = 5.0
    "The least time between two NOTIFYs about one registration (RFC 3680 §4.10)."

    allow: Annotated[tuple[str, ...], several(watcher, at_least=1)] = ()
    """
    Who may subscribe: `all`; `self`, for users to their own registration; `peers`;
    a domain; a SIP URI. By default `self` with [auth], and `all` without. With [auth],
    a From that is of none of our users is believed only if it comes from a peer.
    """

    refuse: Annotated[str, one_of("403", "neutral")] = "403"
    """
    What others get: `403`; or `neutral`, a subscription in which nobody is ever
    registered, so that they cannot tell (RFC 6665 §6.2).
    """

    max_subscriptions: Annotated[int, whole(0)] = 100_000
    "The most subscriptions that are served; one more is refused with 503; 0: any."

    max_per_watcher: Annotated[int, whole(0)] = 1_000
    "The same for one watcher, by its From, that is no [[peer]]; refused with 403."

    max_per_aor: Annotated[int, whole(0)] = 100
    "The same for one address-of-record, by watchers that are no [[peer]]; 503."


class PresenceReginfoSection(LimitsSection, frozen=True, kw_only=True):
    """``[presence_reginfo]``: how long a subscription to registrations lasts."""

    default_expires: Annotated[int, whole(1)] = 3_761
    "The interval that is granted to a SUBSCRIBE without Expires (RFC 3680 §4.4)."

    aggregate_presentities: Annotated[bool, flag] = True
    "Accepted for existing configurations, without effect: sources are always merged."


class PuaSection(Struct, frozen=True, kw_only=True):
    """``[pua]``: how long a publication lasts, in seconds."""

    min_expires: Annotated[int, whole(1)] = 60
    "The shortest Expires of a PUBLISH that this server sends."

    max_expires: Annotated[int, whole(1)] = 3_600
    """
    The longest Expires of a PUBLISH that this server sends. A presence server that has
    lost the publication gets it again after half of that, at the refresh.
    """


class PuaReginfoSection(Struct, frozen=True, kw_only=True):
    """``[pua_reginfo]``: the parameters of the module of this name."""

    server_address: Annotated[str | None, sip_uri] = None
    "From and Contact of the SUBSCRIBEs that this server sends."

    default_domain: Annotated[str | None, host_name] = None
    "The domain of addresses-of-record, if `usrloc.use_domain` is false."

    publish_reginfo: Annotated[bool, flag] = True
    "Whether registrations are published. Watchers of this server are notified anyway."

    publish_to: Annotated[tuple[str, ...], one_or_several(sip_uri)] = ()
    """
    The presence servers that PUBLISH is sent to: one URI or a list. If neither this
    nor `outbound_proxy` is set, no PUBLISH is sent; watchers here are notified.
    """

    outbound_proxy: Annotated[str | None, sip_uri] = None
    """
    The next hop of SUBSCRIBE, and of PUBLISH if `publish_to` is not set. The `uri` of
    a [[peer]] has precedence.
    """

    rearm: Annotated[bool, flag] = True
    """
    Whether a subscription that a notifier ends with `rejected`, `noresource` or
    `invariant` is tried again, every few minutes. If not, a restart tries it again.
    """

    ul_identities_key: Annotated[str | None, token] = None
    """
    The key of the record of an address-of-record that holds its public identities, in
    the form of P-Associated-URI.
    """

    ul_domain: Annotated[str, token] = "location"
    "The location table whose registrations are reported."


class ProxySection(Struct, frozen=True, kw_only=True):
    """``[proxy]``: requests that are forwarded."""

    record_route: Annotated[bool, flag] = True
    "Whether this server stays in the path of later requests (RFC 3261 §16.6)."

    timer_c: Annotated[float, seconds] = 181.0
    "How long an INVITE may ring: more than 180 seconds (RFC 3261 §16.6)."

    max_branches: Annotated[int, whole(1)] = 64
    "The most branches that one request may have in all; more are answered 440."

    relay: Annotated[str, one_of("ours", "all", "none")] = "ours"
    """
    Which requests to other domains are forwarded without a script: `ours`, those from
    users of `server.domains`; `all`; or `none`.
    """

    incoming: Annotated[str, one_of("all", "peers")] = "all"
    """
    Who may send requests to users of ours from elsewhere, with [auth]: `all`, without a
    password; or `peers`, those known by their address.
    """


class NatSection(Struct, frozen=True, kw_only=True):
    """``[nat]``: user agents behind network address translators."""

    fix: Annotated[bool, flag] = True
    """
    Whether a contact whose private address differs from the source of its REGISTER is
    reached over the flow of that REGISTER.
    """

    ping: Annotated[str, one_of("none", "options", "crlf")] = "none"
    "What keeps the flow to a contact open: OPTIONS requests, or empty lines (CRLF)."

    ping_interval: Annotated[float, seconds] = 30.0
    "The time between two pings of a contact; at least 1 second."

    ping_all: Annotated[bool, flag] = False
    "Whether contacts that are not behind a translator are pinged as well."

    ping_from: Annotated[str | None, sip_uri] = None
    "From of OPTIONS; by default `sip:pinger@` with the first of `server.domains`."

    ping_failures: Annotated[int, whole(1)] = 3
    "The number of consecutive OPTIONS without an answer that make a failure."

    ping_failed: Annotated[str, one_of("keep", "deactivated", "expired")] = "keep"
    "What a failure does: `keep` the contact, or remove it with the given event."


class DnsSection(Struct, frozen=True, kw_only=True):
    """``[dns]``: name servers (RFC 3263)."""

    servers: Annotated[tuple[SocketAddress, ...], several(socket_address)] = ()
    "Name servers, `HOST` or `HOST:PORT`; by default those of the system."

    timeout: Annotated[float, seconds] = 5.0
    "The time after which a name without an answer counts as unknown."


class SyncSection(Struct, frozen=True, kw_only=True):
    """``[sync]``: how much is kept, so that several servers stay identical."""

    tombstones: Annotated[int, whole(1000)] = 1_000_000
    """
    The most contacts that are kept although they are not bound any more. Beyond it,
    those that ended first are forgotten early, and `health` is degraded.
    """

    verify: Annotated[float, duration] = 86_400.0
    """
    How often each peer that is linked to us is sent all of the location database anew,
    slowly, beside what changes; 0 for never.
    """


class GroupSection(Struct, frozen=True, kw_only=True):
    """``[[group]]``: whole domains that are watched under one URI."""

    uri: Annotated[str, group_uri]
    """
    What a SUBSCRIBE for the group is sent to, and what a `watch` of a [[peer]] names.
    It is the URI of no user, in one of `server.domains`.
    """

    domains: Annotated[tuple[str, ...], several(host_name, at_least=1)]
    "The domains whose users are in the group; some or all of `server.domains`."

    allow: Annotated[tuple[str, ...], several(watcher, at_least=1)] = ("peers",)
    "Who may subscribe to the group, as in `notifier.allow`."


class PeerMatch(Struct, frozen=True, kw_only=True):
    """``match`` of a ``[[peer]]``: how its requests are recognised."""

    address: Annotated[tuple[str, int | None] | None, source_address] = None
    "The source of its requests: `HOST`, with any port, or `HOST:PORT`."

    from_: Annotated[str | None, sip_uri] = field(default=None, name="from")
    "The URI in the From of its requests."

    certificate: Annotated[str | None, host_name] = None
    "A SIP domain in its certificate, by TLS: then its source alone does not count."

    @property
    def is_strong(self) -> bool:
        """Whether it has something that not anybody can write into a request."""
        return self.address is not None or self.certificate is not None


class PeerSection(Struct, frozen=True, kw_only=True):
    """``[[peer]]``: another server."""

    name: Annotated[str, token]
    "The name of the peer in logs, commands and scripts."

    uri: Annotated[str | None, sip_uri] = None
    """
    The URI that SUBSCRIBE is sent to. A name is looked up until it is found, and again
    when its TTL is over; all its addresses are tried.
    """

    watch: Annotated[tuple[str, ...], one_or_several(watched)] = ()
    """
    What is subscribed to at this peer, one URI or a list: addresses-of-record, or the
    `uri` of a [[group]], by which whole domains are kept in sync.
    """

    profile: Annotated[str | None, one_of("standard", "legacy", "ims")] = None
    "The dialect that it understands; by default recognised from its messages."

    min_interval: Annotated[float, seconds] = 0.0
    "The least time between two NOTIFYs to it, instead of `notifier.min_interval`."

    max_expires: Annotated[int | None, whole(1)] = None
    """
    The longest time that a contact in its documents is believed to last, in seconds; by
    default `registrar.max_expires`, or 604800 with the profile `ims`.
    """

    trusted: Annotated[bool, flag] = False
    """
    Whether its requests are believed, whoever they are from, because it asks for
    passwords itself. Without it, SUBSCRIBE, PUBLISH and NOTIFY of a peer that is known
    by its address need no password; everything else does.
    """

    domains: Annotated[tuple[str, ...], several(host_name)] = ()
    """
    The domains of the users that it may report, in PUBLISH and NOTIFY; by default all
    of `server.domains`.
    """

    unsolicited: Annotated[bool, flag] = False
    "Whether a NOTIFY from it without a subscription is accepted."

    match: PeerMatch | None = None
    "How requests of this peer are recognised."
