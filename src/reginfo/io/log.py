"""Formats the log, so that nobody on the network can forge a line."""

from __future__ import annotations

import logging

from ..sip.text import visible

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

CONTINUED = "    "
"""The prefix of further lines of an entry, such as those of a traceback."""


class LogFormatter(logging.Formatter):
    r"""
    Formats entries so that text from the network can neither forge nor hide one.

    A message is one line: control characters are shown as escapes, such as ``\x1b``.
    The lines of a traceback follow, indented, so that the text of an exception cannot
    look like an entry.
    """

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        """Write an entry: one line, and a traceback below it if there is one."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        lines = [visible(self.formatMessage(record))]
        if record.exc_info:
            lines += self._indented(self.formatException(record.exc_info))
        if record.stack_info:
            lines += self._indented(self.formatStack(record.stack_info))
        return "\n".join(lines)

    def _indented(self, text: str) -> list[str]:
        # Only "\n" ends a line of the log; splitlines() knows ten other characters.
        return [CONTINUED + visible(line) for line in text.split("\n")]


def log_to(handler: logging.Handler, level: str) -> None:
    """Have all loggers write to ``handler``, at ``level`` and above."""
    handler.setFormatter(LogFormatter())
    logging.basicConfig(level=level, handlers=[handler])
