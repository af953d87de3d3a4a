"""Records of an address-of-record, and what they mean for its contacts."""

from __future__ import annotations

import itertools
from typing import Any

from reginfo.location.record import (
    Record,
    RecordKind,
    Standing,
    next_stamp,
    standing,
)
from reginfo.location.stamp import Stamp

from .claims import claim


def record(kind: RecordKind, **fields: Any) -> Record:
    defaults: dict[str, Any] = {"kind": kind, "value": "", "stamp": 10, "owner": "a"}
    return Record(**(defaults | fields))


def test_of_two_records_the_later_holds_whoever_said_it() -> None:
    records = [
        record(RecordKind.KEY, name="n", value=value, stamp=stamp, owner=owner)
        for value, stamp, owner in [("x", 1, "b"), (None, 2, "a"), ("y", 2, "b")]
    ]
    for one, other in itertools.permutations(records, 2):
        assert one.outlives(other) != other.outlives(one)
    assert records[2].outlives(records[1]) and records[1].outlives(records[0])


def test_keys_mean_nothing_for_the_contacts() -> None:
    assert standing([record(RecordKind.KEY, name="n")]) is None
    assert standing([]) is None


def test_each_kind_has_its_meaning() -> None:
    found = standing(
        [
            record(RecordKind.CLEARED, stamp=5),
            record(RecordKind.PROBATION, value="30", stamp=6, expires_at=99.0),
            record(RecordKind.SHORTEN, stamp=7, expires_at=50.0),
        ]
    )
    assert found == Standing(
        cleared=Stamp(5),
        probation_ends=99.0,
        retry_after=30,
        shortened=Stamp(7),
        shortened_to=50.0,
        latest=Stamp(7),
    )
    assert found.bars(98.0) and not found.bars(99.0)


def test_who_is_rejected_is_barred_until_that_is_lifted() -> None:
    barred = standing([record(RecordKind.REJECTED)])
    assert barred is not None and barred.bars(1e9)
    lifted = standing([record(RecordKind.REJECTED, value=None, stamp=12)])
    assert lifted is not None and not lifted.bars(0.0)
    assert lifted.latest == 12


def test_what_is_lifted_means_nothing_more() -> None:
    kinds = [RecordKind.CLEARED, RecordKind.PROBATION, RecordKind.SHORTEN]
    for kind in kinds:
        found = standing([record(kind, value=None, expires_at=99.0)])
        assert found == Standing(latest=Stamp(10))


def test_a_record_is_later_than_the_claims_that_it_is_about() -> None:
    known = record(RecordKind.CLEARED, stamp=3_000_000)
    assert next_stamp(None, [], 1.0) == 1_000_000
    assert next_stamp(known, [], 1.0) == 3_000_001
    assert next_stamp(known, [claim(stamp=4_000_000)], 1.0) == 4_000_001
    assert next_stamp(None, [claim(edition=4_000_000)], 1.0) == 4_000_001
    odd = claim(stamp=5_000_000, edition=4_000_000)
    assert next_stamp(None, [odd, claim()], 1.0) == 5_000_001
    assert next_stamp(None, [], 1.0, floor=9_000_000) == 9_000_001
