"""A moment, as a value."""

from __future__ import annotations

import pytest

from reginfo.sip.moment import Moment


def test_a_moment_does_not_change() -> None:
    moment = Moment(now=1.0, wall=2.0)
    with pytest.raises(AttributeError):
        moment.now = 3.0  # type: ignore[misc]
