"""``reginfo doctor``: examines a server, its machine and its peers."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import typer

from ..doctor.examination import examine
from ..doctor.finding import Finding, Level
from ..sip.text import printable
from .ending import NOT_THERE
from .options import DEFAULT_CONFIG, ConfigFile, Json, read_config

MARKS = {Level.OK: "ok", Level.WARNING: "WARNING", Level.ERROR: "ERROR"}


def doctor(config: ConfigFile = DEFAULT_CONFIG, json: Json = False) -> None:
    """
    Examine a server and what it depends on, whether it runs or not.

    The command checks the configuration and the script; whether the addresses are free,
    or served; the clock, the limits of files and buffers; the disk, with the time that
    a commit takes there, and the database; the names of peers and presence servers, and
    whether these answer an OPTIONS. It changes nothing. Run it as the user of the
    server, where the server runs.

    Exit codes: 0 no errors, maybe warnings; 1 errors; 2 the configuration is wrong.
    """
    read = read_config(config, to_serve=True)
    count: Counter[Level] = Counter()

    def show(finding: Finding) -> None:
        count[finding.level] += 1
        if not json:
            mark = MARKS[finding.level]
            text = printable(finding.text.replace("\n", " "))
            typer.echo(f"{mark:<8} {finding.subject:<14} {text}")

    async def run() -> list[Finding]:
        findings = []
        async for finding in examine(config, read):
            show(finding)
            findings.append(finding)
        return findings

    findings = asyncio.run(run())
    if json:
        typer.echo(msgspec.json.encode(findings))
    else:
        typer.echo(
            f"{count[Level.ERROR]} errors, {count[Level.WARNING]} warnings,"
            f" {count[Level.OK]} ok"
        )
    if count[Level.ERROR]:
        raise typer.Exit(NOT_THERE)
