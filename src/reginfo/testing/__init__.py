"""For tests, yours too: servers, and scripts, without sockets and without sleeping."""

from .script import Script
from .wire import EPOCH, Packet, Wire, WireServer

__all__ = ["EPOCH", "Packet", "Script", "WireServer", "Wire"]
