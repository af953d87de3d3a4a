"""The values of pseudo-variables in a message; see :mod:`reginfo.script.pseudo`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import pseudo

VALUES: dict[str, Callable[[Any], str]] = {
    "ru": lambda msg: msg.request.uri,
    "rU": lambda msg: msg.uri.user,
    "rd": lambda msg: msg.uri.host,
    "rp": lambda msg: str(msg.uri.port or ""),
    "rm": lambda msg: msg.method,
    "tu": lambda msg: msg.to.uri,
    "tU": lambda msg: msg.to.parsed.user,
    "td": lambda msg: msg.to.parsed.host,
    "tt": lambda msg: (msg.reply or msg.request).to.tag,
    "fu": lambda msg: msg.from_.uri,
    "fU": lambda msg: msg.from_.parsed.user,
    "fd": lambda msg: msg.from_.parsed.host,
    "ft": lambda msg: msg.from_.tag,
    "ci": lambda msg: msg.call_id,
    "cs": lambda msg: str(msg.cseq),
    "ua": lambda msg: msg._headed.user_agent,
    "rb": lambda msg: msg.body.decode("utf-8", "replace"),
    "rs": lambda msg: str(msg.status or ""),
    "rr": lambda msg: msg.reply.reason if msg.reply is not None else "",
    "au": lambda msg: msg.auth_user.partition("@")[0],
    "si": lambda msg: msg.source[0],
    "sp": lambda msg: str(msg.source[1]),
}
"""By name, what returns the value, from a :class:`reginfo.script.message.Message`."""

assert VALUES.keys() == pseudo.VARIABLES.keys()
