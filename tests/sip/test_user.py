"""Who sent a request of ours."""

from __future__ import annotations

from reginfo.sip.message import Response
from reginfo.sip.moment import Moment
from reginfo.sip.user import Nobody, User


def test_nobody_is_a_user_that_does_nothing() -> None:
    user: User = Nobody()
    moment = Moment(1.0, 2.0)
    user.receive_response(Response(200, "OK"), moment)
    user.receive_failure("timeout", moment)
    user.never_sent()
