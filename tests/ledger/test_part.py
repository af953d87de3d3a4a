"""What every part of a server has in common."""

from __future__ import annotations

from reginfo.ledger.part import Description, Here
from reginfo.sip.flow import Local
from reginfo.sip.moment import Moment
from reginfo.sip.transport import Transport


class Nowhere:
    def find(self, uri: object, found: object) -> None:
        raise AssertionError("no name is asked for")


def test_the_values_that_a_part_is_given_compare_by_what_is_in_them() -> None:
    names = Nowhere()
    local = Local(Transport.UDP, "192.0.2.1", 5060)
    assert Here((local,), names) == Here((local,), names)
    assert Moment(1.0, 2.0) == Moment(now=1.0, wall=2.0)
    assert Description("store", "empty", {"bindings": 0}).figures == {"bindings": 0}
