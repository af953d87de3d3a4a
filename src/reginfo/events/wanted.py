"""What a subscription of ours asks for."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..sip.flow import Flow
from ..sip.uri import Uri
from .waiting import LONGEST_BACK_OFF

FlowTo = Callable[[str, Flow | None], Flow | None]
"""
Returns the flow to a peer, by its name. With a flow that has failed: another one that
is to be tried at once; None if all have failed.
"""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is subscribed to, and as whom."""

    uri: str
    "Request-URI and To."

    local: str
    "From and Contact: a URI."

    contact: str | None = None
    "Contact, where it differs from :attr:`local`, by its transport for example."

    event: str
    accept: str
    headers: str = ""
    "Header lines of its own in each SUBSCRIBE, each with CRLF."

    longest_pause: float = LONGEST_BACK_OFF
    "Seconds between two attempts, at most."

    expires: int = 3600
    "Seconds asked for each time; 0 to fetch the state once."

    rearm: bool = True
    """
    Whether to ask again, seldom, after `rejected`, `noresource` or `invariant`.

    RFC 6665 §4.1.3 advises against it; but a peer that was configured is wanted until
    it is configured no more.
    """

    def __post_init__(self) -> None:
        for name in ("uri", "local", "event", "accept"):
            if not isinstance(value := getattr(self, name), str):
                raise TypeError(f"Wanted.{name}: str is needed, not {value!r:.80}")
        if not isinstance(self.contact, str | None):
            raise TypeError(f"Wanted.contact: str is needed, not {self.contact!r:.80}")
        if type(self.expires) is not int:
            raise TypeError(f"Wanted.expires: int is needed, not {self.expires!r:.80}")
        if self.expires < 0:
            raise ValueError(f"Wanted.expires: {self.expires} is out of range")
        if type(self.rearm) is not bool:
            raise TypeError(f"Wanted.rearm: bool is needed, not {self.rearm!r:.80}")


def contact_by(local: str, flow: Flow) -> str | None:
    """
    Return the Contact of a SUBSCRIBE that is sent on ``flow``; None for the usual one.

    A peer that receives the SUBSCRIBE by TCP should notify by TCP, unless ``local``
    itself names a transport: no parameter may stand twice (RFC 3261 §19.1.1).
    """
    param = flow.local.transport.uri_param
    if not param or Uri.parse(local).param("transport") is not None:
        return None
    return f"{local}{param}"
