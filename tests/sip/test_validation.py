"""Validated addresses, and the credit of the others (3261-170)."""

from __future__ import annotations

import math

import pytest

from reginfo.sip import validation
from reginfo.sip.flow import Flow, Local
from reginfo.sip.transport import TCP
from reginfo.sip.validation import AddressValidation

from .messages import FLOW, SERVER

VICTIM = FLOW.remote
STREAM = Flow(Local(TCP, "192.0.2.2", 5060), VICTIM)


def test_an_address_gets_three_times_what_it_has_sent() -> None:
    """3261-170"""
    known = AddressValidation()
    known.receive(VICTIM, 100, 0.0)
    known.receive(VICTIM, 100, 1.0)
    assert known.admit(VICTIM, 400, 2.0)
    assert not known.admit(VICTIM, 201, 2.0)
    assert known.admit(VICTIM, 200, 2.0)
    assert not known.admit(VICTIM, 1, 2.0)
    assert not known.admit((VICTIM[0], 1), 1, 2.0)


@pytest.mark.parametrize(
    ("until", "fits"), [(15.9, True), (16.0, True), (31.9, True), (32.0, False)]
)
def test_a_received_octet_counts_for_32_s_at_most(until: float, fits: bool) -> None:
    """3261-170: what came long ago does not pay for what is sent now"""
    known = AddressValidation()
    known.receive(VICTIM, 100, 0.0)
    assert known.admit(VICTIM, 300, until) is fits


def test_after_a_silence_nothing_is_left() -> None:
    """3261-170"""
    known = AddressValidation()
    known.receive(VICTIM, 100, 0.0)
    known.receive(("192.0.2.9", 1), 100, 500.0)
    assert not known.admit(VICTIM, 1, 500.0)


def test_the_credit_of_two_periods_is_spent_as_one() -> None:
    known = AddressValidation()
    known.receive(VICTIM, 100, 0.0)
    known.receive(VICTIM, 100, 17.0)
    assert known.admit(VICTIM, 450, 18.0)
    assert known.admit(VICTIM, 150, 18.0)
    assert not known.admit(VICTIM, 1, 18.0)


def test_a_validated_address_gets_all_until_its_validation_ends() -> None:
    """3261-170, 3261-171"""
    known = AddressValidation()
    known.prove(FLOW, 3600.0)
    assert known.admit(VICTIM, 10**6, 3599.0) and known.is_validated(FLOW, 3599.0)
    assert not known.admit(VICTIM, 1, 3600.0) and not known.is_validated(FLOW, 3600.0)


def test_a_later_end_prolongs_and_an_earlier_one_does_not_shorten() -> None:
    """3261-171: it lasts as long as its dialog or binding"""
    known = AddressValidation()
    known.prove(FLOW, 7200.0)
    known.prove(FLOW, 3600.0)
    assert known.admit(VICTIM, 10**6, 7000.0)
    known.prove(FLOW, 10800.0)
    assert known.admit(VICTIM, 10**6, 10000.0) and len(known) == 1


def test_a_stream_is_validated_and_needs_no_entry() -> None:
    """3261-171"""
    known = AddressValidation()
    known.prove(STREAM, 3600.0)
    assert known.is_validated(STREAM, 1e9) and len(known) == 0
    assert not known.admit(VICTIM, 1, 0.0)


def test_what_the_configuration_names_is_validated() -> None:
    """3261-171"""
    known = AddressValidation()
    known.configure([VICTIM])
    assert known.is_validated(FLOW, 0.0) and known.admit(VICTIM, 10**6, 0.0)
    assert not known.admit(("192.0.2.9", 1), 1, 0.0)


def test_a_request_without_rport_pays_for_the_port_that_is_answered() -> None:
    """3261-170: the credit moves, and is not doubled"""
    known = AddressValidation()
    known.receive(VICTIM, 100, 0.0)
    known.redirect(VICTIM, (VICTIM[0], 5060), 100)
    assert known.admit((VICTIM[0], 5060), 300, 0.0)
    assert not known.admit(VICTIM, 1, 0.0)
    assert not known.admit((VICTIM[0], 5060), 1, 0.0)


def test_there_is_one_probe_an_hour_or_one_for_each_dialog() -> None:
    """3261-172"""
    known = AddressValidation()
    assert known.begin_probe(VICTIM, 300, 0.0, is_first=False)
    assert not known.begin_probe(VICTIM, 300, 31.0, is_first=True)
    assert not known.begin_probe(VICTIM, 300, 3599.0, is_first=False)
    assert known.begin_probe(VICTIM, 300, 3599.0, is_first=True)
    assert not known.begin_probe(VICTIM, 300, 3700.0, is_first=False)
    assert known.begin_probe(VICTIM, 300, 3599.0 + 3600.0, is_first=False)


def test_an_answered_probe_is_forgotten() -> None:
    """3261-172"""
    known = AddressValidation()
    assert known.begin_probe(VICTIM, 300, 0.0, is_first=False)
    known.prove(FLOW, 10.0)
    assert known.begin_probe(VICTIM, 300, 11.0, is_first=False)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten; whoever forges sources cannot fill the memory."""
    monkeypatch.setattr(validation, "ADDRESSES", 10)
    monkeypatch.setattr(validation, "ACCOUNTS", 10)
    known = AddressValidation()
    for port in range(1, 100):
        address = ("192.0.2.1", port)
        known.prove(Flow(SERVER, address), math.inf)
        known.note_request(address, 0.0)
        known.receive(("192.0.2.9", port), 100, 0.0)
    assert len(known) == len(known._probed) == 10
    assert len(known._credit) + len(known._before) <= 20
    assert known.admit(("192.0.2.1", 99), 10**6, 0.0)
    assert not known.admit(("192.0.2.1", 1), 10**6, 0.0)
    assert known.admit(("192.0.2.9", 99), 300, 0.0)


def test_whoever_has_sent_something_is_probed_within_the_credit() -> None:
    """3261-172: what a forged request may cause is three times its octets, in all"""
    known = AddressValidation()
    known.receive(VICTIM, 100, 0.0)
    assert not known.begin_probe(VICTIM, 301, 0.0, is_first=True)
    assert known.begin_probe(VICTIM, 200, 0.0, is_first=True)
    assert not known.admit(VICTIM, 101, 0.0) and known.admit(VICTIM, 100, 0.0)


def test_a_request_within_the_credit_is_a_probe_too() -> None:
    """3261-172: there is no second one when the credit has ended"""
    known = AddressValidation()
    known.note_request(VICTIM, 0.0)
    assert not known.begin_probe(VICTIM, 300, 40.0, is_first=False)
    assert known.begin_probe(VICTIM, 300, 40.0, is_first=True)


def test_few_ports_of_a_host_are_probed_in_a_period() -> None:
    """3261-172: ten contacts at one host are not ten probes"""
    known = AddressValidation()
    ports = [(VICTIM[0], port) for port in range(1, 6)]

    def probed(now: float) -> list[bool]:
        return [known.begin_probe(one, 300, now, is_first=False) for one in ports]

    assert probed(0.0) == [True, True, False, False, False]
    assert probed(1.0) == 5 * [False]
    assert probed(16.0) == [False, False, True, True, False]
    assert known.begin_probe(("192.0.2.9", 1), 300, 16.0, is_first=False)
