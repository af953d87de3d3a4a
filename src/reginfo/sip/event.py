"""The events that an endpoint reports: requests, responses, failures."""

from __future__ import annotations

from .flow import Address, Flow
from .headers import Via
from .invite import InviteClientTransaction, InviteServerTransaction
from .message import Request, Response
from .transaction import ClientTransaction, ServerTransaction
from .value import Value

AnyServer = ServerTransaction | InviteServerTransaction
AnyClient = ClientTransaction | InviteClientTransaction


class RequestReceived(Value, frozen=True):
    """A request to be answered with :meth:`Endpoint.respond`."""

    transaction: AnyServer

    flow: Flow
    "The flow that it came by; its responses may take another, as its Via says."

    @property
    def request(self) -> Request:
        return self.transaction.request

    @property
    def source(self) -> Address:
        """The address that it was sent from, whatever its Via says."""
        return self.flow.remote


class AckReceived(Value, frozen=True):
    """The ACK of a 2xx, which has no transaction and is not answered."""

    request: Request
    flow: Flow


class Cancelled(Value, frozen=True):
    """A CANCEL was received for an INVITE; the endpoint has answered the CANCEL."""

    transaction: InviteServerTransaction


class ResponseLost(Value, frozen=True):
    """A response that cannot be sent to the source of its request."""

    data: bytes

    via: Via
    "The Via of the client, whose sent-by leads to it (RFC 3263 §5)."


class ResponseReceived(Value, frozen=True):
    """
    A response to a request that we sent.

    For an INVITE, each provisional response and each 2xx is reported.
    """

    transaction: AnyClient
    response: Response


class RequestFailed(Value, frozen=True):
    """A request that we sent got no final response."""

    transaction: AnyClient

    cause: str
    "`timeout`, or the reason of the failure, such as `connection refused`."


EndpointEvent = (
    RequestReceived
    | ResponseReceived
    | RequestFailed
    | AckReceived
    | Cancelled
    | ResponseLost
)
