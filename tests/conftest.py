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
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Never

import pytest
from hypothesis import HealthCheck, settings

from .outcomes import FILE, Outcomes

# What the shell and the terminal of whoever runs the tests say is no part of them.
for _name in (
    "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "LINES",
    "NO_COLOR", "PY_COLORS", "REGINFO_COMPILE", "TERMINAL_WIDTH", "TTY_COMPATIBLE",
    "TTY_INTERACTIVE", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy",
    "http_proxy", "https_proxy",
):  # fmt: skip
    os.environ.pop(_name, None)

# A shell starts `make test &` with SIGINT ignored, which the commands that tests start
# and interrupt would inherit. A handler is not inherited: they get the default action.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: a machine with much to do is no error of the code.
settings.register_profile(
    "tests", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")

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
    "kamailio-tls": {"/usr/lib/*/kamailio/modules/tls.so": "kamailio-tls-modules"},
    "scscf": {
        "/usr/lib/*/kamailio/modules/ims_registrar_scscf.so": "kamailio-ims-modules",
        "/usr/lib/*/kamailio/modules/presence.so": "kamailio-presence-modules",
    },
    "sipp": {"sipp": "sip-tester"},
    "baresip": {
        "baresip": "baresip-core",
        "/usr/lib/baresip/modules/ctrl_tcp.so": "baresip-core",
    },
    "jssip": {
        "chromium": "chromium",
        str(Path(__file__).parents[1] / ".peers" / "jssip.js"): "npm: jssip",
    },
    "dnsmasq": {"dnsmasq": "dnsmasq-base"},
    "strace": {"strace": "strace"},
    "systemd": {"systemd-analyze": "systemd", "systemd-socket-activate": "systemd"},
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


def has_ipv6() -> bool:
    """Whether this machine has IPv6, on loopback at least."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


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
    config.addinivalue_line("markers", "peers(*names): runs other projects' programs")
    config.addinivalue_line("markers", "ipv6: uses ::1")
    config.addinivalue_line("markers", "shows(*ids): shows lines of the checklist")
    if config.getoption("--hypothesis-profile") != MUTANTS:
        outcomes = Outcomes(config.rootpath / FILE, MISSING)
        config.pluginmanager.register(outcomes, "outcomes")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.config.getoption("--hypothesis-profile") == MUTANTS:
        clear_caches()
    if item.get_closest_marker("ipv6") is not None and not has_ipv6():
        do_without("IPv6 on loopback")
    for marker in item.iter_markers("peers"):
        for name in marker.args:
            require_peer(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
        _, _, reason = report.longrepr
        skipped[reason.removeprefix("Skipped: ")] += 1
    for reason, number in skipped.items():
        terminalreporter.write_line(f"{number} skipped: {reason}", yellow=True)
