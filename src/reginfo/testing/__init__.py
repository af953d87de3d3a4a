"""
For tests, also those of operators: servers and scripts without sockets or sleeping.
"""

from .script import Script
from .wire import EPOCH, Packet, Wire, WireServer

__all__ = ["EPOCH", "Packet", "Script", "WireServer", "Wire"]
