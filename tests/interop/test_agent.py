"""The commands that speak SIP, at a real registrar and presence server: Kamailio."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from .kamailio import Kamailio

pytestmark = pytest.mark.peers("kamailio")

CONTACT = "sip:phone@192.0.2.9:5062"


def start(*arguments: str) -> subprocess.Popen[str]:
    """A command that goes on."""
    return subprocess.Popen(
        [sys.executable, "-m", "reginfo", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str) -> tuple[int, str]:
    """What a command ends with, and what it prints; it complains of nothing."""
    process = start(*arguments)
    out, said = process.communicate(timeout=20.0)
    return process.returncode, out or said


@pytest.fixture(scope="module")
def kamailio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kamailio]:
    with Kamailio(tmp_path_factory.mktemp("k"), tcp=True) as running:
        yield running


def ways(kamailio: Kamailio) -> list[tuple[str, ...]]:
    at = ("--server", f"127.0.0.1:{kamailio.port}")
    return [at, (*at, "--transport", "tcp")]


def contacts(told: dict[str, Any]) -> list[tuple[str, str]]:
    """URI and state of each contact in a NOTIFY; none if it has no document."""
    document = told["document"] or {"registrations": []}
    return [
        (contact["uri"], contact["state"])
        for registration in document["registrations"]
        for contact in registration["contacts"]
    ]


@pytest.mark.parametrize("way", [0, 1])
def test_a_contact_is_registered_and_removed(kamailio: Kamailio, way: int) -> None:
    user = f"reg{way}"
    to = ways(kamailio)[way]
    code, out = run("register", f"{user}@example.test", CONTACT, "--expires=60", *to)
    assert (code, out) == (0, f"{CONTACT}  expires=60\n")
    assert kamailio.contacts(user) == {CONTACT}
    code, out = run("register", f"{user}@example.test", CONTACT, "--expires=0", *to)
    assert (code, out) == (0, "nobody is registered\n")
    assert kamailio.contacts(user) == set()


@pytest.mark.parametrize("way", [0, 1])
def test_a_publication_is_reported_to_watchers(kamailio: Kamailio, way: int) -> None:
    """All four PUBLISH operations reach those who watch (3903-02)."""
    # All four of them.
    aor = f"pub{way}@example.test"
    to = ways(kamailio)[way]
    watch = start("watch", aor, "--json", "--count", "4", *to)

    def told() -> list[tuple[str, str]]:
        assert watch.stdout is not None
        return contacts(json.loads(watch.stdout.readline()))

    def publish(*arguments: str) -> str:
        code, out = run("publish", aor, *arguments, *to)
        assert code == 0, out
        return out.strip()

    try:
        assert told() == []
        first = publish(CONTACT, "--expires", "600")
        assert told() == [(CONTACT, "active")]
        other = "sip:other@192.0.2.9"
        second = publish(other, "--etag", first)
        assert told() == [(other, "active")]
        third = publish("--etag", second)
        assert publish("--etag", third, "--remove") == "reginfo: removed"
        assert told() == []
        _, said = watch.communicate(timeout=20.0)
    finally:
        watch.kill()
        watch.communicate()
    assert (watch.returncode, said) == (0, "")
    code, said = run("publish", aor, "--etag", first, *to)
    assert code == 1
    assert "412 " in said
