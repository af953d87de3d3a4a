"""Who watches, and what it understands."""

from __future__ import annotations

import pytest

from reginfo.ledger.journal import Journal
from reginfo.reg.legacy import Profile
from reginfo.roles import watcher
from reginfo.roles.watcher import Dialects, Watcher, instance_of

from ..make import flow, request

KAMAILIO = "User-Agent: kamailio (5.6.3)"


def test_what_is_configured_counts_more_than_the_user_agent() -> None:
    dialects = Dialects(Journal())
    message = request("SUBSCRIBE", KAMAILIO)
    found = [
        dialects.of(Watcher(profile=profile), message, flow())
        for profile in (None, Profile.STANDARD, Profile.IMS)
    ]
    assert found == [Profile.LEGACY, Profile.STANDARD, Profile.IMS]


def test_a_legacy_host_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watcher, "LEGACY_HOSTS", 1)
    dialects = Dialects(journal := Journal())
    for host in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"):
        dialects.of(Watcher(), request("SUBSCRIBE", KAMAILIO), flow((host, 5060)))
    assert caplog.records == []  # nothing is durable yet
    journal.close().announce()
    hosts = [record.getMessage().split()[1] for record in caplog.records]
    # Only so many are remembered.
    assert hosts == ["192.0.2.1", "192.0.2.2", "192.0.2.1"]


@pytest.mark.parametrize(
    ("contact", "instance"),
    [
        ('<sip:a@192.0.2.50>;+sip.instance="<urn:uuid:1>"', '"<urn:uuid:1>"'),
        ("<sip:a@192.0.2.50>;+sip.instance", ""),
        ("<sip:a@192.0.2.50>", ""),
    ],
)
def test_a_device_is_known_by_its_instance(contact: str, instance: str) -> None:
    """RFC 5626 §4.1"""
    assert instance_of(request("SUBSCRIBE", f"Contact: {contact}")) == instance
