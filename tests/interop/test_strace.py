"""No 200 leaves before what it says is on disk: seen from outside, by strace."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from .fleet import Fleet
from .phone import Phone
from .server import Server
from .strace import SENDS, SYNCS, WRITES, Call, Strace

pytestmark = pytest.mark.peers("strace")

LOAD = 0.5  # seconds

REGISTERED = re.compile(r"CSeq: \d+ REGISTER\\r\\n.*;n=(?P<token>\w+)")


def early(calls: list[Call]) -> list[str]:
    """
    What left too early: 200s and NOTIFYs about what was not on disk.

    On disk is what was written to a file that was synced after that, and before the
    datagram was sent. Each contact has a parameter that no other one has.
    """
    written: dict[str, Call] = {}
    synced: list[Call] = []
    found = []
    for call in sorted(calls, key=lambda call: call.begin):
        if call.name in WRITES:
            for token in TOKEN.findall(call.text):
                written.setdefault(token, call)
        elif call.name in SYNCS and call.result == "0":
            synced.append(call)
    return found
