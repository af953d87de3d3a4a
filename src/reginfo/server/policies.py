"""The policies of the roles, as the configuration has them."""

from __future__ import annotations

from ..config.config import Config
from ..io.crowd import StreamLimits
from ..io.descriptors import connections_at_most
from ..location.claim import MAX_SIZE
from ..roles.compositor import PublicationLimits
from ..roles.registrar import RegistrarPolicy
from ..sip.capacity import Capacity


def registrar_policy(config: Config) -> RegistrarPolicy:
    """Return the policy for REGISTERs."""
    registrar = config.registrar
    return RegistrarPolicy(
        min_expires=registrar.min_expires,
        default_expires=registrar.default_expires,
        max_expires=registrar.max_expires,
        max_contacts=registrar.max_contacts,
        max_per_register=registrar.max_per_register,
        # What does not fit into a document cannot be reported.
        max_contact_size=min(registrar.max_contact_size or MAX_SIZE, MAX_SIZE),
        has_links=bool(config.groups)
        or any(peer.profile in (None, "standard") for peer in config.peers),
        replaces=registrar.max_contacts_reached == "replace",
    )


def stream_limits(config: Config) -> StreamLimits:
    """Return the limits of streams, for the file descriptors that there are now."""
    limits = config.limits
    return StreamLimits(
        connections=connections_at_most(limits.connections),
        silent=limits.silent_connections,
        first_message=limits.first_message,
        unsent=limits.unsent_octets,
        opening=limits.opening_connections,
    )


def publication_limits(config: Config) -> PublicationLimits:
    """Return how many publications of peers there may be."""
    limits = config.limits
    return PublicationLimits(limits.publications, limits.publications_per_aor)


def endpoint_capacity(config: Config) -> Capacity:
    """Return the limits of requests."""
    limits = config.limits
    return Capacity(
        header_field=limits.header_field,
        head=limits.head,
        transactions=limits.transactions,
        answered_octets=limits.answered_octets,
        emergency=limits.emergency,
    )
