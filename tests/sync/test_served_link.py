"""One link that we serve."""

from __future__ import annotations

import pytest

from reginfo.config.sections import GroupSection
from reginfo.events.notify import ServedSubscription
from reginfo.location.place import Aor
from reginfo.sip.dialog import Dialog
from reginfo.sync.group import Group
from reginfo.sync.served_link import ServedLink

from ..make import flow, request

GROUP = Group(
    GroupSection(uri="sip:all@example.com", domains=("example.com",)),
    Aor("sip:all@example.com"),
    "location",
)


def served(peer: str | None, *, tag: str = "x") -> ServedLink:
    asked = request(
        "SUBSCRIBE",
        "Contact: <sip:b@192.0.2.2>",
        from_=f"<sip:server@192.0.2.2>;tag={tag}",
    )
    dialog = Dialog.uas(asked, tag="a", contact="<sip:192.0.2.1>", flow=flow())
    subscription = ServedSubscription(dialog=dialog, event="reg", expires_at=600.0)
    return ServedLink(GROUP, peer, subscription)


@pytest.mark.parametrize("peer", ["b", None])
def test_the_next_subscribe_of_a_server_is_for_the_same_link(peer: str | None) -> None:
    """Whatever its tag is: it has begun anew."""
    assert served(peer).key == served(peer, tag="y").key
    assert served(peer).name == (peer or "<sip:server@192.0.2.2>;tag=x")


def test_what_was_never_sent_leaves_no_gap_in_versions_and_cseqs() -> None:
    """3680-132."""
    link = served("b")
    link.feed.resume(0, 5, 5, 1.0)
    before = link.version, link.subscription.dialog.local_cseq
    link.subscription.dialog.draft("NOTIFY", "")
    link.version += 1
    link.feed.sends(5, 5, 1.0)
    link.restore(*before)
    assert (link.version, link.subscription.dialog.local_cseq) == before
    assert (link.feed.sent, link.feed.under_way) == (0, 0)
