"""
SIPp as hundreds of phones, watchers and publishers, by scenarios of our own.

What each message must hold is in the scenarios (``sipp/``), which fail a call that is
answered otherwise. What SIPp counts at the end is looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from .kamailio import Kamailio
from .phone import DOMAIN, becomes
from .server import Server
from .sipp import Sipp, Transport, all_well

pytestmark = pytest.mark.peers("sipp")

CALLS = 300
PUBLISHED = 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("sipp"), tcp=True) as running:
        yield running


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_phones_register_refresh_and_unregister(
    server: Server, tmp_path: Path, transport: Transport
) -> None:
    """3261-06, 3261-09, 3261-14"""
    with Sipp(
        "register", server.address, CALLS, tmp_path, transport=transport, user="reg"
    ) as phones:
        assert phones.finish() == all_well(CALLS)
    assert not [b for b in server.all_bindings() if b["aor"].startswith("sip:reg")]


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_watchers_subscribe_are_notified_and_unsubscribe(
    server: Server, tmp_path: Path, transport: Transport
) -> None:
    """6665-08, 3680-29, 3680-36"""
    with Sipp(
        "subscribe", server.address, CALLS, tmp_path, transport=transport,
        user=transport,
    ) as watchers:  # fmt: skip
        assert watchers.finish() == all_well(CALLS)
    # The last answers are on their way; then nobody watches any more.
    becomes(lambda: server.health()["watchers"], 0)
    bound = {b["aor"] for b in server.all_bindings()}
    assert bound >= {f"sip:{transport}{n}@{DOMAIN}" for n in range(1, CALLS + 1)}


@pytest.mark.peers("kamailio")
def test_what_ours_publishes_is_told_to_watchers_at_kamailio(tmp_path: Path) -> None:
    """3680-38, 3903-10: hundreds register at ours, and SIPp watches them there."""
    kamailio = Kamailio(tmp_path / "k")
    ours = Server(tmp_path / "a", publish_to=[f"sip:127.0.0.1:{kamailio.port}"])
    with kamailio, ours:
        with Sipp("watch", kamailio.address, PUBLISHED, tmp_path) as watchers:
            becomes(kamailio.subscribers, PUBLISHED)
            with Sipp("register", ours.address, PUBLISHED, tmp_path) as phones:
                assert phones.finish() == all_well(PUBLISHED)
            assert watchers.finish() == all_well(PUBLISHED)


@pytest.mark.peers("kamailio")
def test_what_others_publish_at_kamailio_is_known_at_ours(tmp_path: Path) -> None:
    """Every other one goes again, and its publication is removed."""
    names = [f"p{number}" for number in range(PUBLISHED)]
    users = [
        f"{name};terminated;expired;" if number % 2 else f"{name};active;refreshed;"
        for number, name in enumerate(names)
    ]
    kamailio = Kamailio(tmp_path / "k")
    watch = ", ".join(f'"sip:{name}@{DOMAIN}"' for name in names)
    uri = f"sip:127.0.0.1:{kamailio.port}"
    peer = f'name = "kam"\nuri = "{uri}"\nwatch = [{watch}]'
    with kamailio, Server(tmp_path / "a", peers=[peer]) as ours:
        becomes(kamailio.subscribers, PUBLISHED)
        with Sipp(
            "publish", kamailio.address, PUBLISHED, tmp_path, users=users
        ) as publishers:
            assert publishers.finish() == all_well(PUBLISHED)

        def known() -> set[tuple[str, str, str, int]]:
            return {
                (b["aor"], b["uri"], b["event"], b["cseq"]) for b in ours.all_bindings()
            }

        becomes(
            known,
            {
                (f"sip:{name}@{DOMAIN}", f"sip:{name}@192.0.2.1", "refreshed", 2)
                for name in names[::2]
            },
        )


def test_calls_that_go_wrong_are_counted(tmp_path: Path) -> None:
    """That the statistics tell them: here all are answered 423."""
    with (
        Server(tmp_path / "a", min_expires=1000) as strict,
        Sipp("register", strict.address, 5, tmp_path) as phones,
    ):
        statistics = phones.finish()
    assert replace(statistics, warnings=0) == replace(
        all_well(5), successful=0, failed=5, unexpected=5
    )
