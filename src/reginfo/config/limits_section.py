"""``[limits]``: how much anybody may take of this server."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from .values import seconds, several, text, whole


class CapacitySection(Struct, frozen=True, kw_only=True):
    """
    ``[limits]``: how much anybody may take of this server. 0 stands for no limit.
    """

    header_field: Annotated[int, whole(0)] = 8_192
    "The most octets of one header field of a request; more are answered 513."

    head: Annotated[int, whole(0)] = 32_768
    "The most octets of a request without its body; more are answered 513."

    transactions: Annotated[int, whole(0)] = 50_000
    "The most requests that wait for their response; one more is answered 503."

    emergency: Annotated[tuple[str, ...], several(text)] = ()
    """
    Emergency numbers, such as `112` or `urn:service:sos`: requests for them are
    processed however many wait.
    """

    answered_octets: Annotated[int, whole(0)] = 67_108_864
    """
    The most octets of responses that are kept for retransmissions, for 32 s. Beyond it
    the oldest are forgotten; such a retransmission is processed as a new request.
    """

    connections: Annotated[int, whole(0)] = 10_000
    """
    The most connections (TCP, TLS, WebSocket), and never more than the process may have
    file descriptors. At the limit the one makes room that has been without a whole
    message for longest; not one on which somebody has registered or subscribed.
    """

    silent_connections: Annotated[int, whole(0)] = 64
    """
    The most connections from one address that have not brought a whole message yet;
    one more closes the oldest of them.
    """

    first_message: Annotated[float, seconds] = 30.0
    """
    The time in which a connection has to bring its first message, and later in which a
    message must be complete. Otherwise it is closed.
    """

    unsent_octets: Annotated[int, whole(0)] = 1_048_576
    "The most octets that a client may leave unread before its connection is closed."

    opening_connections: Annotated[int, whole(0)] = 256
    "The most connections that this server opens at a time."

    publications: Annotated[int, whole(0)] = 100_000
    "The most publications of peers that are kept; one more is answered 503."

    publications_per_aor: Annotated[int, whole(0)] = 32
    "The same for one address-of-record."

    dns_questions: Annotated[int, whole(0)] = 256
    "The most DNS questions that wait for an answer; beyond it there is none: 503."

    api_body: Annotated[int, whole(0)] = 65_536
    "The most octets of the body of a request to the API; more are answered 413."
