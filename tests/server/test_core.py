"""What a script asks of the server: what is not published, and what is."""

from __future__ import annotations

from pathlib import Path

import pytest

from reginfo.testing import Script
from reginfo.testing.script import CONFIG

from .scripted import BOB, BOBS_PHONE, written

PUBLISHING = (
    CONFIG + 'publish_to = ["sip:192.0.2.9"]\nul_identities_key = "identities"\n'
)
"""Goes on in the section of the module, with which the other one ends."""


def publishes(directory: Path, act: str, *, quiet: bool) -> int:
    """How many PUBLISH a MESSAGE causes whose handler does ``act``."""
    say = "msg.reginfo_disable_publish()" if quiet else "pass"
    text = f"""
    @route.request("MESSAGE")
    def message(msg: Message) -> None:
        {say}
        {act}
        msg.send_reply(200, "OK")
    """
    script = Script(written(directory / "routes.py", text), PUBLISHING)
    script.register(BOB, BOBS_PHONE)
    for sent in script.sent():
        if sent.method == "PUBLISH" and sent.uri:
            script.answer(sent, 200, headers=[("SIP-ETag", "one"), ("Expires", "600")])
    script.sent()
    response = script.send("MESSAGE", BOB)
    assert response is not None and response.status == 200
    count = sum(one.method == "PUBLISH" and bool(one.uri) for one in script.sent())
    # What another message changes is published all the same.
    script.register(BOB, "sip:bob@192.0.2.61")
    after = [one for one in script.sent() if one.method == "PUBLISH" and one.uri]
    assert after or count
    return count


@pytest.mark.parametrize("quiet", [True, False])
@pytest.mark.parametrize(
    "act",
    [
        'msg.unregister("location", msg.to.uri)',
        'msg.ul_add_key("location", msg.to.uri, "identities", "<sip:rob@example.com>")',
    ],
)
def test_what_a_message_changes_is_published_unless_it_says_otherwise(
    tmp_path: Path, act: str, quiet: bool
) -> None:
    assert (publishes(tmp_path, act, quiet=quiet) == 0) is quiet
