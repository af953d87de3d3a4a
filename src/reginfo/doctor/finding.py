"""What an examination has found."""

from __future__ import annotations

import enum

from msgspec import Struct


class Level(enum.StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    "It works, but worse than it could, or not for long."

    ERROR = "error"
    "It does not work."


class Finding(Struct, frozen=True):
    """One thing that was examined."""

    subject: str
    "Such as `listen` or `peer b`."

    level: Level

    text: str
    "What is so; for what is no `ok`, also what to do."


def ok(subject: str, text: str) -> Finding:
    """Report that something is as it should be."""
    return Finding(subject, Level.OK, text)


def warning(subject: str, text: str) -> Finding:
    """Report something that works, but not well."""
    return Finding(subject, Level.WARNING, text)


def error(subject: str, text: str) -> Finding:
    """Report something that does not work."""
    return Finding(subject, Level.ERROR, text)
