"""How contacts are pinged."""

from __future__ import annotations

from reginfo.config.config import Config
from reginfo.reg.document import ContactEvent
from reginfo.server.pings import ping_policy

CONFIG = '[server]\nid = "a"\ndomains = ["example.com", "b.example"]\n[nat]\n'


def test_the_configuration_says_how() -> None:
    policy = ping_policy(Config.parse(f'{CONFIG}ping = "options"\n'))
    assert policy.options
    assert policy.sender == "sip:pinger@example.com"
    assert policy.removal is None
    policy = ping_policy(
        Config.parse(f'{CONFIG}ping_from = "sip:p@c.example"\nping_failed = "expired"')
    )
    assert not policy.options
    assert policy.sender == "sip:p@c.example"
    assert policy.removal is ContactEvent.EXPIRED
