"""Describes what is no part of a server, for its health and metrics."""

from __future__ import annotations

from ..ledger.part import Description
from ..sip.endpoint import Endpoint


def requests(endpoint: Endpoint) -> Description:
    """Describe the requests that wait for a response, and those that have one."""
    servers = endpoint.servers
    figures = {
        "waiting": servers.waiting,
        "kept_octets": servers.kept,
        "forgotten_early_total": servers.forgotten_early,
        "refused_total": servers.refused,
    }
    line = f"requests without a response: {servers.waiting}"
    return Description("requests", line, figures)
