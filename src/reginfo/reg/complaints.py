"""The errors in a document: tolerated and noted, or refused."""

from __future__ import annotations

from typing import NoReturn

from ..sip.errors import RemoteProtocolError

MAX_WARNINGS = 100  # enough for a log; a document may have thousands of errors


class Complaints:
    """
    The complaints about one document.

    Args:
        body: the document, to find the line of an offset in.
        strict: whether to refuse what is otherwise tolerated.
    """

    __slots__ = ("_body", "_strict", "first_fault", "warnings")

    def __init__(self, body: bytes, strict: bool) -> None:
        self._body = body
        self._strict = strict

        self.warnings: list[str] = []
        "The tolerated errors, one line each."

        self.first_fault: str | None = None
        "Why the first contact was left out, if any."

    def tolerate(self, message: str, at: int) -> None:
        """
        Tolerate an error in the element at the offset ``at``, unless strict.

        Raises:
            RemoteProtocolError: the reader is strict.
        """
        if self._strict:
            self.refuse(message, at)
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(self._located(message, at))

    def leave_out(self, message: str, at: int) -> None:
        """
        Leave out the contact at the offset ``at``, unless strict.

        Raises:
            RemoteProtocolError: the reader is strict.
        """
        if self._strict:
            self.refuse(message, at)
        if self.first_fault is None:
            self.first_fault = self._located(message, at)
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(f"left out: {self._located(message, at)}")

    def refuse(self, message: str, at: int) -> NoReturn:
        """
        Refuse the document, because of the element at the offset ``at``.

        Raises:
            RemoteProtocolError: always.
        """
        raise RemoteProtocolError(self._located(message, at))

    def _located(self, message: str, at: int) -> str:
        # Counted only when needed; expat's line number would cost time in any case.
        line = self._body.count(b"\n", 0, at) + 1
        return f"{message} (line {line})"
