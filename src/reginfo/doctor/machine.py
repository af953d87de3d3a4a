"""The machine: its clock, its limits of files and buffers."""

from __future__ import annotations

import ctypes
import resource
from collections.abc import Iterator
from pathlib import Path

from ..io.udp import BUFFER
from .finding import Finding, ok, warning

FILES = 4096
"""The number of files that a server with TCP should be allowed to open."""

UNSYNCHRONISED = 0x40
"""STA_UNSYNC of adjtimex(2)."""

RMEM_MAX = Path("/proc/sys/net/core/rmem_max")


class _Timex(ctypes.Structure):
    """
    The beginning of struct timex of adjtimex(2); the kernel writes all of it.

    With ``modes`` 0 nothing is changed, and no privilege is needed.
    """

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("max_error", ctypes.c_long),
        ("estimated_error", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def clock_status() -> int | None:
    """Return the status bits of the kernel's clock, or None if it does not say."""
    try:
        adjust = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None  # not Linux
    timex = _Timex()
    return None if adjust(ctypes.byref(timex)) < 0 else timex.status


def clock(status: int | None) -> Finding:
    """
    Judge the clock: servers that sync compare the times of their claims.

    Args:
        status: of :func:`clock_status`.
    """
    if status is None:
        return warning("clock", "the system does not say whether it is synchronised")
    if status & UNSYNCHRONISED:
        return warning(
            "clock",
            "not synchronised: run an NTP client (chrony, systemd-timesyncd), because"
            " servers that sync compare the times of what they report",
        )
    return ok("clock", "synchronised")


def files(soft: int, hard: int) -> Finding:
    """
    Judge the limit of open files: each TCP connection is one.

    Args:
        soft, hard: of RLIMIT_NOFILE; RLIM_INFINITY for none.
    """
    if hard == resource.RLIM_INFINITY:
        return ok("files", "no limit of open files")
    if hard < FILES:
        return warning(
            "files",
            f"at most {hard} open files, which is the limit of TCP connections: raise"
            " it with LimitNOFILE= (systemd) or ulimit -n",
        )
    return ok("files", f"{soft} open files, at most {hard}")


def buffers(limit: int | None) -> Finding:
    """
    Judge the receive buffer of UDP sockets, which holds a burst of requests.

    Args:
        limit: net.core.rmem_max, in octets; None if it is unknown.
    """
    if limit is None:
        return ok("buffers", "net.core.rmem_max is unknown")
    if limit < BUFFER:
        return warning(
            "buffers",
            f"a UDP socket gets {limit >> 10} KiB, and a server asks for"
            f" {BUFFER >> 10}: datagrams of a burst are lost; sysctl -w"
            f" net.core.rmem_max={BUFFER}",
        )
    return ok("buffers", f"a UDP socket gets {BUFFER >> 10} KiB")


def examine() -> Iterator[Finding]:
    """Examine this machine."""
    yield clock(clock_status())
    yield files(*resource.getrlimit(resource.RLIMIT_NOFILE))
    try:
        limit = int(RMEM_MAX.read_text("ascii"))
    except (OSError, ValueError):
        limit = None
    yield buffers(limit)
