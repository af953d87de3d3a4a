"""
What all tests share: the programs of other projects that some of them run.

A test that needs one is marked ``@pytest.mark.peers("kamailio")``. If the program is
missing, the test is skipped, and counted in the closing lines. With
``REGINFO_PEERS=required`` in the environment it fails instead; with
``REGINFO_PEERS=no`` it is skipped even if the program is there.

A test names the lines of `docs/checklist.md` that it shows in its docstring or by
``@pytest.mark.shows("3680-94")``. `tools/conformance.py` counts only a test that ran
and passed, by the outcomes that are recorded here.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Never

import pytest
from hypothesis import settings

from .outcomes import FILE, Outcomes

# For `make mutants`: the same few examples each time, for each of many mutants.
MUTANTS = "mutants"
settings.register_profile(
    MUTANTS, max_examples=25, derandomize=True, deadline=None, database=None
)

# What each peer consists of: programs, and files (where "*" stands for the
# machine's architecture), each with the Debian package that has it.
PEERS = {
    "kamailio": {
        "kamailio": "kamailio",
        "kamcmd": "kamailio",
        "/usr/lib/*/kamailio/modules/pua_reginfo.so": "kamailio-presence-modules",
        "/usr/lib/*/kamailio/modules/db_sqlite.so": "kamailio-sqlite-modules",
    },
    "scscf": {
        "/usr/lib/*/kamailio/modules/ims_registrar_scscf.so": "kamailio-ims-modules",
        "/usr/lib/*/kamailio/modules/presence.so": "kamailio-presence-modules",
    },
    "sipp": {"sipp": "sip-tester"},
    "baresip": {
        "baresip": "baresip-core",
        "/usr/lib/baresip/modules/ctrl_tcp.so": "baresip-core",
    },
    "dnsmasq": {"dnsmasq": "dnsmasq-base"},
    "strace": {"strace": "strace"},
}

MISSING = "missing peer: "


def require_peer(name: str) -> None:
    """Skip the test if a peer is missing or unwanted; fail it if peers are required."""
    if os.environ.get("REGINFO_PEERS") == "no":
        do_without(f"{name} (REGINFO_PEERS=no)")
    packages = sorted({p for part, p in PEERS[name].items() if not _there(part)})
    if packages:
        do_without(f"{name} (Debian: {' '.join(packages)})")


def do_without(missing: str) -> Never:
    """Skip the test because something is missing; fail it if peers are required."""
    reason = f"{MISSING}{missing}"
    if os.environ.get("REGINFO_PEERS") == "required":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(name="do_without")
def _do_without() -> Callable[[str], Never]:
    """For a test that finds out by itself what is missing."""
    return do_without


def _there(part: str) -> bool:
    if part.startswith("/"):
        return any(Path("/").glob(part.lstrip("/")))
    # Debian's users do not have /usr/sbin in their path.
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return shutil.which(part, path=path) is not None


def clear_caches() -> None:
    """Make each test call what it tests: a mutant behind a cache is not seen."""
    for name, module in list(sys.modules.items()):
        if name.startswith("reginfo."):
            for value in list(vars(module).values()):
                getattr(value, "cache_clear", int)()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "peers(*names): talks to programs of others")
    config.addinivalue_line("markers", "shows(*ids): shows lines of the checklist")
    if config.getoption("--hypothesis-profile") != MUTANTS:
        outcomes = Outcomes(config.rootpath / FILE, MISSING)
        config.pluginmanager.register(outcomes, "outcomes")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.config.getoption("--hypothesis-profile") == MUTANTS:
        clear_caches()
    for marker in item.iter_markers("peers"):
        for name in marker.args:
            require_peer(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
        _, _, reason = report.longrepr
        if MISSING in reason:
            skipped[reason.removeprefix("Skipped: ")] += 1
    for reason, number in skipped.items():
        terminalreporter.write_line(f"{number} skipped: {reason}", yellow=True)
