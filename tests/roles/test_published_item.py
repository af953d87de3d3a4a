"""Publications as an administrator sees them."""

from __future__ import annotations

from reginfo.roles.published_item import PublicationItem, items

from ..make import moment
from .test_publisher import NOW, Server


def item(server: Server, now: float = NOW) -> PublicationItem:
    [found] = items(server.publisher.servers(), server.publisher.publications(), now)
    return found


def test_a_presence_server_is_in_sync_when_all_was_confirmed() -> None:
    """3680-162"""
    server = Server()
    assert (item(server).state, item(server).publications) == ("in sync", 0)
    server.bind()
    assert item(server).state == "publishing 1 of 1"
    server.answer()
    assert item(server) == PublicationItem(
        server="sip:presence@127.0.0.1",
        state="in sync",
        publications=1,
        waiting=0,
        problem=None,
    )
    server.bind(2)
    server.bind(3)  # a change while the PUBLISH is under way
    server.answer()
    assert item(server).waiting == 1


def test_a_failure_is_shown_until_a_publish_succeeds() -> None:
    """3680-162"""
    server = Server()
    server.bind()
    server.answer(500)
    found = item(server, NOW + 12)
    assert (found.state, found.problem) == (
        "failing since 12 s",
        "PUBLISH was answered 500",
    )
    _, published = server.sent[-1]
    server.publisher.receive_failure(published, "timeout", NOW + 5)
    found = item(server, NOW + 12)
    assert (found.state, found.problem) == (
        "failing since 12 s",
        "PUBLISH got no answer: timeout",
    )
    server.publisher.timer_due(moment(NOW + 60))
    server.answer(now=NOW + 60)
    assert item(server).problem is None


def test_a_server_that_refuses_all_and_one_without_an_address() -> None:
    """3680-162"""
    server = Server()
    server.bind()
    server.answer(489)
    assert item(server).state == "refused"
    server.target.flow = None
    assert item(server).state == "unknown"
