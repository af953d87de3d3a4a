"""What an endpoint reports to its user: requests, responses, failures."""

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
    """The ACK of a 2xx. It has no transaction, and is not answered."""

    request: Request
    flow: Flow


class Cancelled(Value, frozen=True):
    """A CANCEL came for an INVITE. The endpoint has answered the CANCEL itself."""

    transaction: InviteServerTransaction


class ResponseLost(Value, frozen=True):
    """A response that cannot be sent to the source of its request."""

    data: bytes

    via: Via
    "The client's Via: its sent-by leads to the client by RFC 3263 §5."


class ResponseReceived(Value, frozen=True):
    """
    A response to a request of ours.

    For an INVITE, each provisional response and each 2xx is reported.
    """

    transaction: AnyClient
    response: Response


class RequestFailed(Value, frozen=True):
    """A request of ours that got no final response."""

    transaction: AnyClient

    cause: str
    "`timeout`, or why it could not be delivered, such as `connection refused`."


EndpointEvent = (
    RequestReceived
    | ResponseReceived
    | RequestFailed
    | AckReceived
    | Cancelled
    | ResponseLost
)
