"""Where we listen, as others are told."""

from __future__ import annotations

import pytest

from reginfo.sip.flow import Local
from reginfo.sip.transport import Transport


@pytest.mark.parametrize(
    ("local", "uri"),
    [
        (Local(Transport.UDP, "192.0.2.1", 5060), "sip:192.0.2.1:5060"),
        (Local(Transport.TCP, "192.0.2.1", 5061), "sip:192.0.2.1:5061;transport=tcp"),
        (
            Local(Transport.TCP, "2001:db8::1", 5060),
            "sip:[2001:db8::1]:5060;transport=tcp",
        ),
    ],
)
def test_an_address_of_ours_is_a_uri_that_others_can_use(
    local: Local, uri: str
) -> None:
    assert local.uri == uri
