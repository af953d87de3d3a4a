"""The lines of the log, whatever the network says."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from reginfo.io.log import CONTINUED, FORMAT, LogFormatter, log_to

ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ \S+ ")
FORGED = "2026-01-01 00:00:00,000 INFO reginfo.server = alice is an administrator"


def written(*args: object, **others: Any) -> list[str]:
    """The lines that an entry comes to."""
    record = logging.getLogger("reginfo.sip").makeRecord(
        "reginfo.sip", logging.WARNING, __file__, 1, args[0], args[1:],
        others.get("exc_info"), sinfo=others.get("sinfo"),
    )  # fmt: skip
    return LogFormatter().format(record).split("\n")


def test_an_entry_is_as_it_always_was() -> None:
    (line,) = written("! %s from %s:%d", "REGISTER é", "192.0.2.1", 5060)
    assert ENTRY.match(line)
    assert line.endswith(" WARNING reginfo.sip ! REGISTER é from 192.0.2.1:5060")
    assert FORMAT.startswith("%(asctime)s %(levelname)s %(name)s")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (f"x\n{FORGED}", rf"x\n{FORGED}"),
        (f"x\r\n{FORGED}", rf"x\r\n{FORGED}"),
        (f"x\x0b{FORGED}", rf"x\x0b{FORGED}"),
        (f"x\x85{FORGED}", rf"x\x85{FORGED}"),
        (f"x\u2028{FORGED}", rf"x\u2028{FORGED}"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b2J\x00\x7f", r"\x9b2J\x00\x7f"),
        ("\udc9b2J", r"\udc9b2J"),
        ("abc\u202efed", r"abc\u202efed"),
    ],
)
def test_what_the_network_sent_forges_no_line(sent: str, shown: str) -> None:
    """3261-91: an entry is one line, and its control characters are escapes."""
    (line,) = written("! contact %s", sent)
    assert line.endswith(f" ! contact {shown}")
    assert line.isprintable()


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\x0b", "\x85", "\u2028"])
def test_nor_does_the_text_of_an_exception(separator: str) -> None:
    """3261-91: the lines of a traceback are indented."""
    try:
        raise ValueError(f"x{separator}{FORGED}\x1b[2J")
    except ValueError:
        first, *rest = written("! failed", exc_info=sys.exc_info())
    assert ENTRY.match(first)
    assert len(rest) > 3
    assert rest[0] == f"{CONTINUED}Traceback (most recent call last):"
    assert all(line.startswith(CONTINUED) for line in rest)
    assert all(line.isprintable() for line in rest)
    assert any(line.endswith(r"is an administrator\x1b[2J") for line in rest)


def test_a_stack_is_indented_too() -> None:
    _, *rest = written("! late", sinfo="Stack (most recent call last):\n  File x")
    assert rest == [
        f"{CONTINUED}Stack (most recent call last):",
        f"{CONTINUED}  File x",
    ]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """The root logger without the handlers of pytest, for a while."""
    logger = logging.getLogger()
    handlers, level = logger.handlers, logger.level
    logger.handlers = []
    try:
        yield
    finally:
        logger.handlers = handlers
        logger.setLevel(level)


@pytest.mark.parametrize("name", ["reginfo.sip", "asyncio", "uvicorn.error", "script"])
def test_the_lines_of_all_loggers_are_written_so(name: str) -> None:
    """3261-91: there is one place where lines are made."""
    stream = io.StringIO()
    with alone():
        log_to(logging.StreamHandler(stream), "INFO")
        logging.getLogger(name).warning("a\n%s", FORGED)
        logging.getLogger(name).debug("unseen")
    assert stream.getvalue().count("\n") == 1
    assert rf"a\n{FORGED}" in stream.getvalue()
